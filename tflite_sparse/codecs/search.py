"""Compute the exact size of every layout of a tensor without encoding, and find the smallest."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tflite_sparse.codecs.layout import Layout, narrowest_index_dtype, nonzero_mask

MOST_AXES = 5
"""Most axes longer than 1: the number of layouts grows with the factorial."""

_BLOCK_SIZES = (2, 4, 8, 16)
_OCCUPANCY = dict[frozenset[int], int]


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a layout in the file: ``nbytes`` of values, segments and indices."""

    layout: Layout
    nbytes: int

    @property
    def _rank(self) -> tuple[int, int, int, tuple[int, ...]]:
        """Sort key: fewest bytes, then fewest blocks, fewest compressed levels, axis order."""
        layout = self.layout
        return self.nbytes, len(layout.block_map), sum(layout.compressed), layout.traversal_order


def cheapest(array: np.ndarray) -> Cost | None:
    """Return the layout of fewest bytes among all traversal orders, choices of compressed levels, and blocks.

    Blocks have 2, 4, 8 or 16 values along one axis or two, where that divides the shape. The simplest of equals is
    taken. None if no axis is longer than 1, or more than :data:`MOST_AXES` are.
    """
    mask = nonzero_mask(array)
    best = min(_costs(mask, array.dtype.itemsize), key=lambda cost: cost._rank, default=None)
    if best is None:
        return None
    for block, grid in _block_grids(mask):
        values = math.prod(block) * array.dtype.itemsize
        # Every nonempty block is stored whole in any order; this bound alone rules out most block shapes.
        if int(np.count_nonzero(grid)) * values >= best.nbytes:
            continue
        offers = (_in_blocks(cost, array.shape, block) for cost in _costs(grid, values))
        best = min((best, *offers), key=lambda cost: cost._rank)
    return best


def costs(array: np.ndarray) -> Iterator[Cost]:
    """Yield the exact cost of every layout without blocks: each traversal order, each choice of compressed levels.

    The number of indices of a compressed level is the number of non-empty cells in the projection of the mask on the
    axes down to that level, whatever their order, so ``2^rank`` projections price all layouts without encoding one.

    Args:
        array: the tensor, any shape with one to :data:`MOST_AXES` axes longer than 1 (else there are no costs). Axes
            of size 1 stay dense and outermost.
    """
    return _costs(nonzero_mask(array), array.dtype.itemsize)


def _costs(mask: np.ndarray, leaf_bytes: int) -> Iterator[Cost]:
    shape = mask.shape
    unit = tuple(axis for axis, size in enumerate(shape) if size == 1)
    axes = tuple(axis for axis, size in enumerate(shape) if size != 1)
    if not 1 <= len(axes) <= MOST_AXES:
        return
    sizes = tuple(shape[axis] for axis in axes)
    occupied = _projections(mask.reshape(sizes))
    for order in itertools.permutations(range(len(axes))):
        for compressed in itertools.product((False, True), repeat=len(axes)):
            if not any(compressed):
                continue
            layout = Layout(shape, (*unit, *(axes[i] for i in order)), (False,) * len(unit) + compressed)
            yield Cost(layout, _nbytes(order, compressed, sizes, occupied, leaf_bytes))


def _nbytes(
    order: tuple[int, ...], compressed: tuple[bool, ...], sizes: tuple[int, ...], occupied: _OCCUPANCY, leaf_bytes: int
) -> int:
    nodes, total = 1, 0
    for depth, axis in enumerate(order):
        if compressed[depth]:
            children = occupied[frozenset(order[: depth + 1])]
            total += (nodes + 1) * narrowest_index_dtype(children).itemsize
            total += children * narrowest_index_dtype(sizes[axis] - 1).itemsize
            nodes = children
        else:
            nodes *= sizes[axis]
    return total + nodes * leaf_bytes


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
    if len(axes) > MOST_AXES:
        return
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


def _in_blocks(cost: Cost, shape: tuple[int, ...], block: tuple[int, ...]) -> Cost:
    """Return the cost of a layout of the block grid as the cost of the tensor's layout in these blocks."""
    split = tuple(axis for axis, size in enumerate(block) if size > 1)
    grid = cost.layout
    inner = range(len(shape), len(shape) + len(split))
    layout = Layout(
        shape,
        (*grid.traversal_order, *inner),
        (*grid.compressed, *[False] * len(split)),
        split,
        tuple(block[axis] for axis in split),
    )
    return replace(cost, layout=layout)
