"""Refuse archives, HDF5 files and folders that point outside of themselves or unpack to far more than their size.

A member may be unpacked outside of its folder. An HDF5 file may link to other files, keep its data in them, or announce
arrays of any size. A SavedModel may name assets anywhere. These checks run before a loader follows such a name.
"""

from __future__ import annotations

import io
import re
import stat
import zipfile
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from tflite_sparse.errors import ModelError

if TYPE_CHECKING:
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

LEAST_LIMIT_BYTES = 100 * 2**20
MOST_INFLATION = 100
"""Refuse data that unpack to more than this many times their size and to more than the limit above."""

_MOST_MEMBERS = 10_000
_WEIGHTS = "model.weights.h5"


def check_keras_archive(archive: zipfile.ZipFile) -> None:
    """Check every member of a ``.keras`` archive, and the links and sizes in its weights, before any is unpacked.

    Raises:
        ValueError: with the reason, as the end of a sentence.
        KeyError: the archive has no weights.
    """
    members = archive.infolist()
    if len(members) > _MOST_MEMBERS:
        raise ValueError(f"it has {len(members):,} members, more than the {_MOST_MEMBERS:,} of any model")
    names = Counter(member.filename for member in members)
    for member in members:
        if _leads_out(member.filename):
            raise ValueError(f"its member {member.filename!r} would be unpacked outside of its folder")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise ValueError(f"its member {member.filename!r} is a symbolic link")
        if names[member.filename] > 1:
            raise ValueError(f"it has several members of the name {member.filename!r}")
    size = sum(member.file_size for member in members)
    _check_inflation("its members unpack", size, sum(member.compress_size for member in members))
    weights = archive.getinfo(_WEIGHTS)
    _check_inflation("its weights unpack", weights.file_size, weights.compress_size)
    try:
        check_hdf5(io.BytesIO(archive.read(weights)), weights.file_size)
    except OSError as error:
        raise ValueError(f"{_WEIGHTS} cannot be read as an HDF5 file: {error}") from error


def check_hdf5(file: Path | IO[bytes], size: int) -> None:
    """Check every link and data set of an HDF5 file of ``size`` bytes.

    Raises:
        ValueError: one leads to another file, or the data are far larger than the file; as the end of a sentence.
        OSError: the file is no HDF5 file.
    """
    import h5py

    with h5py.File(file, "r") as opened:
        found: list[tuple[str, int]] = []
        opened.id.links.visit(lambda name, info: found.append((name.decode("utf-8", "replace"), info.type)), info=True)
        total = 0
        for name, kind in found:
            if kind != h5py.h5l.TYPE_HARD:
                raise ValueError(f"{name!r} in it is a link, which could lead to another file")
            entry = opened[name]
            if not isinstance(entry, h5py.Dataset):
                continue
            if entry.external or entry.is_virtual:
                raise ValueError(f"the data of {name!r} in it lie in another file")
            total += entry.nbytes or 0
        _check_inflation("its weights unpack", total, size)


def check_folder(path: Path, saved_model: SavedModel) -> None:
    """Refuse a SavedModel folder with a link or an asset that leads outside of it.

    Raises:
        ModelError: names the first.
    """
    root = path.resolve()
    for entry in sorted(path.rglob("*")):
        if entry.is_symlink() and not entry.resolve().is_relative_to(root):
            raise ModelError(
                f"{path}: {entry.relative_to(path)} is a link to a file outside of the folder. "
                "If you trust it, copy the folder with its files: cp -rL."
            )
    for graph in saved_model.meta_graphs:
        for asset in graph.asset_file_def:
            if _leads_out(asset.filename):
                raise ModelError(f"{path} names the asset {asset.filename!r}, which lies outside of the folder.")


def inflates(size: int, packed: int, unsuspicious: int, most: int) -> bool:
    """Return whether ``size`` unpacked bytes exceed both ``unsuspicious`` and ``most`` times ``packed``."""
    return size > max(unsuspicious, most * packed)


def _leads_out(name: str) -> bool:
    """Return whether a relative name may point out of its folder on any operating system."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return not parts or ".." in parts or parts[0] == "/" or re.match(r"[A-Za-z]:", name) is not None


def _check_inflation(what: str, size: int, packed: int) -> None:
    if inflates(size, packed, LEAST_LIMIT_BYTES, MOST_INFLATION):
        raise ValueError(f"{what} to {size / 1e9:.1f} GB, which no trained model does")
