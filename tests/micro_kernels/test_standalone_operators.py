"""Each C operator against TensorFlow Lite Micro's, bit for bit, under sanitizers."""

import dataclasses
import math
import shutil

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from helpers import micro_process
from helpers.int8_models import Activation, Constant, Operator, one_operator, side_by_side
from helpers.standalone_operators import by_c, by_micro
from tflite_sparse.errors import OperatorRefusedError

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
ACTIVATIONS = st.sampled_from(
    [
        schema.ActivationFunctionType.NONE,
        schema.ActivationFunctionType.RELU,
        schema.ActivationFunctionType.RELU6,
        schema.ActivationFunctionType.RELU_N1_TO_1,
    ]
)
PADDINGS = st.sampled_from([schema.Padding.SAME, schema.Padding.VALID])
SCALES = st.floats(2.0**-9, 2.0**2, width=32)
ZERO_POINTS = st.integers(-128, 127)
SEEDS = st.integers(0, 2**32 - 1)
few = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


def check(model, inputs, cpus=("generic",), *, in_place=False):
    """The outputs in C equal those in TensorFlow Lite Micro."""
    expected = by_micro(model, inputs)
    for cpu in cpus:
        for each in (False, True) if in_place else (False,):
            for ours, theirs in zip(by_c(model, inputs, cpu, in_place=each), expected, strict=True):
                assert ours.dtype == theirs.dtype
                assert np.array_equal(ours.reshape(-1), theirs.reshape(-1)), (cpu, each)


def int8(rng, shape):
    """Random values, the ends of the range among them."""
    values = rng.integers(-128, 128, shape)
    return np.where(rng.random(shape) < 0.1, rng.choice([-128, 127], shape), values).astype(np.int8)


@st.composite
def activations(draw, shape):
    return Activation(shape=shape, scale=draw(SCALES), zero_point=draw(ZERO_POINTS))


