"""What a file takes and yields: its inputs as data must be made for them, and outputs as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

UNKNOWN_SIZE = 32
"""Of a size that may change, other than the batch, where nothing tells a better one."""

_VALUES_AT_ONCE = 1 << 16


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a model yields for a set of samples.

    Attributes:
        arrays: one array for each output, ``(n, ...)``, in the dtype of the file.
        scales: of each output; 0 where it is not quantised.
        zero_points: of each output.
    """

    arrays: tuple[np.ndarray, ...]
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]

    @classmethod
    def of(cls, arrays: Sequence[np.ndarray], quantisation: Sequence[tuple[float, int]]) -> Outputs:
        """From each output's array and its (scale, zero point)."""
        scales, zero_points = zip(*quantisation, strict=True)
        return cls(tuple(arrays), scales, zero_points)

    def real(self, index: int = 0) -> np.ndarray:
        """Output ``index`` as real numbers, float32: ``scale * (q - zero point)``."""
        array, scale = self.arrays[index], self.scales[index]
        if scale == 0:
            return array.astype(np.float32)
        return ((array.astype(np.float32) - self.zero_points[index]) * np.float32(scale)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class InputDetails:
    """One input of a file: name, shape with -1 for a size that may change, dtype, quantisation (scale 0: none).

    ``counts`` tells that all its readers first cast it to integers, as Keras's Embedding does with the float input that
    is Keras's default: what they take is numbers of tokens. ``shape`` is one to run it with, where it is known.
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
        """:attr:`shape`, else of a batch that may change 1, of other sizes that may :data:`UNKNOWN_SIZE`."""
        if self.shape is not None:
            return self.shape
        batch, rest = self.signature[:1], self.signature[1:]
        return tuple(max(size, 1) for size in batch) + tuple(size if size > 0 else UNKNOWN_SIZE for size in rest)

    def quantised(self, samples: np.ndarray) -> np.ndarray:
        """Real-valued ``samples`` in the dtype of the file: ``round(x / scale) + zero point``, clipped."""
        if self.scale == 0 or samples.dtype == self.dtype:
            return samples.astype(self.dtype, copy=False)
        limits = np.iinfo(self.dtype)
        result = np.empty(samples.shape, self.dtype)
        # A few at a time: arrays of this size stay in the cache, of all samples every page is new, ten times slower.
        flat, filled = samples.reshape(-1), result.reshape(-1)
        for start in range(0, flat.size, _VALUES_AT_ONCE):
            part = slice(start, start + _VALUES_AT_ONCE)
            filled[part] = np.clip(np.round(flat[part] / self.scale) + self.zero_point, limits.min, limits.max)
        return result


@dataclass(frozen=True, eq=False, slots=True)
class SeparateOutputs:
    """What a model yields for samples that were run one by one.

    Attributes:
        names: of the outputs.
        indices: of their tensors in the subgraph.
        rows: for each sample, one array for each output, in the shape and dtype that the runtime gave.
    """

    names: tuple[str, ...]
    indices: tuple[int, ...]
    rows: tuple[tuple[np.ndarray, ...], ...]
