"""Test what a cut says and leaves: values, slices, layers and sizes, worked out again in NumPy."""

from copy import deepcopy

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import tiny_models
from helpers.channel_models import CODE, NETWORKS, OPTIONS, Network
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import Graph, graphs, indices, shape_of, signature_of
from tflite_sparse.rewrites.dead_channels import analysis, channels, edit, removal
from tflite_sparse.rewrites.dead_channels.cut import Cut, Layer

DEAD, KEPT = np.arange(6), np.arange(6, 16)


def two_layers(kind="int8", *, relu=True):
    net = Network(kind)
    x = net.conv(net.source, 16, 1, dead=DEAD, relu=relu)
    return net.finished(net.conv(x, 6, 1))


def removed(model):
    """The graph before and after, and the cut."""
    before, after = (serde.parse(tiny_models.to_bytes(model)) for _ in range(2))
    cut = removal.remove(after)
    return next(graphs(before)), next(graphs(serde.parse(serde.serialize(after)))), cut


@pytest.mark.parametrize(("relu", "point"), [(False, None), (True, None), (True, 5)])
def test_constants_are_predicted_and_move_into_the_bias(relu, point):
    model = two_layers(relu=relu)
    if point is not None:
        model.subgraphs[0].tensors[model.subgraphs[0].operators[0].outputs[0]].quantization.zeroPoint[:] = point
    before, after, cut = removed(model)
    first, second = before.operators
    source, result = (before.tensor(int(index)).quantization for index in (first.inputs[0], first.outputs[0]))
    scales = before.tensor(int(first.inputs[1])).quantization.scale.astype(np.float64) * source.scale[0]
    zero = int(result.zeroPoint[0])
    values = np.round(before.constant(int(first.inputs[2])) * scales / result.scale[0] + zero)[DEAD]
    values = np.clip(values, zero if relu else -128, 127)
    assert len(np.unique(values)) > 2
    (predicted,) = cut.predicted
    assert (predicted.graph, predicted.tensor) == (0, int(first.outputs[0]))
    assert predicted.channels.tolist() == DEAD.tolist()
    assert predicted.values.tolist() == values.tolist()
    weights, bias = (before.constant(int(index)).astype(np.int64) for index in second.inputs[1:3])
    moved = weights.reshape(6, 16)[:, DEAD] @ (values - zero).astype(np.int64)
    assert after.constant(int(after.operators[1].inputs[2])).tolist() == (bias + moved).tolist()
    assert after.constant(int(after.operators[1].inputs[2])).dtype == np.int32


def test_what_is_made_of_constants_alone_is_predicted():
    net = Network()
    x = net.conv(net.source, 16, 1, dead=DEAD)
    y = net.conv(x, 16, 1, unread=KEPT)
    before, _, cut = removed(net.finished(net.conv(y, 6, 1), net.conv(x, 6, 1)))
    one, two = (next(each for each in cut.predicted if each.tensor == tensor) for tensor in (x, y))
    second = before.operators[1]
    weights, bias = (before.constant(int(index)).astype(np.int64) for index in second.inputs[1:3])
    points = [int(before.tensor(tensor).quantization.zeroPoint[0]) for tensor in (x, y)]
    sums = bias + weights.reshape(16, 16)[:, DEAD] @ (one.values - points[0]).astype(np.int64)
    steps = sums * before.tensor(int(second.inputs[2])).quantization.scale.astype(float) / net.scale[y] + points[1]
    assert len(two.channels) > 12  # others are near a tie
    assert two.values.tolist() == np.clip(np.round(steps), -128, 127)[two.channels].tolist()


