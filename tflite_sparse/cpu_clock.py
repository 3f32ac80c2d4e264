"""Measures what a command costs, this process and its children."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from tflite_sparse import child
from tflite_sparse.report.cpu import Cpu


@contextlib.contextmanager
def started() -> Iterator[Callable[[], Cpu]]:
    """Yield a function that tells what was spent since the context was entered."""
    begun = time.process_time()
    with child.accounted() as spent:
        yield lambda: Cpu.of(time.process_time() - begun, spent)
