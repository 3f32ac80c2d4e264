"""Test that dead channels leave a model without a change of its outputs: networks, the rules, random networks."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from helpers import micro_process, tiny_models
from helpers.channel_models import CODE, NETWORKS, OPTIONS, Network
from helpers.tiny_models import quantization
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs, shape_of, text
from tflite_sparse.rewrites.dead_channels import removal
from tflite_sparse.rewrites.dead_channels.cut import Slice

RESOLVERS = ("AUTO", "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "BUILTIN_REF")
INT8_NETWORKS = sorted(set(NETWORKS) - {"open_batch"})  # whose shapes are fixed, as TensorFlow Lite Micro needs them


def cut(model):
    """The bytes of a model, those of the model without dead channels, and what was removed."""
    content = tiny_models.to_bytes(model)
    parsed = serde.parse(content)
    found = removal.remove(parsed)
    return content, bytes(serde.serialize(parsed)), found


@functools.cache
def made(name, kind):
    net, result = NETWORKS[name](kind)
    return net, *cut(net.finished(result))


def outputs(content, samples, resolver):
    return [tiny_models.run_here(content, sample, resolver)[0] for sample in samples]


def kept(found, operator, place=0):
    """Output channels before and after, of one operator that lost channels; None if it lost none."""
    layers = [layer for layer in found.layers if layer.operator == operator and layer.outputs[0] != layer.outputs[1]]
    return layers[place].outputs if place < len(layers) else None


def assert_same(net, content, smaller, *, exact=True):
    for resolver in RESOLVERS:
        expected, got = (outputs(each, net.samples(), resolver) for each in (content, smaller))
        assert len({each.tobytes() for each in expected}) > 2
        for one, two in zip(got, expected, strict=True):
            if exact:
                np.testing.assert_array_equal(one, two, err_msg=resolver)
            else:
                np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["float16", "float32", "int8"])
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_outputs_stay_equal(name, kind):
    net, content, smaller, found = made(name, kind)
    assert any(before > after for layer in found.layers for before, after in [layer.outputs])
    assert len(smaller) < len(content)
    assert found.is_exact == (kind == "int8")
    assert_same(net, content, smaller, exact=found.is_exact)


@pytest.mark.parametrize("name", ["joined", "plain", "separable"])
def test_int16_activations_lose_channels_of_zero(name):
    net, content, smaller, found = made(name, "int16")
    assert kept(found, "CONV_2D") is not None
    expected, got = (outputs(each, net.samples(), "AUTO") for each in (content, smaller))
    assert len({each.tobytes() for each in expected}) > 2
    np.testing.assert_array_equal(got, expected)


@micro_process.needed
def test_outputs_in_tensorflow_lite_micro_stay_equal():
    jobs = [made(name, "int8") for name in INT8_NETWORKS]
    one, two = (
        micro_process.run([(files[which], [[x] for x in files[0].samples()]) for files in jobs]) for which in (1, 2)
    )
    assert micro_process.same(two, one)
    assert all(len({row[0].tobytes() for row in rows}) > 2 for rows in one)


def test_what_only_dead_channels_read_goes_as_well():
    net = Network("float32")
    x = net.conv(net.source, 16, 1)
    x = net.conv(net.conv(x, 8, 1), 6, 1, unread=range(3, 8))
    filters = net.tiny.graph.tensors[net.tiny.graph.operators[1].inputs[1]]
    values = net.tiny.model.buffers[filters.buffer].data.view(np.float32).reshape(8, 16)
    values[:3, 5:] = 0  # the channels from 5 on are read by filters alone that nobody reads
    content, smaller, found = cut(net.finished(x))
    assert [kept(found, "CONV_2D", place) for place in range(2)] == [(16, 5), (8, 3)]
    assert_same(net, content, smaller, exact=False)


def test_constants_do_not_go_in_front_of_padding():
    """Where a window reaches over the edge it reads the zero point, not the constant."""
    counts = {}
    for name, same, width, stride in (
        ("padded", True, 3, 1),
        ("valid", False, 3, 1),
        ("point", True, 1, 1),
        ("whole", True, 2, 2),  # 3 windows of 2 positions
        ("one more", True, 3, 4),  # 2 windows reach over 7 positions
    ):
        net = Network()
        x = net.conv(net.source, 16, 1, dead=range(6))  # constants other than the zero point
        content, smaller, found = cut(net.finished(net.conv(x, 6, width, same=same, stride=stride)))
        counts[name] = kept(found, "CONV_2D")
        if found.slices:
            assert_same(net, content, smaller)
    assert counts["padded"] is counts["one more"] is None
    assert max(counts[name][1] for name in ("valid", "point", "whole")) < 16


def with_one_row(net, kernel, source):
    kernel.shape = np.array([6, 1, 4, 16], np.int32)


def with_an_open_width(net, kernel, source):
    source.shapeSignature = np.array([1, 6, -1, 16], np.int32)
    net.tiny.graph.operators[1].builtinOptions.strideW = 4


def with_a_stride_of_0(net, kernel, source):
    net.tiny.graph.operators[1].builtinOptions.strideH = 0


def with_a_dilation(net, kernel, source):
    net.tiny.graph.operators[1].builtinOptions.dilationHFactor = 2


def with_rows_as_a_source(net, kernel, source):
    source.shape = np.array([36, 16], np.int32)


@pytest.mark.parametrize(
    "spoil", [with_one_row, with_an_open_width, with_a_stride_of_0, with_a_dilation, with_rows_as_a_source]
)
def test_windows_that_may_reach_over_the_edge_keep_constants(spoil):
    """Of 2 by 2 positions, one behind the other, else."""
    net = Network()
    x = net.conv(net.source, 16, 1, dead=range(6))
    model = net.finished(net.conv(x, 6, 2, stride=2))
    assert removal.remove(serde.parse(tiny_models.to_bytes(model))).slices
    spoil(net, net.tiny.graph.tensors[net.tiny.graph.operators[1].inputs[1]], net.tiny.graph.tensors[x])
    assert not removal.remove(model).slices


def test_constants_pass_a_depthwise_convolution():
    """Constants other than the zero point become other constants, which the next bias takes."""
    net = Network()
    x = net.conv(net.source, 16, 1, dead=range(8))
    y = net.depthwise(x, 3, same=False)
    kernel, bias = (net.tiny.graph.tensors[index] for index in net.tiny.graph.operators[1].inputs[1:])
    content, smaller, found = cut(net.finished(net.conv(y, 6, 1)))
    predicted = {each.tensor: each for each in found.predicted}
    assert predicted[x].channels.tolist() == predicted[y].channels.tolist() == list(range(8))
    points = [int(net.tiny.graph.tensors[each].quantization.zeroPoint[0]) for each in (x, y)]
    offsets = predicted[x].values - points[0]
    assert offsets.all()
    weights, biases = (net.tiny.model.buffers[each.buffer].data for each in (kernel, bias))
    sums = weights.view(np.int8).reshape(9, 16).astype(int).sum(0)[:8] * offsets + biases.view(np.int32)[:8]
    steps = sums * bias.quantization.scale[:8].astype(float) / net.scale[y] + points[1]
    assert predicted[y].values.tolist() == np.clip(np.round(steps), -128, 127).tolist()
    assert kept(found, "DEPTHWISE_CONV_2D") == (16, 8)
    assert_same(net, content, smaller)


def test_constants_do_not_pass_a_depthwise_convolution_that_reaches_over_the_edge():
    net = Network()
    x = net.conv(net.source, 16, 1, dead=range(8))
    assert not cut(net.finished(net.conv(net.depthwise(x, 3), 6, 1)))[2].slices


def test_a_kernel_of_one_axis_is_left():
    net = Network()
    x = net.mean(net.conv(net.source, 6, 1, dead=(0, 1)))
    result = net.dense(x, 6)
    kernel = net.tiny.graph.tensors[net.tiny.graph.operators[-1].inputs[1]]
    kernel.shape = np.array([6], np.int32)
    net.tiny.model.buffers[kernel.buffer].data = np.ones(6, np.uint8)
    assert not removal.remove(net.finished(result)).slices


@pytest.mark.parametrize("left_out", [True, False])
def test_a_missing_bias_is_added_where_constants_are_folded(left_out):
    """-1 stands for it, or the inputs end before it."""
    net = Network()
    x = net.flat(net.conv(net.source, 16, 1, dead=range(6), relu=True))
    y = net.dense(x, 6, bias=False)
    if not left_out:
        net.tiny.graph.operators[-1].inputs = net.tiny.graph.operators[-1].inputs[:2]
    content, smaller, found = cut(net.finished(y))
    operator = next(graphs(serde.parse(smaller))).operators[-1]
    assert operator.inputs[2] >= 0
    assert kept(found, "CONV_2D")[1] < 16
    assert_same(net, content, smaller)


def test_a_bias_that_operators_share_is_cut_for_one_of_them():
    net = Network()
    x, y = net.conv(net.source, 16, 1, dead=range(6)), net.conv(net.source, 16, 1)
    operators = net.tiny.graph.operators
    operators[1].inputs[2] = operators[0].inputs[2]
    content, smaller, found = cut(net.finished(net.conv(x, 6, 1), y))
    shared = [part for part in found.slices if part.tensor != part.found]
    assert [text(next(graphs(serde.parse(smaller))).tensor(part.found).name) for part in shared] == [
        text(net.tiny.graph.tensors[operators[1].inputs[2]].name)
    ]
    assert_same(net, content, smaller)


def test_features_of_a_fully_connected_operator_may_be_several_positions():
    """It reads an image as one row."""
    net = Network()
    x = net.conv(net.source, 16, 1, dead=range(6), relu=True)
    net.shape[x] = (1, 6 * 6 * 16)
    content, smaller, found = cut(net.finished(net.dense(x, 6)))
    assert kept(found, "CONV_2D") == (16, 10)
    (layer,) = (each for each in found.layers if each.operator == "FULLY_CONNECTED")
    assert (layer.outputs, layer.inputs) == ((6, 6), (16, 10))
    assert_same(net, content, smaller)


def test_a_kernel_that_operators_share_is_cut_for_one_of_them():
    net = Network()
    x, y = (net.conv(net.source, 16, 1, dead=range(6)) for _ in range(2))
    one, two = net.tiny.graph.operators
    two.inputs[1:] = one.inputs[1:]
    for place, tensor in enumerate((x, y)):
        net.tiny.graph.tensors[tensor].quantization = quantization(0.02, place)
    content, smaller, found = cut(net.finished(net.conv(x, 6, 1), y))
    assert {part.tensor for part in found.slices if part.tensor != part.found} == set(one.inputs[1:].tolist())
    assert_same(net, content, smaller)


@pytest.mark.parametrize("shares", ["what is rebuilt", "constants"])
def test_float16_weights_that_operators_share_are_cut_for_each(shares):
    """Two convolutions read one DEQUANTIZE, or two of one constant; of the second one other channels go."""
    net = Network("float16")
    x, y = net.conv(net.source, 16, 1, dead=(0, 1, 2)), net.conv(net.source, 16, 1)
    operators = net.tiny.graph.operators
    if shares == "constants":
        for one, two in zip(operators[:2], operators[3:5], strict=True):
            two.inputs = one.inputs.copy()
    else:
        operators[5].inputs[1:] = operators[2].inputs[1:]
        del operators[3:5]
    content, smaller, found = cut(net.finished(net.conv(x, 6, 1), net.conv(y, 6, 1, unread=(5, 6))))
    outputs = [layer.outputs for layer in found.layers if layer.outputs[0] == 16]
    assert outputs == [(16, 13), (16, 11)]
    assert_same(net, content, smaller, exact=False)


def test_a_bias_that_three_operators_share_is_cut_for_each_of_two():
    net = Network("float32")
    x, y, z = (net.conv(net.source, 16, 1) for _ in range(3))
    for each in net.tiny.graph.operators[1:]:
        each.inputs[2] = net.tiny.graph.operators[0].inputs[2]
    results = net.conv(x, 6, 1, unread=(1, 2)), net.conv(y, 6, 1, unread=(3,)), z
    content, smaller, found = cut(net.finished(*results))
    shared = int(net.tiny.graph.operators[0].inputs[2])
    own = {part.found for part in found.slices if part.tensor == shared}
    assert len(own) == 2
    assert shared not in own
    assert_same(net, content, smaller, exact=False)


@pytest.mark.parametrize(("outputs_before", "wanted"), [(20, None), (24, (24, 16))])
@pytest.mark.parametrize("operator", ["DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"])
def test_channels_that_are_rounded_by_their_place_keep_their_multiple(operator, outputs_before, wanted):
    net = Network()
    x = net.conv(net.source, outputs_before, 1, dead=range(11), relu=True)
    if operator == "TRANSPOSE_CONV":
        x = net.transposed(x, outputs_before, dead=range(11))
    else:
        x = net.depthwise(x, dead=range(11))
    content, smaller, found = cut(net.finished(net.conv(x, 6, 1)))
    assert kept(found, operator) == wanted
    assert_same(net, content, smaller)


@pytest.mark.parametrize(("keep", "wanted"), [(False, (32, 18)), (True, None)])
def test_a_mean_that_keeps_its_axes_keeps_a_multiple_of_16(keep, wanted):
    """18 channels are left, which the built-in kernel would round in two ways; without the axes it has one way."""
    net = Network()
    x = net.mean(net.conv(net.source, 32, 1), keep=keep)
    unread = range(14)
    y = net.conv(x, 6, 1, unread=unread) if keep else net.dense(x, 6, unread=unread)
    _, _, found = cut(net.finished(y))
    assert kept(found, "CONV_2D") == wanted


def with_a_mean_that_kernels_round_differently(dead):
    """64 channels, those of ``dead`` all 0, and a MEAN of which XNNPACK makes -128 there, built-in kernels -127."""
    net = Network(shape=(1, 3, 3, 8))
    x = net.conv(net.source, 64, 1, dead=dead, relu=True)
    for bias in dead:  # negative, so that the ReLU yields 0
        values = net.tiny.model.buffers[net.tiny.graph.tensors[net.tiny.graph.operators[0].inputs[2]].buffer].data
        values.view(np.int32)[bias] = -(2**20)
    y = net.mean(x, keep=True)
    for tensor, scale in ((x, 0.006517359521239996), (y, 0.005978080444037914)):
        net.tiny.graph.tensors[tensor].quantization = quantization(scale, -128)
    return net, y


def test_weights_for_constants_that_kernels_do_not_agree_on_are_added_up():
    net, y = with_a_mean_that_kernels_round_differently(range(40))
    content, smaller, found = cut(net.finished(net.conv(y, 6, 1), y))
    assert not found.slices  # the caller takes the constants as well
    assert {tiny_models.run_here(content, net.samples()[0], kernels)[1].flat[0] for kernels in RESOLVERS} == {
        -128,
        -127,
    }
    net, y = with_a_mean_that_kernels_round_differently(range(48))
    content, smaller, found = cut(net.finished(net.conv(y, 6, 1)))
    assert kept(found, "CONV_2D") == (64, 32)  # 16 and the sums, in a multiple of 16
    (part,) = (part for part in found.slices if part.merged)
    one, two = (next(graphs(serde.parse(each))) for each in (content, smaller))
    before, after = one.constant(part.tensor), two.constant(part.found)
    np.testing.assert_array_equal(after, part.of(before))
    np.testing.assert_array_equal(after[..., -16:], before[..., 48:])
    np.testing.assert_array_equal(after[..., :-16].sum(-1, dtype=int), before[..., :48].sum(-1, dtype=int))
    assert_same(net, content, smaller)


def test_what_is_made_of_such_constants_alone_is_not_known():
    net, y = with_a_mean_that_kernels_round_differently(range(48))
    z = net.conv(y, 8, 1, unread=range(48, 64))
    _, _, found = cut(net.finished(net.conv(z, 6, 1)))
    assert z not in {each.tensor for each in found.predicted}
    assert kept(found, "CONV_2D") == (64, 16)


def test_sums_that_do_not_fit_in_fewer_channels_keep_all():
    net, y = with_a_mean_that_kernels_round_differently(range(40))
    result = net.conv(y, 6, 1)
    weights = net.tiny.model.buffers[net.tiny.graph.tensors[net.tiny.graph.operators[-1].inputs[1]].buffer].data
    weights.view(np.int8).reshape(6, 64)[:] = [[127], [-127]] * 3  # the sums of two outputs together would fit
    assert not cut(net.finished(result))[2].slices


def test_sums_are_spread_over_the_channels_that_stay():
    values = np.array([[100, 5, 100, 100, -90], [-100, 7, -100, 0, 0]], np.int8)
    part = Slice(0, 1, 1, (None, np.array([0, 1, 2])), merged=((np.array([0, 2]), np.array([3, 4])),))
    np.testing.assert_array_equal(part.of(values), [[127, 5, 83], [-127, 7, -73]])


def test_channels_that_must_stay_count_as_not_known():
    """Of six constants two stay, so that what they add is no part of any bias; of two that nobody reads one does."""
    net = Network()
    x = net.conv(net.source, 16, 1, dead=range(6), relu=True)
    content = tiny_models.to_bytes(net.finished(net.conv(x, 6, 1, unread=(9, 10))))
    model = serde.parse(content)
    found = removal.remove(model, {(0, x): np.array([1, 4, 9])})
    (part,) = (each for each in found.activations if each.tensor == x)
    assert part.kept[-1].tolist() == [1, 4, *range(6, 10), *range(11, 16)]
    assert [each.channels.tolist() for each in found.predicted] == [[0, 2, 3, 5]]
    assert_same(net, content, bytes(serde.serialize(model)))


def test_a_file_may_be_without_some_of_the_channels():
    net = Network()
    x = net.conv(net.source, 16, 1, dead=range(6), relu=True)
    content = tiny_models.to_bytes(net.finished(net.conv(x, 6, 1)))
    whole, all_gone, some_gone, other = (serde.parse(content) for _ in range(4))
    cut, fewer = removal.remove(all_gone), removal.remove(some_gone, {(0, x): np.array([1, 4])})
    assert removal.is_without(all_gone, cut)
    assert not removal.is_without(some_gone, cut)
    assert all(removal.may_be_without_some(model, whole, cut) for model in (whole, some_gone, all_gone))
    assert not removal.may_be_without_some(all_gone, whole, fewer)
    removal.remove(other)
    other.subgraphs[0].tensors[cut.slices[0].tensor].shape = np.array([1, 2], np.int32)
    assert not removal.may_be_without_some(other, whole, cut)


def test_shapes_say_what_stayed():
    """All constants of one activation, all channels of another; a part of the constants they do not tell."""
    net = Network()
    x = net.conv(net.source, 16, 1, dead=range(6), relu=True)
    y = net.conv(x, 16, 1, dead=range(4), unread=(9, 10))
    content = tiny_models.to_bytes(net.finished(net.conv(y, 6, 1, unread=(14,))))
    whole, all_gone = serde.parse(content), serde.parse(content)
    cut = removal.remove(all_gone)
    assert removal.left_in(all_gone, whole, cut, {}) == {}
    assert removal.left_in(serde.parse(tiny_models.to_bytes(Network().finished())), whole, cut, {}) == {}
    constants, every = np.arange(6), np.arange(16)
    for staying, expected in (
        ({(0, x): constants}, {(0, x): constants}),
        ({(0, y): every}, {(0, y): every}),
        ({(0, x): constants, (0, y): every}, {(0, y): every}),
        ({(0, x): constants, (0, y): np.arange(4)}, {(0, x): constants}),
    ):
        smaller = serde.parse(content)
        removal.remove(smaller, staying)
        found = removal.left_in(smaller, whole, cut, {})
        assert {key: each.tolist() for key, each in found.items()} == {k: v.tolist() for k, v in expected.items()}
        assert removal.left_in(smaller, whole, cut, staying) == {}


@pytest.mark.parametrize(
    ("channels", "unread", "wanted"), [(64, 23, 48), (256, 55, 224), (512, 55, 512), (512, 65, 448), (400, 55, 352)]
)
def test_such_a_mean_of_many_channels_keeps_equal_parts_for_2_and_4_threads(channels, unread, wanted):
    net = Network()
    x = net.mean(net.conv(net.source, channels, 1), keep=True)
    _, _, found = cut(net.finished(net.conv(x, 6, 1, unread=range(unread))))
    assert kept(found, "CONV_2D") == (None if wanted == channels else (channels, wanted))


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_outputs_stay_equal_with_several_threads(threads):
    net = Network()
    x = net.mean(net.conv(net.source, 512, 1), keep=True)
    content, smaller, found = cut(net.finished(net.conv(x, 24, 1, unread=range(100))))
    assert kept(found, "CONV_2D") == (512, 448)
    one, two = (
        [tiny_models.run_here(each, x, RESOLVERS[1], threads)[0] for x in net.samples()] for each in (content, smaller)
    )
    assert len({each.tobytes() for each in one}) > 2
    np.testing.assert_array_equal(two, one)


def test_what_is_not_known_keeps_its_channels():
    """SOFTMAX sums over channels, outputs and inputs of the graph are the caller's."""
    net = Network("float32")
    x = net.conv(net.source, 16, 1, dead=range(6))
    y = net.unary(CODE.SOFTMAX, x, OPTIONS.SoftmaxOptions, net.options("SoftmaxOptionsT", beta=1.0), 1)
    content, smaller, found = cut(net.finished(net.conv(y, 6, 1), net.conv(net.source, 16, 1, dead=range(6))))
    assert not found.slices
    assert smaller == bytes(serde.serialize(serde.parse(content)))


