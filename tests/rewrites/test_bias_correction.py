"""Test shifted biases: outputs move by the shift, and nothing else changes."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import tiny_models
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs, indices
from tflite_sparse.rewrites import bias_correction

STEPS = 5
MODELS = {
    "conv": lambda: tiny_models.conv2d((16, 3, 3, 8)),
    "one scale for all channels": lambda: tiny_models.conv2d((16, 3, 3, 8), per_channel=False),
    "depthwise": lambda: tiny_models.depthwise_conv2d(16),
    "dense": lambda: tiny_models.fully_connected((16, 160)),
    "dense without bias": lambda: tiny_models.fully_connected((16, 160), bias=False),
    "int16 data": lambda: tiny_models.fully_connected((16, 160), data_dtype="int16"),
    "int16 data without bias": lambda: tiny_models.fully_connected((16, 160), data_dtype="int16", bias=False),
}


def corrected(model, outputs=1):
    """Return the model, and one whose channels are shifted by some steps of the output, more in later ones."""
    before, after = (serde.parse(tiny_models.to_bytes(model)) for _ in range(2))
    graph = next(graphs(after))
    yielded = indices(graph.subgraph.outputs)[:outputs]
    steps = STEPS * np.arange(-4, 12)
    count = bias_correction.apply(
        graph, {index: steps * float(graph.tensor(index).quantization.scale[0]) for index in yielded}
    )
    return before, after, steps, count


def changes(before, after):
    """Return for each output the difference, and where neither is at the end of the range."""
    values = tiny_models.samples(before)
    for a, b in zip(*(tiny_models.run_here(serde.serialize(each), values) for each in (before, after)), strict=True):
        limits = np.iinfo(a.dtype)
        inside = (a > limits.min) & (a < limits.max) & (b > limits.min) & (b < limits.max)
        yield b.astype(int) - a, inside


@pytest.mark.parametrize("name", MODELS)
def test_outputs_move_by_the_shift(name):
    before, after, steps, count = corrected(MODELS[name]())
    assert count == 1
    ((difference, inside),) = changes(before, after)
    assert inside.mean() > 0.5
    assert np.abs(difference + steps)[inside].max() <= 1, "one for rounding"


def test_a_bias_that_others_read_is_not_touched():
    before, after, steps, count = corrected(tiny_models.conv2d((16, 3, 3, 8), readers=2))
    assert count == 1
    (first, inside), (second, _) = changes(before, after)
    assert np.abs(first + steps)[inside].max() <= 1
    assert not second.any()


@pytest.mark.parametrize("model", [tiny_models.conv2d(dtype="float32"), tiny_models.conv2d(data_dtype="float32")])
def test_float_layers_stay(model):
    graph = next(graphs(model))
    content = tiny_models.to_bytes(model)
    assert bias_correction.apply(graph, {int(graph.subgraph.outputs[0]): np.ones(16)}) == 0
    assert tiny_models.to_bytes(model) == content


def test_a_shift_below_half_a_step_adds_nothing():
    model = tiny_models.fully_connected((16, 160), bias=False)
    graph = next(graphs(model))
    assert bias_correction.apply(graph, {int(graph.subgraph.outputs[0]): np.full(16, 1e-9)}) == 0
    assert list(graph.operators[0].inputs)[2] == -1


@pytest.mark.parametrize(("shift", "bound"), [(1e9, np.iinfo(np.int32).min), (-1e9, np.iinfo(np.int32).max)])
def test_biases_stay_within_their_type(shift, bound):
    model = tiny_models.conv2d((16, 3, 3, 8))
    graph = next(graphs(model))
    assert bias_correction.apply(graph, {int(graph.subgraph.outputs[0]): np.full(16, shift)}) == 1
    values = graph.constant(int(graph.operators[0].inputs[2]))
    assert set(values) == {bound}


def bias_of(graph, place=0):
    index = int(graph.operators[place].inputs[2])
    return graph.tensor(index), graph.constant(index)


@pytest.mark.parametrize("data_dtype", ["int8", "int16"])
@pytest.mark.parametrize("what", ["own", "shared", "output", "missing"])
def test_a_bias_loses_the_shift_in_its_own_steps(what, data_dtype):
    """It is stored in place where one operator alone reads it, else in a tensor of its own."""
    options = {"readers": 2} if what == "shared" else {"bias": False} if what == "missing" else {}
    model = serde.parse(tiny_models.to_bytes(tiny_models.fully_connected((16, 160), data_dtype=data_dtype, **options)))
    graph = next(graphs(model))
    source, weight = (graph.tensor(int(index)) for index in graph.operators[0].inputs[:2])
    result = int(graph.operators[0].outputs[0])
    before = np.zeros(16, int) if what == "missing" else bias_of(graph)[1].copy()
    former, count = int(graph.operators[0].inputs[2]), len(graph.subgraph.tensors)
    if what == "output":
        graph.subgraph.outputs = np.array([*graph.subgraph.outputs, former], np.int32)
    steps = np.float64(source.quantization.scale[0]) * weight.quantization.scale.astype(np.float64)
    shift = np.linspace(-100.4, 100.4, 16) * steps
    assert bias_correction.apply(graph, {result: shift}) == 1
    tensor, after = bias_of(graph)
    assert after.dtype == {"int8": np.int32, "int16": np.int64}[data_dtype]
    assert after.tolist() == (before - np.round(shift / steps).astype(int)).tolist()
    if what == "own":
        assert int(graph.operators[0].inputs[2]) == former
        assert len(graph.subgraph.tensors) == count
        return
    assert int(graph.operators[0].inputs[2]) == count
    assert tensor.name == "weight/corrected_bias"
    assert tensor.type == {"int8": schema.TensorType.INT32, "int16": schema.TensorType.INT64}[data_dtype]
    assert indices(tensor.shape) == [16]
    np.testing.assert_array_equal(tensor.quantization.scale, steps.astype(np.float32))
    assert tensor.quantization.scale.dtype == np.float32
    assert indices(tensor.quantization.zeroPoint) == [0] * 16
    assert tensor.quantization.quantizedDimension == 0
    if what != "missing":
        np.testing.assert_array_equal(graph.constant(former), before)


def test_an_operator_with_two_inputs_gets_a_third():
    model = tiny_models.fully_connected((16, 160))
    graph = next(graphs(model))
    graph.operators[0].inputs = graph.operators[0].inputs[:2]
    assert bias_correction.apply(graph, {int(graph.subgraph.outputs[0]): np.ones(16)}) == 1
    assert len(indices(graph.operators[0].inputs)) == 3
    assert bias_of(graph)[1].any()


def test_a_bias_may_be_the_first_tensor():
    model = tiny_models.fully_connected((16, 160))
    graph = next(graphs(model))
    x, weight, bias, y = graph.subgraph.tensors
    graph.subgraph.tensors = [bias, x, weight, y]
    graph.operators[0].inputs = np.array([1, 2, 0], np.int32)
    before = graph.constant(0).copy()
    steps = x.quantization.scale.astype(np.float64) * weight.quantization.scale.astype(np.float64)
    assert bias_correction.apply(graph, {3: 100 * steps}) == 1
    assert graph.constant(0).tolist() == (before - 100).tolist()
    assert len(graph.subgraph.tensors) == 4
    assert [int(index) for index in graph.operators[0].inputs] == [1, 2, 0]
