"""Test outputs of files with float weights stored as int8 behind DEQUANTIZE, dense and sparse."""

from copy import deepcopy

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import tiny_models
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs, text
from tflite_sparse.rewrites import weight_only

MODELS = {
    "CONV_2D": lambda: tiny_models.conv2d(dtype="float32"),
    "DEPTHWISE_CONV_2D": lambda: tiny_models.depthwise_conv2d(dtype="float32"),
    "FULLY_CONNECTED": lambda: tiny_models.fully_connected((32, 160), dtype="float32"),
    "TRANSPOSE_CONV": lambda: tiny_models.transpose_conv(dtype="float32"),
}
CHANNEL_AXES = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0, "TRANSPOSE_CONV": 0}


def rewritten(model):
    copy = serde.parse(tiny_models.to_bytes(model))
    return weight_only.apply(copy), copy


def weight_of(model):
    graph = next(graphs(model))
    index = next(i for i, tensor in enumerate(graph.subgraph.tensors) if text(tensor.name) == "weight")
    return graph.constant(index), graph.tensor(index)


@pytest.mark.parametrize("name", MODELS)
def test_outputs_are_those_of_the_rounded_weights_and_sparse_equals_dense(name, encode):
    source = MODELS[name]()
    count, model = rewritten(source)
    assert count == 1
    assert tiny_models.operator_names(model) == ["DEQUANTIZE", name]
    before, _ = weight_of(source_model := serde.parse(tiny_models.to_bytes(source)))
    after, tensor = weight_of(model)
    assert after.dtype == np.int8
    np.testing.assert_array_equal(after[before == 0], 0)
    axis = tensor.quantization.quantizedDimension
    assert axis == CHANNEL_AXES[name]
    scales = tensor.quantization.scale.reshape([-1 if i == axis else 1 for i in range(after.ndim)])
    assert np.all(np.abs(after * scales - before) <= 0.5001 * scales)
    values = tiny_models.samples(source_model)
    (exact,), (found,) = (tiny_models.run_here(serde.serialize(each), values) for each in (source_model, model))
    assert 0 < np.abs(found - exact).max() < 0.05 * np.ptp(exact)
    pair = encode(model)
    assert pair.choice().form is not None
    assert "DENSIFY" in pair.operators
    pair.check_same(values)


@pytest.mark.parametrize("name", MODELS)
def test_scales_are_those_of_output_channels(name):
    tensor = weight_of(rewritten(MODELS[name]())[1])[1]
    axis = CHANNEL_AXES[name]
    assert (tensor.quantization.quantizedDimension, len(tensor.quantization.scale)) == (axis, tensor.shape[axis])


def test_a_weight_that_others_read_stays():
    count, model = rewritten(tiny_models.conv2d())  # int8 already
    assert count == 0
    assert "DEQUANTIZE" not in tiny_models.operator_names(model)


def test_channels_of_zeros_have_a_scale():
    values = np.zeros((3, 4), np.float32)
    values[1] = [1, -2, 0, 0.5]
    values[2] = [0.25, 0, -0.125, 0]
    rounded, scales = weight_only.quantised(values, 0)
    np.testing.assert_array_equal(rounded, [[0, 0, 0, 0], [64, -127, 0, 32], [127, 0, -64, 0]])
    np.testing.assert_allclose(scales, [1, 2 / 127, 0.25 / 127])
    assert (rounded.dtype, scales.dtype) == (np.int8, np.float32)


def test_the_smallest_numbers_do_not_overflow():
    """150 steps of the smallest float32 by a scale of 150 / 127, which is rounded to one step."""
    step = 2.0**-149
    rounded, scales = weight_only.quantised(np.array([[150 * step, -150 * step, step]], np.float32), 0)
    assert (rounded.tolist(), scales.tolist()) == ([[127, -127, 1]], [step])


def as_output(model):
    model.subgraphs[0].outputs = np.array([*model.subgraphs[0].outputs, 1], np.int32)
    return model


def as_data_too(model):
    model.subgraphs[0].operators[0].inputs = np.array([1, 1, 2], np.int32)
    return model


def of_two_kinds(model):
    """The second reader counts its channels along another axis."""
    other = tiny_models.depthwise_conv2d(dtype="float32")
    model.operatorCodes.append(other.operatorCodes[0])
    operator, made = model.subgraphs[0].operators[-1], other.subgraphs[0].operators[0]
    operator.opcodeIndex = len(model.operatorCodes) - 1
    operator.builtinOptionsType, operator.builtinOptions = made.builtinOptionsType, made.builtinOptions
    return model


@pytest.mark.parametrize(
    ("model", "count"),
    [
        (tiny_models.fully_connected((4, 128), dtype="float32"), 1),
        (tiny_models.fully_connected((7, 73), dtype="float32"), 0),  # 511 values
        (as_output(tiny_models.fully_connected((4, 128), dtype="float32")), 0),
        (as_data_too(tiny_models.fully_connected((4, 128), dtype="float32")), 0),
        (tiny_models.conv2d(dtype="float32", readers=2), 1),
        (of_two_kinds(tiny_models.conv2d(dtype="float32", readers=2)), 0),
        (tiny_models.elementwise("ADD", dtype="float32"), 0),
    ],
    ids=["512", "511", "output", "data", "two readers", "two kinds", "add"],
)
def test_what_is_taken(model, count):
    assert rewritten(model)[0] == count


def test_weights_of_every_graph_are_counted():
    model = tiny_models.fully_connected((4, 128), dtype="float32")
    model.subgraphs.append(deepcopy(model.subgraphs[0]))
    assert rewritten(model)[0] == 2


def test_one_dequantize_stands_before_all_readers():
    _, model = rewritten(tiny_models.conv2d(dtype="float32", readers=2))
    graph = next(graphs(model))
    first, *readers = graph.operators
    assert tiny_models.operator_names(model) == ["DEQUANTIZE", "CONV_2D", "CONV_2D"]
    assert model.operatorCodes[first.opcodeIndex].version == 5
    assert first.builtinOptionsType == schema.BuiltinOptions.DequantizeOptions
    assert isinstance(first.builtinOptions, schema.DequantizeOptionsT)
    rebuilt = int(first.outputs[0])
    assert [int(index) for index in first.inputs] == [1]
    assert [int(reader.inputs[1]) for reader in readers] == [rebuilt] * 2
    stored, tensor = graph.tensor(1), graph.tensor(rebuilt)
    assert (text(tensor.name), tensor.shape.tolist()) == (text(stored.name), stored.shape.tolist())
    assert (stored.type, tensor.type) == (schema.TensorType.INT8, schema.TensorType.FLOAT32)
    assert tensor.quantization is None
    assert not np.any(stored.quantization.zeroPoint)
    assert len(stored.quantization.zeroPoint) == len(stored.quantization.scale) == stored.shape[0]