def test_inputs_of_the_graph_keep_their_channels():
    net = Network("float32")
    assert not cut(net.finished(net.conv(net.source, 6, 1, unread=(1, 2))))[2].slices


@pytest.mark.parametrize("position", [1, 2], ids=["kernel", "bias"])
def test_weights_that_are_not_finite_keep_their_channels(position):
    net = Network("float32")
    x = net.conv(net.source, 16, 1, dead=range(6))
    y = net.conv(x, 6, 1)
    buffer = net.tiny.graph.tensors[net.tiny.graph.operators[1].inputs[position]].buffer
    net.tiny.model.buffers[buffer].data.view(np.float32)[3] = np.inf
    assert not cut(net.finished(y))[2].slices


def test_outputs_of_an_infinite_scale_are_not_known():
    """A converter may give such scales to a layer of zeros."""
    net = Network()
    x = net.conv(net.source, 16, 1, dead=range(6), relu=True)
    net.tiny.graph.tensors[net.tiny.graph.operators[0].inputs[1]].quantization.scale[:2] = np.inf
    bias = net.tiny.graph.tensors[net.tiny.graph.operators[0].inputs[2]].buffer
    net.tiny.model.buffers[bias].data.view(np.int32)[0] = 0
    _, _, found = cut(net.finished(net.conv(x, 6, 1)))
    assert [each.channels.tolist() for each in found.predicted] == [[2, 3, 4, 5]]


