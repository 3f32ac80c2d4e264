"""The kernels, and the operators that each of them takes."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np

CUSTOM_CODE = "TFLITE_SPARSE"
"""The code of the custom operator that has them."""

SUM_LIMIT = 32768
"""Absolute weights of an output must sum to less than this for kernels that keep two pixels in one accumulator."""

MAX_TAPS = 2**20
"""Inputs of one output."""

MAX_WEIGHTS = 2**26
"""Of one operator. Both are far beyond a microcontroller; they bound what a damaged file can ask for."""

MAX_PAIRS = 65535
"""Pairs of weights that the count of an output holds, in streams of distances."""

MAX_SHARED_WIDTH = 9
"""Columns of a filter, for ``STRIP_SHARED``: distances in bytes fit in 16 bits."""

LARGEST_SIDE = 2**16 - 1
"""Of images and filters: what the kernels keep in 16 bits."""

PIXELS_AT_ONCE, MOST_PIXELS_AT_ONCE = 4, 16
"""Pixels that ``PIXEL_DELTA8`` computes together: in plain C, and on the CPU with most of them (Helium)."""

_STRIP_PIXELS = 8


class Kernel(enum.IntEnum):
    """A kernel by its number in the options; names and numbers as in ``tflite_sparse_kernels.h``."""

    ROW_INDEX8 = 1
    ROW_DELTA4 = 2
    ROW_BLOCK4 = 3
    ROW_BLOCK16 = 4
    PAIR_DELTA8 = 5
    PAIR_DELTA4 = 6
    STRIP_DELTA8 = 7
    STRIP_DELTA4 = 8
    PIXEL_DELTA8 = 9
    DIRECT_DELTA8 = 10
    PIXEL_BLOCK16 = 11
    PAIR_DENSE8 = 12
    ROW_SHARED = 13
    PAIR_SHARED = 14
    STRIP_SHARED = 15
    PIXEL_SHARED = 16
    ROW_SHARED7 = 17

    @property
    def words(self) -> str:
        """The format of its stream and how it works, for reports."""
        return _WORDS[self]


SYMBOL_BITS = {
    Kernel.ROW_SHARED: 8,
    Kernel.PAIR_SHARED: 8,
    Kernel.STRIP_SHARED: 8,
    Kernel.PIXEL_SHARED: 8,
    Kernel.ROW_SHARED7: 7,
}
SHARED_KERNELS = frozenset(SYMBOL_BITS)
STRIP_KERNELS = frozenset({Kernel.STRIP_DELTA8, Kernel.STRIP_DELTA4, Kernel.STRIP_SHARED})
PAIR_KERNELS = STRIP_KERNELS | {Kernel.PAIR_DELTA8, Kernel.PAIR_DELTA4, Kernel.PAIR_DENSE8, Kernel.PAIR_SHARED}
POINTWISE_KERNELS = frozenset(
    {
        *(Kernel.ROW_INDEX8, Kernel.ROW_DELTA4, Kernel.ROW_BLOCK4, Kernel.ROW_BLOCK16),
        *(Kernel.ROW_SHARED, Kernel.ROW_SHARED7, Kernel.DIRECT_DELTA8),
    }
)
BLOCKS = {Kernel.ROW_BLOCK4: 4, Kernel.ROW_BLOCK16: 16, Kernel.PIXEL_BLOCK16: 16}
DISTANCE_BITS = {
    Kernel.ROW_DELTA4: 4,
    Kernel.PAIR_DELTA8: 8,
    Kernel.PAIR_DELTA4: 4,
    Kernel.STRIP_DELTA8: 8,
    Kernel.STRIP_DELTA4: 4,
    Kernel.PIXEL_DELTA8: 8,
    Kernel.DIRECT_DELTA8: 8,
}

_WORDS = {
    Kernel.ROW_INDEX8: "places of 8 bits, row by row",
    Kernel.ROW_DELTA4: "distances of 4 bits, row by row",
    Kernel.ROW_BLOCK4: "blocks of 4, row by row",
    Kernel.ROW_BLOCK16: "blocks of 16, row by row",
    Kernel.PAIR_DELTA8: "distances of 8 bits, two pixels an accumulator",
    Kernel.PAIR_DELTA4: "distances of 4 bits, two pixels an accumulator",
    Kernel.STRIP_DELTA8: "distances of 8 bits, strips of eight columns",
    Kernel.STRIP_DELTA4: "distances of 4 bits, strips of eight columns",
    Kernel.PIXEL_DELTA8: "distances of 8 bits, several pixels copied side by side",
    Kernel.DIRECT_DELTA8: "distances of 8 bits, four pixels read in place",
    Kernel.PIXEL_BLOCK16: "blocks of 16, four pixels",
    Kernel.PAIR_DENSE8: "every weight, two pixels an accumulator",
    Kernel.ROW_SHARED: "shared values, a byte each, row by row",
    Kernel.PAIR_SHARED: "shared values, a byte each, two pixels an accumulator",
    Kernel.STRIP_SHARED: "shared values, a byte each, strips of eight columns",
    Kernel.PIXEL_SHARED: "shared values, a byte each, several pixels copied side by side",
    Kernel.ROW_SHARED7: "shared values, 7 bits each, row by row",
}


@dataclass(frozen=True, slots=True)
class Filter:
    """The filter of an operator; FULLY_CONNECTED has one of 1 x 1.

    Attributes:
        outputs: channels of the output.
        height: rows of the filter.
        width: columns of the filter.
        channels: channels of the input.
        strides: (height, width).
        dilations: (height, width).
    """

    outputs: int
    height: int
    width: int
    channels: int
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of the weights: (outputs, height, width, channels)."""
        return self.outputs, self.height, self.width, self.channels

    @property
    def taps(self) -> int:
        """Inputs of one output value."""
        return self.height * self.width * self.channels

    @property
    def is_pointwise(self) -> bool:
        """Whether each output pixel reads one input pixel, all of them in order."""
        return (self.height, self.width, *self.strides) == (1, 1, 1, 1)

    @property
    def steps_by_one(self) -> bool:
        """Whether all strides and dilations are 1."""
        return self.strides == self.dilations == (1, 1)


def strip_width(filter_width: int) -> int:
    """Words that one channel of one row takes in the buffer of the strip kernels."""
    return 2 * ((_STRIP_PIXELS + filter_width) // 2)


def places_of(kernel: Kernel, shape: Filter) -> np.ndarray:
    """Where a kernel of distances looks for each tap, int64 (taps,), in the order (row, column, channel)."""
    if kernel not in STRIP_KERNELS:
        return np.arange(shape.taps)
    width = strip_width(shape.width)
    row, column, channel = np.indices((shape.height, shape.width, shape.channels)).reshape(3, -1)
    return np.asarray((row * shape.channels + channel) * width + (column % 2) * (width // 2) + column // 2)


def place_count(kernel: Kernel, shape: Filter) -> int:
    """Places from which a kernel of distances can read."""
    if kernel not in STRIP_KERNELS:
        return shape.taps
    return shape.height * shape.channels * strip_width(shape.width) - 3  # it reads four words from each


def runs_of(kernel: Kernel, shape: Filter) -> tuple[int, int]:
    """Runs of places that an output has in a stream of shared values, and places of each.

    A run of ``STRIP_SHARED`` is a column of the filter, in the order (row, channel); others have one of all taps.
    """
    runs = shape.width if kernel in STRIP_KERNELS else 1
    return runs, shape.taps // runs
