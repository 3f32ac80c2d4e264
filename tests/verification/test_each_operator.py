"""Compare one file in two runtimes: accumulated rounding is no fault, an operator with another result is one."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import odd_models, tiny_models
from tflite_sparse.base.progress import Silent
from tflite_sparse.errors import ExecutionError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.verification import across
from tflite_sparse.verification.each_operator import first_unexplained
from tflite_sparse.verification.in_litert import LiteRTRuntime
from tflite_sparse.verification.observation import by_index
from tflite_sparse.verification.runtimes import Subject

pytestmark = pytest.mark.usefixtures("in_this_process")
LITERT = LiteRTRuntime("builtin")
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


class OffBy:
    """A runtime in which the operator that yields this tensor adds so many steps: LiteRT with another bias."""

    name = "off"

    def __init__(self, steps, tensor):
        self.steps, self.tensor = steps, tensor

    def run(self, path, samples, signature=None):
        model = serde.read(path)
        (graph,) = model.subgraphs
        for operator in graph.operators:
            output = graph.tensors[operator.outputs[0]]
            if output.name == self.tensor.encode():
                x, weight, bias = (graph.tensors[index] for index in operator.inputs)
                step = output.quantization.scale / (x.quantization.scale * weight.quantization.scale)
                values = np.array(model.buffers[bias.buffer].data).view(np.int32) + np.round(self.steps * step)
                model.buffers[bias.buffer].data = values.astype(np.int32).view(np.uint8)
        spoilt = path.with_name("spoilt.tflite")
        serde.write(model, spoilt)
        return LITERT.run(spoilt, samples)

    def tensors(self, kept, sample):
        return by_index(self.run(kept.copy, [sample]))


@pytest.mark.parametrize("name", ["hidden", "y"])
def test_the_operator_that_computes_something_else_is_named(name, path):
    runtime = OffBy(9, name)
    found = first_unexplained(path, SAMPLE, runtime.run(path, [SAMPLE]).rows[0], runtime, LITERT)
    assert (found.tensor, found.operator, found.note) == (name, "FULLY_CONNECTED", None)
    assert 8 <= found.largest <= 10


def test_a_rounding_that_grows_on_its_way_is_none(path):
    """A step in the hidden tensor makes several in the output."""
    runtime = OffBy(1, "hidden")
    (outputs,) = runtime.run(path, [SAMPLE]).rows
    (expected,) = LITERT.run(path, [SAMPLE]).rows
    assert np.abs(outputs[0].astype(int) - expected[0].astype(int)).max() > 2
    assert first_unexplained(path, SAMPLE, outputs, runtime, LITERT) is None


def test_outputs_that_change_when_tensors_are_kept(path):
    (outputs,) = LITERT.run(path, [SAMPLE]).rows
    found = first_unexplained(path, SAMPLE, [outputs[0] + np.int8(1)], LITERT, LITERT)
    assert found.tensor is None
    assert "some lie on top of others" in found.note


def test_copies_that_do_not_run(path):
    class Refusing(OffBy):
        def run(self, path, samples, signature=None):
            raise ExecutionError(f"no room for {path}")

    found = first_unexplained(path, SAMPLE, LITERT.run(path, [SAMPLE]).rows[0], Refusing(0, "y"), LITERT)
    assert found.note == "copies that yield their intermediate tensors do not run: no room for kept.tflite"


@pytest.mark.parametrize(("steps", "explained"), [(0, True), (1, True), (9, False)])
def test_outputs_of_two_runtimes(steps, explained, path):
    samples = [SAMPLE, (SAMPLE[0][:, ::-1].copy(),)]
    runtime = OffBy(steps, "y")
    yielded, expected = runtime.run(path, samples), LITERT.run(path, samples)
    one, two = across.Yielded(runtime, yielded), across.Yielded(LITERT, expected)
    found = across.compare(Subject.of(path), samples, one, two, Silent(), gate=True)
    apart = [
        np.abs(a.astype(int) - b.astype(int)).max() for (a,), (b,) in zip(yielded.rows, expected.rows, strict=True)
    ]
    assert (found.runtime, found.beside, found.samples) == ("off", LITERT.name, 2)
    assert [each.largest_difference for each in found.differences] == [max(apart)] * (steps > 0)
    assert found.largest_difference == max(apart)
    assert found.explained is explained
    assert (found.first_difference is None) == explained
    if not explained:
        assert (found.first_difference.tensor, found.first_difference.sample) == ("y", int(np.argmax(apart)))