@pytest.mark.parametrize("more", [0, 1])
def test_constants_stay_where_a_bias_would_not_hold_them(more):
    """One output has the largest bias with which the sum is one of 32 bits, or one more; zeros go in any case."""
    model = two_layers(relu=False)
    model.buffers[model.subgraphs[0].tensors[int(model.subgraphs[0].operators[0].inputs[2])].buffer].data.view(
        np.int32
    )[DEAD[:2]] = 0
    before, _, cut = removed(model)
    values = cut.predicted[0].values - int(before.tensor(cut.predicted[0].tensor).quantization.zeroPoint[0])
    assert not values[:2].any()
    assert values[2:].all()
    second = before.operators[1]
    moved = int(before.constant(int(second.inputs[1])).astype(np.int64).reshape(6, 16)[2, DEAD] @ values.astype(int))
    bias = model.buffers[model.subgraphs[0].tensors[int(second.inputs[2])].buffer].data.view(np.int32)
    bias[2] = np.sign(moved) * (2**31 - 1 + more) - moved
    _, after, cut = removed(model)
    assert [len(each.channels) for each in cut.predicted] == [len(DEAD)]
    assert [len(each.kept[-1]) for each in cut.activations] == [14 if more else 10]
    assert more or abs(int(after.constant(int(second.inputs[2]))[2])) == 2**31 - 1


def test_a_bias_that_takes_no_constants_may_be_the_least_of_32_bits():
    model = two_layers(relu=False)
    kernel, bias = (
        model.buffers[model.subgraphs[0].tensors[int(index)].buffer].data
        for index in model.subgraphs[0].operators[1].inputs[1:]
    )
    kernel.view(np.int8).reshape(6, 16)[2, DEAD] = 0
    bias.view(np.int32)[2] = -(2**31)
    assert removed(model)[2].slices


def test_kernels_biases_and_scales_are_those_of_the_kept_channels():
    before, after, cut = removed(two_layers())
    first, second = before.operators
    kernels = [before.constant(int(operator.inputs[1])) for operator in before.operators]
    np.testing.assert_array_equal(after.constant(int(first.inputs[1])), kernels[0][KEPT])
    np.testing.assert_array_equal(after.constant(int(second.inputs[1])), kernels[1][..., KEPT])
    np.testing.assert_array_equal(after.constant(int(first.inputs[2])), before.constant(int(first.inputs[2]))[KEPT])
    for position, kept in ((1, KEPT), (2, KEPT)):
        found, former = (graph.tensor(int(first.inputs[position])).quantization for graph in (after, before))
        assert found.scale.tolist() == former.scale[kept].tolist()
        assert len(found.zeroPoint) == len(kept)
    assert after.tensor(int(second.inputs[1])).quantization.scale.tolist() == (
        before.tensor(int(second.inputs[1])).quantization.scale.tolist()
    )
    assert shape_of(after.tensor(int(first.outputs[0]))) == (1, 6, 6, 10)
    parts = {part.tensor: part for part in cut.slices}
    assert [part.graph for part in cut.slices] == [0] * 4
    assert all(part.found == part.tensor for part in cut.slices)
    assert [parts[int(index)].has_folded for index in (first.inputs[2], second.inputs[2])] == [False, True]
    for operator, rows, columns in ((first, KEPT, np.arange(8)), (second, np.arange(6), KEPT)):
        assert not parts[int(operator.inputs[1])].has_folded
        kept = parts[int(operator.inputs[1])].kept
        assert (kept[0].tolist(), kept[1:3], kept[3].tolist()) == (rows.tolist(), (None, None), columns.tolist())
        assert [each.tolist() for each in parts[int(operator.inputs[2])].kept] == [rows.tolist()]
    names = [before.tensor(int(operator.inputs[1])).name.decode() for operator in before.operators]
    assert cut.layers == (
        Layer(0, names[0], "CONV_2D", (16, 10), (8, 8)),
        Layer(0, names[1], "CONV_2D", (6, 6), (16, 10)),
    )
    assert cut.is_exact


