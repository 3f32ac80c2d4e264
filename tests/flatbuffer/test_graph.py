import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import tiny_models
from tflite_sparse.errors import FlatbufferError
from tflite_sparse.flatbuffer import graph as g
from tflite_sparse.flatbuffer import serde


def graph_of(model):
    return next(g.graphs(model))


def read_again(model):
    """Return the objects as read from a file: names are bytes, vectors are arrays."""
    return serde.parse(tiny_models.to_bytes(model))


@pytest.fixture
def graph():
    return graph_of(read_again(tiny_models.conv2d(readers=2)))


def test_graphs_yields_every_subgraph():
    model = tiny_models.conv2d()
    model.subgraphs.append(tiny_models.gather().subgraphs[0])
    assert [graph.subgraph for graph in g.graphs(model)] == model.subgraphs
    assert list(g.graphs(schema.ModelT())) == []


def test_uses_names_readers_in_order(graph):
    first, second = graph.operators
    uses = graph.uses()
    assert uses[1] == [g.Use(first, 1), g.Use(second, 1)]
    assert uses[2] == [g.Use(first, 2), g.Use(second, 2)]
    assert set(uses) == {0, 1, 2}


def test_uses_leaves_absent_inputs_out():
    graph = graph_of(tiny_models.fully_connected(bias=False))
    assert list(graph.operators[0].inputs) == [0, 1, -1]
    assert set(graph.uses()) == {0, 1}


def test_operator_names(graph):
    assert {graph.operator_name(operator) for operator in graph.operators} == {"CONV_2D"}
    graph.model.operatorCodes[0].customCode = b"MyOp"
    assert graph.operator_name(graph.operators[0]) == "MyOp"
    graph.model.operatorCodes[1].builtinCode = 9999
    assert graph.operator_name(graph.operators[1]) == "operator 9999"


@pytest.mark.parametrize(
    ("scales", "zero_points", "axis", "expected"),
    [
        (None, None, 0, 0),
        ([], [7], 0, 0),  # not quantised
        ([0.5], [7], 0, 7),
        ([0.5], None, 0, 0),
        ([0.5] * 3, [7], 1, 7),
        ([0.5] * 3, [7, 8, 9], 1, [[[7], [8], [9]]]),
        ([0.5] * 2, [7, 8], 0, [[[7]], [[8]]]),
    ],
)
def test_zero_points_broadcast_over_the_values(scales, zero_points, axis, expected):
    tensor = g.new_tensor((2, 3, 4), schema.TensorType.INT8)
    if scales is not None:
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale, tensor.quantization.zeroPoint = np.array(scales, np.float32), zero_points
        tensor.quantization.quantizedDimension = axis
    assert g.zero_points_of(tensor).tolist() == expected
    assert np.broadcast_shapes(g.zero_points_of(tensor).shape, (2, 3, 4)) == (2, 3, 4)


@pytest.mark.parametrize(("new", "old", "code"), [(3, 3, 3), (0, 3, 3), (150, 127, 150), (3, 0, 3)])
def test_builtin_code_reads_files_of_either_age(new, old, code):
    table = schema.OperatorCodeT()
    table.builtinCode, table.deprecatedBuiltinCode = new, old
    assert g.builtin_code(table) == code


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_constant_has_shape_and_type(dtype):
    graph = graph_of(read_again(tiny_models.conv2d(dtype=dtype)))
    np.testing.assert_array_equal(graph.constant(1), tiny_models.sparse_weights((16, 3, 3, 64), dtype))
    assert graph.constant(1).dtype == np.dtype(dtype)
    assert graph.constant(0) is None


def test_constant_of_a_sparse_tensor_is_none(graph):
    graph.tensor(1).sparsity = schema.SparsityParametersT()
    assert graph.constant(1) is None
    assert graph.stored_values(1).size == 16 * 3 * 3 * 64


def test_constant_of_a_type_that_is_no_number_is_none(graph):
    graph.tensor(1).type = schema.TensorType.STRING
    assert graph.constant(1) is None
    assert g.dtype_of(graph.tensor(1)) is None
    assert g.type_name(graph.tensor(1)) == "string"


def test_a_buffer_that_is_not_what_the_tensor_announces_is_refused(graph):
    graph.tensor(1).shape = np.array([16, 3, 3, 63], np.int32)
    with pytest.raises(FlatbufferError, match=r"'weight' has shape \(16, 3, 3, 63\) but its buffer holds 9216 values"):
        graph.constant(1)


