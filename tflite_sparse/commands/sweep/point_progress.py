"""How far points are that are trained in other processes of this machine, and the folder for what is temporary there.

Each process tells it in a small file of its own, which the one that waits for them reads now and then. What an
interrupted process leaves behind lies in that folder too, and goes with it.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tflite_sparse.base.atomic_files import write_bytes
from tflite_sparse.base.progress import Step, ignore_steps

_SUFFIX = ".share"
_SECONDS = 1.0
_TRAINING = 0.9  # of the time of a point; its file is made and measured in the rest


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A temporary folder that is removed in the end, also if processes that were stopped have left files there."""
    with tempfile.TemporaryDirectory(prefix="tflite-sparse-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextlib.contextmanager
def of_point(folder: Path | None, name: str) -> Iterator[Step]:
    """In the worker of a point: tell its steps in ``folder``, where all its temporary files go.

    The worker ends when the process that started it is gone.

    Args:
        folder: of :func:`scratch`; None on another machine: nothing is told, and temporary files go where they go.
        name: of the point.
    """
    if folder is None:
        yield ignore_steps
        return
    path, own = folder / f"{name}{_SUFFIX}", folder / name
    told = float("-inf")

    def on_step(done: int, total: int) -> None:
        nonlocal told
        if time.monotonic() - told >= _SECONDS:
            told = time.monotonic()
            write_bytes(path, f"{_TRAINING * done / total:.6f}".encode())

    own.mkdir(exist_ok=True)
    ended = threading.Event()
    threading.Thread(target=_end_with, args=(os.getppid(), ended), daemon=True).start()
    before = os.environ.get("TMPDIR"), tempfile.tempdir
    os.environ["TMPDIR"] = tempfile.tempdir = str(own)
    try:
        yield on_step
    finally:
        ended.set()
        tempfile.tempdir = before[1]
        if before[0] is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before[0]
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def watched(folder: Path, tell: Callable[[float], None]) -> Iterator[None]:
    """Call ``tell`` every second, from a thread, with the sum of the shares that are told in ``folder``."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_SECONDS):
            tell(told_in(folder))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _end_with(parent: int, ended: threading.Event) -> None:
    """End this process, and so the one that it waits for, when ``parent`` was killed: nobody wants the point then."""
    while not ended.wait(_SECONDS):
        if os.getppid() != parent:
            os._exit(1)


def told_in(folder: Path) -> float:
    """The sum of the shares, each in [0, 1], of the points that are at work."""
    total = 0.0
    for path in folder.glob(f"*{_SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):  # that point has ended since
            total += float(path.read_text("ascii"))
    return total