def test_ranges_of_channels_are_cut_with_their_scales():
    model = two_layers()
    quantized = model.subgraphs[0].tensors[model.subgraphs[0].operators[0].inputs[1]].quantization
    quantized.min, quantized.max = np.arange(16, dtype=np.float32), np.arange(16, 32, dtype=np.float32)
    before, after, _ = removed(model)
    found = after.tensor(int(before.operators[0].inputs[1])).quantization
    assert (found.min.tolist(), found.max.tolist()) == (KEPT.tolist(), (KEPT + 16).tolist())


def test_one_scale_stays_one():
    model = two_layers()
    quantized = model.subgraphs[0].tensors[model.subgraphs[0].operators[0].inputs[1]].quantization
    quantized.scale, quantized.zeroPoint = np.array([1e-4], np.float32), np.zeros(1, np.int64)
    quantized.quantizedDimension = 3  # of one scale it has no meaning
    before, after, cut = removed(model)
    assert cut.slices
    found = after.tensor(int(before.operators[0].inputs[1])).quantization
    assert (len(found.scale), len(found.zeroPoint)) == (1, 1)


@pytest.mark.parametrize(
    ("scales", "axis", "kept", "left"),
    [
        ([1, 2], 0, [1], [2]),
        ([1, 2, 3], 0, [0, 2], [1, 3]),
        ([1], 0, [0, 1], [1]),  # one for all
        ([1, 2, 3], 1, [0, 2], [1, 2, 3]),  # of an axis that is not cut
        ([1, 2, 3], 2, [0, 2], [1, 2, 3]),  # of none
        ([1, 2, 3], -1, [0, 2], [1, 2, 3]),
        ([1, 2], 0, [0, 2], [1, 2]),  # too few
    ],
)
def test_scales_are_cut_where_each_channel_has_one(scales, axis, kept, left):
    tensor = schema.TensorT()
    tensor.quantization = tiny_models.quantization(np.float32(scales), axis=axis)
    found = edit._cut_scales(tensor, (np.array(kept), None))
    assert found.scale.tolist() == left
    assert tensor.quantization.scale.tolist() == scales


@pytest.mark.parametrize(
    ("shape", "signature", "shorter"),
    [([2, 8], None, None), ([2, 8], [], []), ([8], [8], [5]), ([1, 8], [-1, 8], [-1, 5])],
)
def test_a_signature_is_shortened_where_there_is_one(shape, signature, shorter):
    tensor = schema.TensorT()
    tensor.shape, tensor.shapeSignature = shape, signature
    edit._shorten(tensor, 5)
    assert tensor.shape.tolist() == [*shape[:-1], 5]
    assert (None if tensor.shapeSignature is None else list(tensor.shapeSignature)) == shorter


def test_without_scales_the_axis_has_no_meaning():
    model = two_layers("float32")
    quantized = schema.QuantizationParametersT()
    quantized.quantizedDimension = 7
    model.subgraphs[0].tensors[model.subgraphs[0].operators[0].inputs[1]].quantization = quantized
    before, after, _ = removed(model)
    assert shape_of(after.tensor(int(before.operators[0].inputs[1]))) == (10, 1, 1, 8)


def test_float16_kernels_are_cut_in_front_of_their_dequantize_and_behind_it():
    before, after, cut = removed(two_layers("float16"))
    assert not cut.is_exact
    first = next(operator for operator in before.operators if before.operator_name(operator) == "CONV_2D")
    producers = before.producers()
    for index, shape in ((int(first.inputs[1]), (10, 1, 1, 8)), (int(first.inputs[2]), (10,))):
        assert shape_of(after.tensor(index)) == shape
        assert shape_of(after.tensor(int(producers[index].inputs[0]))) == shape
        assert after.stored_values(int(producers[index].inputs[0])).dtype == np.float16


def test_operands_lose_the_channels_of_what_they_are_added_to():
    net = Network("float32")
    x = net.conv(net.source, 16, 1)
    y = net.result((1, 6, 6, 16), 0.03)
    values = np.arange(32, dtype=np.float32).reshape(2, 16)[:1]
    operator = net.append(CODE.ADD, [x, net.constant(values)], [y], OPTIONS.AddOptions, schema.AddOptionsT(), 2)
    _, after, cut = removed(net.finished(net.conv(y, 6, 1, unread=DEAD)))
    index = int(operator.inputs[1])
    np.testing.assert_array_equal(after.constant(index), values[:, KEPT])
    (part,) = (part for part in cut.slices if part.tensor == index)
    assert (part.kept[0], part.kept[1].tolist()) == (None, KEPT.tolist())


