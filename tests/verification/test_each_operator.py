"""Where one file parts in two runtimes: rounding that adds up is no fault, an operator that computes otherwise is."""

from functools import partial

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import odd_models, tiny_models
from tflite_sparse.base.progress import Silent
from tflite_sparse.errors import ExecutionError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.runtime import litert
from tflite_sparse.verification import across_runtimes
from tflite_sparse.verification.each_operator import first_unexplained

pytestmark = pytest.mark.usefixtures("in_this_process")
LITERT = partial(litert.run_separately, kernels="builtin", threads=1)
SAMPLE = (np.arange(-80, 80, 10, dtype=np.int8)[None],)


@pytest.fixture
def path(tmp_path):
    """Two layers, ``hidden`` and ``y``, both with a bias."""
    model = odd_models.two_layers()
    (graph,) = model.subgraphs
    first = graph.operators[0]
    weight = graph.tensors[first.inputs[1]]
    bias = schema.TensorT()
    bias.name, bias.type, bias.shape, bias.hasRank = "first bias", schema.TensorType.INT32, np.array([24]), True
    bias.quantization = tiny_models.quantization(tiny_models.INPUT_SCALE * weight.quantization.scale)
    bias.buffer = len(model.buffers)
    model.buffers.append(schema.BufferT())
    model.buffers[-1].data = np.zeros(24, np.int32).view(np.uint8)
    first.inputs = np.array([*first.inputs[:2], len(graph.tensors)], np.int32)
    graph.tensors.append(bias)
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny_models.to_bytes(model))
    return path


def off_by(steps, name):
    """A runtime in which the operator that yields this tensor adds so many steps: LiteRT with another bias."""

    def run(path, samples):
        model = serde.read(path)
        (graph,) = model.subgraphs
        for operator in graph.operators:
            output = graph.tensors[operator.outputs[0]]
            if output.name == name.encode():
                x, weight, bias = (graph.tensors[index] for index in operator.inputs)
                step = output.quantization.scale / (x.quantization.scale * weight.quantization.scale)
                values = np.array(model.buffers[bias.buffer].data).view(np.int32) + np.round(steps * step)
                model.buffers[bias.buffer].data = values.astype(np.int32).view(np.uint8)
        spoilt = path.with_name("spoilt.tflite")
        serde.write(model, spoilt)
        return LITERT(spoilt, samples)

    return run


@pytest.mark.parametrize("name", ["hidden", "y"])
def test_the_operator_that_computes_something_else_is_named(name, path):
    run = off_by(9, name)
    found = first_unexplained(path, SAMPLE, run(path, [SAMPLE]).rows[0], run, LITERT)
    assert (found.tensor, found.operator, found.note) == (name, "FULLY_CONNECTED", None)
    assert 8 <= found.largest <= 10


def test_a_rounding_that_grows_on_its_way_is_none(path):
    """A step in the hidden tensor makes several in the output."""
    run = off_by(1, "hidden")
    (outputs,) = run(path, [SAMPLE]).rows
    (expected,) = LITERT(path, [SAMPLE]).rows
    assert np.abs(outputs[0].astype(int) - expected[0].astype(int)).max() > 2
    assert first_unexplained(path, SAMPLE, outputs, run, LITERT) is None


def test_outputs_that_change_when_tensors_are_kept(path):
    (outputs,) = LITERT(path, [SAMPLE]).rows
    found = first_unexplained(path, SAMPLE, [outputs[0] + np.int8(1)], LITERT, LITERT)
    assert found.tensor is None
    assert "some lie on top of others" in found.note


def test_copies_that_do_not_run(path):
    def refuse(path, samples):
        raise ExecutionError(f"no room for {path}")

    found = first_unexplained(path, SAMPLE, LITERT(path, [SAMPLE]).rows[0], refuse, LITERT)
    assert found.note == "copies that yield their intermediate tensors do not run: no room for kept.tflite"


@pytest.mark.parametrize(("steps", "explained"), [(0, True), (1, True), (9, False)])
def test_outputs_of_two_runtimes(steps, explained, path):
    samples = [SAMPLE, (SAMPLE[0][:, ::-1].copy(),)]
    run = off_by(steps, "y")
    yielded, expected = run(path, samples), LITERT(path, samples)
    found = across_runtimes.compare(path, samples, yielded, expected, run, LITERT, Silent())
    apart = [
        np.abs(a.astype(int) - b.astype(int)).max() for (a,), (b,) in zip(yielded.rows, expected.rows, strict=True)
    ]
    assert [each.largest for each in found.outputs] == [max(apart)] * (steps > 0)
    assert (found.unexplained is None) == explained
    if not explained:
        assert (found.unexplained.tensor, found.sample) == ("y", int(np.argmax(apart)))
