"""Describe the inputs of a file, quantise data for them, and hold its outputs as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

UNKNOWN_SIZE = 32
"""Default for an open size other than the batch."""

_VALUES_AT_ONCE = 1 << 16


@dataclass(frozen=True, eq=False)
class Outputs:
    """Outputs of a model for a set of samples.

    Attributes:
        arrays: one array for each output, ``(n, ...)``, in the dtype of the file.
        scales: of each output; 0 if it is not quantised.
        zero_points: of each output.
    """

    arrays: tuple[np.ndarray, ...]
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]

    @classmethod
    def of(cls, arrays: Sequence[np.ndarray], quantisation: Sequence[tuple[float, int]]) -> Outputs:
        """Create it from each output's array and (scale, zero point)."""
        scales, zero_points = zip(*quantisation, strict=True)
        return cls(tuple(arrays), scales, zero_points)

    def real(self, index: int = 0) -> np.ndarray:
        """Return output ``index`` as real numbers, float32: ``scale * (q - zero point)``."""
        array, scale = self.arrays[index], self.scales[index]
        if scale == 0:
            return array.astype(np.float32)
        return ((array.astype(np.float32) - self.zero_points[index]) * np.float32(scale)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class InputDetails:
    """One input of a file: name, shape with -1 for an open size, dtype, quantisation (scale 0: none).

    ``counts`` is whether all readers first cast it to integers, as Keras's Embedding does with its default float input:
    the values are then token indices. ``shape`` is a shape that runs, if known.
    """

    name: str
    signature: tuple[int, ...]
    dtype: np.dtype
    scale: float
    zero_point: int
    counts: bool = False
    shape: tuple[int, ...] | None = None

    @property
    def example_shape(self) -> tuple[int, ...]:
        """:attr:`shape`, else with 1 for an open batch and :data:`UNKNOWN_SIZE` for other open sizes."""
        if self.shape is not None:
            return self.shape
        batch, rest = self.signature[:1], self.signature[1:]
        return tuple(max(size, 1) for size in batch) + tuple(size if size > 0 else UNKNOWN_SIZE for size in rest)

    def quantised(self, samples: np.ndarray) -> np.ndarray:
        """Return real-valued ``samples`` in the dtype of the file: ``round(x / scale) + zero point``, clipped."""
        if self.scale == 0 or samples.dtype == self.dtype:
            return samples.astype(self.dtype, copy=False)
        limits = np.iinfo(self.dtype)
        result = np.empty(samples.shape, self.dtype)
        # In chunks that stay in the cache: one array for all samples is ten times slower because every page is new.
        flat, filled = samples.reshape(-1), result.reshape(-1)
        for start in range(0, flat.size, _VALUES_AT_ONCE):
            part = slice(start, start + _VALUES_AT_ONCE)
            filled[part] = np.clip(np.round(flat[part] / self.scale) + self.zero_point, limits.min, limits.max)
        return result


@dataclass(frozen=True, eq=False, slots=True)
class SeparateOutputs:
    """Outputs of a model for samples that were run one by one.

    Attributes:
        names: of the outputs.
        indices: of their tensors in the subgraph.
        rows: for each sample, one array for each output, in the shape and dtype that the runtime gave.
    """

    names: tuple[str, ...]
    indices: tuple[int, ...]
    rows: tuple[tuple[np.ndarray, ...], ...]
