"""Encode tensors in compressed (CSR) layouts.

Format, from ``SparsityParameters`` in LiteRT's ``schema.fbs``: in traversal order, a dense level multiplies the nodes
by its size; a compressed level stores, for each node of the level above, the range of its children (``segments``, one
more entry than nodes) and each child's coordinate (``indices``). Every leaf stores one value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tflite_sparse.codecs.layout import Layout, element_count, narrowest_index_dtype, nonzero_mask
from tflite_sparse.flatbuffer.sparsity import check_level


@dataclass(frozen=True, slots=True)
class CompressedLevel:
    """``segments`` (nodes above + 1 entries) and ``indices`` (one per kept child) of one CSR level."""

    segments: np.ndarray
    indices: np.ndarray

    @property
    def nbytes(self) -> int:
        """Bytes of both vectors."""
        return self.segments.nbytes + self.indices.nbytes


@dataclass(frozen=True, slots=True)
class Encoded:
    """A tensor in a layout.

    Attributes:
        layout: of the stored tensor.
        values: one-dimensional, of the tensor's dtype, one per leaf in traversal order.
        levels: for each level a :class:`CompressedLevel`, or None where the level is dense.
    """

    layout: Layout
    values: np.ndarray
    levels: tuple[CompressedLevel | None, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of values, segments and indices."""
        return self.values.nbytes + sum(level.nbytes for level in self.levels if level is not None)


def encode(array: np.ndarray, layout: Layout) -> Encoded:
    """Encode ``array`` in ``layout``.

    Args:
        array: of ``layout.shape``, any fixed-size dtype.
        layout: not dense.

    Raises:
        ValueError: the array's shape is not the layout's, or the layout is dense.
    """
    if array.shape != layout.shape or layout.is_dense:
        raise ValueError(f"cannot store an array of shape {array.shape} in layout {layout}")
    leaves = np.ascontiguousarray(layout.to_levels(array))
    mask = nonzero_mask(leaves)
    nodes: np.ndarray | None = None  # flat indices of the kept nodes in the grid of the levels so far; None: all
    levels: list[CompressedLevel | None] = []
    above = 1  # size of that grid
    for depth, size in enumerate(layout.level_sizes):
        if layout.compressed[depth]:
            children = _nonempty_nodes(mask, depth)
            levels.append(_compress(children, nodes, above, size))
            nodes = children
        else:
            levels.append(None)
            if nodes is not None:
                nodes = (nodes[:, None] * size + np.arange(size)).reshape(-1)
        above *= size
    values = leaves.reshape(-1)
    return Encoded(layout, values if nodes is None else values[nodes], tuple(levels))


def decode(encoded: Encoded) -> np.ndarray:
    """Return the dense array, of ``encoded.layout.shape`` and the dtype of the values.

    Raises:
        ValueError: a segment decreases or does not end at the number of indices, an index lies outside its level, or
            the number of values is not the number of leaves. These are checked before memory is allocated.
    """
    layout = encoded.layout
    nodes: np.ndarray | None = None
    above = 1
    for depth, (size, level) in enumerate(zip(layout.level_sizes, encoded.levels, strict=True)):
        if (level is not None) != layout.compressed[depth]:
            raise ValueError(f"level {depth} is compressed in one place and dense in another")
        count = above if nodes is None else nodes.size
        if level is None:
            if nodes is not None:
                # The next compressed level has one segment more than nodes above it; without one, count the values.
                below = (level.segments.size - 1 for level in encoded.levels[depth + 1 :] if level is not None)
                if count * size > next(below, encoded.values.size):
                    raise ValueError(f"{encoded.values.size} values stored for at least {count * size} leaves")
                nodes = (nodes[:, None] * size + np.arange(size)).reshape(-1)
        else:
            check_level(level.segments, level.indices, count, size)
            parents = np.arange(count) if nodes is None else nodes
            segments = level.segments.astype(np.int64)
            nodes = np.repeat(parents, segments[1:] - segments[:-1]) * size + level.indices
        above *= size
    leaves = above if nodes is None else nodes.size
    if encoded.values.size != leaves:
        raise ValueError(f"{encoded.values.size} values stored for {leaves} leaves")
    if nodes is None:
        return layout.from_levels(encoded.values)
    dense = np.zeros(element_count(layout.shape), encoded.values.dtype)
    dense[nodes] = encoded.values
    return layout.from_levels(dense)


def _nonempty_nodes(mask: np.ndarray, depth: int) -> np.ndarray:
    """Return the flat indices, in the grid of levels 0..depth, of the nodes that hold a value."""
    rows = mask.reshape(math.prod(mask.shape[: depth + 1]), -1)
    return np.flatnonzero(rows if rows.shape[1] == 1 else rows.any(axis=1))


def _compress(children: np.ndarray, parents: np.ndarray | None, above: int, size: int) -> CompressedLevel:
    owner = children // size
    # The position of a parent is its rank among the kept nodes of the level above.
    places = owner if parents is None else np.searchsorted(parents, owner)
    counts = np.bincount(places, minlength=above if parents is None else parents.size)
    segments = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts, out=segments[1:])
    return CompressedLevel(
        segments.astype(narrowest_index_dtype(int(segments[-1]))),
        (children - owner * size).astype(narrowest_index_dtype(size - 1)),
    )
