"""Collect samples from generators, Keras Sequences, ``tf.data`` and other iterables of samples or batches.

The rank of an element, compared with that of the model's input, tells whether it is a sample or a batch.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field

import numpy as np

from tflite_sparse.base.progress import Step
from tflite_sparse.errors import DataError, one_line
from tflite_sparse.sources import named_arrays
from tflite_sparse.sources.arrays import Arrays
from tflite_sparse.sources.named_arrays import Signature
from tflite_sparse.sources.source_model import InputSpec, OutputSpec

MAX_BYTES = 8 * 10**9
"""Limit on the size of all samples of a stream of known length."""
MOST_SAMPLES, MOST_BYTES = 20_000, 2 * 10**9
"""Limits on a stream of unknown length, which may be endless."""

_ENDLESS = "yields samples without end (.repeat()): limit it, with .take(n)"


@dataclass(frozen=True, eq=False, slots=True)
class Collected:
    """Samples ``(n, ...)`` and labels (None: there are none), by name where there are several inputs or outputs.

    ``is_cut`` is True if the stream had more samples than were taken.
    """

    x: Arrays
    y: Arrays | None
    count: int
    is_cut: bool


def is_stream(value: object) -> bool:
    """Return whether ``value`` is an iterable (no array or list), or a function that returns one."""
    if isinstance(value, str | bytes | Mapping | list | tuple) or hasattr(value, "__array__"):
        return False
    return callable(value) or any(hasattr(value, name) for name in ("as_numpy_iterator", "__iter__", "__getitem__"))


def collect(value: object, signature: Signature, name: str, on_step: Step) -> Collected:
    """Collect all elements of a stream, or the first samples of one of unknown length.

    An element is ``x``, ``[x]``, ``(x, y)``, or for several inputs a list, tuple or mapping of them, alone or before y.

    Args:
        value: see :func:`is_stream`.
        signature: of the model; without one every element is one sample.
        name: of the data, for messages.
        on_step: receives (elements read, all elements), or (samples read, the limit) if the length is unknown.

    Raises:
        DataError: the stream yields nothing, too much or without end, raises, or its elements cannot be joined.
    """
    elements, length = _opened(value, name)
    rows = _Rows(signature, name)
    is_cut = False
    with contextlib.redirect_stdout(sys.stderr):  # standard output is for results
        for number, element in enumerate(_guarded(elements, name), 1):
            if length is None and (rows.count >= MOST_SAMPLES or rows.bytes >= MOST_BYTES):
                is_cut = True
                break
            rows.add(element)
            if length is not None and max(rows.bytes, rows.bytes * length // number) > MAX_BYTES:
                raise DataError(f"{name} yields more than {MAX_BYTES / 1e9:.0f} GB: limit it with .take(n).")
            if length is None:
                on_step(min(rows.count, MOST_SAMPLES), MOST_SAMPLES)
            else:
                on_step(number, max(length, number))
    if not rows.count:
        raise DataError(f"{name} yields no samples.")
    return Collected(rows.inputs(), rows.labels(), rows.count, is_cut)


def _opened(value: object, name: str) -> tuple[Iterator[object], int | None]:
    """Return an iterator over the elements and their number; None: unknown."""
    if hasattr(value, "as_numpy_iterator"):
        length = int(value.cardinality()) if hasattr(value, "cardinality") else -2
        if length == -1:  # tf.data.INFINITE_CARDINALITY
            raise DataError(f"{name} {_ENDLESS}.")
        return value.as_numpy_iterator(), None if length < 0 else length
    if hasattr(value, "__getitem__"):  # a Keras Sequence; as an iterator it may be endless
        batches = getattr(value, "num_batches", None) if hasattr(value, "num_batches") else _length(value)
        if batches is None:
            raise DataError(f"{name} does not tell its number of batches; give it a __len__.")
        return (value[i] for i in range(batches)), batches
    if hasattr(value, "__iter__"):
        return iter(value), _length(value)
    assert callable(value)  # else it is no stream
    try:
        made = value()
    except Exception as error:
        raise DataError(f"{name} raised {type(error).__name__}: {one_line(error)}") from error
    if not is_stream(made) or callable(made):
        raise DataError(f"{name} is a function that must return an iterable of samples, not a {type(made).__name__}.")
    return _opened(made, name)


def _length(value: object) -> int | None:
    try:
        return len(value) if isinstance(value, Sized) else None
    except TypeError:  # its __len__ raises
        return None


def _guarded(elements: Iterator[object], name: str) -> Iterator[object]:
    try:
        yield from elements
    except DataError:
        raise
    except Exception as error:  # the user's pipeline may raise anything
        raise DataError(f"{name} raised {type(error).__name__}: {one_line(error)}") from error


@dataclass
class _Rows:
    """Collected arrays by the name of their input or output; ``""`` where there is only one."""

    signature: Signature
    name: str
    count: int = 0
    bytes: int = 0
    _batched: bool | None = None
    _x: dict[str, list[np.ndarray]] = field(default_factory=dict)
    _y: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def add(self, element: object) -> None:
        """Add one element."""
        x, y = self._parts(element)
        inputs = self._by_name(x, self.signature.inputs)
        labels = {} if y is None else self._by_name(y, self.signature.outputs)
        if self._batched is None:
            self._batched = self._is_batch(inputs)
        for rows, found in ((self._x, inputs), (self._y, labels)):
            for key, array in found.items():
                rows.setdefault(key, []).append(array)
        self.count += self._samples(inputs, labels)
        self.bytes += sum(array.nbytes for array in (*inputs.values(), *labels.values()))

    def inputs(self) -> Arrays:
        """Return all samples."""
        return self._joined(self._x)

    def labels(self) -> Arrays | None:
        """Return all labels, or None."""
        return self._joined(self._y) if self._y else None

    def _parts(self, element: object) -> tuple[object, object]:
        """Return inputs and labels of an element; None: no labels."""
        several = len(self.signature.inputs)
        if not isinstance(element, list | tuple):
            return element, None
        if several > 1 and len(element) == several and not any(isinstance(e, list | tuple | Mapping) for e in element):
            return list(element), None
        if len(element) == 1:
            return element[0], None
        if len(element) == 2:
            return element[0], element[1]
        if len(element) == 3:
            raise DataError(f"{self.name} yields sample weights, which are not used: yield (sample, label).")
        return list(element), None

    def _by_name(self, value: object, specs: Sequence[InputSpec | OutputSpec]) -> dict[str, np.ndarray]:
        if isinstance(value, list | tuple):
            value = named_arrays.by_position(value, specs, self.signature, self.name)
        if not isinstance(value, Mapping):
            return {"": np.asarray(value)}
        named = named_arrays.named({str(key): array for key, array in value.items()}, specs)
        return {key: np.asarray(array) for key, array in named.items()}

    def _is_batch(self, inputs: Mapping[str, np.ndarray]) -> bool:
        """Return whether the elements have a sample axis, as the inputs of a model have."""
        ranks = {spec.name: len(spec.shape) for spec in self.signature.inputs}
        if len(ranks) == 1:
            ranks[""] = next(iter(ranks.values()))
        return all(array.ndim == ranks.get(key) for key, array in inputs.items())

    def _samples(self, inputs: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray]) -> int:
        if not self._batched:
            return 1
        counts = {len(array) if array.ndim else 0 for array in (*inputs.values(), *labels.values())}
        if len(counts) > 1:
            raise DataError(f"{self.name}: a batch holds {_words(inputs)} and labels {_words(labels)}: numbers differ.")
        return counts.pop()

    def _joined(self, rows: Mapping[str, list[np.ndarray]]) -> Arrays:
        try:
            arrays: dict[str, np.ndarray] = {
                key: np.concatenate(values) if self._batched else np.stack(values) for key, values in rows.items()
            }
        except ValueError as error:
            raise DataError(
                f"{self.name}: its samples differ in shape; yield samples of one shape, each alone or in batches with "
                f"the rank of the model's input ({error})."
            ) from error
        return arrays[""] if set(arrays) == {""} else arrays


def _words(arrays: Mapping[str, np.ndarray]) -> str:
    return ", ".join(str(array.shape) for array in arrays.values()) or "none"
