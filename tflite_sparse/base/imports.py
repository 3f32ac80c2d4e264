"""Import large packages in less time: without garbage collection.

A collection starts after so many new objects and looks at many old ones. What is imported is no garbage, so it finds
nothing: of the import of TensorFlow it takes an eighth.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

_are_frozen = False


def freeze() -> None:
    """Let no collection look at what was imported or will be, in :func:`uncollected`, as long as the process lasts.

    It is for programs: garbage that the process has at these times stays as well.
    """
    global _are_frozen
    _are_frozen = True
    gc.freeze()


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Let no collection run inside of the block."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if _are_frozen:
            gc.freeze()
        if was_enabled:
            gc.enable()
