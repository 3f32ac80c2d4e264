"""How far the points are that are at work on this machine."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from tflite_sparse.base.progress import Step

_SECONDS = 1.0
_TRAINING = 0.9  # of the time of a point; its file is made and measured in the rest


class Shares:
    """Shares of points, told by the threads that wait for them.

    Args:
        tell: receives the sum of the shares, each in [0, 1], of the points at work: at most once a second, from the
            thread of any point.
    """

    def __init__(self, tell: Callable[[float], None]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._shares: dict[str, float] = {}
        self._told = float("-inf")

    @contextlib.contextmanager
    def of(self, name: str) -> Iterator[Step]:
        """The steps of the point ``name``, which is at work inside of the block."""

        def on_step(done: int, total: int) -> None:
            with self._lock:
                self._shares[name] = _TRAINING * done / total
                if time.monotonic() - self._told < _SECONDS:
                    return
                self._told = time.monotonic()
                share = sum(self._shares.values())
            self._tell(share)

        try:
            yield on_step
        finally:
            with self._lock:
                self._shares.pop(name, None)