def test_a_buffer_that_ends_inside_a_value_is_refused(graph):
    graph.store(graph.tensor(1), np.zeros(10, np.int8))
    graph.tensor(1).type = schema.TensorType.FLOAT32
    with pytest.raises(FlatbufferError, match="'weight' ends inside a value"):
        graph.constant(1)


def test_store_leaves_other_readers_of_the_buffer_alone(graph):
    old = graph.tensor(1).buffer
    twin = graph.add_tensor(g.new_tensor((16, 3, 3, 64), schema.TensorType.INT8))
    graph.tensor(twin).buffer = old
    graph.store(graph.tensor(1), np.ones((16, 3, 3, 64), np.int8))
    assert graph.constant(1).sum() == 16 * 3 * 3 * 64
    np.testing.assert_array_equal(graph.constant(twin), tiny_models.sparse_weights((16, 3, 3, 64)))


def test_add_constant(graph):
    values = np.arange(6, dtype=np.int32).reshape(2, 3).T  # not contiguous
    index = graph.add_constant(g.new_tensor((3, 2), schema.TensorType.INT32, "fresh"), values)
    assert index == len(graph.subgraph.tensors) - 1
    np.testing.assert_array_equal(graph.constant(index), values)


def test_operator_code_is_reused_only_for_the_same_kind_and_version(graph):
    conv = schema.BuiltinOperator.CONV_2D
    count = len(graph.model.operatorCodes)
    assert graph.operator_code(conv, 3) == 0
    assert graph.operator_code(conv, 4) == count
    assert graph.operator_code(conv, 4) == count
    assert graph.operator_code(schema.BuiltinOperator.DENSIFY, 1) == count + 1
    assert len(graph.model.operatorCodes) == count + 2
    graph.model.operatorCodes[0].customCode = graph.model.operatorCodes[1].customCode = b"MyOp"
    assert graph.operator_code(conv, 3) == count + 2


@pytest.mark.parametrize("code", [schema.BuiltinOperator.RESHAPE, schema.BuiltinOperator.STABLEHLO_LOGISTIC])
def test_a_new_operator_code_fills_the_old_field_too(graph, code):
    table = graph.model.operatorCodes[graph.operator_code(code, 2)]
    assert (table.builtinCode, table.version) == (code, 2)
    assert table.deprecatedBuiltinCode == min(code, 127)


def test_insertions_keep_execution_order(graph):
    first, second = graph.operators
    a, b, c = (g.new_operator(0, [0], [0]) for _ in range(3))
    graph.insert_before(second, a, b)
    graph.insert_after(first, c)
    assert [id(operator) for operator in graph.operators] == [id(operator) for operator in (first, c, a, b, second)]


def test_rewire_changes_one_input_of_one_operator(graph):
    first, second = graph.operators
    g.rewire(second, 1, 4)
    assert list(first.inputs) == [0, 1, 2]
    assert list(second.inputs) == [0, 4, 2]


def test_shapes_and_signatures():
    static = graph_of(read_again(tiny_models.fully_connected(lead=(1, 5), keep_num_dims=True))).tensor(0)
    assert g.shape_of(static) == g.signature_of(static) == (1, 5, 600)
    assert not g.is_dynamic(static)
    dynamic = graph_of(read_again(tiny_models.fully_connected(dynamic=True))).tensor(0)
    assert (g.shape_of(dynamic), g.signature_of(dynamic)) == ((1, 600), (-1, 600))
    assert g.is_dynamic(dynamic)
    scalar = g.new_tensor((), schema.TensorType.INT32)
    assert g.shape_of(scalar) == g.signature_of(scalar) == ()
    assert g.shape_of(schema.TensorT()) == ()


def test_new_tensor_writes_a_signature_only_where_it_says_something():
    assert g.new_tensor((1, 4), schema.TensorType.INT8, signature=(1, 4)).shapeSignature is None
    assert list(g.new_tensor((1, 4), schema.TensorType.INT8, signature=(-1, 4)).shapeSignature) == [-1, 4]