@pytest.mark.parametrize(
    ("shape", "options", "left"),
    [
        ([1, 576], None, ([1, 360], None)),
        ([1, 576], [1, 576], ([1, 360], [1, 360])),
        ([1, -1], [1, -1], ([1, -1], [1, -1])),
        ([1, 576], [], ([1, 360], None)),
        ([1, 4, 9, 16], [1, -1, 9, 16], ([1, 4, 9, 10], [1, -1, 9, 10])),
    ],
)
def test_sizes_of_a_reshape_follow(shape, options, left):
    net = Network()
    x = net.flat(net.conv(net.source, 16, 1, dead=DEAD, relu=True))
    if len(shape) > 2:
        net.shape[x] = tuple(shape)
        net.tiny.graph.tensors[x].shape = np.array(shape, np.int32)
        net.tiny.graph.tensors[net.tiny.graph.operators[-1].inputs[1]].shape = np.array([len(shape)], np.int32)
    reshape = net.tiny.graph.operators[-1]
    size = net.tiny.graph.tensors[reshape.inputs[1]]
    net.tiny.model.buffers[size.buffer].data = np.array(shape, np.int32).view(np.uint8)
    reshape.builtinOptions.newShape = None if options is None else np.array(options, np.int32)
    _, after, cut = removed(net.finished(net.dense(x, 6) if len(shape) == 2 else net.conv(x, 6)))
    assert cut.slices
    found = next(operator for operator in after.operators if after.operator_name(operator) == "RESHAPE")
    assert after.constant(int(found.inputs[1])).tolist() == left[0]
    assert after.tensor(int(found.inputs[1])).name == size.name.encode()
    assert (indices(found.builtinOptions.newShape) or None) == left[1]
    assert shape_of(after.tensor(int(found.outputs[0]))) == ((1, 360) if len(shape) == 2 else (1, 4, 9, 10))


def test_an_operand_that_others_read_stays_theirs():
    net = Network("float32")
    values = np.arange(16, dtype=np.float32)
    operand, sums = net.constant(values), []
    for _ in range(2):
        sums.append(net.result((1, 6, 6, 16), 0.03))
        inputs = [net.conv(net.source, 16, 1), operand]
        net.append(CODE.ADD, inputs, sums[-1:], OPTIONS.AddOptions, schema.AddOptionsT(), 2)
    _, after, cut = removed(net.finished(net.conv(sums[0], 6, 1, unread=DEAD), net.conv(sums[1], 6, 1)))
    one, two = (int(each.inputs[1]) for each in after.operators if after.operator_name(each) == "ADD")
    assert after.constant(one).tolist() == values[KEPT].tolist()
    assert after.constant(two).tolist() == values.tolist()
    assert [part.found for part in cut.slices if part.tensor == operand] == [one]  # nothing is cut for the second


def test_the_last_reader_of_a_constant_keeps_its_tensor():
    net = Network("float32")
    x, y = (net.conv(net.source, 16, 1, dead=DEAD) for _ in range(2))
    one, two = net.tiny.graph.operators
    two.inputs[1:] = one.inputs[1:]
    before, after, _ = removed(net.finished(net.conv(x, 6, 1), net.conv(y, 6, 1)))
    assert len(after.subgraph.tensors) == len(before.subgraph.tensors) + 2  # a kernel and a bias of the first reader


