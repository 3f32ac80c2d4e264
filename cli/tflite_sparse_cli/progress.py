"""Progress on stderr: a bar on a terminal, a line a stage elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import rich.progress
from rich.console import Console

from tflite_sparse.progress import Step


class TerminalProgress:
    """Shows each stage, how far it is, and how long it took."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[Step]:
        """See :class:`tflite_sparse.progress.Progress`."""
        started = time.perf_counter()
        with rich.progress.Progress(
            rich.progress.SpinnerColumn(),
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.TaskProgressColumn(),
            rich.progress.TimeElapsedColumn(),
            rich.progress.TimeRemainingColumn(),
            console=self._console,
            transient=True,
        ) as bar:
            task = bar.add_task(name, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        self._console.print(f"[green]done[/] {name} [dim]{time.perf_counter() - started:.1f} s[/]", highlight=False)

    def note(self, text: str) -> None:
        """See :class:`tflite_sparse.progress.Progress`."""
        self._console.print(text, markup=False, highlight=False)
