"""Write files so that a reader never sees half of one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from tflite_sparse.base import scratch
from tflite_sparse.errors import OutputError


def temporary_name_beside(path: Path) -> Path:
    """Make an empty file in the folder of ``path`` and return its path, so that renaming it stays on one file system.

    Raises:
        OutputError: the folder is missing, read-only or full.
    """
    if path.exists() and not path.is_file():  # a rename would replace a device by a file
        raise OutputError(f"cannot write {path}: it is no ordinary file. Choose another name.")
    try:
        return scratch.file(path.parent, f".{path.name}.", ".part")
    except OSError as error:
        raise _output_error(path, error) from error


def check_place(path: Path) -> None:
    """Find out, before the work, whether a file can be written to ``path``.

    Raises:
        OutputError: the folder is missing, read-only or full.
    """
    scratch.remove(temporary_name_beside(path))


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; rename it to ``path`` if the block succeeds, else remove it.

    The bytes are on the disk (``fsync``) before the rename, so a crash leaves the old file or the new one.

    Raises:
        OutputError: the file cannot be written or renamed (read-only or full disk).
    """
    temporary = temporary_name_beside(path)
    try:
        yield temporary
        publish(temporary, path)
    except OSError as error:
        raise _output_error(path, error) from error
    finally:
        scratch.remove(temporary)


def publish(temporary: Path, path: Path) -> None:
    """Give a finished temporary file its final name, and the permissions of the file it replaces or of a new one.

    Raises:
        OutputError: the disk refused the write or the rename.
    """
    try:
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.chmod(path.stat().st_mode & 0o777 if path.is_file() else 0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise _output_error(path, error) from error


def write_bytes(path: Path, *chunks: bytes | bytearray | memoryview) -> None:
    """Write ``chunks`` one after the other to ``path``, all or nothing.

    Raises:
        OutputError: the file cannot be written.
    """
    with replacing(path) as temporary, temporary.open("wb") as stream:
        for chunk in chunks:
            stream.write(chunk)


def make_folder(folder: Path) -> list[Path]:
    """Make the folder and its parents; return those that were made, innermost first.

    Raises:
        OutputError: it cannot be made.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make folder {folder}: {error.strerror or error}.") from error
    return missing


def _umask() -> int:
    # There is no way to read the mask without setting it.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _output_error(path: Path, error: OSError) -> OutputError:
    if isinstance(error, FileNotFoundError) and not path.parent.exists():
        return OutputError(f"cannot write {path}: there is no folder {path.parent}. Make it, or choose another.")
    return OutputError(f"cannot write {path}: {error.strerror or error}. Free or allow the place, or choose another.")
