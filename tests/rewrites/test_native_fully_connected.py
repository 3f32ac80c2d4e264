from copy import deepcopy

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import tiny_models
from helpers.foreign_models import block_sparse, find, read_natively, store_sparse
from tflite_sparse.codecs import csr
from tflite_sparse.codecs.layout import Layout
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs, new_operator
from tflite_sparse.rewrites import native_fully_connected as native

SHAPE = (32, 128)
BLOCKS = {"int8": 16, "float32": 4}
RESOLVERS = ("AUTO", "BUILTIN_WITHOUT_DEFAULT_DELEGATES")


def dense_model(dtype="int8", **options):
    weights = block_sparse(SHAPE, dtype, BLOCKS[dtype])
    return tiny_models.fully_connected(SHAPE, dtype=dtype, weights=weights, **options)


def applied(model):
    """Return the graph of the model with its weight read sparse, and the index of the weight."""
    parsed = serde.parse(tiny_models.to_bytes(model))
    graph = next(graphs(parsed))
    index, _ = find(parsed, b"weight")
    values = graph.constant(index)
    encoded = csr.encode(values, native.layout(values.shape, values.dtype))
    native.apply(graph, index, encoded, [use.operator for use in graph.uses()[index]])
    return parsed, graph, index


@pytest.mark.parametrize(("dtype", "block"), [("int8", 16), ("float32", 4)])
def test_the_layout_is_that_of_the_kernels(dtype, block):
    """Rows are dense, their blocks compressed, and the values of a block dense."""
    assert native.layout((8, 64), np.dtype(dtype)) == Layout((8, 64), (0, 1, 2), (False, True, False), (1,), (block,))


def outputs(content, values, resolver):
    return tiny_models.run_here(bytes(content), values, resolver)


@pytest.mark.parametrize("resolver", RESOLVERS)
@pytest.mark.parametrize(
    "options", [{}, {"bias": False}, {"relu": True}, {"readers": 2}, {"per_channel": False}], ids=str
)
def test_int8_outputs_are_the_dense_ones_to_the_bit(options, resolver):
    model = dense_model(**options)
    values = tiny_models.samples(model, 1)
    sparse, graph, index = applied(model)
    assert graph.tensor(index).sparsity is not None
    content = serde.serialize(sparse)
    assert len(content) < 0.7 * len(tiny_models.to_bytes(model))
    wanted = outputs(tiny_models.to_bytes(model), values, resolver)
    for found, expected in zip(outputs(content, values, resolver), wanted, strict=True):
        np.testing.assert_array_equal(found, expected)
        assert np.unique(found).size > 10


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_float32_outputs_are_the_dense_ones_to_rounding(resolver):
    model = dense_model("float32")
    values = tiny_models.samples(model, 1)
    found = outputs(serde.serialize(applied(model)[0]), values, resolver)[0]
    expected = outputs(tiny_models.to_bytes(model), values, resolver)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_the_readers_have_an_operator_code_of_their_own():
    sparse, graph, index = applied(dense_model(readers=2))
    codes = {operator.opcodeIndex for operator in graph.operators}
    assert [sparse.operatorCodes[code].version for code in codes] == [8]
    assert 8 not in [code.version for i, code in enumerate(sparse.operatorCodes) if i not in codes]
    assert [int(operator.inputs[1]) for operator in graph.operators] == [index, index]


@pytest.mark.parametrize("dtype", BLOCKS)
@pytest.mark.parametrize(("keeps", "version"), [(False, None), (True, 5)], ids=["flat", "keeps_dimensions"])
def test_undo_gives_weight_and_version_back(dtype, keeps, version):
    lead = (1, 1) if keeps else (1,)
    model = dense_model(dtype, keep_num_dims=keeps, lead=lead)
    sparse, graph, index = applied(model)
    found = native.undo(graph)
    assert found == {index: native.layout(SHAPE, np.dtype(dtype))}
    assert graph.tensor(index).sparsity is None
    np.testing.assert_array_equal(graph.constant(index), block_sparse(SHAPE, dtype, BLOCKS[dtype]))
    (operator,) = graph.operators
    assert sparse.operatorCodes[operator.opcodeIndex].version == (version or {"int8": 4, "float32": 1}[dtype])
    values = tiny_models.samples(model, 1).reshape(*lead, SHAPE[1])
    for resolver in RESOLVERS:
        np.testing.assert_array_equal(
            outputs(serde.serialize(sparse), values, resolver)[0],
            outputs(tiny_models.to_bytes(model), values, resolver)[0],
        )


def test_undo_reads_layouts_of_others():
    """Unstructured float32, which the kernel takes too, with vectors wider than needed."""
    model = read_natively(store_sparse(tiny_models.fully_connected(SHAPE, dtype="float32"), indices="uint16"))
    parsed = serde.parse(tiny_models.to_bytes(model))
    graph = next(graphs(parsed))
    index, _ = find(parsed, b"weight")
    assert native.undo(graph) == {index: Layout(SHAPE, (0, 1), (False, True))}
    np.testing.assert_array_equal(graph.constant(index), tiny_models.sparse_weights(SHAPE, "float32"))


def test_undo_of_a_type_that_the_kernel_does_not_take_is_version_1():
    sparse, graph, index = applied(dense_model())
    graph.tensor(index).type = schema.TensorType.UINT8
    assert list(native.undo(graph)) == [index]
    assert sparse.operatorCodes[graph.operators[0].opcodeIndex].version == 1


def test_undo_leaves_dense_operators_alone():
    parsed = serde.parse(tiny_models.to_bytes(dense_model()))
    before = bytes(serde.serialize(parsed))
    assert native.undo(next(graphs(parsed))) == {}
    assert bytes(serde.serialize(parsed)) == before


def test_undo_leaves_a_weight_that_a_densify_reads():
    _, graph, index = applied(dense_model(bias=False))
    dense = graph.add_tensor(deepcopy(graph.tensor(index)))
    code = graph.operator_code(schema.BuiltinOperator.DENSIFY, 1)
    graph.insert_before(graph.operators[0], new_operator(code, [index], [dense]))
    assert native.undo(graph) == {}
    assert graph.tensor(index).sparsity is not None


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (dense_model(), None),
        (dense_model("float32"), None),
        (dense_model(shuffled=True), "its weights are in a shuffled format"),
        (dense_model(data_dtype="float32"), "it is neither int8 nor float32 throughout"),
        (tiny_models.fully_connected((8, 100)), "blocks do not divide its inputs"),
        (tiny_models.fully_connected((8, 102), dtype="float32"), "blocks do not divide its inputs"),
        (tiny_models.fully_connected((8, 100), dtype="float32"), None),
        (dense_model(lead=(2,)), "its input has several rows"),
        (dense_model(lead=(1, 3), keep_num_dims=True), "its input has several rows"),
    ],
    ids=lambda value: None if isinstance(value, schema.ModelT) else str(value),
)
def test_what_is_refused(model, reason):
    graph = next(graphs(serde.parse(tiny_models.to_bytes(model))))
    assert native.refusal(graph, graph.operators[0]) == reason
