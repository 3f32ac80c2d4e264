"""Test shifted biases: outputs move by the shift, and nothing else changes."""

import numpy as np
import pytest

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


def test_biases_stay_within_their_type():
    model = tiny_models.conv2d((16, 3, 3, 8))
    graph = next(graphs(model))
    assert bias_correction.apply(graph, {int(graph.subgraph.outputs[0]): np.full(16, 1e9)}) == 1
    values = graph.constant(int(graph.operators[0].inputs[2]))
    assert set(values) == {np.iinfo(np.int32).min}