@pytest.mark.parametrize(
    ("scales", "points", "expected"),
    [
        ([0.5], [-3], (0.5, -3)),
        ([0.5], [], (0.5, 0)),  # a list without entries, which the format allows as well as none
        ([0.5], None, (0.5, 0)),
        ([0.5, 0.25], [1, 2], (0.0, 0)),
        ([0.5, 0.25], [1], (0.0, 0)),
        ([], [], (0.0, 0)),
        ([], [7], (0.0, 0)),
        (None, None, (0.0, 0)),
    ],
)
def test_quantisation_of(scales, points, expected):
    model = tiny_models.fully_connected((4, 40))
    quantization = schema.QuantizationParametersT()
    quantization.scale = None if scales is None else np.array(scales, np.float32)
    quantization.zeroPoint = None if points is None else np.array(points, np.int64)
    model.subgraphs[0].tensors[0].quantization = quantization
    model.subgraphs[0].tensors[0].shape = np.array([len(scales or [1]), 40], np.int32)
    found = g.quantisation_of(read_again(model).subgraphs[0].tensors[0])
    assert found == expected
    assert list(map(type, found)) == [float, int]
    assert g.quantisation_of(schema.TensorT()) == (0.0, 0)


def test_names_of_types():
    graph = graph_of(tiny_models.conv2d())
    assert [g.type_name(graph.tensor(i)) for i in range(3)] == ["int8", "int8", "int32"]
    tensor = schema.TensorT()
    tensor.type = 99
    assert g.type_name(tensor) == "type 99"


@pytest.mark.parametrize(("name", "words"), [(None, ""), ("a", "a"), (b"a", "a"), (b"\xffa", "\\xffa"), ("ü", "ü")])
def test_text(name, words):
    assert g.text(name) == words


def model_with_unread_buffers():
    model = tiny_models.conv2d(readers=2)
    for number in range(3):  # in front of, between and behind the ones in use
        buffer = schema.BufferT()
        buffer.data = np.full(50, number, np.uint8)
        model.buffers.insert(1 + 2 * number, buffer)
    for tensor in model.subgraphs[0].tensors:
        tensor.buffer = {0: 0, 1: 2, 2: 4}[tensor.buffer]
    note, entry = schema.BufferT(), schema.MetadataT()
    note.data = np.frombuffer(b"kept", np.uint8)
    model.buffers.append(note)
    entry.name, entry.buffer = "note", len(model.buffers) - 1
    model.metadata = [entry]
    return model


def test_drop_unread_buffers_keeps_constants_and_metadata():
    model = model_with_unread_buffers()
    values = tiny_models.samples(model, 1)
    before = [graph_of(model).constant(i) for i in (1, 2)]
    expected = tiny_models.run_here(tiny_models.to_bytes(model), values)
    assert len(model.buffers) == 7
    g.drop_unread_buffers(model)
    assert len(model.buffers) == 4
    assert model.buffers[0].data is None
    for index, constant in zip((1, 2), before, strict=True):
        np.testing.assert_array_equal(graph_of(model).constant(index), constant)
    assert all(graph_of(model).constant(i) is None for i in (0, 3, 4))
    assert bytes(model.buffers[model.metadata[0].buffer].data) == b"kept"
    found = tiny_models.run_here(tiny_models.to_bytes(model), values)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_drop_unread_buffers_renumbers_the_old_list_of_metadata_buffers():
    model = model_with_unread_buffers()
    model.metadataBuffer = np.array([6], np.int32)
    g.drop_unread_buffers(model)
    assert list(model.metadataBuffer) == [3]
    assert bytes(model.buffers[3].data) == b"kept"


def test_drop_unread_buffers_looks_at_every_subgraph():
    model = tiny_models.conv2d()
    other = tiny_models.fully_connected((64, 100))
    for tensor in other.subgraphs[0].tensors:
        tensor.buffer += 2 if tensor.buffer else 0
    model.subgraphs.append(other.subgraphs[0])
    model.buffers += other.buffers[1:]
    g.drop_unread_buffers(model)
    assert len(model.buffers) == 5
    second = list(g.graphs(model))[1]
    np.testing.assert_array_equal(second.constant(1), tiny_models.sparse_weights((64, 100)))


def test_drop_unread_buffers_twice_changes_nothing():
    model = model_with_unread_buffers()
    g.drop_unread_buffers(model)
    once = bytes(serde.serialize(model))
    g.drop_unread_buffers(model)
    assert bytes(serde.serialize(model)) == once
