"""Progress in a notebook: one output of the cell, updated in place, for work that takes over two seconds."""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from tflite_sparse.base.progress import Progress, Silent, Step

_PATIENCE_S = 2.0


def chosen(progress: Progress | None) -> Progress:
    """Return ``progress``; where a caller gave none, what shows it in a notebook, and elsewhere nothing does."""
    if progress is not None:
        return progress
    return NotebookProgress(_Output()) if _is_notebook() else Silent()


class NotebookProgress:
    """Shows a line for each stage, with its share or its seconds, and notes between them.

    Args:
        show: receives the whole text each time it changes.
        patience_s: seconds from now during which nothing is shown. Notes are shown at once.
    """

    def __init__(self, show: Callable[[str], None], patience_s: float = _PATIENCE_S) -> None:
        self._show = show
        self._shows_from = time.perf_counter() + patience_s
        self._lines: list[str] = []
        self._lock = threading.Lock()  # the timer of a stage has a thread of its own

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[Step]:
        """See :class:`~tflite_sparse.base.progress.Progress`."""
        started = time.perf_counter()
        number = self._add(f"{name} ...")
        # A stage that tells no steps is shown while it runs, not when it ends.
        timer = threading.Timer(max(0.0, self._shows_from - started), self._refresh)
        timer.daemon = True
        timer.start()
        how = "stopped after "
        try:
            yield lambda done, total: self._replace(number, f"{name}: {done / total:.0%}")
            how = ""
        finally:
            timer.cancel()
            self._replace(number, f"{name} ({how}{time.perf_counter() - started:.1f} s)")

    def note(self, text: str) -> None:
        """See :class:`~tflite_sparse.base.progress.Progress`."""
        self._add(text)
        self._refresh()

    def _add(self, line: str) -> int:
        with self._lock:
            self._lines.append(line)
            return len(self._lines) - 1

    def _replace(self, number: int, line: str) -> None:
        with self._lock:
            is_new = self._lines[number] != line
            self._lines[number] = line
        if is_new and time.perf_counter() >= self._shows_from:
            self._refresh()

    def _refresh(self) -> None:
        with self._lock:
            self._show("\n".join(self._lines))


class _Output:
    """One output of the running cell."""

    def __init__(self) -> None:
        self._handle: Any = None

    def __call__(self, text: str) -> None:
        content = {"text/plain": text}
        if self._handle is None:
            display = importlib.import_module("IPython.display").display
            self._handle = display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)


def _is_notebook() -> bool:
    """Whether an IPython kernel runs this process, as those of Jupyter and Colab do; IPython in a terminal is none."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None