def window_count(size, side, stride, dilation, padding):
    reach = (side - 1) * dilation + 1
    return -(-size // stride) if padding == schema.Padding.SAME else (size - reach) // stride + 1


@st.composite
def windows(draw, *, dilated=True):
    """(input height and width, filter, strides, dilations, padding, output height and width)."""
    size = draw(st.tuples(st.integers(1, 11), st.integers(1, 11)))
    side = draw(st.one_of(st.just((3, 3)), st.tuples(st.integers(1, 5), st.integers(1, 5))))
    strides = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    dilations = draw(st.tuples(st.integers(1, 2), st.integers(1, 2))) if dilated else (1, 1)
    padding = draw(PADDINGS)
    out = tuple(window_count(*each, padding) for each in zip(size, side, strides, dilations, strict=True))
    assume(min(out) > 0)
    return size, side, strides, dilations, padding, out


def window_options(window):
    _, _, strides, dilations, padding, _ = window
    options = {"padding": padding, "strideH": strides[0], "strideW": strides[1]}
    return {**options, "dilationHFactor": dilations[0], "dilationWFactor": dilations[1]}


@st.composite
def weights(draw, shape, axis, *, per_channel=True):
    """(weights, bias or None, a scale for the outputs that uses their range) for inputs of a scale of 1/16."""
    rng = np.random.default_rng(draw(SEEDS))
    outputs = shape[axis]
    values = rng.integers(-127, 128, shape).astype(np.int8)
    scales = rng.uniform(0.5, 2.0, outputs if per_channel and draw(st.booleans()) else 1).astype(np.float32) / 64
    taps = math.prod(shape) // outputs
    spread = float(scales.max()) / 16 * 75 * 75 * math.sqrt(taps)
    bias = None
    if draw(st.booleans()):
        bias_scale = np.float32(1 / 16) * scales
        largest = draw(st.sampled_from([200, 20_000, 2**30]))
        bias = Constant(values=rng.integers(-largest, largest + 1, outputs).astype(np.int32), scale=bias_scale)
    out = spread / draw(st.sampled_from([20.0, 60.0, 0.01, 3000.0]))
    return Constant(values=values, scale=scales, axis=axis), bias, out


INPUT_SCALE = 1 / 16
CPUS = ("generic", "cortex-m4")  # plain and paired weights


@pytest.mark.slow
@needs_gcc
@micro_process.needed
@given(windows(), st.data())
@few
def test_conv_2d(window, data):
    size, side, *_, out = window
    batches, channels, outputs = (data.draw(st.integers(1, most)) for most in (2, 9, 5))
    filters, bias, scale = data.draw(weights((outputs, *side, channels), 0))
    x = Activation(shape=(batches, *size, channels), scale=INPUT_SCALE, zero_point=data.draw(ZERO_POINTS))
    y = Activation(shape=(batches, *out, outputs), scale=scale, zero_point=data.draw(ZERO_POINTS))
    options = {**window_options(window), "fusedActivationFunction": data.draw(ACTIVATIONS)}
    model = one_operator("CONV_2D", [x, filters, bias], [y], version=3, **options)
    check(model, [int8(np.random.default_rng(data.draw(SEEDS)), x.shape)], CPUS)


@st.composite
def pooled(draw, conv):
    """The convolution with a maximum of its output behind it."""
    (between,) = conv.outputs
    batches, *size, channels = between.shape
    side, strides = (draw(st.one_of(st.just((2, 2)), st.tuples(st.integers(1, 3), st.integers(1, 4)))) for _ in "hw")
    padding = draw(PADDINGS)
    out = [window_count(*each, 1, padding) for each in zip(size, side, strides, strict=True)]
    assume(min(out) > 0)
    y = Activation(shape=(batches, *out, channels), scale=between.scale, zero_point=between.zero_point)
    options = {"padding": padding, "strideH": strides[0], "strideW": strides[1]}
    options |= {"filterHeight": side[0], "filterWidth": side[1], "fusedActivationFunction": draw(ACTIVATIONS)}
    return dataclasses.replace(conv, then=Operator("MAX_POOL_2D", [between], [y], 2, options))


@needs_gcc
@micro_process.needed
@pytest.mark.parametrize(("channels", "is_pooled"), [(1, False), (1, True), (3, True)])
@given(size=st.tuples(st.integers(3, 13), st.integers(3, 13)), data=st.data())
@few
def test_conv_2d_in_tiles_and_before_a_pool(channels, is_pooled, size, data):
    """3x3: one channel has a function of its own; a pool may be computed with it, or row by row."""
    padding = data.draw(PADDINGS)
    out = [window_count(each, 3, 1, 1, padding) for each in size]
    batches, outputs = (data.draw(st.integers(1, most)) for most in (2, 5))
    filters, bias, scale = data.draw(weights((outputs, 3, 3, channels), 0))
    x = Activation(shape=(batches, *size, channels), scale=INPUT_SCALE, zero_point=data.draw(ZERO_POINTS))
    y = Activation(shape=(batches, *out, outputs), scale=scale, zero_point=data.draw(ZERO_POINTS))
    options = {**window_options((size, (3, 3), (1, 1), (1, 1), padding, out))}
    options["fusedActivationFunction"] = data.draw(ACTIVATIONS)
    conv = Operator("CONV_2D", [x, filters, bias], [y], 3, options)
    model = side_by_side([data.draw(pooled(conv)) if is_pooled else conv])
    check(model, [int8(np.random.default_rng(data.draw(SEEDS)), x.shape)], CPUS)


@needs_gcc
@micro_process.needed
@pytest.mark.parametrize(("side", "channels"), [(1, 515), (1, 1100), (3, 60)])
def test_conv_2d_of_many_inputs(side, channels):
    """More inputs than one product of paired weights takes, all as large as can be."""
    filters = Constant(values=np.full((3, side, side, channels), 127, np.int8), scale=np.full(3, 0.001, np.float32))
    filters.values[1] = -127
    x = Activation(shape=(1, 3, 3, channels), scale=INPUT_SCALE, zero_point=127)
    y = Activation(shape=(1, 3, 3, 3), scale=filters.values[0].size * 0.01, zero_point=-3)
    model = one_operator("CONV_2D", [x, filters, None], [y], version=3, **window_options((0, 0, (1, 1), (1, 1), 0, 0)))
    for value in (-128, 127):
        check(model, [np.full(x.shape, value, np.int8)], CPUS)


@needs_gcc
@micro_process.needed
@given(windows(), st.data())
@few
def test_depthwise_conv_2d(window, data):
    size, side, *_, out = window
    batches, channels, multiplier = (data.draw(st.integers(1, most)) for most in (2, 6, 3))
    filters, bias, scale = data.draw(weights((1, *side, channels * multiplier), 3))
    x = Activation(shape=(batches, *size, channels), scale=INPUT_SCALE, zero_point=data.draw(ZERO_POINTS))
    y = Activation(shape=(batches, *out, channels * multiplier), scale=scale, zero_point=data.draw(ZERO_POINTS))
    options = {**window_options(window), "fusedActivationFunction": data.draw(ACTIVATIONS)}
    options["depthMultiplier"] = multiplier
    inputs = [x, filters] if bias is None else [x, filters, bias]  # the runtime dies of a bias that is left out
    model = one_operator("DEPTHWISE_CONV_2D", inputs, [y], version=3, **options)
    check(model, [int8(np.random.default_rng(data.draw(SEEDS)), x.shape)])


@needs_gcc
@micro_process.needed
@given(st.integers(1, 3), st.integers(1, 40), st.integers(1, 21), ACTIVATIONS, st.data())
@few
def test_fully_connected(rows, inputs, outputs, activation, data):
    matrix, bias, scale = data.draw(weights((outputs, inputs), 0))
    x = Activation(shape=(rows, inputs), scale=INPUT_SCALE, zero_point=data.draw(ZERO_POINTS))
    y = Activation(shape=(rows, outputs), scale=scale, zero_point=data.draw(ZERO_POINTS))
    model = one_operator("FULLY_CONNECTED", [x, matrix, bias], [y], version=5, fusedActivationFunction=activation)
    check(model, [int8(np.random.default_rng(data.draw(SEEDS)), x.shape)], CPUS)


@needs_gcc
@micro_process.needed
@given(st.data())
@few
def test_transpose_conv(data):
    out = data.draw(st.tuples(st.integers(1, 11), st.integers(1, 11)))
    side, strides = (data.draw(st.tuples(st.integers(1, most), st.integers(1, most))) for most in (4, 3))
    padding = data.draw(PADDINGS)
    size = tuple(window_count(*each, 1, padding) for each in zip(out, side, strides, strict=True))
    assume(min(size) > 0)
    batches, channels, outputs = (data.draw(st.integers(1, most)) for most in (2, 5, 4))
    filters, bias, scale = data.draw(weights((outputs, *side, channels), 0))
    shape = Constant(values=np.array((batches, *out, outputs), np.int32))
    x = Activation(shape=(batches, *size, channels), scale=INPUT_SCALE, zero_point=data.draw(ZERO_POINTS))
    y = Activation(shape=(batches, *out, outputs), scale=scale, zero_point=data.draw(ZERO_POINTS))
    options = {"padding": padding, "strideH": strides[0], "strideW": strides[1]}
    inputs = [shape, filters, x] if bias is None else [shape, filters, x, bias]
    model = one_operator("TRANSPOSE_CONV", inputs, [y], version=3, **options)
    check(model, [int8(np.random.default_rng(data.draw(SEEDS)), x.shape)])


@needs_gcc
@micro_process.needed
@pytest.mark.parametrize("name", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
@given(window=windows(dilated=False), data=st.data())
@few
def test_pooling(name, window, data):
    size, side, strides, _, padding, out = window
    batches, channels = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 5))
    x = data.draw(activations((batches, *size, channels)))
    y = Activation(shape=(batches, *out, channels), scale=x.scale, zero_point=x.zero_point)
    options = {"padding": padding, "strideH": strides[0], "strideW": strides[1]}
    options |= {"filterHeight": side[0], "filterWidth": side[1], "fusedActivationFunction": data.draw(ACTIVATIONS)}
    model = one_operator(name, [x], [y], version=2, **options)
    check(model, [int8(np.random.default_rng(data.draw(SEEDS)), x.shape)])


