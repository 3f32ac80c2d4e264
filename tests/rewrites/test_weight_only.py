"""Test outputs of files with float weights stored as int8 behind DEQUANTIZE, dense and sparse."""

import numpy as np
import pytest

from helpers import tiny_models
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs, text
from tflite_sparse.rewrites import weight_only

MODELS = {
    "CONV_2D": lambda: tiny_models.conv2d(dtype="float32"),
    "DEPTHWISE_CONV_2D": lambda: tiny_models.depthwise_conv2d(dtype="float32"),
    "FULLY_CONNECTED": lambda: tiny_models.fully_connected((32, 160), dtype="float32"),
}


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
    scales = tensor.quantization.scale.reshape([-1 if i == axis else 1 for i in range(after.ndim)])
    assert np.all(np.abs(after * scales - before) <= 0.5001 * scales)
    values = tiny_models.samples(source_model)
    (exact,), (found,) = (tiny_models.run_here(serde.serialize(each), values) for each in (source_model, model))
    assert 0 < np.abs(found - exact).max() < 0.05 * np.ptp(exact)
    pair = encode(model)
    assert pair.choice().form is not None
    assert "DENSIFY" in pair.operators
    pair.check_same(values)


def test_a_weight_that_others_read_stays():
    count, model = rewritten(tiny_models.conv2d())  # int8 already
    assert count == 0
    assert "DEQUANTIZE" not in tiny_models.operator_names(model)


def test_channels_of_zeros_have_a_scale():
    values = np.zeros((2, 4), np.float32)
    values[1] = [1, -2, 0, 0.5]
    rounded, scales = weight_only.quantised(values, 0)
    np.testing.assert_array_equal(rounded, [[0, 0, 0, 0], [64, -127, 0, 32]])
    np.testing.assert_allclose(scales, [1, 2 / 127])
