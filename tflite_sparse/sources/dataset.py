"""Load data sets: built-in ones, ``.npz`` files, folders of images, and functions of the user.

The first axis of an input counts samples. Labels, if any, have one entry (a class number, a one-hot row or a target)
for each sample. The test part serves evaluation only, the training part calibration and training only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tflite_sparse.base.progress import Step, ignore_steps
from tflite_sparse.errors import DataError
from tflite_sparse.results import data_name
from tflite_sparse.settings.kinds import Pixels
from tflite_sparse.sources import built_in_data, data_spec, image_folder, named_arrays, npz, streams, user_code
from tflite_sparse.sources import pixels as pixel_ranges
from tflite_sparse.sources.arrays import Arrays, columns, count, ordered, take
from tflite_sparse.sources.named_arrays import Signature, words
from tflite_sparse.sources.source_model import InputSpec, OutputSpec

_TEST_SHARE = 0.2
_NO_NAMES = Signature()


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test samples.

    A model with several inputs has mappings from input names to arrays in ``x_train`` and ``x_test``; one with several
    outputs has mappings from output names to labels in ``y_train`` and ``y_test``.

    Attributes:
        name: its name in reports.
        x_train: ``(n, *input shape)``.
        y_train: labels of ``x_train``, or None.
        x_test: ``(m, *input shape)``.
        y_test: labels of ``x_test``, or None.
        labels: names of the classes, if the source has any.
        is_cut: whether the source had more samples than were taken; ``name`` then contains how many were.
        pixels: the range of the values, if they are images; None: they are none, or it is not known.
        is_split: whether the source had no test part, so that one was split off here.

    Raises:
        DataError: a part is empty, the lengths differ, or a value is NaN or infinite.
    """

    name: str
    x_train: Arrays
    y_train: Arrays | None
    x_test: Arrays
    y_test: Arrays | None
    labels: tuple[str, ...] = ()
    is_cut: bool = False
    pixels: Pixels | None = None
    is_split: bool = False

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
        """Whether both parts have labels."""
        return self.y_train is not None and self.y_test is not None

    @property
    def train_samples(self) -> int:
        """Number of training samples."""
        return count(self.x_train)

    @property
    def test_samples(self) -> int:
        """Number of test samples."""
        return count(self.x_test)

    def fitted_to(self, shape: tuple[int | None, ...], dtype: np.dtype) -> Dataset:
        """Return the data in ``dtype``, for a model with one input of ``shape`` (first entry: batch; None: any size).

        Raises:
            DataError: the samples have another shape or names, or their values cannot be cast to ``dtype``.
        """
        if isinstance(self.x_train, Mapping) or isinstance(self.x_test, Mapping):
            raise DataError(f"{self.name} holds arrays by name, the model has one input: give x as one array.")
        x_train, x_test = _fitted(self.name, "x", (self.x_train, self.x_test), shape, dtype, "the model's input")
        return replace(self, x_train=x_train, x_test=x_test)

    def fitted_to_model(self, signature: Signature) -> Dataset:
        """Return the data by a model's names and in its dtypes; as one array where it has one input (output).

        Raises:
            DataError: an input has no array, an array belongs to no input or output, or :meth:`fitted_to` refuses it.
        """
        x_train = self._named("x_train", self.x_train, signature)
        x_test = self._named("x_test", self.x_test, signature)
        y_train = None if self.y_train is None else self._named("y_train", self.y_train, signature)
        y_test = None if self.y_test is None else self._named("y_test", self.y_test, signature)
        if len(signature.inputs) == 1:
            spec = signature.inputs[0]
            alone = replace(self, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
            return alone.fitted_to(spec.shape, spec.dtype)
        pairs = zip(*(ordered(x, signature.input_names) for x in (x_train, x_test)), strict=True)
        train, test = {}, {}
        for spec, pair in zip(signature.inputs, pairs, strict=True):
            taker = f"the model's input {spec.name!r}"
            train[spec.name], test[spec.name] = _fitted(self.name, spec.name, pair, spec.shape, spec.dtype, taker)
        return replace(self, x_train=train, y_train=y_train, x_test=test, y_test=y_test)

    def _named(self, part: str, value: Arrays, signature: Signature) -> Arrays:
        """Return one part by the model's names, or one array where the model has one input or output."""
        is_input = part.startswith("x")
        specs = signature.inputs if is_input else signature.outputs
        if len(specs) == 1 and not isinstance(value, Mapping):
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
    data: object,
    *,
    seed: int = 0,
    image_shape: tuple[int | None, ...] | None = None,
    signature: Signature = _NO_NAMES,
    on_step: Step = ignore_steps,
) -> Dataset:
    """Return the data set that ``data`` names (see :func:`load`) or holds (see :func:`from_arrays`).

    It tells the range of its pixels, if they are images.
    """
    if isinstance(data, str | os.PathLike):
        found = load(os.fspath(data), seed=seed, image_shape=image_shape, signature=signature, on_step=on_step)
    else:
        found = from_arrays(data, seed=seed, signature=signature, on_step=on_step)
    return found if found.pixels else replace(found, pixels=pixel_ranges.of_parts(found.x_train, found.x_test))


