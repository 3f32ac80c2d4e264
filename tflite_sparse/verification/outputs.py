"""Compare the outputs of two files: equality of every bit, and the size of differences."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from tflite_sparse.errors import ExecutionError
from tflite_sparse.runtime.litert import SeparateOutputs


@dataclass(frozen=True, slots=True)
class OutputDifference:
    """An output that differs between two files.

    Attributes:
        name: of the output in the signature, else of its tensor.
        index: among the outputs.
        samples: number of samples on which it differs.
        largest: the largest difference in units of the dtype; None if shapes or dtypes differ, or the difference is
            infinite or NaN.
        first_sample: index of the first sample on which it differs.
        worst_sample: index of the sample on which it differs most: not finitely, or by ``largest``.
    """

    name: str
    index: int
    samples: int
    largest: float | None
    first_sample: int
    worst_sample: int


def check_count(file: Path, found: SeparateOutputs, expected: SeparateOutputs) -> None:
    """Check that ``file`` has as many outputs as expected.

    Raises:
        ExecutionError: the numbers differ.
    """
    if len(found.names) != len(expected.names):
        raise ExecutionError(f"{file} has {len(found.names)} outputs instead of {len(expected.names)}.")


def differences(found: SeparateOutputs, expected: SeparateOutputs) -> tuple[OutputDifference, ...]:
    """Return the outputs that differ in a bit, shape or dtype on any sample. Numbers of outputs and samples agree."""
    result = []
    for index, name in enumerate(expected.names):
        pairs = [(a[index], b[index]) for a, b in zip(found.rows, expected.rows, strict=True)]
        places = [sample for sample, pair in enumerate(pairs) if not same_bits(*pair)]
        if places:
            distances = [largest_difference(*pairs[sample]) for sample in places]
            sizes = [math.inf if distance is None else distance for distance in distances]
            worst = sizes.index(max(sizes))
            result.append(OutputDifference(name, index, len(places), distances[worst], places[0], places[worst]))
    return tuple(result)


def vary(outputs: SeparateOutputs) -> bool:
    """Return whether any output depends on the sample: equality of constant outputs proves little."""
    return any(not same_bits(a, b) for row in outputs.rows[1:] for a, b in zip(row, outputs.rows[0], strict=True))


def distinct(outputs: SeparateOutputs) -> int:
    """Return the number of different outputs over all samples."""
    return len({tuple((array.shape, array.tobytes()) for array in row) for row in outputs.rows})


def ranges(outputs: SeparateOutputs) -> list[float]:
    """Return the :func:`range_of` of each output over all samples."""
    columns = zip(*outputs.rows, strict=True)
    return [range_of(np.concatenate([array.reshape(-1) for array in column])) for column in columns]


def range_of(array: np.ndarray) -> float:
    """Return the range of an integer dtype, or of the finite float values (1 if all are equal)."""
    if array.dtype.kind in "iu":
        return float(np.iinfo(array.dtype).max) - float(np.iinfo(array.dtype).min)
    values = array[np.isfinite(array)].astype(np.float64)
    return float(np.ptp(values)) if values.size and np.ptp(values) > 0 else 1.0


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Return whether shape, dtype and every bit agree: NaN equals the same NaN, 0.0 is not -0.0."""
    return a.shape == b.shape and a.dtype == b.dtype and bool(np.array_equal(as_bytes(a), as_bytes(b)))


def largest_difference(a: np.ndarray, b: np.ndarray) -> float | None:
    """Return the largest difference of two numeric arrays, in units of their dtype.

    None if shapes or dtypes differ, or the difference is infinite or NaN.
    """
    if a.shape != b.shape or a.dtype != b.dtype:
        return None
    if a.dtype.kind == "f":
        one, two = a.astype(np.float64), b.astype(np.float64)
        unlike = ~((one == two) | (np.isnan(one) & np.isnan(two)))
        distance = float(np.max(np.abs(one[unlike] - two[unlike]), initial=0.0))
        return distance if math.isfinite(distance) else None
    # Modulo 2^64, larger minus smaller is exact for integers of every width.
    larger, smaller = np.maximum(a, b).astype(np.uint64), np.minimum(a, b).astype(np.uint64)
    return float(np.max(larger - smaller, initial=0))


def as_bytes(values: ArrayLike | None) -> np.ndarray:
    """Return the bytes of an array, uint8, one-dimensional."""
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8)
