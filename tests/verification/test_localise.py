"""Find the first tensor that differs, in execution order."""

import tempfile
from pathlib import Path

import numpy as np
import pytest

from helpers import odd_models, tiny_models
from helpers.channel_models import NETWORKS, Network
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import Graph
from tflite_sparse.rewrites.dead_channels import removal
from tflite_sparse.runtime import litert
from tflite_sparse.verification.in_litert import LiteRTRuntime
from tflite_sparse.verification.localise import Localiser
from tflite_sparse.verification.runtimes import Form

pytestmark = pytest.mark.usefixtures("in_this_process")
every_runtime = pytest.mark.parametrize("kernels", litert.KERNELS_TO_VERIFY)


@pytest.fixture
def write(tmp_path):
    def to_file(model, name):
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(tiny_models.to_bytes(model))
        return path

    return to_file


def first_difference(path, reference, sample, kernels, *, signature=None):
    runtime = LiteRTRuntime(kernels)
    with tempfile.TemporaryDirectory() as name:
        return Localiser(path, reference, Path(name), signature).first_difference(Form(runtime, runtime), sample)


def shift_bias(tensor, model):
    model.buffers[tensor.buffer].data = (model.buffers[tensor.buffer].data.view(np.int32) + 9000).view(np.uint8)


def larger_scale(tensor, model):
    tensor.quantization.scale = tensor.quantization.scale * np.float32(1.5)


@every_runtime
def test_the_part_of_a_tensor_that_is_left_is_compared(write, kernels):
    """Four channels went, and the bias of one that stayed is another."""
    net = Network()
    x = net.conv(net.source, 16, 1, unread=())
    model = net.finished(net.conv(x, 6, 1, unread=range(4)))
    reference, changed = write(model, "reference"), serde.parse(tiny_models.to_bytes(model))
    cut = removal.remove(changed)
    graph = Graph(changed, changed.subgraphs[0])
    bias = graph.tensor(int(graph.operators[0].inputs[2]))
    graph.store(bias, graph.constant(int(graph.operators[0].inputs[2])) + np.int32(9000))
    path = reference.with_name("changed.tflite")
    serde.write(changed, path)
    runtime = LiteRTRuntime(kernels)
    form, sample = Form(runtime, runtime), [net.samples()[0]]
    with tempfile.TemporaryDirectory() as name:
        found = Localiser(path, reference, Path(name), None, cut.activations).first_difference(form, sample)
    assert (found.index, found.operator) == (x, "CONV_2D")


def test_sizes_are_not_compared_where_channels_went(write):
    """A SHAPE yields the number of channels, and a PACK the number of features."""
    net, y = NETWORKS["open_batch"]("int8")
    reference = write(net.finished(y), "reference")
    smaller = serde.read(reference)
    cut = removal.remove(smaller)
    path = reference.with_name("smaller.tflite")
    serde.write(smaller, path)
    runtime = LiteRTRuntime("builtin")
    with tempfile.TemporaryDirectory() as name:
        localiser = Localiser(path, reference, Path(name), None, cut.activations)
        assert localiser.first_difference(Form(runtime, runtime), [net.samples()[0]]) is None


SAMPLE = [np.arange(-80, 80, 10, dtype=np.int8)[None]]


def values_of(path, name, kernels):
    """Return the values of a tensor after the sample, computed without the library under test."""
    model = odd_models.schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    graph = model.subgraphs[0]
    (index,) = [index for index, tensor in enumerate(graph.tensors) if tensor.name == name.encode()]
    count = next(number for number, operator in enumerate(graph.operators, 1) if index in operator.outputs)
    graph.operators, graph.outputs, model.signatureDefs = graph.operators[:count], np.array([index], np.int32), []
    return tiny_models.run_here(tiny_models.to_bytes(model), SAMPLE[0], tiny_models.RESOLVERS[kernels])[0].astype(int)


@every_runtime
@pytest.mark.parametrize(
    ("changed", "edit", "tensor"),
    [("bias", shift_bias, "y"), ("y", larger_scale, "y"), ("hidden", larger_scale, "hidden")],
)
def test_two_layers(changed, edit, tensor, kernels, write):
    dense = write(odd_models.two_layers(), "dense")
    other = write(odd_models.edited(odd_models.two_layers(), changed, edit), "other")
    found = first_difference(other, dense, SAMPLE, kernels)
    assert (found.tensor, found.operator, found.note) == (tensor, "FULLY_CONNECTED", None)
    one, two = (values_of(path, tensor, kernels) for path in (other, dense))
    assert found.largest == np.abs(one - two).max() > 1


@pytest.mark.parametrize("name", ["small", "large"])
def test_in_the_graph_of_a_signature(name, write):
    dense = write(odd_models.two_signatures(), "dense")
    model = odd_models.two_signatures()
    biases = [tensor for graph in model.subgraphs for tensor in graph.tensors if tensor.name == "bias"]
    shift_bias(biases[1], model)
    sample = [np.ones((1, 16 if name == "small" else 32), np.int8)]
    found = first_difference(write(model, "other"), dense, sample, "compiled_model", signature=name)
    if name == "large":
        assert (found.tensor, found.operator) == ("y0", "FULLY_CONNECTED")
    else:
        assert found is None


def test_across_the_rewrite_of_a_layer(encode):
    """In the encoded file another operator yields the tensor; the report uses its name in the dense file."""
    pair = encode(odd_models.two_layers(600, 64, density=0.1))
    assert "CONV_2D" in pair.operators
    pair.sparse.write_bytes(tiny_models.to_bytes(odd_models.edited(pair.model, "bias", shift_bias)))
    found = first_difference(pair.sparse, pair.dense, SAMPLE, "builtin")
    assert (found.tensor, found.operator) == ("y", "FULLY_CONNECTED")


def test_files_without_a_tensor_in_common(write):
    dense = write(odd_models.two_layers(), "dense")
    other = odd_models.two_layers()
    for tensor in other.subgraphs[0].tensors:
        tensor.name = f"{tensor.name}, as another converter calls it"
    found = first_difference(write(other, "other"), dense, SAMPLE, "builtin")
    assert found.tensor is None
    assert "no activation tensor in common" in found.note


def test_a_file_that_does_not_run(write):
    dense = write(odd_models.two_layers(), "dense")
    found = first_difference(write(odd_models.recurrent(), "other"), dense, SAMPLE, "builtin")
    assert found.tensor is None
    assert "do not run" in found.note


def test_both_files_are_read_and_copied_once_for_every_runtime(write, tmp_path, monkeypatch):
    dense = write(odd_models.two_layers(), "dense")
    other = write(odd_models.edited(odd_models.two_layers(), "bias", shift_bias), "other")
    calls, read, write_file = [], serde.read, serde.write
    monkeypatch.setattr(serde, "read", lambda path: calls.append(path) or read(path))
    monkeypatch.setattr(serde, "write", lambda model, path: calls.append(path) or write_file(model, path))
    found = Localiser(other, dense, tmp_path)
    for kernels in ("default", "builtin", "reference"):
        runtime = LiteRTRuntime(kernels)
        assert found.first_difference(Form(runtime, runtime), SAMPLE).tensor == "y"
    assert sorted(calls) == sorted([other, dense, tmp_path / "file.tflite", tmp_path / "reference.tflite"])
