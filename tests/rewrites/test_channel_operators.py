"""Test which channels each kind of operator lets go, in each of its forms, and what in a file keeps them all."""

import math

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import tiny_models
from helpers.channel_models import CODE, NETWORKS, OPTIONS, Network
from helpers.tiny_models import quantization
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs, shape_of
from tflite_sparse.rewrites.dead_channels import removal

MANY, SOME = 16, range(6)  # channels of the first convolution, and those that are dead or unread


def gone(model):
    """The smaller model, and how many outputs its first operator, a convolution, has lost."""
    parsed = serde.parse(tiny_models.to_bytes(model))
    graph = next(graphs(parsed))
    first = next(operator for operator in graph.operators if graph.operator_name(operator) == "CONV_2D")
    before = shape_of(graph.tensor(int(first.inputs[1])))[0]
    removal.remove(parsed)
    return parsed, before - shape_of(graph.tensor(int(first.inputs[1])))[0]


def reading(net, x, unread=()):
    """What reads all channels of an activation but these."""
    return net.conv(x, 6, 1, unread=unread) if len(net.shape[x]) == 4 else net.dense(x, 6, unread=unread)


def assert_same(net, model, smaller):
    for sample in net.samples(3):
        one, two = (
            tiny_models.run_here(bytes(content), sample, "BUILTIN_WITHOUT_DEFAULT_DELEGATES")[0]
            for content in (tiny_models.to_bytes(model), serde.serialize(smaller))
        )
        np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-5)


def plain(name, options=None, **fields):
    """An operator of one activation."""

    def add(net, x):
        if options is None:
            return net.unary(getattr(CODE, name), x, version=1)
        made = net.options(f"{options}T", **fields)
        return net.unary(getattr(CODE, name), x, getattr(OPTIONS, options), made, 1)

    return add


def pooled(name, activation=0, scale=None):
    def add(net, x):
        y = net.pool(x, getattr(CODE, name))
        net.tiny.graph.operators[-1].builtinOptions.fusedActivationFunction = activation
        if scale is not None:
            net.tiny.graph.tensors[y].quantization = quantization(scale, 3)
        return y

    return add


def reduced(name, axes, shape, keep=False):
    def add(net, x):
        y = net.like(x, shape)
        options = net.options("ReducerOptionsT", keepDims=keep)
        axis = net.constant(np.array(axes, np.int32))
        net.append(getattr(CODE, name), [x, axis], [y], OPTIONS.ReducerOptions, options, 2)
        return y

    return add


def moved(order):
    def add(net, x):
        y = net.like(x, tuple(net.shape[x][axis] for axis in order))
        permutation = net.constant(np.array(order, np.int32))
        net.append(CODE.TRANSPOSE, [x, permutation], [y], OPTIONS.TransposeOptions, schema.TransposeOptionsT())
        return y

    return add


def padded(last=(0, 0)):
    def add(net, x):
        y = net.pad(x)
        paddings = net.tiny.graph.tensors[net.tiny.graph.operators[-1].inputs[1]]
        values = np.array([[0, 0], [1, 1], [1, 1], last], np.int32)
        net.tiny.model.buffers[paddings.buffer].data = values.view(np.uint8)
        net.shape[y] = (*net.shape[y][:-1], MANY + sum(last))
        net.tiny.graph.tensors[y].shape = np.array(net.shape[y], np.int32)
        return y

    return add