@needs_gcc
@micro_process.needed
@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.booleans(), st.data())
@few
def test_mean(shape, keeps, data):
    axes = sorted(data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1)))
    x = data.draw(activations(tuple(shape)))
    kept = [1 if axis in axes else size for axis, size in enumerate(shape)]
    reduced = tuple(kept if keeps else [size for axis, size in enumerate(shape) if axis not in axes])
    y = Activation(
        shape=reduced, scale=x.scale * data.draw(st.sampled_from([0.3, 1.0, 2.5])), zero_point=data.draw(ZERO_POINTS)
    )
    model = one_operator("MEAN", [x, Constant(values=np.array(axes, np.int32))], [y], version=2, keepDims=keeps)
    check(model, [int8(np.random.default_rng(data.draw(SEEDS)), x.shape)])


@st.composite
def broadcast(draw):
    """Two shapes that broadcast, and the output's."""
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
    inputs = []
    for _ in range(2):
        own = tuple(1 if draw(st.booleans()) and draw(st.booleans()) else size for size in shape)
        lost = draw(st.integers(0, len(own) - 1)) if draw(st.booleans()) else 0
        inputs.append(own[lost:] if all(size == 1 for size in shape[:lost]) or draw(st.booleans()) else own)
    out = np.broadcast_shapes(*inputs)
    return *inputs, out


