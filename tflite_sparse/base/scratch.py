"""Temporary files and folders of which nothing is left when the process ends.

:mod:`tempfile` loses track of a folder if a signal arrives between making it and returning its name, or while it is
being removed. Here a path is noted before anything is made, and what is still there is removed when Python exits.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "tflite-sparse-"
_RANDOM_BYTES = 8  # more than tempfile takes; a name that exists is an error and not a reason to try again

_noted: dict[Path, int] = {}  # the process that made the path: a fork does not remove what its parent uses


@contextlib.contextmanager
def folder(parent: Path | None = None, prefix: str = _PREFIX) -> Iterator[Path]:
    """Make a folder that only this user may enter, and remove it after the block.

    What cannot be removed then (a process that was stopped may still write there) is removed at exit.

    Args:
        parent: the folder to make it in. None: the system's folder for temporary files, as :mod:`tempfile` finds it.
        prefix: of its name.

    Raises:
        OSError: it cannot be made.
    """
    path = _new(Path(tempfile.gettempdir()) if parent is None else parent, prefix)
    try:
        path.mkdir(mode=0o700)
        yield path
    finally:
        remove(path)


def lasting_folder() -> Path:
    """Make a folder as :func:`folder` does, which stays until :func:`remove` is called or Python exits.

    Raises:
        OSError: it cannot be made.
    """
    path = _new(Path(tempfile.gettempdir()), _PREFIX)
    path.mkdir(mode=0o700)
    return path


def file(parent: Path, prefix: str, suffix: str) -> Path:
    """Make an empty file that only this user may read, which stays until :func:`remove` is called or Python exits.

    Raises:
        OSError: it cannot be made.
    """
    path = _new(parent, prefix, suffix)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    return path


def remove(path: Path) -> None:
    """Remove a path that this process made here, with all that is in it; it may have gone or be renamed."""
    if _noted.get(path) != os.getpid():
        return
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
    if not path.exists():
        _noted.pop(path, None)


def _new(parent: Path, prefix: str, suffix: str = "") -> Path:
    path = parent.absolute() / f"{prefix}{secrets.token_hex(_RANDOM_BYTES)}{suffix}"
    _noted[path] = os.getpid()
    return path


@atexit.register
def _remove_all() -> None:
    for path in list(_noted):
        remove(path)