def test_one_channel_stays():
    net = Network()
    x = net.conv(net.source, 16, 1, dead=range(16), relu=True)
    y = net.conv(net.source, 6, 1)
    _, smaller, found = cut(net.finished(net.conv(x, 6, 1), y))
    assert kept(found, "CONV_2D") == (16, 1)
    assert all(min(shape_of(tensor), default=1) > 0 for tensor in next(graphs(serde.parse(smaller))).subgraph.tensors)


def test_of_channels_that_may_go_the_first_stay():
    net = Network()
    x = net.depthwise(net.conv(net.source, 64, 1, dead=range(64), relu=True), dead=range(64))
    _, _, found = cut(net.finished(net.conv(x, 6, 1), net.conv(net.source, 6, 1)))
    assert found.slices[0].kept[0].tolist() == list(range(8))


def test_constants_of_an_open_batch_follow():
    """Flatten with an open batch is SHAPE, STRIDED_SLICE, PACK and RESHAPE: the file takes another batch afterwards."""
    net, content, smaller, _ = made("open_batch", "int8")
    batch = np.concatenate(net.samples())
    one, two = (tiny_models.run_here(each, batch)[0] for each in (content, smaller))
    assert one.shape == (len(batch), 6)
    np.testing.assert_array_equal(two, one)