@needs_gcc
@micro_process.needed
@pytest.mark.parametrize("name", ["ADD", "MUL", "SUB"])
@given(shapes=broadcast(), activation=ACTIVATIONS, constant=st.booleans(), data=st.data())
@few
def test_two_inputs(name, shapes, activation, constant, data):
    first, second = (data.draw(activations(shape)) for shape in shapes[:2])
    product = first.scale * second.scale if name == "MUL" else max(first.scale, second.scale)
    scale = product * data.draw(st.sampled_from([0.4, 1.0, 2.0, 90.0]))
    y = Activation(shape=shapes[2], scale=scale, zero_point=data.draw(ZERO_POINTS))
    rng = np.random.default_rng(data.draw(SEEDS))
    arrays = [int8(rng, each.shape) for each in (first, second)]
    inputs = [first, second]
    if constant:
        inputs[1] = Constant(values=arrays.pop(), scale=second.scale, zero_point=second.zero_point)
    model = one_operator(name, inputs, [y], version=2, fusedActivationFunction=activation)
    check(model, arrays, in_place=True)


@needs_gcc
@micro_process.needed
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 5), st.data())
@few
def test_prelu(height, width, channels, data):
    x = data.draw(activations((1, height, width, channels)))
    rng = np.random.default_rng(data.draw(SEEDS))
    alpha = Constant(values=int8(rng, (1, 1, channels)), scale=data.draw(SCALES), zero_point=data.draw(ZERO_POINTS))
    y = Activation(shape=x.shape, scale=x.scale * 1.5, zero_point=data.draw(ZERO_POINTS))
    check(one_operator("PRELU", [x, alpha], [y]), [int8(rng, x.shape)], in_place=True)


EVERY = np.arange(-128, 128).astype(np.int8)[None]


