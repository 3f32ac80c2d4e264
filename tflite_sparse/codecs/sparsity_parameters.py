"""Convert encoded tensors to ``SparsityParameters`` tables of a ``.tflite`` file, and back."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.codecs.csr import CompressedLevel, Encoded
from tflite_sparse.codecs.layout import Layout
from tflite_sparse.flatbuffer.graph import indices
from tflite_sparse.flatbuffer.serde import packed_bytes
from tflite_sparse.flatbuffer.sparsity import index_vector, stored_value_count
from tflite_sparse.flatbuffer.types import DimensionMetadata, IndexVector, SparsityParameters

_VECTORS: dict[np.dtype, tuple[int, type[IndexVector]]] = {
    np.dtype(np.uint8): (schema.SparseIndexVector.Uint8Vector, schema.Uint8VectorT),
    np.dtype(np.uint16): (schema.SparseIndexVector.Uint16Vector, schema.Uint16VectorT),
    np.dtype(np.int32): (schema.SparseIndexVector.Int32Vector, schema.Int32VectorT),
}


def to_table(encoded: Encoded) -> SparsityParameters:
    """Return the ``SparsityParametersT`` of an encoded tensor (its values go into the tensor's buffer)."""
    layout = encoded.layout
    table: SparsityParameters = schema.SparsityParametersT()
    table.traversalOrder = np.array(layout.traversal_order, np.int32)
    if layout.block_map:
        table.blockMap = np.array(layout.block_map, np.int32)
    table.dimMetadata = [
        _level_table(size, level) for size, level in zip(layout.level_sizes, encoded.levels, strict=True)
    ]
    return table


def from_table(table: SparsityParameters, shape: tuple[int, ...], values: np.ndarray) -> Encoded:
    """Return the encoded tensor of a ``SparsityParametersT``.

    Args:
        table: the table of a tensor.
        shape: of the dense tensor.
        values: the tensor's stored values, one-dimensional.

    Raises:
        ValueError: the table contradicts itself, the shape or the number of values.
    """
    count = stored_value_count(table, shape)
    if values.size != count:
        raise ValueError(f"{values.size} values stored for {count} leaves")
    order = tuple(indices(table.traversalOrder))
    block_map = tuple(indices(table.blockMap))
    metadata = list(table.dimMetadata or ())
    compressed = tuple(level.format == schema.DimensionType.SPARSE_CSR for level in metadata)
    sizes = {axis: int(level.denseSize) for axis, level in zip(order, metadata, strict=True)}
    layout = Layout(shape, order, compressed, block_map, tuple(sizes[axis] for axis in range(len(shape), len(order))))
    levels = tuple(_level(level) if flag else None for level, flag in zip(metadata, compressed, strict=True))
    return Encoded(layout, values, levels)


def overhead_bytes(layout: Layout) -> int:
    """Return the bytes of the table of a layout in a file, without the contents of its vectors."""
    table, vectors = table_of_unique_vectors(layout)
    return packed_bytes(table) - vectors


def table_of_unique_vectors(layout: Layout) -> tuple[SparsityParameters, int]:
    """Return a table of this layout for measuring, and the bytes of its vectors.

    All vectors differ, because equal ones are written, and so counted, once.
    """
    vectors = iter(np.arange(1, 8 * len(layout.compressed) + 1, dtype=np.uint8).reshape(-1, 4))
    levels = tuple(CompressedLevel(next(vectors), next(vectors)) if flag else None for flag in layout.compressed)
    encoded = Encoded(layout, np.zeros(0, np.uint8), levels)
    return to_table(encoded), encoded.nbytes


def _level_table(size: int, level: CompressedLevel | None) -> DimensionMetadata:
    table: DimensionMetadata = schema.DimensionMetadataT()
    if level is None:
        table.format = schema.DimensionType.DENSE
        table.denseSize = size
        return table
    table.format = schema.DimensionType.SPARSE_CSR
    table.arraySegmentsType, table.arraySegments = _vector_table(level.segments)
    table.arrayIndicesType, table.arrayIndices = _vector_table(level.indices)
    return table


def _vector_table(values: np.ndarray) -> tuple[int, IndexVector]:
    kind, make = _VECTORS[values.dtype]
    table = make()
    table.values = values
    return kind, table


def _level(table: DimensionMetadata) -> CompressedLevel:
    return CompressedLevel(
        index_vector(table.arraySegmentsType, table.arraySegments),
        index_vector(table.arrayIndicesType, table.arrayIndices),
    )