def test_slices_are_where_they_are_said_to_be():
    net, content, smaller, found = made("residual", "int8")
    del net
    one, two = (next(graphs(serde.parse(each))) for each in (content, smaller))
    assert {len(part.kept) for part in found.slices} == {1, 4}
    for part in found.slices:
        if not part.has_folded:
            np.testing.assert_array_equal(two.constant(part.found), part.of(one.constant(part.tensor)))


def test_parts_of_a_split_stay_equally_long():
    """Only channel 3 of both parts is dead, channel 0 of one part alone."""
    net = Network()
    one, two = net.split(net.conv(net.source, 16, 1, dead=(0, 3, 11), relu=True))
    content, smaller, found = cut(net.finished(net.conv(one, 6, 1), net.conv(two, 6, 1)))
    assert kept(found, "CONV_2D") == (16, 14)
    assert_same(net, content, smaller)


def test_a_shape_that_says_otherwise_keeps_its_channels():
    net = Network()
    x = net.flat(net.conv(net.source, 16, 1, dead=range(6), relu=True))
    size = net.tiny.graph.tensors[net.tiny.graph.operators[-1].inputs[1]]
    net.tiny.model.buffers[size.buffer].data = np.array([6, 96], np.int32).view(np.uint8)
    assert not cut(net.finished(net.dense(x, 6)))[2].slices