@needs_gcc
@micro_process.needed
@pytest.mark.parametrize("name", ["HARD_SWISH", "LEAKY_RELU", "QUANTIZE", "RELU", "RELU6"])
@given(x=activations((1, 256)), y=activations((1, 256)), alpha=st.floats(0.0, 0.875, width=32))
@few
def test_tables(name, x, y, alpha):
    assume(2.0**-6 < x.scale / y.scale < 2.0**6)
    options = {"alpha": alpha} if name == "LEAKY_RELU" else {}
    check(one_operator(name, [x], [y], **options), [EVERY], in_place=True)


@needs_gcc
@micro_process.needed
@pytest.mark.parametrize(
    ("name", "ratio", "fits"),
    [("RELU", 22.9, True), ("RELU", 23, False), ("HARD_SWISH", -8.1, True), ("HARD_SWISH", -9.1, False)],
)
def test_tables_within_the_integers_of_the_reference(name, ratio, fits):
    x = Activation(shape=EVERY.shape, scale=float(np.float32(0.01 * 2.0**ratio)), zero_point=3)
    y = Activation(shape=EVERY.shape, scale=0.01, zero_point=-5)
    model = one_operator(name, [x], [y])
    if fits:
        check(model, [EVERY])
    else:
        with pytest.raises(OperatorRefusedError, match="scale"):
            by_c(model, [EVERY])


def edge(seed, weight=1.0):
    """Scales (in, out), float32, of which some input is rounded to another value if the multiplier is a float32."""
    rng = np.random.default_rng(seed)
    inputs = np.arange(1, 128)
    while True:
        source = np.float32(rng.uniform(0.5, 1.5))
        middle = float(source) * weight * rng.integers(1, 128) / (rng.integers(1, 100) + 0.5)
        result = np.nextafter(np.float32(middle), np.float32(9 * rng.integers(2)))
        exact = inputs * (float(source) * weight / float(result))
        product = source * np.float32(weight)
        rounded = inputs * (float(product / result) if weight == 1 else float(product) / float(result))
        is_sure = (np.abs(exact % 1 - 0.5) > 1e-6) & (np.abs(rounded % 1 - 0.5) > 1e-6)
        if np.any(is_sure & (np.rint(rounded) != np.rint(exact)) & (exact < 127)):
            return float(source), float(result)


@needs_gcc
@micro_process.needed
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["FULLY_CONNECTED", "LEAKY_RELU", "QUANTIZE", "RELU", "slope"])
def test_at_an_edge_of_rounding(name, seed):
    """The runtime's package works multipliers out in float64; some of its sources do it in float32."""
    weight = float(np.float32(0.7)) if name == "FULLY_CONNECTED" else 1.0
    source, result = edge(seed, weight)
    rows = EVERY.reshape(256, 1)
    x = Activation(shape=rows.shape, scale=source, zero_point=0)
    y = Activation(shape=rows.shape, scale=result, zero_point=0)
    inputs, options = [x], {}
    if name == "FULLY_CONNECTED":
        inputs.append(Constant(values=np.ones((1, 1), np.int8), scale=np.array([weight], np.float32), axis=0))
    elif name in ("LEAKY_RELU", "slope"):  # above zero; below it
        options["alpha"] = 0.0 if name == "LEAKY_RELU" else 1.0
    check(one_operator("LEAKY_RELU" if name == "slope" else name, inputs, [y], **options), [rows])


@needs_gcc
@micro_process.needed
def test_hard_swish_at_an_edge_of_rounding():
    x = Activation(shape=(1, 256), scale=0.09038284, zero_point=0)
    y = Activation(shape=(1, 256), scale=0.11703641, zero_point=-10)
    check(one_operator("HARD_SWISH", [x], [y]), [EVERY])


