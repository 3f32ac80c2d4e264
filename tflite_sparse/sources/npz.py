"""Read ``.npz`` files, which are untrusted: no pickles, no zip bombs."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from tflite_sparse.errors import DataError
from tflite_sparse.sources.containers import inflates
from tflite_sparse.sources.streams import MAX_BYTES

_UNSUSPICIOUS_BYTES, _MOST_INFLATION = 5 * 10**8, 200


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
                f"{path} unpacks to {size / 1e9:.1f} GB, {size // max(packed, 1)} times its size, as a zip bomb does. "
                "If you trust it, save the arrays with np.savez, uncompressed."
            )
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except (OSError, ValueError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} cannot be read as an .npz of plain arrays: {error}") from error
