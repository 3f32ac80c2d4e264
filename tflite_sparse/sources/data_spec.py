"""The specifications that ``data`` takes, checked before TensorFlow is imported."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from tflite_sparse.errors import DataError
from tflite_sparse.sources import built_in_data, user_code

FORMS = (
    "a built-in name (mnist-5k, digits, fashion-mnist), an .npz file with x, y (or x_train, y_train, x_test, y_test; "
    "x/NAME, y/NAME for several inputs or outputs), "
    "a folder of class folders with images, or path/to/module.py:function"
)


def check(data: object) -> None:
    """Refuse a specification that cannot be a data set, by its name; what is in memory passes.

    Raises:
        DataError: it has none of the :data:`FORMS`, or there is no such file.
    """
    if not isinstance(data, str | os.PathLike) or data in built_in_data.LOADERS:
        return
    named = user_code.address(os.fspath(data))
    if named is not None:
        if not named[0].is_file():
            raise DataError(f"{named[0]}: no such Python file.")
        return
    path = Path(data)
    if path.is_dir():
        return
    if path.suffix != ".npz":
        near = difflib.get_close_matches(str(data), built_in_data.LOADERS, n=1)
        if near:
            raise DataError(f"{str(data)!r} is no data set; did you mean {near[0]}?")
        raise DataError(f"{str(data)!r} is no data set: `data` takes {FORMS}.")
    if not path.is_file():
        raise DataError(f"{path}: no such file.")
