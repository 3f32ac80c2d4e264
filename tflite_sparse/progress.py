"""How long work tells what it is doing, without knowing who listens."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

Step = Callable[[int, int], None]
"""Called with (steps done, steps in all) as a stage goes on."""


class Progress(Protocol):
    """A listener."""

    def stage(self, name: str) -> AbstractContextManager[Step]:
        """Enter a stage; the result takes its steps. Leaving the context ends the stage."""

    def note(self, text: str) -> None:
        """Say something that the user should know, in one line."""


def ignore_steps(done: int, total: int) -> None:
    """A :data:`Step` that nobody listens to."""


class Silent:
    """A listener that shows nothing."""

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[Step]:
        """See :class:`Progress`."""
        del name
        yield ignore_steps

    def note(self, text: str) -> None:
        """See :class:`Progress`."""
