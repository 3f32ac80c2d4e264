"""Make files that several tests share and that take long, once for all workers and runs.

A folder of the cache is keyed by the source of the functions that make it, and the versions of the packages.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import shutil
from collections.abc import Callable
from pathlib import Path

PACKAGES = ("tensorflow", "keras", "tf-keras", "tensorflow-model-optimization", "ai-edge-litert", "numpy", "mlxtend")


class MadeOnce:
    """Folders below ``cache``, each made under a lock.

    Args:
        cache: a folder that all workers of a run share.
        sources: the files whose contents determine what is made.
    """

    def __init__(self, cache: Path, sources: list[Path]) -> None:
        versions = [f"{name} {importlib.metadata.version(name)}".encode() for name in PACKAGES]
        found = hashlib.sha256(b"\n".join([*versions, *(path.read_bytes() for path in sorted(sources))]))
        self._cache, self._key = cache, found.hexdigest()[:16]

    def folder(self, name: str, make: Callable[[Path], None]) -> Path:
        """Return the folder ``name``, filled by ``make`` if it is missing. Nothing may be written to it later."""
        cache = self._cache / self._key
        cache.mkdir(parents=True, exist_ok=True)
        place = cache / name
        with (cache / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # released when the file is closed, or when this process dies
            if not place.exists():
                unfinished = cache / f"{name}.unfinished"
                shutil.rmtree(unfinished, ignore_errors=True)
                unfinished.mkdir()
                make(unfinished)
                unfinished.rename(place)
        return place
