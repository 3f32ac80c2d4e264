"""Read ``.npz`` files, which are untrusted: no pickles, no zip bombs."""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from tflite_sparse.errors import DataError
from tflite_sparse.sources.containers import inflates
from tflite_sparse.sources.streams import MAX_BYTES

_UNSUSPICIOUS_BYTES, _MOST_INFLATION = 5 * 10**8, 200
_CHUNK = 1 << 16  # small enough to stay in a cache between the checksum and the copy
_SUFFIX = ".npy"
_HEADERS = {npy.magic(1, 0): npy.read_array_header_1_0, npy.magic(2, 0): npy.read_array_header_2_0}


def read(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a file by name.

    Raises:
        DataError: it is missing, no such file, too large, or holds something else than plain arrays.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file.")
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
            packed = sum(entry.compress_size for entry in archive.infolist())
            if size > MAX_BYTES:
                raise DataError(f"{path} unpacks to {size / 1e9:.1f} GB; the limit is {MAX_BYTES / 1e9:.0f} GB.")
            if inflates(size, packed, _UNSUSPICIOUS_BYTES, _MOST_INFLATION):
                raise DataError(
                    f"{path} unpacks to {size / 1e9:.1f} GB, {size // max(packed, 1)} times its size, as a zip bomb "
                    "does. If you trust it, save the arrays with np.savez, uncompressed."
                )
            plain = {_name(entry): _member(archive, entry) for entry in archive.infolist()}
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] if array is None else array for name, array in plain.items()}
    except (OSError, ValueError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} cannot be read as an .npz of plain arrays: {error}") from error


def _name(entry: zipfile.ZipInfo) -> str:
    return entry.filename.removesuffix(_SUFFIX)


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray | None:
    """Return an array whose checksum is right, without the copies of ``numpy.load``; None: its header is a rare one."""
    with archive.open(entry) as stream:
        magic = stream.read(npy.MAGIC_LEN)
        read_header = _HEADERS.get(magic)
        if read_header is None:
            return None
        shape, is_transposed, dtype = read_header(stream)
        if dtype.hasobject:
            return None
        elements = math.prod(shape)
        if elements * dtype.itemsize > entry.file_size:
            raise ValueError(f"{entry.filename} has {entry.file_size:,} bytes, too few for {elements:,} of {dtype}")
        array = np.empty(shape, dtype, order="F" if is_transposed else "C")
        _fill(array.reshape(-1, order="A").view(np.uint8).data, stream, entry.filename)
        if stream.read(1):  # at the end the checksum is compared
            raise ValueError(f"{entry.filename} has more bytes than its {elements:,} of {dtype}")
    return array


def _fill(memory: memoryview, stream: IO[bytes], name: str) -> None:
    done = 0
    while done < len(memory):
        chunk = stream.read(min(_CHUNK, len(memory) - done))
        if not chunk:
            raise ValueError(f"{name} ends after {done:,} of {len(memory):,} bytes")
        memory[done : done + len(chunk)] = chunk
        done += len(chunk)