@needs_gcc
@micro_process.needed
@pytest.mark.parametrize(("name", "scale", "zero_point"), [("LOGISTIC", 1 / 256, -128), ("TANH", 1 / 128, 0)])
@given(x=activations((1, 256)))
@few
def test_tables_of_fixed_outputs(name, scale, zero_point, x):
    y = Activation(shape=(1, 256), scale=scale, zero_point=zero_point)
    check(one_operator(name, [x], [y]), [EVERY], in_place=True)


@needs_gcc
@micro_process.needed
@given(st.integers(1, 20), st.integers(1, 40), SCALES, st.floats(0.25, 2.0, width=32), ZERO_POINTS, SEEDS)
@few
def test_softmax(rows, depth, scale, beta, zero_point, seed):
    rng = np.random.default_rng(seed)
    x = Activation(shape=(rows, depth), scale=scale, zero_point=zero_point)
    y = Activation(shape=x.shape, scale=1 / 256, zero_point=-128)
    inputs = [int8(rng, x.shape) if seed % 2 else rng.integers(-9, 9, x.shape).astype(np.int8)]
    check(one_operator("SOFTMAX", [x], [y], version=2, beta=beta), inputs, in_place=True)


@needs_gcc
@micro_process.needed
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(1, 4), st.data())
@few
def test_concatenation_and_split(shape, parts, data):
    axis = data.draw(st.integers(0, len(shape) - 1))
    rng = np.random.default_rng(data.draw(SEEDS))
    whole = data.draw(activations((*shape[:axis], shape[axis] * parts, *shape[axis + 1 :])))
    sizes = [Activation(shape=tuple(shape), scale=whole.scale, zero_point=whole.zero_point)] * parts
    inputs = [int8(rng, shape) for _ in range(parts)]
    check(one_operator("CONCATENATION", sizes, [whole], version=2, axis=axis), inputs)
    where = Constant(values=np.array([axis], np.int32))
    check(one_operator("SPLIT", [where, whole], sizes, version=2, numSplits=parts), [int8(rng, whole.shape)])


@needs_gcc
@micro_process.needed
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.booleans(), st.data())
@few
def test_pad(shape, second, data):
    around = [(data.draw(st.integers(0, 3)), data.draw(st.integers(0, 3))) for _ in shape]
    x = data.draw(activations(tuple(shape)))
    padded = tuple(size + sum(each) for size, each in zip(shape, around, strict=True))
    y = Activation(shape=padded, scale=x.scale, zero_point=x.zero_point)
    inputs = [x, Constant(values=np.array(around, np.int32))]
    if second:
        inputs.append(
            Constant(values=np.array([data.draw(ZERO_POINTS)], np.int8), scale=x.scale, zero_point=x.zero_point)
        )
    model = one_operator("PADV2" if second else "PAD", inputs, [y], version=2)
    check(model, [int8(np.random.default_rng(data.draw(SEEDS)), x.shape)])


@needs_gcc
@micro_process.needed
@given(st.lists(st.integers(1, 5), min_size=2, max_size=5), st.data())
@few
def test_transpose(shape, data):
    order = data.draw(st.permutations(range(len(shape))))
    x = data.draw(activations(tuple(shape)))
    y = Activation(shape=tuple(shape[axis] for axis in order), scale=x.scale, zero_point=x.zero_point)
    model = one_operator("TRANSPOSE", [x, Constant(values=np.array(order, np.int32))], [y], version=2)
    check(model, [int8(np.random.default_rng(data.draw(SEEDS)), x.shape)])


