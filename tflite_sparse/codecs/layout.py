"""Describe the layout of one tensor in the file, independent of its values.

Terms and rules are those of ``SparsityParameters`` in LiteRT's ``schema.fbs``: the traversal order lists the tensor's
own dimensions first and then the block dimensions, each of its levels is dense or compressed (CSR), and a block
dimension is always dense.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

_LARGEST_UINT8, _LARGEST_UINT16 = int(np.iinfo(np.uint8).max), int(np.iinfo(np.uint16).max)


@dataclass(frozen=True, slots=True)
class Layout:
    """The storage of a tensor of ``shape``.

    Attributes:
        shape: the tensor's own shape.
        traversal_order: a permutation of the own dimensions, then of the block dimensions (numbered from ``rank`` on).
        compressed: for each entry of ``traversal_order``, whether that level is CSR (else dense).
        block_map: for each block dimension, the own dimension that it splits.
        block_shape: the size of each block dimension.

    A layout with an empty ``traversal_order`` is the dense, row-major one.

    Raises:
        ValueError: the fields contradict each other.
    """

    shape: tuple[int, ...]
    traversal_order: tuple[int, ...] = ()
    compressed: tuple[bool, ...] = ()
    block_map: tuple[int, ...] = field(default=())
    block_shape: tuple[int, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.is_dense:
            if self.compressed or self.block_map or self.block_shape:
                raise ValueError("a dense layout has no levels and no blocks")
            return
        rank, blocks = len(self.shape), len(self.block_map)
        if len(self.block_shape) != blocks or len(self.compressed) != rank + blocks:
            raise ValueError("block_map and block_shape, traversal_order and compressed must be of equal length")
        if sorted(self.traversal_order[:rank]) != list(range(rank)):
            raise ValueError(f"traversal order {self.traversal_order} does not start with a permutation of {rank} axes")
        if sorted(self.traversal_order[rank:]) != list(range(rank, rank + blocks)):
            raise ValueError(f"traversal order {self.traversal_order} does not end with its {blocks} block dimensions")
        if any(self.compressed[rank:]):
            raise ValueError("a block dimension must be dense: the runtime drops the size of a compressed one")
        if list(self.block_map) != sorted(set(self.block_map)) or any(not 0 <= axis < rank for axis in self.block_map):
            raise ValueError(f"block map {self.block_map} does not name own axes, each once, in ascending order")
        if any(
            size < 1 or self.shape[axis] % size for axis, size in zip(self.block_map, self.block_shape, strict=True)
        ):
            raise ValueError(f"blocks {self.block_shape} do not divide shape {self.shape} exactly")

    @property
    def is_dense(self) -> bool:
        """Whether all values are stored, row-major."""
        return not self.traversal_order

    @property
    def expanded_shape(self) -> tuple[int, ...]:
        """Own dimensions counted in blocks, then the block dimensions."""
        sizes = list(self.shape)
        for axis, size in zip(self.block_map, self.block_shape, strict=True):
            sizes[axis] //= size
        return (*sizes, *self.block_shape)

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """The size of each level in traversal order."""
        expanded = self.expanded_shape
        return tuple(expanded[axis] for axis in self.traversal_order)

    def to_levels(self, array: np.ndarray) -> np.ndarray:
        """Return ``array`` (of ``shape``) with one axis per level, in traversal order; a view where possible."""
        return self._split_blocks(array).transpose(self.traversal_order)

    def from_levels(self, array: np.ndarray) -> np.ndarray:
        """Return the inverse of :meth:`to_levels`: an array of ``shape``."""
        expanded = array.reshape(self.level_sizes).transpose(np.argsort(self.traversal_order))
        rank = len(self.shape)
        order: list[int] = []
        for axis in range(rank):
            order.append(axis)
            order.extend(rank + i for i, target in enumerate(self.block_map) if target == axis)
        return np.ascontiguousarray(expanded.transpose(order)).reshape(self.shape)

    def _split_blocks(self, array: np.ndarray) -> np.ndarray:
        if not self.block_map:
            return array.reshape(self.shape)
        rank = len(self.shape)
        split: list[int] = []
        position: dict[int, int] = {}
        for axis, size in enumerate(self.expanded_shape[:rank]):
            position[axis] = len(split)
            split.append(size)
            if axis in self.block_map:
                block = self.block_map.index(axis)
                position[rank + block] = len(split)
                split.append(self.block_shape[block])
        return array.reshape(split).transpose([position[i] for i in range(rank + len(self.block_map))])

    def in_words(self) -> str:
        """Return the layout in words: ``"CSR over axis 3, order 0,1,2,3"``."""
        if self.is_dense:
            return "dense"
        rank = len(self.shape)
        axes = [axis for axis, flag in zip(self.traversal_order, self.compressed, strict=True) if flag]
        words = f"CSR over axis {'+'.join(map(str, axes))}" if axes else "dense levels"
        if self.traversal_order[:rank] != tuple(range(rank)):
            words += f", order {','.join(map(str, self.traversal_order[:rank]))}"
        if self.block_map:
            sizes = [1] * rank
            for axis, size in zip(self.block_map, self.block_shape, strict=True):
                sizes[axis] = size
            words += f", blocks {'x'.join(map(str, sizes))}"
        return words


def narrowest_index_dtype(largest: int) -> np.dtype[np.uint8] | np.dtype[np.uint16] | np.dtype[np.int32]:
    """Return the narrowest vector type of the format that holds ``largest`` (schema.fbs: uint8, uint16 or int32)."""
    if largest <= _LARGEST_UINT8:
        return np.dtype(np.uint8)
    if largest <= _LARGEST_UINT16:
        return np.dtype(np.uint16)
    return np.dtype(np.int32)


def index_bytes(largest: int) -> int:
    """Return the bytes of an entry of :func:`narrowest_index_dtype`."""
    return narrowest_index_dtype(largest).itemsize


def nonzero_mask(array: np.ndarray) -> np.ndarray:
    """Return the mask (bool, same shape) of the values to store: all but those whose bits are all zero.

    A float ``-0.0`` is stored, so that decoding is exact to the bit.
    """
    if array.dtype == np.bool_:
        return array
    bits = array if array.dtype.kind in "iu" else array.view(f"u{array.dtype.itemsize}")
    return np.asarray(bits != 0)


def kept_mask(array: np.ndarray, zero_points: np.ndarray | int = 0) -> np.ndarray:
    """Return the mask (bool, same shape) of nonzero values; a quantised value is zero if it equals its zero point.

    Args:
        array: values as stored, of any rank.
        zero_points: integers that broadcast over ``array``, as
            :func:`tflite_sparse.flatbuffer.graph.zero_points_of` gives them.
    """
    if array.dtype.kind not in "iu" or not np.any(zero_points):
        return nonzero_mask(array)
    return np.asarray(array != zero_points)


def element_count(shape: tuple[int, ...]) -> int:
    """Return the number of values in a tensor of this shape."""
    return math.prod(shape)
