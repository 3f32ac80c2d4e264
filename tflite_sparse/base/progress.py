"""How long work tells what it is doing, to whatever shows it."""

from __future__ import annotations

import contextlib
import time
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


class Timed:
    """Passes everything on to a listener and remembers how long each stage took."""

    def __init__(self, listener: Progress) -> None:
        self._listener = listener
        self._seconds: dict[str, float] = {}
        self._warnings: list[str] = []

    @property
    def seconds(self) -> dict[str, float]:
        """By name of the stage, in the order in which they were first entered."""
        return {name: round(value, 3) for name, value in self._seconds.items()}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What :meth:`warn` was told, once each."""
        return tuple(dict.fromkeys(self._warnings))

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[Step]:
        """See :class:`Progress`."""
        started = time.perf_counter()
        with self._listener.stage(name) as on_step:
            yield on_step
        self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - started

    def note(self, text: str) -> None:
        """See :class:`Progress`."""
        self._listener.note(text)

    def warn(self, text: str) -> None:
        """Say something that speaks against the result, and keep it for the report."""
        self._warnings.append(text)
        self._listener.note(f"warning: {text}")