def test_a_size_that_others_read_stays_theirs():
    net = Network()
    x = net.flat(net.conv(net.source, 16, 1, dead=DEAD, relu=True))
    y = net.flat(net.conv(net.source, 16, 1))
    net.tiny.graph.operators[-1].inputs[1] = net.tiny.graph.operators[1].inputs[1]
    _, after, _ = removed(net.finished(net.dense(x, 6), net.dense(y, 6)))
    reshapes = [operator for operator in after.operators if after.operator_name(operator) == "RESHAPE"]
    assert [after.constant(int(each.inputs[1])).tolist() for each in reshapes] == [[1, 360], [1, 576]]


def test_open_sizes_stay_open():
    net, result = NETWORKS["open_batch"]("int8")
    before, after, _ = removed(net.finished(result))
    index = int(before.operators[0].outputs[0])
    assert signature_of(before.tensor(index)) == (-1, 6, 6, 16)
    assert signature_of(after.tensor(index))[:3] == (-1, 6, 6)
    assert signature_of(after.tensor(index))[3] == shape_of(after.tensor(index))[3] < 16


def test_a_bias_that_is_added_is_what_was_folded():
    net = Network()
    x = net.flat(net.conv(net.source, 16, 1, dead=DEAD, relu=True))
    before, after, cut = removed(net.finished(net.dense(x, 6, bias=False)))
    (values,) = (each.values for each in cut.predicted if each.tensor == int(before.operators[0].outputs[0]))
    dense, zero = before.operators[-1], int(before.tensor(x).quantization.zeroPoint[0])
    weights = before.constant(int(dense.inputs[1])).astype(np.int64).reshape(6, 36, 16)[:, :, DEAD].sum(axis=1)
    bias = after.tensor(int(after.operators[-1].inputs[2]))
    expected = weights @ (values - zero).astype(np.int64)
    assert after.constant(int(after.operators[-1].inputs[2])).tolist() == expected.tolist()
    scale = before.tensor(int(dense.inputs[1])).quantization.scale * before.tensor(x).quantization.scale
    np.testing.assert_allclose(bias.quantization.scale, scale)
    assert bias.type == schema.TensorType.INT32
    assert bias.quantization.zeroPoint.tolist() == [0] * 6
    assert bias.name == before.tensor(int(dense.inputs[1])).name + b"_bias"


def test_of_channels_that_nobody_reads_a_constant_one_is_kept():
    """It has weights of 0 and needs nothing."""
    net = Network("float32")
    x = net.conv(net.source, 16, 1, dead=(9,))
    _, _, cut = removed(net.finished(net.conv(x, 6, 1, unread=range(16)), net.conv(net.source, 6, 1)))
    assert cut.slices[0].kept[0].tolist() == [9]


# Graphs


def renumbered(model, first):
    """The same graph, in which this tensor is number 0."""
    graph = model.subgraphs[0]
    order = [first, *(index for index in range(len(graph.tensors)) if index != first)]
    new = {old: number for number, old in enumerate(order)} | {-1: -1}
    graph.tensors = [graph.tensors[old] for old in order]
    for each in (graph, *graph.operators):
        for attribute in ("inputs", "outputs"):
            setattr(each, attribute, np.array([new[old] for old in getattr(each, attribute).tolist()], np.int32))
    for entry in (*model.signatureDefs[0].inputs, *model.signatureDefs[0].outputs):
        entry.tensorIndex = new[entry.tensorIndex]
    return model


@pytest.mark.parametrize("name", ["gates", "open_batch", "padded", "split", "upsampled"])
def test_numbers_of_tensors_do_not_matter(name):
    net, result = NETWORKS[name]("int8")
    model = net.finished(result)
    found = {removal.remove(renumbered(deepcopy(model), first)).layers for first in range(len(net.tiny.graph.tensors))}
    assert len(found) == 1
    assert found != {()}


