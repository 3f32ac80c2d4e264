"""Report the progress of long work to an object that shows it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

Step = Callable[[int, int], None]
"""Callback that receives (steps done, all steps) of a stage."""


class Progress(Protocol):
    """Receives the stages, steps and notes of a command."""

    def stage(self, name: str) -> AbstractContextManager[Step]:
        """Enter a stage; the context yields a callback for its steps. Leaving the context ends the stage."""

    def note(self, text: str) -> None:
        """Show a line that the user should know."""


def ignore_steps(done: int, total: int) -> None:
    """Ignore the steps of a stage."""


class Silent:
    """Shows nothing."""

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[Step]:
        """See :class:`Progress`."""
        del name
        yield ignore_steps

    def note(self, text: str) -> None:
        """See :class:`Progress`."""


class Timed:
    """Passes everything on to another progress and records the time of each stage."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._seconds: dict[str, float] = {}
        self._warnings: list[str] = []

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by stage name, in the order of first entry."""
        return {name: round(value, 3) for name, value in self._seconds.items()}

    @property
    def warnings(self) -> tuple[str, ...]:
        """Texts of :meth:`warn`, once each."""
        return tuple(dict.fromkeys(self._warnings))

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[Step]:
        """See :class:`Progress`."""
        started = time.perf_counter()
        with self._progress.stage(name) as on_step:
            yield on_step
        self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - started

    def note(self, text: str) -> None:
        """See :class:`Progress`."""
        self._progress.note(text)

    def warn(self, text: str) -> None:
        """Show a warning about the result, and keep it for the report."""
        self._warnings.append(text)
        self._progress.note(f"warning: {text}")