@needs_gcc
@micro_process.needed
@given(st.lists(st.integers(1, 7), min_size=1, max_size=4), st.data())
@few
def test_strided_slice(shape, data):
    begin, end, strides, sizes = [], [], [], []
    for size in shape:
        ends = st.sampled_from([(0, size - 1), (size - 1, 0)])
        first, last = data.draw(ends | st.tuples(*[st.integers(0, size - 1)] * 2))
        stride = data.draw(st.integers(1, 3)) * (1 if first <= last else -1)
        stop = last + (1 if stride > 0 else -1)
        begin.append(first - size if data.draw(st.booleans()) else first)
        end.append(stop if stop >= 0 else -size - 1)
        strides.append(stride)
        sizes.append(len(range(first, stop, stride)))
    x = data.draw(activations(tuple(shape)))
    y = Activation(shape=tuple(sizes), scale=x.scale, zero_point=x.zero_point)
    bounds = [Constant(values=np.array(each, np.int32)) for each in (begin, end, strides)]
    model = one_operator("STRIDED_SLICE", [x, *bounds], [y], version=2)
    check(model, [int8(np.random.default_rng(data.draw(SEEDS)), x.shape)])


@needs_gcc
@micro_process.needed
def test_a_mask_of_beginnings_counts_for_an_axis_that_goes():
    x = Activation(shape=(5, 4), scale=0.1, zero_point=3)
    y = Activation(shape=(4,), scale=0.1, zero_point=3)
    bounds = [Constant(values=np.array(each, np.int32)) for each in ([2, 0], [3, 4], [1, 1])]
    model = one_operator("STRIDED_SLICE", [x, *bounds], [y], beginMask=1, shrinkAxisMask=1)
    check(model, [int8(np.random.default_rng(0), x.shape)])


@needs_gcc
@micro_process.needed
def test_places_just_below_a_half_are_rounded_down():
    """The 42nd of 83 places between two values: 0.49999997 in float32."""
    x, y = (Activation(shape=(1, side, 1, 1), scale=0.1, zero_point=3) for side in (2, 83))
    inputs = [x, Constant(values=np.array([83, 1], np.int32))]
    model = one_operator("RESIZE_NEAREST_NEIGHBOR", inputs, [y], version=3, alignCorners=True)
    check(model, [int8(np.random.default_rng(0), x.shape)])


@needs_gcc
@micro_process.needed
@given(
    st.tuples(*[st.integers(1, 7)] * 2), st.tuples(*[st.integers(1, 13)] * 2), st.booleans(), st.booleans(), st.data()
)
@few
def test_resize_nearest_neighbor(size, wanted, align, centred, data):
    assume(not (align and centred))
    x = data.draw(activations((2, *size, 3)))
    y = Activation(shape=(2, *wanted, 3), scale=x.scale, zero_point=x.zero_point)
    options = {"alignCorners": align, "halfPixelCenters": centred}
    inputs = [x, Constant(values=np.array(wanted, np.int32))]
    model = one_operator("RESIZE_NEAREST_NEIGHBOR", inputs, [y], version=2, **options)
    check(model, [int8(np.random.default_rng(data.draw(SEEDS)), x.shape)])


@needs_gcc
@micro_process.needed
@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.data())
@few
def test_arg_max(shape, data):
    axis = data.draw(st.integers(0, len(shape) - 1))
    x = data.draw(activations(tuple(shape)))
    y = Activation(shape=(*shape[:axis], *shape[axis + 1 :]), dtype="int32")
    model = one_operator("ARG_MAX", [x, Constant(values=np.array([axis], np.int32))], [y])
    rng = np.random.default_rng(data.draw(SEEDS))
    check(model, [rng.integers(-2, 3, x.shape).astype(np.int8)])  # many are equal


@needs_gcc
@micro_process.needed
@given(activations((1, 256)), SEEDS)
@few
def test_quantize_and_dequantize(quantised, seed):
    real = Activation(shape=(1, 256), dtype="float32")
    check(one_operator("DEQUANTIZE", [quantised], [real], version=2), [EVERY])
    rng = np.random.default_rng(seed)
    steps = np.concatenate([np.arange(-140, 140) + 0.5, rng.uniform(-300, 300, 100), [-1e8, 1e8, 0.0, -0.0]])
    values = (steps[rng.permutation(steps.size)[:256]] * np.float32(quantised.scale)).astype(np.float32)
    check(one_operator("QUANTIZE", [real], [quantised]), [values[None]])
