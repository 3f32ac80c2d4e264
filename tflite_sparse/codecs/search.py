"""Compute the exact size of every layout of a tensor without encoding, and find the smallest."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tflite_sparse.codecs.layout import Layout, index_bytes, nonzero_mask

MOST_AXES = 5
"""Most axes longer than 1: the number of layouts grows with the factorial."""

_BLOCK_SIZES = (2, 4, 8, 16)
_OCCUPANCY = dict[frozenset[int], int]


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a layout in the file: ``nbytes`` of values, segments and indices."""

    layout: Layout
    nbytes: int


@dataclass(frozen=True, slots=True)
class _Levels:
    """The levels of a layout of a grid of blocks, not yet checked as a :class:`Layout`: thousands are compared."""

    nbytes: int
    order: tuple[int, ...]
    compressed: tuple[bool, ...]
    block: tuple[int, ...]

    @property
    def rank(self) -> tuple[int, int, int, tuple[int, ...]]:
        """Sort key: fewest bytes, then fewest blocks, fewest compressed levels, axis order."""
        return self.nbytes, sum(size > 1 for size in self.block), sum(self.compressed), self.order

    def cost(self, shape: tuple[int, ...]) -> Cost:
        """Return these levels as a layout of a tensor of ``shape``."""
        split = tuple(axis for axis, size in enumerate(self.block) if size > 1)
        layout = Layout(
            shape,
            (*self.order, *range(len(shape), len(shape) + len(split))),
            (*self.compressed, *[False] * len(split)),
            split,
            tuple(self.block[axis] for axis in split),
        )
        return Cost(layout, self.nbytes)


def cheapest(array: np.ndarray) -> Cost | None:
    """Return the layout of fewest bytes among all traversal orders, choices of compressed levels, and blocks.

    Blocks have 2, 4, 8 or 16 values along one axis or two, where that divides the shape. The simplest of equals is
    taken. None if no axis is longer than 1, or more than :data:`MOST_AXES` are.
    """
    mask, itemsize = nonzero_mask(array), array.dtype.itemsize
    whole = (1,) * mask.ndim
    best = min(_levels(mask, itemsize, whole), key=lambda levels: levels.rank, default=None)
    if best is None:
        return None
    for block, grid in _block_grids(mask):
        values = math.prod(block) * itemsize
        # Every nonempty block is stored whole in any order; this bound alone rules out most block shapes.
        if int(np.count_nonzero(grid)) * values >= best.nbytes:
            continue
        best = min((best, *_levels(grid, values, block, best.nbytes)), key=lambda levels: levels.rank)
    return best.cost(array.shape)


def costs(array: np.ndarray) -> Iterator[Cost]:
    """Yield the exact cost of every layout without blocks: each traversal order, each choice of compressed levels.

    The number of indices of a compressed level is the number of non-empty cells in the projection of the mask on the
    axes down to that level, whatever their order, so ``2^rank`` projections price all layouts without encoding one.

    Args:
        array: the tensor, any shape with one to :data:`MOST_AXES` axes longer than 1 (else there are no costs). Axes
            of size 1 stay dense and outermost.
    """
    mask = nonzero_mask(array)
    return (levels.cost(array.shape) for levels in _levels(mask, array.dtype.itemsize, (1,) * mask.ndim))


def _levels(mask: np.ndarray, leaf_bytes: int, block: tuple[int, ...], most: float = math.inf) -> Iterator[_Levels]:
    """Yield the levels of every layout of a grid of blocks that takes at most ``most`` bytes.

    Args:
        mask: whether a block holds anything to store; the shape of the grid.
        leaf_bytes: of a block.
        block: the shape of a block.
        most: limit on the bytes.
    """
    unit = tuple(axis for axis, size in enumerate(mask.shape) if size == 1)
    axes = tuple(axis for axis, size in enumerate(mask.shape) if size != 1)
    if not 1 <= len(axes) <= MOST_AXES:
        return
    sizes = tuple(mask.shape[axis] for axis in axes)
    occupied = _projections(mask.reshape(sizes))
    most_of_levels = most - occupied[frozenset(range(len(axes)))] * leaf_bytes  # leaves are stored in any layout
    for order in itertools.permutations(range(len(axes))):
        found = _choices_of_levels(order, sizes, occupied, most_of_levels)
        for nodes, level_bytes, compressed in found:
            nbytes = level_bytes + nodes * leaf_bytes
            if any(compressed) and nbytes <= most:
                yield _Levels(nbytes, (*unit, *(axes[i] for i in order)), (False,) * len(unit) + compressed, block)


def _choices_of_levels(
    order: tuple[int, ...], sizes: tuple[int, ...], occupied: _OCCUPANCY, most: float
) -> list[tuple[int, int, tuple[bool, ...]]]:
    """Return leaves, bytes of segments and indices, and flags of each choice of compressed levels within ``most``."""
    found: list[tuple[int, int, tuple[bool, ...]]] = [(1, 0, ())]
    for depth, axis in enumerate(order, 1):
        size, cells = sizes[axis], occupied[frozenset(order[:depth])]
        segment = index_bytes(cells)
        indices = cells * index_bytes(size - 1)
        longer = []
        for nodes, nbytes, compressed in found:
            longer.append((nodes * size, nbytes, (*compressed, False)))
            in_csr = nbytes + (nodes + 1) * segment + indices
            if in_csr <= most:
                longer.append((cells, in_csr, (*compressed, True)))
        found = longer
    return found


def _projections(mask: np.ndarray) -> _OCCUPANCY:
    """Return the number of non-empty cells in the projection of the mask on each set of axes."""
    counts: _OCCUPANCY = {}
    pending: dict[frozenset[int], np.ndarray] = {frozenset(range(mask.ndim)): mask}
    while pending:
        smaller: dict[frozenset[int], np.ndarray] = {}
        for kept, projection in pending.items():
            counts[kept] = int(np.count_nonzero(projection))
            for position, axis in enumerate(sorted(kept)):
                rest = kept - {axis}
                if rest and rest not in smaller:
                    smaller[rest] = np.asarray(projection.any(axis=position))
        pending = smaller
    return counts


def _block_grids(mask: np.ndarray) -> Iterator[tuple[tuple[int, ...], np.ndarray]]:
    """Yield each block shape that divides the mask's shape, and the mask of nonempty blocks."""
    axes = [axis for axis, size in enumerate(mask.shape) if size > 1]
    for position, first in enumerate(axes):
        for size, grid in _merged(mask, first):
            yield _block_shape(mask.ndim, {first: size}), grid
            for second in axes[position + 1 :]:
                for other, smaller in _merged(grid, second):
                    yield _block_shape(mask.ndim, {first: size, second: other}), smaller


def _merged(mask: np.ndarray, axis: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the block length and the mask with 2, 4, 8, 16 neighbours along an axis merged, where it divides it."""
    for size in _BLOCK_SIZES:
        if mask.shape[axis] % 2:
            return
        mask = _halved(mask, axis)
        yield size, mask


def _halved(mask: np.ndarray, axis: int) -> np.ndarray:
    if axis == mask.ndim - 1 and mask.flags.c_contiguous:
        return np.asarray(mask.view(np.uint16) != 0)  # reads two bools at once: far faster than two strided reads
    even = (slice(None),) * axis + (slice(0, None, 2),)
    odd = (slice(None),) * axis + (slice(1, None, 2),)
    return np.asarray(mask[even] | mask[odd])


def _block_shape(rank: int, sizes: dict[int, int]) -> tuple[int, ...]:
    return tuple(sizes.get(axis, 1) for axis in range(rank))