@pytest.mark.parametrize("has_signature", [False, True])
def test_graphs_that_only_operators_call_are_left(has_signature):
    model = two_layers()
    model.subgraphs.append(deepcopy(model.subgraphs[0]))
    if has_signature:
        model.signatureDefs.append(deepcopy(model.signatureDefs[0]))
        model.signatureDefs[1].signatureKey, model.signatureDefs[1].subgraphIndex = "second", 1
    cut = removal.remove(model)
    result = int(model.subgraphs[0].operators[0].outputs[0])
    assert [shape_of(graph.tensor(result))[-1] for graph in graphs(model)] == [10, 10 if has_signature else 16]
    assert {part.graph for part in cut.slices} == {0, 1} if has_signature else {0}
    assert len(cut.predicted) == len(cut.layers) / 2 == 1 + has_signature


def test_without_a_signature_it_is_the_first_graph():
    model = two_layers()
    model.signatureDefs = None
    assert removal.remove(model).slices


def test_too_many_channels_are_not_looked_at(monkeypatch):
    total = 8 + 16 + 6
    monkeypatch.setattr(channels, "_MOST_CHANNELS", total)
    assert removal.remove(two_layers()).slices
    monkeypatch.setattr(channels, "_MOST_CHANNELS", total - 1)
    assert not removal.remove(two_layers()).slices


def test_what_nothing_reads_leaves_the_file():
    net = Network()
    x, y = net.conv(net.source, 16, 1, dead=DEAD), net.conv(net.source, 16, 1)
    net.tiny.graph.operators[1].inputs[2] = net.tiny.graph.operators[0].inputs[2]
    model = serde.parse(tiny_models.to_bytes(net.finished(net.conv(x, 6, 1), y)))
    removal.remove(model)
    owners = {tensor.buffer for tensor in model.subgraphs[0].tensors}
    assert sorted(owners | {0}) == list(range(len(model.buffers)))


def test_a_model_is_told_from_others_by_the_shapes_of_the_slices():
    model = two_layers()
    smaller = serde.parse(tiny_models.to_bytes(model))
    cut = removal.remove(smaller)
    assert removal.is_without(smaller, cut)
    assert not removal.is_without(model, cut)
    assert not removal.is_without(smaller, Cut())
    last = max(part.found for part in cut.slices)
    for spoil in (
        lambda other: other.subgraphs[0].tensors.__delitem__(slice(last, None)),
        lambda other: other.subgraphs.clear(),
        lambda other: setattr(other.subgraphs[0].tensors[last], "shape", np.array([10, 1], np.int32)),
    ):
        other = deepcopy(smaller)
        spoil(other)
        assert not removal.is_without(other, cut)


def test_a_tensor_that_nothing_makes_or_reads_keeps_its_shape():
    model = two_layers()
    unused = deepcopy(model.subgraphs[0].tensors[int(model.subgraphs[0].operators[0].outputs[0])])
    model.subgraphs[0].tensors.insert(0, unused)
    for each in (model.subgraphs[0], *model.subgraphs[0].operators):
        each.inputs, each.outputs = each.inputs + 1, each.outputs + 1
    assert removal.remove(model).slices
    assert shape_of(unused) == (1, 6, 6, 16)


def test_an_input_left_out_is_no_constant():
    net = Network()
    size = net.constant(np.array([3], np.int32))  # the last tensor
    graph = Graph(model := net.finished(net.source), model.subgraphs[0])
    found = analysis.Analysis(graph, channels.Channels.of(graph))
    assert found.integers(size).tolist() == [3]
    assert found.integers(size).dtype == np.int64
    assert found.integers(-1) is None
    assert found.integers(net.source) is None


def test_the_channels_of_constants_are_not_numbered():
    net, result = NETWORKS["plain"]("float16")
    graph = Graph(model := net.finished(result), model.subgraphs[0])
    found = channels.Channels.of(graph)
    names = [graph.tensor(index).name for index in found.first]
    assert all(name.startswith("t") for name in names)
    assert found.total == sum(found.sizes.values()) == sum(shape[-1] for shape in net.shape.values())
    assert [found.of_tensor(index)[0] for index in found.first] == [
        sum(list(found.sizes.values())[:place]) for place in range(len(found.sizes))
    ]
