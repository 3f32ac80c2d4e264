"""Check ``SparsityParameters`` tables, as LiteRT's ``tools/verifier.cc`` does.

In traversal order, a dense level multiplies the nodes by its size; a compressed level stores for each node above where
its children start and end (segments), and the coordinate of each child (indices).
"""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.flatbuffer.graph import indices
from tflite_sparse.flatbuffer.types import IndexVector, SparsityParameters

INDEX_VECTORS: dict[int, np.dtype] = {
    schema.SparseIndexVector.Uint8Vector: np.dtype(np.uint8),
    schema.SparseIndexVector.Uint16Vector: np.dtype(np.uint16),
    schema.SparseIndexVector.Int32Vector: np.dtype(np.int32),
}
"""The vector types of segments and indices."""


def stored_value_count(table: SparsityParameters, shape: tuple[int, ...]) -> int:
    """Return the number of values that a tensor stores. Checks every segment and index without a copy.

    Args:
        table: ``SparsityParametersT`` of the tensor.
        shape: of the dense tensor.

    Raises:
        ValueError: the table contradicts itself or the shape.
    """
    order = indices(table.traversalOrder)
    block_map = indices(table.blockMap)
    metadata = table.dimMetadata or ()
    rank = len(shape)
    if not order or len(metadata) != len(order) or len(order) != rank + len(block_map):
        raise ValueError(f"{len(order)} levels and {len(metadata)} level descriptions for a tensor of rank {rank}")
    if sorted(order[:rank]) != list(range(rank)) or sorted(order[rank:]) != list(range(rank, len(order))):
        raise ValueError(f"traversal order {order} is no permutation of {rank} axes, then of the block dimensions")
    if block_map != sorted(set(block_map)) or any(not 0 <= axis < rank for axis in block_map):
        raise ValueError(f"block map {block_map} does not name own axes, each once, in ascending order")
    levels = dict(zip(order, metadata, strict=True))
    sizes = list(shape)
    for block, axis in enumerate(block_map, start=rank):
        size = int(levels[block].denseSize)
        if levels[block].format != schema.DimensionType.DENSE or size < 1 or shape[axis] % size:
            raise ValueError(f"blocks of {size} along axis {axis} are compressed or do not divide shape {shape}")
        sizes[axis] //= size
        sizes.append(size)
    nodes = 1
    for axis, level in levels.items():
        if level.format == schema.DimensionType.DENSE:
            if level.denseSize != sizes[axis]:
                raise ValueError(
                    f"axis {axis} is said to have {level.denseSize} entries, the shape gives {sizes[axis]}"
                )
            nodes *= sizes[axis]
        elif level.format == schema.DimensionType.SPARSE_CSR:
            segments = index_vector(level.arraySegmentsType, level.arraySegments)
            coordinates = index_vector(level.arrayIndicesType, level.arrayIndices)
            check_level(segments, coordinates, nodes, sizes[axis])
            nodes = coordinates.size
        else:
            raise ValueError(f"the level of axis {axis} is neither dense nor compressed")
    return nodes


def index_vector(kind: int, table: IndexVector | None) -> np.ndarray:
    """Return segments or indices of a compressed level, one-dimensional, of a dtype in :data:`INDEX_VECTORS`.

    Raises:
        ValueError: there are none, or ``kind`` is none of :data:`INDEX_VECTORS`.
    """
    if table is None or kind not in INDEX_VECTORS:
        raise ValueError("a compressed level lacks its segments or indices")
    dtype = INDEX_VECTORS[kind]
    return np.zeros(0, dtype) if table.values is None else np.asarray(table.values, dtype)


def check_level(segments: np.ndarray, indices: np.ndarray, nodes: int, size: int) -> None:
    """Check one compressed level.

    Args:
        segments: integers, one-dimensional: start of the children of each node, then the end of the last ones.
        indices: integers, one-dimensional: the coordinate of each child.
        nodes: number of nodes of the levels above.
        size: number of coordinates of this level.

    Raises:
        ValueError: segments decrease or do not run from 0 to the number of indices, an index is out of range, or
            there are more indices than nodes times coordinates.
    """
    if segments.size != nodes + 1:
        raise ValueError(f"{segments.size} segments for {nodes} nodes")
    if indices.size > nodes * size:
        raise ValueError(f"{indices.size} indices for {nodes} times {size} coordinates")
    if segments[0] != 0 or segments[-1] != indices.size or np.any(segments[1:] < segments[:-1]):
        raise ValueError(f"segments do not rise from 0 to the {indices.size} indices")
    if indices.size and (indices.min() < 0 or indices.max() >= size):
        raise ValueError(f"an index lies outside 0..{size - 1}")