STEPS = ("add", "concat", "conv", "depthwise", "gate", "pad", "pool", "relu", "split", "transposed")


@st.composite
def networks(draw):
    """Networks of up to five operators with dead and unread channels anywhere."""
    kind = draw(st.sampled_from(("float32", "int8", "int8")))
    net = Network(kind, seed=draw(st.integers(0, 1000)))

    def some(count):
        return sorted(draw(st.sets(st.integers(0, count - 1), max_size=count - 1)))

    def conv(x, width=None, outputs=None):
        outputs = draw(st.sampled_from((8, 13, 16, 24))) if outputs is None else outputs
        width = draw(st.sampled_from((1, 3))) if width is None else width
        relu, unread = draw(st.booleans()), some(net.shape[x][-1])
        return net.conv(x, outputs, width, dead=some(outputs), unread=unread, relu=relu)

    x = conv(net.source)
    for step in draw(st.lists(st.sampled_from(STEPS), min_size=1, max_size=4)):
        count = net.shape[x][-1]
        if step == "add":
            x = net.binary(x, conv(x, outputs=count), draw(st.sampled_from(("ADD", "MUL", "SUB"))))
        elif step == "concat":
            x = net.concatenated(x, conv(x))
        elif step == "conv":
            x = conv(x)
        elif step == "depthwise":
            many = draw(st.sampled_from((1, 2)))
            x = net.depthwise(x, multiplier=many, dead=some(count * many), relu=draw(st.booleans()))
        elif step == "gate":
            x = net.binary(x, net.logistic(conv(net.mean(x, keep=True), 1, count)), "MUL")
        elif step == "pad":
            x = net.pad(x)
        elif step == "pool" and min(net.shape[x][1:3]) > 1:
            x = net.pool(x, draw(st.sampled_from((CODE.AVERAGE_POOL_2D, CODE.MAX_POOL_2D))))
        elif step == "relu":
            x = net.unary(CODE.RELU, x)
        elif step == "split" and count % 2 == 0:
            x = net.binary(*net.split(x))
        elif step == "transposed" and net.shape[x][1] < 13:
            x = net.transposed(x, 16, dead=some(16), unread=some(count))
    if draw(st.booleans()):
        return net, net.dense(net.mean(x), 5, bias=draw(st.booleans()))
    return net, net.dense(net.flat(x), 5, bias=draw(st.booleans()))


@hypothesis_settings(max_examples=60)
@given(networks())
def test_random_networks(made_up):
    net, result = made_up
    content, smaller, found = cut(net.finished(result))
    samples = net.samples(4)
    for resolver in RESOLVERS:
        expected, got = (outputs(each, samples, resolver) for each in (content, smaller))
        if found.is_exact:
            np.testing.assert_array_equal(got, expected, err_msg=resolver)
        else:
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
