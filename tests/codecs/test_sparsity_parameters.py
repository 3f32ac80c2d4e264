import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings

from helpers import tiny_models
from helpers.random_layouts import arrays_with_layouts, same_bits
from tflite_sparse.codecs import csr
from tflite_sparse.codecs.layout import Layout
from tflite_sparse.codecs.sparsity_parameters import from_table, to_table
from tflite_sparse.flatbuffer import serde


@given(arrays_with_layouts())
def test_from_table_undoes_to_table(case):
    array, layout = case
    encoded = csr.encode(array, layout)
    back = from_table(to_table(encoded), array.shape, encoded.values)
    assert back.layout == layout
    assert back.nbytes == encoded.nbytes
    assert same_bits(csr.decode(back), array)


@given(arrays_with_layouts())
@settings(max_examples=40)
def test_tables_survive_a_file(case):
    array, layout = case
    encoded = csr.encode(array, layout)
    tiny = tiny_models.Tiny()
    index = tiny.constant("weight", array)
    tiny.graph.tensors[index].sparsity = to_table(encoded)
    tiny.model.buffers[1].data = encoded.values.view(np.uint8)
    model = tiny.finished([], [index])
    read = serde.parse(bytes(serde.serialize(model))).subgraphs[0].tensors[index].sparsity
    back = from_table(read, array.shape, encoded.values)
    assert back.layout == layout
    for level, expected in zip(back.levels, encoded.levels, strict=True):
        assert (level is None) == (expected is None)
        if level is not None:
            assert same_bits(level.segments, expected.segments)
            assert same_bits(level.indices, expected.indices)
    assert same_bits(csr.decode(back), array)


def test_table_holds_what_the_schema_says():
    array = np.zeros((4, 600), np.int8)
    array[1, 599] = 1
    layout = Layout((4, 600), (1, 0, 2), (True, False, False), (0,), (2,))
    table = to_table(csr.encode(array, layout))
    assert list(table.traversalOrder) == [1, 0, 2]
    assert list(table.blockMap) == [0]
    first, second, block = table.dimMetadata
    assert first.format == schema.DimensionType.SPARSE_CSR
    assert first.arraySegmentsType == schema.SparseIndexVector.Uint8Vector
    assert first.arrayIndicesType == schema.SparseIndexVector.Uint16Vector
    assert list(first.arrayIndices.values) == [599]
    assert (second.format, second.denseSize) == (schema.DimensionType.DENSE, 2)
    assert (block.format, block.denseSize) == (schema.DimensionType.DENSE, 2)


ARRAY = tiny_models.sparse_weights((4, 6), density=0.4)
ROWS = Layout((4, 6), (0, 1), (False, True))
BLOCKS = Layout((4, 6), (0, 1, 2), (False, True, False), (1,), (3,))


def set_order(*order):
    return lambda table: setattr(table, "traversalOrder", np.array(order, np.int32))


def set_block_map(*axes):
    return lambda table: setattr(table, "blockMap", np.array(axes, np.int32))


def set_level(index, **fields):
    def change(table):
        for name, value in fields.items():
            setattr(table.dimMetadata[index], name, value)

    return change


def drop_level(table):
    table.dimMetadata.pop()


def empty_segments(table):
    table.dimMetadata[1].arraySegments = schema.Uint8VectorT()


@pytest.mark.parametrize(
    ("layout", "change"),
    [
        (ROWS, lambda table: setattr(table, "traversalOrder", None)),
        (ROWS, lambda table: setattr(table, "dimMetadata", None)),
        (ROWS, set_order()),
        (ROWS, set_order(0)),
        (ROWS, set_order(0, 0)),
        (ROWS, set_order(0, 2)),
        (ROWS, set_order(0, -1)),
        (ROWS, set_order(0, 1, 2)),
        (ROWS, drop_level),
        (ROWS, set_block_map(0)),
        (ROWS, set_level(0, denseSize=3)),
        (ROWS, set_level(0, denseSize=0)),
        (ROWS, set_level(0, denseSize=-4)),
        (ROWS, set_level(0, format=schema.DimensionType.SPARSE_CSR)),
        (ROWS, set_level(1, format=schema.DimensionType.DENSE)),
        (ROWS, set_level(1, format=7)),
        (ROWS, set_level(0, format=7)),
        (ROWS, set_level(1, arraySegments=None)),
        (ROWS, set_level(1, arrayIndices=None)),
        (ROWS, set_level(1, arraySegmentsType=0)),
        (ROWS, set_level(1, arrayIndicesType=9)),
        (ROWS, empty_segments),
        (BLOCKS, set_order(0, 2, 1)),  # interleaved
        (BLOCKS, set_order(0, 1, 3)),
        (BLOCKS, set_block_map(2)),
        (BLOCKS, set_block_map(-1)),
        (BLOCKS, set_block_map(0)),  # 3 does not divide 4
        (BLOCKS, set_block_map()),
        (BLOCKS, set_level(2, denseSize=2)),  # the runtime would see 3 blocks of 2, the indices tell of 2 blocks
        (BLOCKS, set_level(2, denseSize=0)),
        (BLOCKS, set_level(2, denseSize=-3)),
        (BLOCKS, set_level(2, format=schema.DimensionType.SPARSE_CSR)),
    ],
)
def test_malformed_tables_raise_value_error(layout, change):
    encoded = csr.encode(ARRAY, layout)
    table = to_table(encoded)
    assert same_bits(csr.decode(from_table(table, ARRAY.shape, encoded.values)), ARRAY)
    change(table)
    with pytest.raises(ValueError):  # noqa: PT011 - whichever of the two finds it
        csr.decode(from_table(table, ARRAY.shape, encoded.values))


def test_a_block_map_that_does_not_ascend_raises_value_error():
    """LiteRT loads such a table and rebuilds another tensor."""
    array = tiny_models.sparse_weights((4, 4), density=0.4)
    encoded = csr.encode(array, Layout((4, 4), (0, 1, 2, 3), (False, True, False, False), (0, 1), (2, 2)))
    table = to_table(encoded)
    assert same_bits(csr.decode(from_table(table, array.shape, encoded.values)), array)
    for axes in ((1, 0), (0, 0), (1, 1)):
        set_block_map(*axes)(table)
        with pytest.raises(ValueError, match="does not name own axes, each once, in ascending order"):
            from_table(table, array.shape, encoded.values)


def test_a_table_without_levels_for_a_scalar_raises_value_error():
    with pytest.raises(ValueError, match="0 levels and 0 level descriptions for a tensor of rank 0"):
        from_table(schema.SparsityParametersT(), (), np.ones(1, np.int8))


@pytest.mark.parametrize("shape", [(6, 4), (4, 5), (24,), (4, 6, 1), (), (3, 6)])
def test_a_shape_that_is_not_the_tables_raises_value_error(shape):
    encoded = csr.encode(ARRAY, ROWS)
    with pytest.raises(ValueError):  # noqa: PT011 - whichever of the two finds it
        csr.decode(from_table(to_table(encoded), shape, encoded.values))
