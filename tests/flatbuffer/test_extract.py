import numpy as np
import pytest

from helpers import tiny_models
from helpers.foreign_models import block_sparse, find, read_natively, store_sparse
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.extract import one_operator_model
from tflite_sparse.flatbuffer.graph import graphs

RESOLVERS = ("AUTO", "BUILTIN_WITHOUT_DEFAULT_DELEGATES")
MODELS = {
    "conv": tiny_models.conv2d(),
    "conv_float32": tiny_models.conv2d(dtype="float32"),
    "depthwise": tiny_models.depthwise_conv2d(),
    "transpose_conv": tiny_models.transpose_conv(),
    "fully_connected": tiny_models.fully_connected(lead=(2, 3), keep_num_dims=True),
    "fully_connected_no_bias": tiny_models.fully_connected(bias=False),
    "gather": tiny_models.gather(),
}


def parsed(model):
    return serde.parse(tiny_models.to_bytes(model))


def extracted(model, position=0):
    graph = next(graphs(model))
    return one_operator_model(graph, graph.operators[position])


@pytest.mark.parametrize("resolver", RESOLVERS)
@pytest.mark.parametrize("name", MODELS)
def test_the_operator_alone_computes_what_the_model_does(name, resolver):
    content = tiny_models.to_bytes(MODELS[name])
    values = tiny_models.samples(MODELS[name], int(MODELS[name].subgraphs[0].tensors[0].shape[0]))
    alone = serde.serialize(extracted(serde.parse(content)))
    (found,) = tiny_models.run_here(bytes(alone), values, resolver)
    (expected,) = tiny_models.run_here(content, values, resolver)
    np.testing.assert_array_equal(found, expected)
    assert np.unique(found).size > 10


@pytest.mark.parametrize("position", [0, 1, 2])
def test_one_of_several_readers(position):
    model = tiny_models.conv2d(readers=3)
    values = tiny_models.samples(model, 1)
    alone = extracted(parsed(model), position)
    assert tiny_models.operator_names(alone) == ["CONV_2D"]
    (found,) = tiny_models.run_here(bytes(serde.serialize(alone)), values)
    np.testing.assert_array_equal(found, tiny_models.run_here(tiny_models.to_bytes(model), values)[position])


def test_the_second_of_two_operators_reads_the_first_ones_output():
    model = tiny_models.through_dequantize(tiny_models.conv2d(dtype="float32"))
    alone = extracted(parsed(model), 1)
    assert tiny_models.operator_names(alone) == ["CONV_2D"]
    assert [alone.subgraphs[0].tensors[i].name for i in alone.subgraphs[0].inputs] == [b"x", b"weight_float32"]


def test_the_weight_may_be_sparse():
    weights = block_sparse((32, 64), "int8", 16)
    make = lambda: tiny_models.fully_connected((32, 64), weights=weights, per_channel=False)  # noqa: E731
    sparse = read_natively(store_sparse(make(), compressed={1}, blocks={1: 16}, indices="uint8"))
    values = tiny_models.samples(sparse, 1)
    alone = extracted(parsed(sparse))
    assert find(parsed(alone), b"weight")[1].sparsity is not None
    (found,) = tiny_models.run_here(bytes(serde.serialize(alone)), values)
    np.testing.assert_array_equal(found, tiny_models.run_here(tiny_models.to_bytes(make()), values)[0])


def test_one_tensor_as_two_inputs():
    tiny = tiny_models.Tiny()
    x = tiny.activation("x", (1, 8), "float32")
    y = tiny.activation("y", (1, 8), "float32")
    options = tiny_models.schema.AddOptionsT()
    kind = tiny_models.schema.BuiltinOptions.AddOptions
    tiny.operator(tiny_models.schema.BuiltinOperator.ADD, 1, [x, x], [y], kind, options)
    alone = extracted(parsed(tiny.finished([x], [y])))
    assert len(alone.subgraphs[0].tensors) == 2
    assert alone.subgraphs[0].operators[0].inputs.tolist() == [0, 0]
    values = np.arange(8, dtype=np.float32).reshape(1, 8)
    np.testing.assert_array_equal(tiny_models.run_here(bytes(serde.serialize(alone)), values)[0], 2 * values)


def test_the_model_that_it_was_taken_from_stays():
    model = parsed(tiny_models.conv2d(readers=2))
    before = bytes(serde.serialize(model))
    alone = extracted(model, 1)
    alone.subgraphs[0].tensors[0].shape = np.array([9, 9], np.int32)
    alone.subgraphs[0].operators[0].builtinOptions.strideW = 7
    alone.operatorCodes[0].version = 99
    alone.buffers[1].data = np.zeros(1, np.uint8)
    assert bytes(serde.serialize(model)) == before
