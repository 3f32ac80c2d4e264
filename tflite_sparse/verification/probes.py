"""Generate inputs for comparing or timing files without data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tflite_sparse.errors import ExecutionError
from tflite_sparse.runtime.litert import InputDetails

Sample = tuple[np.ndarray, ...]
"""One array for each input, in the input's whole shape and dtype."""

BOUNDARIES = 3
"""Number of samples of :func:`boundaries`."""

_KINDS = "fiub"


def samples_for(inputs: Sequence[InputDetails], random: int, seed: int, *, file: str) -> list[Sample]:
    """Return samples for :func:`tflite_sparse.runtime.litert.run_separately`: the boundaries, then random ones.

    Args:
        inputs: of the file.
        random: number of :func:`random_values` after the three of :func:`boundaries`.
        seed: of the random values.
        file: name of the file in errors.

    Raises:
        ExecutionError: an input takes no numbers.
    """
    generator = np.random.default_rng(seed)
    for detail in inputs:
        if detail.dtype.kind not in _KINDS:
            raise ExecutionError(f"{file}: input {detail.name!r} takes no numbers; such values cannot be made up.")
    shapes = [detail.example_shape for detail in inputs]
    edges = [boundaries(detail, shape) for detail, shape in zip(inputs, shapes, strict=True)]
    drawn = [random_values(detail, shape, random, generator) for detail, shape in zip(inputs, shapes, strict=True)]
    columns = [np.concatenate(each) for each in zip(edges, drawn, strict=True)]
    return list(zip(*columns, strict=True))


def boundaries(detail: InputDetails, shape: tuple[int, ...]) -> np.ndarray:
    """Return ``(3, *shape)`` in the input's dtype: all smallest, all largest, all zero or the zero point."""
    low, high = _range(detail)
    return np.stack([np.full(shape, edge, detail.dtype) for edge in (low, high, detail.zero_point)])


def random_values(
    detail: InputDetails, shape: tuple[int, ...], count: int, generator: np.random.Generator
) -> np.ndarray:
    """Return ``(count, *shape)`` in the input's dtype: standard normal for floats, the whole range if quantised."""
    if detail.dtype.kind == "f" and not detail.counts:
        return generator.standard_normal((count, *shape)).astype(detail.dtype)
    low, high = _range(detail)
    return generator.integers(low, high, (count, *shape), endpoint=True).astype(detail.dtype)


def _range(detail: InputDetails) -> tuple[int, int]:
    if detail.dtype.kind == "f" and not detail.counts:
        return -4, 4
    if detail.scale == 0:  # token indices and booleans: only the smallest are valid in every model
        return 0, 1
    limits = np.iinfo(detail.dtype)
    return int(limits.min), int(limits.max)