def of_model(
    data: object,
    signature: Signature,
    *,
    seed: int = 0,
    pixels: Pixels | None = None,
    on_step: Step = ignore_steps,
) -> Dataset:
    """Return the data set that ``data`` names or holds, by a model's names and in its dtypes.

    Args:
        data: see :func:`of_any`.
        signature: of the model.
        seed: of the split.
        pixels: the range that images are scaled to; None: they stay as they are.
        on_step: see :func:`from_arrays`.

    Raises:
        DataError: the data cannot be used, or do not fit the model.
    """
    shape = signature.inputs[0].shape if len(signature.inputs) == 1 else None
    found = of_any(data, seed=seed, image_shape=shape, signature=signature, on_step=on_step)
    return pixel_ranges.as_told(found.fitted_to_model(signature), pixels)


def load(
    spec: str,
    *,
    seed: int = 0,
    image_shape: tuple[int | None, ...] | None = None,
    signature: Signature = _NO_NAMES,
    on_step: Step = ignore_steps,
) -> Dataset:
    """Load the data set that ``spec`` names.

    Args:
        spec: see :data:`tflite_sparse.sources.data_spec.FORMS`.
        seed: of the split where the source has no test part (80 % training, 20 % test).
        image_shape: ``(batch, height, width, channels)`` of the model's input; required for a folder of images.
        signature: of the model: its names assign arrays to inputs and outputs.
        on_step: see :func:`from_arrays`.

    Raises:
        DataError: the source is missing, unreadable, or holds no usable samples.
    """
    data_spec.check(spec)
    if spec in built_in_data.LOADERS:
        held = built_in_data.LOADERS[spec]()
        if held.test is None:
            return _split(spec, held.x, held.y, seed, held.labels)
        return Dataset(spec, held.x, held.y, *held.test, held.labels)
    named = user_code.address(spec)
    if named is not None:
        made = user_code.call(*named, DataError)
        return from_arrays(made, name=spec, seed=seed, signature=signature, on_step=on_step)
    path = Path(spec)
    if path.is_dir():
        found = image_folder.read(path, image_shape)
        if found.test is None:
            return replace(_split(spec, *found.train, seed, found.labels), pixels=image_folder.PIXELS)
        return Dataset(spec, *found.train, *found.test, found.labels, pixels=image_folder.PIXELS)
    return _from_mapping(npz.read(path), str(path), seed, signature)


def from_arrays(
    value: object, *, name: str = "data", seed: int = 0, signature: Signature = _NO_NAMES, on_step: Step = ignore_steps
) -> Dataset:
    """Make a data set from objects in memory.

    Args:
        value: a :class:`Dataset`; an array ``x``; ``(x, y)``; ``((x_train, y_train), (x_test, y_test))``; a mapping
            with the keys of an ``.npz``; or an iterable of samples or batches, with or without labels: a generator, a
            function that returns one, a Keras Sequence, a ``tf.data.Dataset`` (see
            :mod:`tflite_sparse.sources.streams`). For several inputs each ``x`` is a mapping by name or a list in the
            model's order; likewise each ``y`` for several outputs.
        name: its name in reports.
        seed: of the split where there is no test part.
        signature: of the model: its names assign arrays to inputs and outputs, its ranks tell samples from batches.
        on_step: receives (done, total) while an iterable is read; see :func:`tflite_sparse.sources.streams.collect`.

    Raises:
        DataError: ``value`` is none of these.
    """
    if isinstance(value, Dataset):
        return value
    if isinstance(value, Mapping):
        return _from_mapping(value, name, seed, signature)
    if streams.is_stream(value):
        return _from_stream(value, name, seed, signature, on_step)
    if isinstance(value, tuple) and len(value) == 2:
        first, second = value
        if isinstance(first, tuple) and isinstance(second, tuple) and len(first) == len(second) == 2:
            x_train, x_test = (_inputs(part[0], name, signature) for part in (first, second))
            y_train, y_test = (_labels(part[1], name, signature) for part in (first, second))
            return Dataset(name, x_train, y_train, x_test, y_test)
        return _split(name, _inputs(first, name, signature), _labels(second, name, signature), seed)
    return _split(name, _inputs(value, name, signature), None, seed)


