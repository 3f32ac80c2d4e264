"""Test the dense file without channels: what of it goes, and where what remains of a kernel lies."""

import numpy as np
import pytest

from helpers import tiny_models
from helpers.channel_models import Network
from tflite_sparse.fitting.channel_file import ChannelFile
from tflite_sparse.fitting.costs import Costs
from tflite_sparse.fitting.kernels_in_file import Constant
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import Graph
from tflite_sparse.measurement import operators
from tflite_sparse.planning import encoder, sharing
from tflite_sparse.pruning.channel_groups import ChannelGroup, Part
from tflite_sparse.rewrites.dead_channels import removal
from tflite_sparse.sources.source_model import Kernel
from tflite_sparse.targets import litert as litert_target
from tflite_sparse.targets.micro import Micro

CHANNELS, KEPT = 32, 16
ORDERS = {"first": (1, 2, 3, 0), "depthwise": (1, 2, 3, 0), "last": (1, 2, 3, 0)}  # of the file's axes in Keras


def kernel(name, values):
    return Kernel(name, "Conv2D", values.shape, lambda: values, lambda new: None)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Three layers, a depthwise one with SAME padding between, and the group of channels that goes through them."""
    net = Network(shape=(1, 6, 6, 8))
    x = net.conv(net.source, CHANNELS, 1, relu=True)
    x = net.depthwise(x, 3, relu=True)
    path = tmp_path_factory.mktemp("file") / "dense.tflite"
    path.write_bytes(tiny_models.to_bytes(net.finished(net.conv(x, 24, 1))))
    model = serde.read(path)
    graph = Graph(model, model.subgraphs[0])
    stored = [graph.constant(int(operator.inputs[1])).astype(np.float32) for operator in graph.operators]
    kernels = [kernel(name, values.transpose(ORDERS[name])) for name, values in zip(ORDERS, stored, strict=True)]
    channels = np.arange(CHANNELS)
    first, depthwise, last = (
        Part(each, None, axis, channels) for each, axis in zip(kernels, (-1, -2, -2), strict=True)
    )
    return path, kernels, ChannelGroup("g", CHANNELS, (first,), (depthwise,), (last,))


@pytest.fixture(scope="module")
def trimmed(made):
    path, kernels, group = made
    kept = np.arange(CHANNELS) % 2 == 1
    return kept, ChannelFile.of(path, kernels, [group]).without({group: kept})


def multiply_adds(model):
    return [each.multiply_adds for each in operators.of_model(model)]


def test_each_layer_loses_what_the_channels_took(made, trimmed):
    path, *_ = made
    pixels = 36
    assert multiply_adds(serde.read(path)) == [pixels * 8 * CHANNELS, pixels * 9 * CHANNELS, pixels * CHANNELS * 24]
    assert multiply_adds(trimmed[1].model) == [pixels * 8 * KEPT, pixels * 9 * KEPT, pixels * KEPT * 24]


def test_masks_of_whole_kernels_fit_what_is_left_of_them(made, trimmed):
    path, kernels, _ = made
    _, without = trimmed
    model = serde.read(path)
    index = int(Graph(model, model.subgraphs[0]).operators[2].inputs[1])
    found = without.constant(Constant(0, index, (3, 0, 1, 2)))
    left = Graph(without.model, without.model.subgraphs[0]).constant(found.tensor)
    np.testing.assert_array_equal(found.in_file(kernels[2].read(), left.shape), left)
    assert left.shape == (24, 1, 1, KEPT)
    untouched = Constant(0, 999, (0, 1))
    assert without.constant(untouched) == untouched


def test_prices_are_those_of_what_remains(made, trimmed, tmp_path):
    path, kernels, _ = made
    model = serde.read(path)
    index = int(Graph(model, model.subgraphs[0]).operators[2].inputs[1])
    without = tmp_path / "without.tflite"
    serde.write(trimmed[1].model, without)
    constant = trimmed[1].constant(Constant(0, index, (3, 0, 1, 2)))
    costs = Costs(without, {"last": constant}, lambda: litert_target.answer, lambda file, dense: None)
    assert costs.pricer("last")(np.ones(kernels[2].shape, bool)) == {None: 24 * KEPT}
    assert costs.sizes({}).file_bytes == without.stat().st_size < path.stat().st_size


@pytest.mark.parametrize("of_all", [8, None])
def test_values_are_shared_before_channels_go(tmp_path, of_all):
    """A kernel of 2,560 weights shares values, though 1,280 are left, as in the file of an export."""
    net = Network(shape=(1, 6, 6, 8))
    path, without, shared, file = (tmp_path / f"{name}.tflite" for name in ("whole", "without", "shared", "file"))
    path.write_bytes(tiny_models.to_bytes(net.finished(net.conv(net.conv(net.source, CHANNELS, 1, relu=True), 80, 1))))
    model = serde.read(path)
    graph = Graph(model, model.subgraphs[0])
    (first_index, bias_index), (last_index, _) = (operator.inputs[1:] for operator in graph.operators)
    first, last = (
        kernel(name, graph.constant(int(index)).astype(np.float32).transpose(ORDERS[name]))
        for name, index in (("first", first_index), ("last", last_index))
    )
    channels, kept = np.arange(CHANNELS), np.arange(CHANNELS) % 2 == 1
    group = ChannelGroup("g", CHANNELS, (Part(first, None, -1, channels),), (), (Part(last, None, -2, channels),))
    made = ChannelFile.of(path, [first, last], [group]).without({group: kept})
    serde.write(made.model, without)
    constant = made.constant(Constant(0, int(last_index), (3, 0, 1, 2)))
    costs = Costs(without, {"last": constant}, Micro, lambda *files: None, shared_values=of_all)

    mask = (np.random.default_rng(0).random(last.shape) < 0.3) & kept[:, None]
    assert costs.can_share("last")
    price, counts = costs.pricer("last"), (None, 8)
    assert price(mask, counts).keys() == set(counts)
    assert price(np.broadcast_to(kept[:, None], last.shape), counts).keys() == {None}, "what is left has no zeros"

    for index, left in ((first_index, kept[:, None, None, None]), (bias_index, kept)):
        graph.store(graph.tensor(index), np.where(left, graph.constant(index), 0).astype(graph.constant(index).dtype))
    of_last = mask.transpose(constant.axes).reshape(graph.constant(last_index).shape)
    graph.store(graph.tensor(last_index), np.where(of_last, graph.constant(last_index), 0).astype(np.int8))
    assert len(sharing.share(model, 8)) == 1
    removal.remove(model)
    serde.write(model, shared)
    encoder.encode_file(shared, file, Micro())
    assert costs.sizes({"last": mask}, {} if of_all else {"last": 8}).file_bytes == file.stat().st_size


def test_channels_that_die_under_masks_leave_the_predicted_file(made):
    path, kernels, _ = made
    model = serde.read(path)
    index = int(Graph(model, model.subgraphs[0]).operators[2].inputs[1])
    costs = Costs(path, {"last": Constant(0, index, (3, 0, 1, 2))}, lambda: litert_target.answer, lambda *files: None)
    mask = np.broadcast_to((np.arange(CHANNELS) < KEPT)[:, None], kernels[2].shape)  # nothing reads the others
    found = costs.sizes({"last": mask})
    assert found.kernels["last"] == 24 * KEPT
    assert costs.sizes({}).file_bytes - found.file_bytes > 24 * KEPT + 8 * KEPT  # both neighbours lose theirs


def test_a_group_that_is_not_in_the_file_is_left(made):
    path, kernels, group = made
    other = kernel("other", np.random.default_rng(5).normal(size=(5, 5, 3, 32)).astype(np.float32))
    lost = ChannelGroup("lost", 32, (Part(other, None, -1, np.arange(32)),), (), ())
    found = ChannelFile.of(path, [*kernels, other], [group, lost])
    assert found.groups == (group,)
    assert found.left == ("lost",)