def in_halves(net, x):
    """SPLIT of the rows, and the sum of the halves."""
    batch, height, width, channels = net.shape[x]
    parts = [net.like(x, (batch, height // 2, width, channels)) for _ in range(2)]
    axis = net.constant(np.array(1, np.int32))
    net.append(CODE.SPLIT, [axis, x], parts, OPTIONS.SplitOptions, net.options("SplitOptionsT", numSplits=2), 2)
    return net.binary(*parts)


def stacked(scale=None):
    """CONCATENATION of two rows of images, the second of another scale if one is given."""

    def add(net, x):
        other = net.unary(CODE.RELU, x)
        if scale is not None:
            net.tiny.graph.tensors[other].quantization = quantization(scale, 3)
        batch, height, width, channels = net.shape[x]
        y = net.like(x, (batch, 2 * height, width, channels))
        options = net.options("ConcatenationOptionsT", axis=1)
        net.append(CODE.CONCATENATION, [x, other], [y], OPTIONS.ConcatenationOptions, options, 2)
        return y

    return add


def beside(scale=None):
    """CONCATENATION of channels with others, of another scale if one is given."""

    def add(net, x):
        other = net.conv(net.source, 8, 1)
        y = net.concatenated(x, other)
        if scale is not None:
            net.tiny.graph.tensors[other].quantization = quantization(scale, 3)
        return y

    return add


def rescaled(form):
    """The result has another scale."""

    def add(net, x):
        y = form(net, x)
        net.tiny.graph.tensors[y].quantization = quantization(0.7, 3)
        return y

    return add


def alone(net, x):
    """CONCATENATION of one activation, on another axis."""
    y = net.like(x)
    options = net.options("ConcatenationOptionsT", axis=1)
    net.append(CODE.CONCATENATION, [x], [y], OPTIONS.ConcatenationOptions, options, 2)
    return y


def with_constant(name, shape, first=False):
    def add(net, x):
        values = np.linspace(0.5, 2, int(np.prod(shape)), dtype=np.float32).reshape(shape)
        operands = [x, net.constant(values)]
        y = net.result(net.shape[x], 0.03)
        options = net.options(f"{name.title()}OptionsT")
        kind = getattr(OPTIONS, f"{name.title()}Options")
        net.append(getattr(CODE, name), operands[::-1] if first else operands, [y], kind, options, 2)
        return y

    return add


def sloped(shape):
    def add(net, x):
        y = net.like(x)
        net.append(
            CODE.PRELU, [x, net.constant(np.linspace(0.1, 0.5, math.prod(shape), dtype=np.float32).reshape(shape))], [y]
        )
        return y

    return add


def number(net, x, name, value):
    """An operation of an activation and one number."""
    y = net.like(x)
    kind = getattr(OPTIONS, f"{name.title()}Options")
    one = net.constant(np.array(value, np.float32))
    net.append(getattr(CODE, name), [x, one], [y], kind, net.options(f"{name.title()}OptionsT"), 2)
    return y


def hard_tanh(net, x):
    """MINIMUM and MAXIMUM with one number each."""
    for name, bound in (("MINIMUM", 1), ("MAXIMUM", -1)):
        y = net.like(x)
        options = schema.MaximumMinimumOptionsT()
        one = net.constant(np.array(bound, np.float32))
        net.append(getattr(CODE, name), [x, one], [y], OPTIONS.MaximumMinimumOptions, options)
        x = y
    return x


def softsign(net, x):
    """``x / (abs(x) + 1)``."""
    return net.binary(x, number(net, plain("ABS", "AbsOptions")(net, x), "ADD", 1), "DIV")


def selu(net, x, name="SELECT_V2"):
    """``x`` where it is above 0, else ``exp(x) - 1``, as the converter writes them."""
    is_above = net.tiny.tensor("is_above", net.shape[x], "bool")
    zero = net.constant(np.array(0, np.float32))
    net.append(CODE.GREATER, [x, zero], [is_above], OPTIONS.GreaterOptions, schema.GreaterOptionsT())
    below = number(net, plain("EXP", "ExpOptions")(net, x), "SUB", 1)
    y = net.like(x)
    words = "".join(part.title() for part in name.split("_"))
    options = net.options(f"{words}OptionsT")
    net.append(getattr(CODE, name), [is_above, x, below], [y], getattr(OPTIONS, f"{words}Options"), options)
    return y


def tiled(*multiples):
    def add(net, x):
        y = net.like(x, tuple(size * times for size, times in zip(net.shape[x], multiples, strict=True)))
        net.append(CODE.TILE, [x, net.constant(np.array(multiples, np.int32))], [y])
        return y

    return add


def in_blocks(margin):
    """SPACE_TO_BATCH_ND in blocks of 2 x 2 after so many rows and columns of zeros on each side, and back."""

    def add(net, x):
        batch, height, width, channels = net.shape[x]
        block = net.constant(np.array([2, 2], np.int32))
        margins = net.constant(np.full((2, 2), margin, np.int32))
        y = net.like(x, (4 * batch, height // 2 + margin, width // 2 + margin, channels))
        options = schema.SpaceToBatchNDOptionsT()
        net.append(CODE.SPACE_TO_BATCH_ND, [x, block, margins], [y], OPTIONS.SpaceToBatchNDOptions, options, 2)
        z = net.like(x, net.shape[x])
        options = schema.BatchToSpaceNDOptionsT()
        net.append(CODE.BATCH_TO_SPACE_ND, [y, block, margins], [z], OPTIONS.BatchToSpaceNDOptions, options, 2)
        return z

    return add


def with_rebuilt_constant(net, x):
    """ADD of what a DEQUANTIZE makes of a float16 constant."""
    rebuilt = net.tiny.tensor("rebuilt", (MANY,), "float32")
    stored = net.constant(np.linspace(0.5, 2, MANY, dtype=np.float16))
    net.append(CODE.DEQUANTIZE, [stored], [rebuilt], OPTIONS.DequantizeOptions, schema.DequantizeOptionsT(), 3)
    y = net.result(net.shape[x], 0.03)
    net.append(CODE.ADD, [x, rebuilt], [y], OPTIONS.AddOptions, schema.AddOptionsT(), 2)
    return y


def with_itself(name):
    return lambda net, x: net.binary(x, x, name)


def squeezed(net, x):
    x = net.mean(x, keep=True)
    y = net.like(x, (1, MANY))
    options = net.options("SqueezeOptionsT", squeezeDims=np.array([1, 2], np.int32))
    net.append(CODE.SQUEEZE, [x], [y], OPTIONS.SqueezeOptions, options)
    return y


def expanded(net, x):
    x = net.mean(x)
    for shape in ((1, 1, MANY), (1, 1, 1, MANY)):
        y = net.like(x, shape)
        axis = net.constant(np.array(1, np.int32))
        net.append(CODE.EXPAND_DIMS, [x, axis], [y], OPTIONS.ExpandDimsOptions, schema.ExpandDimsOptionsT())
        x = y
    return x


def reshaped(*shape, wanted=None):
    def add(net, x):
        y = net.like(x, shape)
        size = net.constant(np.array(shape if wanted is None else wanted, np.int32))
        net.append(CODE.RESHAPE, [x, size], [y], OPTIONS.ReshapeOptions, schema.ReshapeOptionsT())
        return y

    return add


def resized(name):
    def add(net, x):
        batch, height, width, channels = net.shape[x]
        y = net.like(x, (batch, 2 * height, 2 * width, channels))
        size = net.constant(np.array([2 * height, 2 * width], np.int32))
        words = "".join(part.title() for part in name.split("_"))
        net.append(
            getattr(CODE, name), [x, size], [y], getattr(OPTIONS, f"{words}Options"), net.options(f"{words}OptionsT"), 3
        )
        return y

    return add


BOTH, UNREAD, NEITHER = (True, True), (False, True), (False, False)  # whether dead ones go, whether unread ones do
FORMS = {
    "RELU": (plain("RELU"), BOTH),
    "RELU6": (plain("RELU6"), BOTH),
    "RELU_N1_TO_1": (plain("RELU_N1_TO_1"), BOTH),
    "LOGISTIC": (plain("LOGISTIC"), UNREAD),
    "TANH": (plain("TANH"), BOTH),
    "ELU": (plain("ELU"), BOTH),
    "HARD_SWISH": (plain("HARD_SWISH", "HardSwishOptions"), BOTH),
    "LEAKY_RELU": (plain("LEAKY_RELU", "LeakyReluOptions", alpha=0.5), BOTH),
    "GELU": (plain("GELU", "GeluOptions"), BOTH),
    "ABS": (plain("ABS", "AbsOptions"), BOTH),
    "NEG": (plain("NEG", "NegOptions"), BOTH),
    "EXP": (plain("EXP", "ExpOptions"), UNREAD),
    "SQRT": (plain("SQRT"), BOTH),
    "SIN": (plain("SIN"), BOTH),
    "SQUARE": (plain("SQUARE", "SquareOptions"), BOTH),
    "RELU_0_TO_1": (plain("RELU_0_TO_1"), BOTH),
    "SOFTMAX": (plain("SOFTMAX", "SoftmaxOptions", beta=1.0), NEITHER),
    "MAX_POOL_2D": (pooled("MAX_POOL_2D"), BOTH),
    "AVERAGE_POOL_2D": (pooled("AVERAGE_POOL_2D"), BOTH),
    "pooled, then a ReLU": (pooled("MAX_POOL_2D", schema.ActivationFunctionType.RELU), BOTH),
    "the mean, then a ReLU6": (pooled("AVERAGE_POOL_2D", schema.ActivationFunctionType.RELU6), BOTH),
    "MEAN": (reduced("MEAN", [1, 2], (1, MANY)), BOTH),
    "MEAN from the end": (reduced("MEAN", [-3, -2], (1, MANY)), BOTH),
    "MEAN that keeps axes": (reduced("MEAN", [1, 2], (1, 1, 1, MANY), keep=True), BOTH),
    "MEAN of one position": (lambda net, x: reduced("MEAN", [1], (1, 1, MANY))(net, net.mean(x, keep=True)), BOTH),
    "MEAN over an axis": (lambda net, x: reduced("MEAN", 1, (1, 1, MANY))(net, net.mean(x, keep=True)), BOTH),
    "MEAN over no axes": (reduced("MEAN", [], (1, 6, 6, MANY)), NEITHER),
    "MEAN of channels too": (reduced("MEAN", [1, -1], (1, 6)), NEITHER),
    "REDUCE_MAX": (reduced("REDUCE_MAX", [1, 2], (1, MANY)), BOTH),
    "REDUCE_MAX of channels too": (reduced("REDUCE_MAX", [2, 3], (1, 6)), NEITHER),
    "PAD": (padded(), BOTH),
    "PAD of channels": (padded((0, 1)), NEITHER),
    "PAD in front of channels": (padded((1, 0)), NEITHER),
    "TRANSPOSE": (moved((0, 2, 1, 3)), BOTH),
    "TRANSPOSE of channels": (moved((0, 3, 1, 2)), NEITHER),
    "SPLIT of rows": (in_halves, BOTH),
    "SPLIT in one": (lambda net, x: net.split(x, 1)[0], BOTH),
    "CONCATENATION of rows": (stacked(), BOTH),
    "CONCATENATION of one": (alone, BOTH),
    "ADD": (with_itself("ADD"), BOTH),
    "SUB": (with_itself("SUB"), BOTH),
    "MUL": (with_itself("MUL"), BOTH),
    "ADD of a constant": (with_constant("ADD", (MANY,)), UNREAD),
    "ADD of a constant in front": (with_constant("ADD", (1, 1, MANY), first=True), UNREAD),
    "SUB of one number": (with_constant("SUB", (1,)), UNREAD),
    "MUL by a constant": (with_constant("MUL", (1, 1, 1, MANY)), BOTH),  # 0 times anything
    "MUL of a constant": (with_constant("MUL", (MANY,), first=True), BOTH),
    "ADD of a column": (with_constant("ADD", (6, 1)), NEITHER),
    "ADD of a constant that is rebuilt": (with_rebuilt_constant, UNREAD),
    "DIV by a constant": (with_constant("DIV", (MANY,)), BOTH),
    "hard tanh": (hard_tanh, BOTH),
    "PRELU": (sloped((1, 1, MANY)), BOTH),
    "PRELU of one slope": (sloped((1, 1, 1)), BOTH),
    "softsign": (softsign, BOTH),
    "selu": (selu, BOTH),
    "selu of a fixed batch": (lambda net, x: selu(net, x, "SELECT"), BOTH),
    "TILE of rows": (tiled(1, 2, 1, 1), BOTH),
    "TILE of channels": (tiled(1, 1, 1, 2), NEITHER),
    "SPACE_TO_BATCH_ND and back": (in_blocks(0), BOTH),
    "SPACE_TO_BATCH_ND of a margin, and back": (in_blocks(1), BOTH),
    "SQUEEZE": (squeezed, BOTH),
    "EXPAND_DIMS": (expanded, BOTH),
    "RESHAPE": (reshaped(1, 4, 9, MANY), BOTH),
    "RESHAPE to a size that is inferred": (reshaped(1, 4, 9, MANY, wanted=(1, 4, 9, -1)), BOTH),
    "RESHAPE that divides nothing": (reshaped(1, 8, 3, 24), NEITHER),
    "RESIZE_NEAREST_NEIGHBOR": (resized("RESIZE_NEAREST_NEIGHBOR"), BOTH),
    "RESIZE_BILINEAR": (resized("RESIZE_BILINEAR"), BOTH),
}


@pytest.mark.parametrize("which", [0, 1], ids=["dead", "unread"])
@pytest.mark.parametrize("name", FORMS)
def test_channels_pass_an_operator(name, which):
    form, go = FORMS[name]
    net = Network("float32")
    x = form(net, net.conv(net.source, MANY, 1, dead=SOME if which == 0 else ()))
    y = reading(net, x, SOME if which == 1 else ())
    model = net.finished(y)
    smaller, count = gone(model)
    assert count == (len(SOME) if go[which] else 0)
    if count:
        assert_same(net, model, smaller)


def test_features_of_a_reshape_go_only_together():
    """(1, 6, 6, 16) as (1, 6, 12, 8): channels i and i + 8 become one."""
    for dead, expected in (((0, 1, 8, 9), 4), ((0, 1, 2, 3), 0)):
        net = Network("float32")
        x = reshaped(1, 6, 12, 8)(net, net.conv(net.source, MANY, 1, dead=dead))
        model = net.finished(reading(net, x))
        smaller, count = gone(model)
        assert count == expected
        assert_same(net, model, smaller)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (pooled("MAX_POOL_2D"), 6),
        (pooled("MAX_POOL_2D", scale=0.7), 0),
        (stacked(scale=0.7), 0),
        (beside(), 6),
        (beside(scale=0.7), 0),
        (rescaled(stacked()), 0),
        (reduced("REDUCE_MAX", [1, 2], (1, MANY)), 6),
        (rescaled(reduced("REDUCE_MAX", [1, 2], (1, MANY))), 0),
    ],
)
def test_constants_pass_only_where_the_scale_stays(form, expected):
    net = Network()
    x = form(net, net.conv(net.source, MANY, 1, dead=SOME, relu=True))
    assert gone(net.finished(reading(net, x)))[1] == expected


def holding(stored):
    """A network, and a tensor of steps of 0.02 whose dead channels hold so many of them."""
    net = Network()
    x = net.conv(net.source, MANY, 1, dead=SOME)
    net.tiny.graph.tensors[x].quantization = quantization(0.02)
    bias = net.tiny.graph.tensors[net.tiny.graph.operators[0].inputs[2]]
    values = np.round(stored * 0.02 / bias.quantization.scale).astype(np.int32)
    net.tiny.model.buffers[bias.buffer].data = values.view(np.uint8)
    return net, x


@pytest.mark.parametrize(("stored", "margin", "expected"), [(15, 0, 6), (15, 1, 0), (0, 1, 6)])
def test_only_zeros_stand_in_a_margin_of_zeros(stored, margin, expected):
    net, x = holding(stored)
    assert gone(net.finished(reading(net, in_blocks(margin)(net, x))))[1] == expected


@pytest.mark.parametrize("name", ["MAX_POOL_2D", "AVERAGE_POOL_2D"])
@pytest.mark.parametrize(("stored", "activation", "found"), [(-7, "RELU", 0), (7, "RELU", 7), (-7, "RELU_N1_TO_1", -7)])
def test_a_fused_activation_clips_what_is_pooled(name, stored, activation, found):
    """In steps of 0.02; 1 are 50 of them."""
    net, x = holding(stored)
    model = net.finished(reading(net, pooled(name, getattr(schema.ActivationFunctionType, activation))(net, x)))
    smaller, count = gone(model)
    assert count == len(SOME)
    assert_same(net, model, smaller)
    (values,) = (each.values for each in removal.remove(model).predicted if each.tensor == x + 1)
    assert set(values.tolist()) == {found}


def test_a_condition_for_each_row_keeps_all_channels():
    """SELECT takes a vector of conditions; here of as many as there are channels."""
    net = Network("float32", (MANY, 1, 1, 8))
    x, y = (net.conv(net.source, MANY, 1, dead=SOME) for _ in range(2))
    is_above = net.tiny.tensor("is_above", (MANY,), "bool")
    rows, zero = reduced("MEAN", [0, 1, 2], (MANY,))(net, y), net.constant(np.array(0, np.float32))
    net.append(CODE.GREATER, [rows, zero], [is_above], OPTIONS.GreaterOptions, schema.GreaterOptionsT())
    z = net.like(x)
    net.append(CODE.SELECT, [is_above, x, y], [z], OPTIONS.SelectOptions, schema.SelectOptionsT())
    model = net.finished(reading(net, z))
    smaller, count = gone(model)
    assert count == 0
    assert_same(net, model, smaller)


@pytest.mark.parametrize(("stored", "expected"), [(11, 0), (12, 6), (15, 6)])
def test_ties_of_a_product_are_those_of_all_three_scales(stored, expected):
    """0.22 squared is 24.39 steps, 0.3 squared 45.36: the multiplier of 0.2 makes a tie 0.126 wide."""
    net, x = holding(stored)
    y = net.binary(x, x, "MUL")
    net.tiny.graph.tensors[y].quantization = quantization(0.0004 / 0.2016)
    assert gone(net.finished(reading(net, y)))[1] == expected


@pytest.mark.parametrize(("stored", "found"), [(11, [2]), (12, []), (13, []), (14, [3])])
def test_ties_of_a_change_of_scale_are_those_of_both(stored, found):
    """From steps of 0.02 to steps of 0.1, which makes a tie 0.126 wide."""
    net, x = holding(stored)
    y = net.like(x)
    net.tiny.graph.tensors[y].quantization = quantization(0.1)
    net.append(CODE.QUANTIZE, [x], [y], OPTIONS.QuantizeOptions, schema.QuantizeOptionsT())
    predicted = removal.remove(net.finished(reading(net, y))).predicted
    assert sorted({value for each in predicted if each.tensor == y for value in each.values.tolist()}) == found


@pytest.mark.parametrize("name", ["MEAN", "REDUCE_MAX"])
def test_what_is_left_of_a_mean_of_channels_are_not_these(name):
    """Of (1, 6, 6, 6) the six columns."""
    net = Network("float32")
    x = reduced(name, [3], (1, 6, 6))(net, net.conv(net.source, 6, 1, dead=(0, 1)))
    assert gone(net.finished(reading(net, x, (2, 3))))[1] == 0


def test_what_is_made_of_a_constant_keeps_its_channels():
    net = Network("float32")
    x = net.conv(net.source, MANY, 1, dead=SOME)
    y = net.result((1, 6, 6, MANY), 0.02)
    net.append(CODE.LOGISTIC, [net.constant(np.ones((1, 6, 6, MANY), np.float32))], [y])
    smaller, count = gone(net.finished(reading(net, x), reading(net, y, SOME)))
    assert count == len(SOME)
    assert shape_of(smaller.subgraphs[0].tensors[y]) == (1, 6, 6, MANY)


def test_parts_of_a_constant_keep_their_channels():
    net = Network("float32")
    x = net.constant(np.ones((1, 6, 6, 2 * MANY), np.float32))
    net.shape[x] = (1, 6, 6, 2 * MANY)
    net.scale[x] = 1.0
    one, two = net.split(x)
    model = net.finished(reading(net, one, SOME), reading(net, two, SOME), net.conv(net.source, 6, 1))
    assert not removal.remove(model).slices


@pytest.mark.parametrize(("stored", "expected"), [(13, 6), (14, 0)])
def test_ties_of_a_convolution_are_those_of_all_three_scales(stored, expected):
    """A multiplier of 0.1045 makes a tie 1/16 wide: 1.36 steps are known, 1.46 are not."""
    net = Network()
    x = net.conv(net.source, MANY, 1, dead=SOME)
    net.tiny.graph.tensors[x].quantization = quantization(0.02)
    kernel, bias = (net.tiny.graph.tensors[index] for index in net.tiny.graph.operators[0].inputs[1:])
    kernel.quantization.scale[:] = 0.1045
    net.tiny.model.buffers[bias.buffer].data = np.full(MANY, stored, np.int32).view(np.uint8)
    assert gone(net.finished(reading(net, x)))[1] == expected


# What keeps all channels


def two_layers(kind="int8"):
    """Two convolutions: channels between them are dead."""
    net = Network(kind)
    x = net.conv(net.source, MANY, 1, dead=SOME, relu=True)
    return net.finished(net.conv(x, 6, 1))


def layer(model, number):
    """(operator, its kernel, its bias)."""
    graph = model.subgraphs[0]
    operator = [each for each in graph.operators if model.operatorCodes[each.opcodeIndex].builtinCode == CODE.CONV_2D][
        number
    ]
    return operator, *(graph.tensors[index] for index in operator.inputs[1:3])


def without_options(model):
    layer(model, 1)[0].builtinOptions = None
    layer(model, 1)[0].builtinOptionsType = 0


def without_kernel(model):
    layer(model, 1)[0].inputs = layer(model, 1)[0].inputs[:1]


def another_zero_point(model):
    layer(model, 0)[1].quantization.zeroPoint[-1] = 1


def another_axis(model):
    layer(model, 0)[1].quantization.quantizedDimension = 3


def fewer_scales(model):
    quantized = layer(model, 0)[1].quantization
    quantized.scale, quantized.zeroPoint = quantized.scale[:2], quantized.zeroPoint[:2]


def no_scales(model):
    layer(model, 0)[1].quantization = None


def bias_of_another_shape(model):
    layer(model, 0)[2].shape = np.array([1, MANY], np.int32)


def bias_of_another_type(model):
    layer(model, 0)[2].type = schema.TensorType.FLOAT32


def bias_of_64_bits(model):
    bias = layer(model, 0)[2]
    buffer = model.buffers[bias.buffer]
    bias.type, buffer.data = schema.TensorType.INT64, buffer.data.view(np.int32).astype(np.int64).view(np.uint8)


def bias_that_varies(model):
    layer(model, 0)[2].buffer = 0


def kernel_that_varies(model):
    layer(model, 0)[1].buffer = 0


def activation_without_scale(model):
    model.subgraphs[0].tensors[layer(model, 0)[0].outputs[0]].quantization = None


def a_variable(model):
    model.subgraphs[0].tensors[layer(model, 0)[0].outputs[0]].isVariable = True


def open_channels(model):
    model.subgraphs[0].tensors[layer(model, 0)[0].outputs[0]].shapeSignature = np.array([1, 6, 6, -1], np.int32)


def an_output(model):
    graph = model.subgraphs[0]
    graph.outputs = np.array([*graph.outputs, layer(model, 0)[0].outputs[0]], np.int32)


def groups(model):
    layer(model, 1)[1].shape = np.array([6, 2, 1, 8], np.int32)


def another_type(model):
    model.subgraphs[0].tensors[layer(model, 1)[0].outputs[0]].type = schema.TensorType.INT16
    model.subgraphs[0].tensors[layer(model, 1)[0].outputs[0]].quantization.zeroPoint[:] = 0


SPOILED = (
    without_options,
    without_kernel,
    another_zero_point,
    another_axis,
    fewer_scales,
    no_scales,
    bias_of_another_shape,
    bias_of_another_type,
    bias_of_64_bits,
    bias_that_varies,
    kernel_that_varies,
    activation_without_scale,
    a_variable,
    open_channels,
    an_output,
    groups,
    another_type,
)


@pytest.mark.parametrize("spoil", SPOILED, ids=lambda spoil: spoil.__name__)
def test_what_is_not_known_of_a_convolution_keeps_all_channels(spoil):
    model = two_layers()
    assert gone(model)[1] == len(SOME)
    spoil(model)
    assert not removal.remove(model).slices


def test_two_scales_of_another_axis_keep_all_channels():
    for axis, expected in ((0, True), (3, False)):
        net = Network(shape=(1, 6, 6, 2))
        model = net.finished(net.conv(net.conv(net.source, 2, 1, dead=(0,)), 6, 1))
        layer(model, 0)[1].quantization.quantizedDimension = axis
        assert bool(removal.remove(model).slices) is expected


@pytest.mark.parametrize("has_scale", [True, False])
def test_int8_kernels_behind_a_dequantize_lose_channels(has_scale):
    net = Network("float16")
    model = net.finished(reading(net, net.conv(net.source, MANY, 1, dead=SOME)))
    for each in model.subgraphs[0].tensors:
        if each.name.startswith("w"):
            buffer = model.buffers[each.buffer]
            buffer.data = (
                np.clip(np.round(buffer.data.view(np.float16) * 400), -127, 127).astype(np.int8).view(np.uint8)
            )
            each.type, each.quantization = schema.TensorType.INT8, quantization(1 / 400) if has_scale else None
    smaller, count = gone(model)
    assert count == (len(SOME) if has_scale else 0)
    if has_scale:
        assert_same(net, model, smaller)


def operator(model, name):
    """The first operator of a kind."""
    code = getattr(CODE, name)
    return next(
        each for each in model.subgraphs[0].operators if model.operatorCodes[each.opcodeIndex].builtinCode == code
    )


def constant_input(name, position, values):
    """Other values of a constant that an operator reads."""

    def spoil(model):
        tensor = model.subgraphs[0].tensors[operator(model, name).inputs[position]]
        values_of_32_bits = np.array(values, np.int32)
        tensor.shape = np.array(values_of_32_bits.shape, np.int32)
        model.buffers[tensor.buffer].data = values_of_32_bits.reshape(-1).view(np.uint8)

    return spoil


def varying_input(name, position):
    """No constant."""

    def spoil(model):
        model.subgraphs[0].tensors[operator(model, name).inputs[position]].buffer = 0

    return spoil


def option(name, **fields):
    def spoil(model):
        for field, value in fields.items():
            setattr(operator(model, name).builtinOptions, field, value)

    return spoil


def inputs(name, change):
    def spoil(model):
        found = operator(model, name)
        found.inputs = np.array(change(found.inputs.tolist()), np.int32)

    return spoil


def result_without_scale(name, place=0):
    def spoil(model):
        model.subgraphs[0].tensors[operator(model, name).outputs[place]].quantization = None

    return spoil


def result_without_axes(name, place):
    def spoil(model):
        model.subgraphs[0].tensors[operator(model, name).outputs[place]].shape = np.zeros(0, np.int32)

    return spoil


def shape_as_output(model):
    graph = model.subgraphs[0]
    graph.outputs = np.array([*graph.outputs, operator(model, "SHAPE").outputs[0]], np.int32)


def slice_without_options(model):
    operator(model, "STRIDED_SLICE").builtinOptions = None


def packed_twice(model):
    packed = operator(model, "PACK").outputs[0]
    dense = operator(model, "FULLY_CONNECTED")
    dense.inputs = np.array([*dense.inputs, packed], np.int32)


def packed_by_another(model):
    code = model.operatorCodes[operator(model, "PACK").opcodeIndex]
    code.builtinCode = code.deprecatedBuiltinCode = CODE.GATHER


def shape_read_by_another(model):
    model.operatorCodes[operator(model, "STRIDED_SLICE").opcodeIndex].builtinCode = CODE.SLICE


OPEN_BATCH = {
    "end mask": option("STRIDED_SLICE", endMask=1),
    "ellipsis": option("STRIDED_SLICE", ellipsisMask=1),
    "new axis": option("STRIDED_SLICE", newAxisMask=1),
    "no options": slice_without_options,
    "the last size": lambda model: [constant_input("STRIDED_SLICE", *each)(model) for each in ((1, [3]), (2, [4]))],
    "to the last size": constant_input("STRIDED_SLICE", 2, [4]),
    "from the end": constant_input("STRIDED_SLICE", 1, [-4]),
    "nothing": constant_input("STRIDED_SLICE", 2, [0]),
    "backwards": constant_input("STRIDED_SLICE", 3, [-1]),
    "two limits": constant_input("STRIDED_SLICE", 1, [0, 0]),
    "an open begin": varying_input("STRIDED_SLICE", 1),
    "an open end": varying_input("STRIDED_SLICE", 2),
    "an open step": varying_input("STRIDED_SLICE", 3),
    "no step": inputs("STRIDED_SLICE", lambda found: found[:3]),
    "sizes as limits": inputs("STRIDED_SLICE", lambda found: [found[1], found[0], *found[2:]]),
    "sizes that are an output": shape_as_output,
    "sizes that another reads": shape_read_by_another,
    "features that vary": varying_input("PACK", 1),
    "other features": constant_input("PACK", 1, 143),
    "several features": constant_input("PACK", 1, [144, 144]),
    "nothing packed": inputs("PACK", lambda found: []),
    "packed for two": packed_twice,
    "packed by another": packed_by_another,
}


@pytest.mark.parametrize("name", OPEN_BATCH)
def test_sizes_that_are_computed_otherwise_keep_all_channels(name):
    net, result = NETWORKS["open_batch"]("int8")
    model = net.finished(result)
    assert gone(model)[1] > 0
    OPEN_BATCH[name](model)
    assert not removal.remove(model).slices


def test_rows_of_an_open_batch_are_repeated():
    """As the converter writes UpSampling2D of Keras 3: the size of the batch, joined with those that are known."""
    net = Network("float32", dynamic=True)
    x = net.conv(net.source, MANY, 1, dead=SOME)
    expanded, rows = net.like(x, (1, 6, 1, 6, MANY)), net.like(x, (1, 6, 2, 6, MANY))
    axis = net.constant(np.array(2, np.int32))
    net.append(CODE.EXPAND_DIMS, [x, axis], [expanded], OPTIONS.ExpandDimsOptions, schema.ExpandDimsOptionsT())
    net.append(CODE.TILE, [expanded, net.constant(np.array([1, 1, 2, 1, 1], np.int32))], [rows])
    sizes, batch, joined = (
        net.tiny.tensor(name, (size,), "int32") for name, size in zip("sbj", (4, 1, 4), strict=True)
    )
    net.append(CODE.SHAPE, [x], [sizes], OPTIONS.ShapeOptions, net.options("ShapeOptionsT", outType=2))
    limits = [net.constant(np.array([each], np.int32)) for each in (3, 1, 1)]
    options = net.options("StridedSliceOptionsT", beginMask=1)  # from the front, whatever the begin
    net.append(CODE.STRIDED_SLICE, [sizes, *limits], [batch], OPTIONS.StridedSliceOptions, options)
    parts = [batch, *(net.constant(np.array(each, np.int32)) for each in ([12], [6, MANY]))]
    options = net.options("ConcatenationOptionsT", axis=0)
    net.append(CODE.CONCATENATION, parts, [joined], OPTIONS.ConcatenationOptions, options)
    y = net.like(x, (1, 12, 6, MANY))
    net.append(CODE.RESHAPE, [rows, joined], [y], OPTIONS.ReshapeOptions, schema.ReshapeOptionsT())
    model = net.finished(reading(net, y))
    smaller, count = gone(model)
    assert count == len(SOME)
    assert_same(net, model, smaller)


@pytest.mark.parametrize("name", ["kernel", "axes of the kernel", "result", "type"])
def test_a_depthwise_convolution_that_is_not_known_keeps_all_channels(name):
    net = Network("float32")
    model = net.finished(reading(net, net.depthwise(net.conv(net.source, MANY, 1, dead=SOME), dead=SOME)))
    assert gone(model)[1] == len(SOME)
    if name == "result":
        longer_result("DEPTHWISE_CONV_2D", 2 * MANY)(model)
    elif name == "type":
        model.subgraphs[0].tensors[operator(model, "DEPTHWISE_CONV_2D").outputs[0]].type = schema.TensorType.INT32
    elif name == "kernel":
        varying_input("DEPTHWISE_CONV_2D", 1)(model)
    else:
        kernel = model.subgraphs[0].tensors[operator(model, "DEPTHWISE_CONV_2D").inputs[1]]
        kernel.shape = np.array([9, MANY], np.int32)
    assert not removal.remove(model).slices


@pytest.mark.parametrize(("kind", "expected"), [("float32", 8), ("int8", 0)])
def test_a_depthwise_convolution_to_another_type_keeps_all_channels(kind, expected):
    """Of what another operator makes float32 of."""
    net = Network("float32")
    x = net.depthwise(net.conv(net.source, MANY, 1))
    if kind == "int8":
        result = net.tiny.graph.tensors[x]
        result.type, result.quantization = schema.TensorType.INT8, quantization(0.7)
    y = net.like(x)
    net.tiny.graph.tensors[y].quantization = None
    net.append(CODE.DEQUANTIZE, [x], [y], OPTIONS.DequantizeOptions, schema.DequantizeOptionsT(), 2)
    removed = removal.remove(net.finished(reading(net, y, range(8))))
    assert sum(MANY - len(each.kept[-1]) for each in removed.activations if each.tensor == x) == expected


def test_sizes_before_the_last_one_may_be_read_in_any_steps():
    net, result = NETWORKS["open_batch"]("int8")
    model = net.finished(result)
    for position, value in ((1, 1), (2, 3), (3, 2)):
        constant_input("STRIDED_SLICE", position, [value])(model)
    assert removal.remove(model).slices


def test_unread_channels_pass_a_change_of_type():
    """int8, float32 in between, int8: no constants are known behind it."""
    for dead, unread, expected in ((SOME, (), 0), ((), SOME, len(SOME))):
        net = Network()
        x = net.conv(net.source, MANY, 1, dead=dead)
        y = net.tiny.tensor("real", net.shape[x], "float32")
        net.append(CODE.DEQUANTIZE, [x], [y], OPTIONS.DequantizeOptions, schema.DequantizeOptionsT(), 2)
        z = net.like(x)
        net.append(CODE.QUANTIZE, [y], [z], OPTIONS.QuantizeOptions, schema.QuantizeOptionsT())
        assert gone(net.finished(reading(net, z, unread)))[1] == expected


def test_an_operator_without_a_result_keeps_what_it_reads():
    net = Network("float32")
    x = net.conv(net.source, MANY, 1, dead=SOME)
    net.append(CODE.RELU, [x], [])
    assert gone(net.finished(reading(net, x)))[1] == 0


@pytest.mark.parametrize(("name", "passes"), [("RESIZE_BILINEAR", False), ("RESIZE_NEAREST_NEIGHBOR", True)])
def test_weighted_sums_of_equal_float_values_are_not_known(name, passes):
    """What LOGISTIC makes of 0 is 0.5; a sum of shares of that may be less."""
    net = Network("float32")
    x = net.logistic(net.conv(net.source, MANY, 1, dead=SOME))
    y = resized(name)(net, x)
    predicted = removal.remove(net.finished(net.conv(y, 6, 1, unread=SOME))).predicted
    assert {each.tensor: sorted(set(each.values.tolist())) for each in predicted}.get(y) == ([0.5] if passes else None)


def test_what_is_divided_by_0_is_no_constant():
    net = Network("float32")
    x = net.conv(net.source, MANY, 1, dead=SOME)
    for y in (with_constant("DIV", (MANY,), first=True)(net, x), net.binary(x, x, "DIV")):
        assert gone(net.finished(reading(net, y)))[1] == 0


def test_zeros_pass_a_change_of_type():
    net = Network("float32")
    x = net.conv(net.source, MANY, 1, dead=SOME)
    net.kind = net.activations = "int8"
    y = net.result(net.shape[x], 0.02)
    net.append(CODE.QUANTIZE, [x], [y], OPTIONS.QuantizeOptions, schema.QuantizeOptionsT())
    assert gone(net.finished(reading(net, y)))[1] == len(SOME)


@pytest.mark.parametrize(("stored", "expected"), [(0, 6), (12, 0)])
def test_other_constants_do_not_pass_a_change_of_type(stored, expected):
    """Into float32 and back, as around an ELU."""
    net, x = holding(stored)
    middle = net.tiny.tensor("real", net.shape[x], "float32")
    net.append(CODE.DEQUANTIZE, [x], [middle], OPTIONS.DequantizeOptions, schema.DequantizeOptionsT(), 2)
    y = net.result(net.shape[x], 0.02)
    net.append(CODE.QUANTIZE, [middle], [y], OPTIONS.QuantizeOptions, schema.QuantizeOptionsT())
    assert gone(net.finished(reading(net, y)))[1] == expected


@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_constants_behind_another_fused_activation_are_not_known(kind):
    net = Network(kind)
    model = net.finished(reading(net, net.conv(net.source, MANY, 1, dead=SOME)))
    assert gone(model)[1] == len(SOME)
    layer(model, 0)[0].builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.TANH
    assert gone(model)[1] == 0


@pytest.mark.parametrize("name", ["ADD", "SUB", "MUL"])
def test_constants_of_a_sum_pass_its_activation(name):
    net = Network()
    x, y = (net.conv(net.source, MANY, 1, dead=SOME) for _ in range(2))
    z = net.binary(x, y, name)
    net.tiny.graph.operators[-1].builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.RELU
    zero = net.tiny.graph.tensors[z].quantization.zeroPoint[0]
    (values,) = (each.values for each in removal.remove(net.finished(reading(net, z))).predicted if each.tensor == z)
    assert min(values) == zero < max(values)


def test_what_is_cut_out_of_an_activation_keeps_it():
    net = Network()
    x = net.conv(net.source, MANY, 1, dead=SOME, relu=True)
    y = net.like(x)
    net.tiny.graph.tensors[y].quantization = None
    limits = [net.constant(np.array(each, np.int32)) for each in ([0] * 4, [1, 6, 6, MANY], [1] * 4)]
    options = net.options("StridedSliceOptionsT")
    net.append(CODE.STRIDED_SLICE, [x, *limits], [y], OPTIONS.StridedSliceOptions, options)
    assert gone(net.finished(reading(net, x)))[1] == 0


def test_constants_pass_a_fully_connected_operator():
    net = Network()
    x = net.dense(net.mean(net.conv(net.source, MANY, 1)), MANY, dead=SOME, relu=True)
    (found,) = removal.remove(net.finished(net.dense(x, 6))).predicted
    assert (found.tensor, found.channels.tolist()) == (x, list(SOME))


def test_packed_numbers_keep_their_channels():
    net = Network("float32")
    y = net.result((2,), 0.02)
    numbers = [net.constant(np.float32(each)) for each in (1, 2)]
    net.append(CODE.PACK, numbers, [y], OPTIONS.PackOptions, net.options("PackOptionsT", valuesCount=2))
    assert not removal.remove(net.finished(net.dense(y, 6, unread=(1,)), net.conv(net.source, 6, 1))).slices


def test_sizes_that_nothing_reads_keep_no_channels():
    net = Network("float32")
    x = net.conv(net.source, MANY, 1, dead=SOME)
    sizes = net.tiny.tensor("sizes", (4,), "int32")
    net.append(CODE.SHAPE, [x], [sizes], OPTIONS.ShapeOptions, net.options("ShapeOptionsT", outType=2))
    assert gone(net.finished(reading(net, x)))[1] == len(SOME)


def test_an_activation_that_nothing_reads_keeps_no_channels():
    net = Network("float32")
    x = net.conv(net.source, MANY, 1, dead=SOME)
    net.unary(CODE.RELU, x)
    assert gone(net.finished(reading(net, x)))[1] == len(SOME)


def test_the_last_of_several_sizes_is_that_of_the_channels():
    net, result = NETWORKS["open_batch"]("int8")
    model = net.finished(result)
    graph, pack = model.subgraphs[0], operator(model, "PACK")
    one = net.constant(np.array(1, np.int32))
    pack.inputs = np.array([pack.inputs[0], one, pack.inputs[1]], np.int32)
    pack.builtinOptions.valuesCount = 3
    graph.tensors[pack.outputs[0]].shape = np.array([3], np.int32)
    flat = graph.tensors[operator(model, "RESHAPE").outputs[0]]
    flat.shape, flat.shapeSignature = np.array([1, 1, 144], np.int32), np.array([-1, 1, 144], np.int32)
    assert gone(model)[1] > 0


def network(form):
    """Dead channels are the same ones in both halves of the channels, or a SPLIT would keep them."""
    net = Network()
    return net.finished(reading(net, form(net, net.conv(net.source, MANY, 1, dead=(0, 1, 2, 8, 9, 10), relu=True))))


def parts(*sizes):
    def spoil(model):
        for result, size in zip(operator(model, "SPLIT").outputs, sizes, strict=True):
            model.subgraphs[0].tensors[result].shape = np.array([1, 6, 6, size], np.int32)

    return spoil


def split_in_two(net, x):
    one, two = net.split(x)
    return net.binary(one, two)


def upsampled(net, x):
    return net.transposed(net.unary(CODE.RELU, x), MANY)


def joined(net, x):
    return net.concatenated(x, net.conv(net.source, MANY, 1))


def longer_result(name, channels):
    def spoil(model):
        tensor = model.subgraphs[0].tensors[operator(model, name).outputs[0]]
        tensor.shape = np.array([*tensor.shape[:-1], channels], np.int32)

    return spoil


def open_result(name, signature):
    def spoil(model):
        tensor = model.subgraphs[0].tensors[operator(model, name).outputs[0]]
        tensor.shapeSignature = np.array(signature, np.int32)

    return spoil


def results_of_another_type(*names):
    def spoil(model):
        for name in names:
            tensor = model.subgraphs[0].tensors[operator(model, name).outputs[0]]
            tensor.type, tensor.quantization = schema.TensorType.INT16, quantization(0.7)

    return spoil


def without_scales(name):
    """Neither what it reads nor what it yields is known."""

    def spoil(model):
        for index in (operator(model, name).inputs[0], operator(model, name).outputs[0]):
            model.subgraphs[0].tensors[index].quantization = None

    return spoil


UNKNOWN_FORMS = {
    "SPLIT on an open axis": (split_in_two, varying_input("SPLIT", 0)),
    "SPLIT on two axes": (split_in_two, constant_input("SPLIT", 0, [3, 3])),
    "SPLIT in unequal parts": (split_in_two, parts(10, 6)),
    "SPLIT with a shorter part": (split_in_two, parts(8, 6)),
    "SPLIT in shorter parts": (split_in_two, parts(6, 6)),
    "SPLIT with an unknown part": (split_in_two, result_without_scale("SPLIT", 1)),
    "SPLIT to a part without axes": (split_in_two, result_without_axes("SPLIT", 1)),
    "SPLIT of rows with an unknown part": (in_halves, result_without_scale("SPLIT", 1)),
    "SPLIT of rows to another size": (in_halves, longer_result("SPLIT", MANY + 1)),
    "CONCATENATION to another size": (joined, longer_result("CONCATENATION", 2 * MANY + 1)),
    "CONCATENATION with an activation": (joined, option("CONCATENATION", fusedActivationFunction=1)),
    "CONCATENATION of the unknown": (joined, result_without_scale("CONCATENATION")),
    "CONCATENATION of rows to another size": (stacked(), longer_result("CONCATENATION", MANY + 1)),
    "TRANSPOSE_CONV to an open size": (upsampled, varying_input("TRANSPOSE_CONV", 0)),
    "TRANSPOSE_CONV with an open kernel": (upsampled, varying_input("TRANSPOSE_CONV", 1)),
    "MEAN over open axes": (reduced("MEAN", [1, 2], (1, MANY)), varying_input("MEAN", 1)),
    "MEAN of the unknown": (reduced("MEAN", [1, 2], (1, MANY)), without_scales("MEAN")),
    "MEAN to another type": (
        reduced("MEAN", [1, 2], (1, MANY)),
        results_of_another_type("MEAN", "FULLY_CONNECTED"),
    ),
    "FULLY_CONNECTED to another size": (
        reduced("MEAN", [1, 2], (1, MANY)),
        longer_result("FULLY_CONNECTED", 7),
    ),
    "FULLY_CONNECTED of another format": (
        reduced("MEAN", [1, 2], (1, MANY)),
        option("FULLY_CONNECTED", weightsFormat=1),
    ),
    "MEAN to open channels": (reduced("MEAN", [1, 2], (1, MANY)), open_result("MEAN", [1, -1])),
    "MEAN to another size": (reduced("MEAN", [1, 2], (1, MANY)), longer_result("MEAN", MANY + 1)),
    "PAD of open size": (padded(), varying_input("PAD", 1)),
    "PAD of other axes": (padded(), constant_input("PAD", 1, [[0, 0], [1, 1], [0, 0]])),
    "PAD to another size": (padded(), longer_result("PAD", MANY + 1)),
    "PAD of the unknown": (padded(), without_scales("PAD")),
    "TRANSPOSE in an open order": (moved((0, 2, 1, 3)), varying_input("TRANSPOSE", 1)),
    "TRANSPOSE in no order": (moved((0, 2, 1, 3)), constant_input("TRANSPOSE", 1, [])),
    "TRANSPOSE to another size": (moved((0, 2, 1, 3)), longer_result("TRANSPOSE", MANY + 1)),
    "RELU to another size": (plain("RELU"), longer_result("RELU", MANY + 1)),
    "RELU of the unknown": (plain("RELU"), without_scales("RELU")),
    "pooled to another size": (pooled("MAX_POOL_2D"), longer_result("MAX_POOL_2D", MANY + 1)),
    "RESHAPE to an open size": (reshaped(1, 4, 9, MANY), varying_input("RESHAPE", 1)),
    "RESHAPE to another size": (reshaped(1, 4, 9, MANY), constant_input("RESHAPE", 1, [1, 4, 9, MANY + 1])),
    "RESHAPE to no size": (reshaped(1, 4, 9, MANY), constant_input("RESHAPE", 1, [])),
    "RESHAPE by its options": (reshaped(1, 4, 9, MANY), inputs("RESHAPE", lambda found: found[:1])),
    "RESHAPE to another scale": (
        reshaped(1, 4, 9, MANY),
        lambda model: setattr(
            model.subgraphs[0].tensors[operator(model, "RESHAPE").outputs[0]], "quantization", quantization(0.7, 3)
        ),
    ),
    "ADD of the unknown": (with_itself("ADD"), result_without_scale("ADD")),
    "ADD to another size": (with_itself("ADD"), longer_result("ADD", MANY + 1)),
    "an input left out": (with_itself("ADD"), inputs("ADD", lambda found: found[:1])),
}


@pytest.mark.parametrize("name", UNKNOWN_FORMS)
def test_a_form_that_is_not_known_keeps_all_channels(name):
    form, spoil = UNKNOWN_FORMS[name]
    model = network(form)
    assert gone(model)[1] > 0
    spoil(model)
    assert not removal.remove(model).slices