def _from_mapping(arrays: Mapping[str, object], name: str, seed: int, signature: Signature) -> Dataset:
    parts = named_arrays.sort(arrays, signature, name)
    x = {part: _inputs(value, name, signature) for part, value in parts.items() if part.startswith("x")}
    y = {part: _labels(value, name, signature) for part, value in parts.items() if part.startswith("y")}
    if {"x_train", "x_test"} <= set(x):
        return Dataset(name, x["x_train"], y.get("y_train"), x["x_test"], y.get("y_test"))
    if "x" in x:
        return _split(name, x["x"], y.get("y"), seed)
    held = f"{name} holds {', '.join(sorted(arrays)) or 'nothing'}; expected x, y or x_train, y_train, x_test, y_test"
    raise DataError(held + (f", or arrays by name: {signature.in_words()}." if signature.inputs else "."))


def _inputs(value: object, name: str, signature: Signature) -> Arrays:
    return _arrays(value, signature.inputs, signature, name)


def _labels(value: object, name: str, signature: Signature) -> Arrays | None:
    return None if value is None else _arrays(value, signature.outputs, signature, name)


def _arrays(value: object, specs: Sequence[InputSpec | OutputSpec], signature: Signature, name: str) -> Arrays:
    """Return an array, or arrays by name from a mapping or from a list in the model's order."""
    if isinstance(value, list | tuple) and len(specs) > 1:
        value = named_arrays.by_position(value, specs, signature, name)
    if isinstance(value, Mapping):
        return {str(key): _array(each, name) for key, each in value.items()}
    return _array(value, name)


def _from_stream(value: object, name: str, seed: int, signature: Signature, on_step: Step) -> Dataset:
    found = streams.collect(value, signature, name, on_step)
    if found.is_cut:
        name = data_name.of_first(name, found.count)
    y = None if found.y is None else _checked(found.y, name)
    return replace(_split(name, _checked(found.x, name), y, seed), is_cut=found.is_cut)


def _checked(arrays: Arrays, name: str) -> Arrays:
    if isinstance(arrays, Mapping):
        return {key: _array(array, name) for key, array in arrays.items()}
    return _array(arrays, name)


def _split(name: str, x: Arrays, y: Arrays | None, seed: int, labels: tuple[str, ...] = ()) -> Dataset:
    if not columns(x) or any(each.ndim < 1 or len(each) < 2 for each in columns(x)):
        raise DataError(f"{name}: at least two samples are needed, one to calibrate or train with and one to test.")
    _check_lengths(f"{name}: x", x, "y", y)
    for what, values in (*_pairs("x", x), *_pairs("y", y)):  # the parts would count their samples in another order
        _refuse_not_finite(f"{name}: {what}", values)
    order = np.random.default_rng(seed).permutation(count(x))
    tests = max(1, round(len(order) * _TEST_SHARE))
    train, test = order[tests:], order[:tests]
    if y is None:
        return Dataset(name, take(x, train), None, take(x, test), None, labels, is_split=True)
    return Dataset(name, take(x, train), take(y, train), take(x, test), take(y, test), labels, is_split=True)


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
    """Return each array with its name in messages."""
    if isinstance(arrays, Mapping):
        return [(f"{what}/{key}", array) for key, array in arrays.items()]
    return [] if arrays is None else [(what, arrays)]


def _fitted(
    name: str,
    what: str,
    pair: tuple[np.ndarray, np.ndarray],
    shape: tuple[int | None, ...],
    dtype: np.dtype,
    taker: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Return training and test samples in the dtype of an input. See :meth:`Dataset.fitted_to`."""
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
    with np.errstate(over="ignore"):  # Dataset refuses infinite values
        return pair[0].astype(dtype, copy=False), pair[1].astype(dtype, copy=False)


def _array(value: object, name: str) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DataError(f"{name}: parts of different lengths are not supported ({error}).") from error
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name}: data of type {array.dtype} are not supported; give numbers.")
    return array


def _refuse_not_finite(what: str, values: np.ndarray) -> None:
    if values.dtype.kind != "f" or not values.size or np.isfinite([values.min(), values.max()]).all():
        return  # both are NaN if one value is
    bad = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if bad.any():
        raise DataError(f"{what}: sample {int(bad.argmax())} holds NaN or infinity ({int(bad.sum())} samples do).")


def _count(labels: np.ndarray) -> int:
    return len(labels) if labels.ndim else 1
