"""How often the loops of a kernel run: what its instructions are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tflite_sparse.codecs.streams import stream
from tflite_sparse.codecs.streams.kernels import (
    BLOCKS,
    PAIR_KERNELS,
    POINTWISE_KERNELS,
    STRIP_KERNELS,
    SYMBOL_BITS,
    Filter,
    Kernel,
    strip_width,
)

_PAIR_PIXELS, _DIRECT_PIXELS, _BLOCK_PIXELS = 8, 4, 4
_SEGMENT = 256
_MEANING_BYTES = 4  # of a symbol, in a table


@dataclass(frozen=True, slots=True)
class Pixels:
    """The output of an operator without its channels; of FULLY_CONNECTED, ``batches`` rows of one pixel."""

    batches: int
    height: int
    width: int

    @property
    def count(self) -> int:
        """All of them."""
        return self.batches * self.height * self.width

    @property
    def pooled(self) -> Pixels:
        """Those that windows of 2x2 leave, side by side."""
        return Pixels(self.batches, self.height // 2, self.width // 2)


NAMES = ("entries", "outputs", "emitted", "packed", "gathered", "windows", "groups", "once")
"""Of the parts of :func:`of`, in order."""


def of(
    kernel: Kernel,
    shape: Filter,
    weights: np.ndarray,
    pixels: Pixels,
    pixels_at_once: int,
    tables: int = 1,
    *,
    pools: bool = False,
) -> np.ndarray:
    """How often each part of a kernel runs, float64 (8,), as :data:`NAMES` names them.

    Values are packed as they lie, or gathered from windows whose places are looked up.

    Args:
        kernel: the kernel.
        shape: of the filter.
        weights: int8 of ``shape.shape``.
        pixels: of the output.
        pixels_at_once: that ``PIXEL_DELTA8`` computes together on the CPU.
        tables: as for :func:`stream.encode`; what happens once happens for each of them.
        pools: whether only the largest of each 2x2 pixels is emitted.
    """
    if pools:
        pixels = Pixels(pixels.batches, pixels.height // 2 * 2, pixels.width // 2 * 2)
    groups, packed, windows = _per_group(kernel, shape, pixels, pixels_at_once)
    stored = stream.entries(kernel, shape, weights, tables)
    emitted = shape.outputs * (pixels.pooled if pools else pixels).count
    is_gathered = windows > 0 and kernel not in STRIP_KERNELS
    values = (0, packed) if is_gathered else (packed, 0)
    return np.array(
        [stored * groups, shape.outputs * groups, emitted]
        + [each * groups for each in (*values, windows, 1)]
        + [max(tables, 1)],
        np.float64,
    )


def scratch_bytes(kernel: Kernel, shape: Filter, pixels_at_once: int, tables: int = 1) -> int:
    """RAM that a kernel takes beside its input and output; arguments as for :func:`of`."""
    table = tables * (_MEANING_BYTES << SYMBOL_BITS[kernel]) if kernel in SYMBOL_BITS else 0
    if kernel in STRIP_KERNELS:
        return table + 4 * shape.height * shape.channels * strip_width(shape.width)
    if kernel in PAIR_KERNELS:
        return table + 4 * _PAIR_PIXELS // 2 * shape.taps
    if kernel == Kernel.PIXEL_BLOCK16:
        return _BLOCK_PIXELS * shape.taps
    return table if kernel in POINTWISE_KERNELS else table + pixels_at_once * shape.taps


def pooled_rows_bytes(kernel: Kernel, outputs: int) -> int:
    """RAM that a kernel takes beside :func:`scratch_bytes` where it pools in windows of 2x2: two rows of a strip."""
    return 2 * _PAIR_PIXELS * outputs if kernel in STRIP_KERNELS else 0


def suits(kernel: Kernel, pixels: Pixels) -> bool:
    """Whether an output has as many pixels as a kernel is made for.

    Those of groups need as many as a group. ``ROW_SHARED7`` unpacks its symbols again for each pixel, which other
    kernels of shared values do not: it takes one pixel.
    """
    if kernel == Kernel.ROW_SHARED7:
        return pixels.count == 1
    if kernel in STRIP_KERNELS:
        return pixels.width >= _PAIR_PIXELS
    if kernel == Kernel.PIXEL_BLOCK16:
        return pixels.count >= _BLOCK_PIXELS
    return kernel not in PAIR_KERNELS or pixels.count >= _PAIR_PIXELS


def dense(shape: Filter, pixels: Pixels) -> np.ndarray:
    """The same for a dense kernel, float64 (4,): multiply-adds, outputs, inputs gathered for them, once."""
    outputs = shape.outputs * pixels.count
    return np.array([outputs * shape.taps, outputs, shape.taps * pixels.count, 1.0])


def _per_group(kernel: Kernel, shape: Filter, pixels: Pixels, pixels_at_once: int) -> tuple[int, int, int]:
    """Groups of pixels; of each, values that are packed and places of the filter that are looked up.

    Of ``STRIP_SHARED``, runs of the stream that begin take the place of the latter.
    """
    if kernel in STRIP_KERNELS:
        is_shared = kernel == Kernel.STRIP_SHARED
        begun = shape.outputs * shape.width if is_shared else _PAIR_PIXELS + shape.width - 1
        groups = pixels.batches * pixels.height * -(-pixels.width // _PAIR_PIXELS)
        return groups, shape.channels * strip_width(shape.width), begun
    if kernel == Kernel.DIRECT_DELTA8:
        return -(-pixels.count // _DIRECT_PIXELS), 0, 0
    if kernel in POINTWISE_KERNELS:
        return pixels.count, 0, shape.outputs * -(-shape.taps // (_SEGMENT * BLOCKS.get(kernel, 1)))
    if kernel == Kernel.PIXEL_BLOCK16:
        copied = (0, 0) if shape.is_pointwise else (shape.taps, shape.height * shape.width)
        return -(-pixels.count // _BLOCK_PIXELS), *copied
    if kernel not in PAIR_KERNELS:
        return -(-pixels.count // pixels_at_once), shape.taps, shape.height * shape.width
    looked_up = shape.height if shape.channels == 1 else shape.height * shape.width  # of one channel, a row in one go
    return -(-pixels.count // _PAIR_PIXELS), shape.taps, 0 if shape.is_pointwise else looked_up
