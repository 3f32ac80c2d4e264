"""Show progress on stderr: a bar on a terminal, else a line when a stage takes long and a line when it ends."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console

from tflite_sparse.base.progress import Step
from tflite_sparse_cli.flags import as_typed

_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_BETWEEN_SAME_LINES = 60.0  # if the share is unchanged
_LEAST_SHARE = 0.05  # done before the remaining time is estimated


class TerminalProgress:
    """Shows each stage, its progress, and its duration."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[Step]:
        """See :class:`tflite_sparse.base.progress.Progress`."""
        started = time.perf_counter()
        with self._bar(name) if self._console.is_terminal else self._lines(name) as on_step:
            yield on_step
        self._print(f"done {name} ({time.perf_counter() - started:.1f} s)")

    def note(self, text: str) -> None:
        """See :class:`tflite_sparse.base.progress.Progress`."""
        self._print(as_typed(text))

    @contextlib.contextmanager
    def _bar(self, name: str) -> Iterator[Step]:
        import rich.progress

        columns = (
            rich.progress.SpinnerColumn(),
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.TaskProgressColumn(),
            rich.progress.TimeElapsedColumn(),
            rich.progress.TimeRemainingColumn(),
        )
        with rich.progress.Progress(*columns, console=self._console, transient=True) as bar:
            task = bar.add_task(name, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)

    @contextlib.contextmanager
    def _lines(self, name: str) -> Iterator[Step]:
        started = last = time.perf_counter()
        shown = ""

        def on_step(done: int, total: int) -> None:
            nonlocal last, shown
            now, share = time.perf_counter(), f"{done / total:.0%}"
            pause = _SECONDS_BETWEEN_LINES if share != shown else _SECONDS_BETWEEN_SAME_LINES
            if now - last >= pause:
                last, shown = now, share
                left = (
                    f", about {_duration((now - started) * (total - done) / done)} left"
                    if done >= _LEAST_SHARE * total
                    else ""
                )
                self._print(f"{name}: {share}{left}")

        yield on_step

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def _duration(seconds: float) -> str:
    """Return a duration in words, to the minute or second."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
