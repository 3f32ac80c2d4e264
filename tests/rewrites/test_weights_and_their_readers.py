"""Find the constants that operators of one kind alone read as weights."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import tiny_models
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs, new_operator, new_tensor, shape_of
from tflite_sparse.rewrites import split_axis, weights

WEIGHT = 1


def graph_of(model):
    return next(graphs(serde.parse(tiny_models.to_bytes(model))))


def behind_densify(graph, operator="DENSIFY"):
    """Every reader of the weight reads what an operator makes of it; return the index of that."""
    weight = graph.tensor(WEIGHT)
    dense = graph.add_tensor(new_tensor(shape_of(weight), weight.type))
    for reader in graph.operators:
        inputs = reader.inputs.tolist()
        reader.inputs = np.array([dense if index == WEIGHT else index for index in inputs], np.int32)
    code = graph.operator_code(getattr(schema.BuiltinOperator, operator), 1)
    graph.insert_before(graph.operators[0], new_operator(code, [WEIGHT], [dense]))
    return dense


def found(graph, name="CONV_2D"):
    return {index: len(readers) for index, readers in weights.readers_of_weights(graph, name).items()}


@pytest.mark.parametrize("readers", [1, 2])
def test_weights_are_found_with_their_readers(readers):
    graph = graph_of(tiny_models.conv2d(readers=readers))
    assert found(graph) == {WEIGHT: readers}
    assert weights.readers_of_weights(graph, "CONV_2D")[WEIGHT] == graph.operators
    assert found(graph, "FULLY_CONNECTED") == {}
    assert weights.constant_behind(graph, WEIGHT) == WEIGHT
    dense = behind_densify(graph)
    assert found(graph) == {dense: readers}
    assert weights.constant_behind(graph, dense) == WEIGHT


def test_what_others_read_or_make_is_no_weight():
    graph = graph_of(tiny_models.conv2d())
    dense = behind_densify(graph, "DEQUANTIZE")
    assert found(graph) == {}
    assert weights.constant_behind(graph, dense) == dense
    graph = graph_of(tiny_models.conv2d())
    graph.subgraph.outputs = np.array([WEIGHT], np.int32)
    assert found(graph) == {}
    graph = graph_of(tiny_models.conv2d())
    graph.operators[0].inputs = np.array([WEIGHT, WEIGHT, 2], np.int32)
    assert found(graph) == {}
    graph = graph_of(tiny_models.conv2d())
    graph.operators[0].inputs = np.array([WEIGHT, 0, 2], np.int32)  # the input is no constant
    assert found(graph) == {}


# RESHAPE around an operator


@pytest.mark.parametrize(("is_open", "signature"), [(False, None), (True, [-1, 4, 8, 16])])
def test_a_reshape_in_front_and_behind(is_open, signature):
    graph = graph_of(tiny_models.conv2d((8, 1, 1, 16), (8, 4), dynamic=is_open))
    (conv,) = graph.operators
    source, result = int(conv.inputs[0]), int(conv.outputs[0])
    split_axis.reshape_before(graph, conv, 0, (1, 4, 8, 16), (-1, 4, 8, 16))
    split_axis.reshape_after(graph, conv, (1, 4, 8, 8), (-1, 4, 8, 8), (-1, 8, 4, 8))
    before, middle, after = graph.operators
    assert middle is conv
    assert (before.inputs[0], before.outputs[0]) == (source, conv.inputs[0])
    assert (after.inputs[0], after.outputs[0]) == (conv.outputs[0], result)
    assert graph.constant(int(before.inputs[1])).tolist() == [-1, 4, 8, 16]
    assert graph.constant(int(after.inputs[1])).tolist() == [-1, 8, 4, 8]
    first, last = (graph.tensor(int(index)) for index in (conv.inputs[0], conv.outputs[0]))
    assert (shape_of(first), shape_of(last)) == ((1, 4, 8, 16), (1, 4, 8, 8))
    assert (None if first.shapeSignature is None else first.shapeSignature.tolist()) == signature
    assert last.shapeSignature.tolist() == [-1, 4, 8, 8]
    for made, former in ((first, source), (last, result)):
        assert (made.type, made.name, made.buffer) == (graph.tensor(former).type, None, 0)
        assert made.quantization is graph.tensor(former).quantization
    for reshape in (before, after):
        code = graph.model.operatorCodes[reshape.opcodeIndex]
        assert (code.builtinCode, code.version) == (schema.BuiltinOperator.RESHAPE, 1)
        constant = graph.tensor(int(reshape.inputs[1]))
        assert (constant.type, shape_of(constant), constant.name) == (schema.TensorType.INT32, (4,), None)
    assert split_axis.has_reshape_before(graph, conv, 0)
    assert split_axis.has_reshape_after(graph, conv)
    split_axis.undo_reshape_before(graph, conv, 0)
    split_axis.undo_reshape_after(graph, conv)
    assert graph.operators == [conv]
    assert (conv.inputs.tolist(), conv.outputs.tolist()) == ([source, 1, 2], [result])
    assert conv.inputs.dtype == conv.outputs.dtype == np.int32  # a file is written in the type of the array
    assert not split_axis.has_reshape_before(graph, conv, 0)
    assert not split_axis.has_reshape_after(graph, conv)


@pytest.mark.parametrize("rank", [2, 4])
def test_what_a_reshape_adds_to_a_file(rank):
    model = tiny_models.conv2d((8, 1, 1, 16), (8, 4))
    graph = graph_of(model)
    like, before = graph.tensor(0), len(serde.serialize(graph.model))
    shapes = [(1, 4, 8, 16), (1, 2, 16, 16)] if rank == 4 else [(32, 16), (16, 32)]
    grown = []
    for shape in shapes:  # the second needs no operator code
        split_axis.reshape_before(graph, graph.operators[-1], 0, shape, shape)
        grown.append(len(serde.serialize(graph.model)) - before - sum(grown))
    assert grown[1] <= split_axis.reshape_overhead_bytes(like, rank) <= grown[1] + 64
