"""C operators on emulated Cortex-M CPUs: outputs of TensorFlow Lite Micro, and instructions that do not grow."""

import dataclasses
import functools
import math

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import micro_process, tiny_models
from helpers.int8_models import Activation, Constant, Operator, side_by_side
from helpers.standalone_operators import by_micro
from tflite_sparse.backends import in_c
from tflite_sparse.codecs.streams.kernels import Filter
from tflite_sparse.codecs.streams.work import Pixels
from tflite_sparse.flatbuffer import serde
from tflite_sparse.planning.encoder import encode_model
from tflite_sparse.runtime import cortex_m, cortex_m_model
from tflite_sparse.runtime.host_c import PortBytes
from tflite_sparse.standalone_c import estimate, files
from tflite_sparse.standalone_c.header import Naming
from tflite_sparse.targets import micro_costs

pytestmark = [
    pytest.mark.skipif(not cortex_m.is_available(), reason="compiler or emulator is not installed"),
    micro_process.needed,
]
SAME, VALID = schema.Padding.SAME, schema.Padding.VALID
NONE, RELU6 = schema.ActivationFunctionType.NONE, schema.ActivationFunctionType.RELU6
INPUT_SCALE = 1 / 16


def weighted(name, shape, axis, image, *, strides=(1, 1), dilations=(1, 1), padding=SAME, activation=NONE, **more):
    """An operator with random weights ``shape``; ``more``: points (of input, output), spread, bias, batches, scales,
    largest weight, share of zeros, depth multiplier."""
    rng = np.random.default_rng(math.prod(shape) + math.prod(image))
    outputs, points = shape[axis], more.get("points", (3, -5))
    largest = more.get("largest", 127)
    values = rng.integers(-largest, largest + 1, shape).astype(np.int8)
    values[rng.random(shape) < more.get("zeros", 0)] = 0
    scales = rng.uniform(0.5, 2.0, more.get("scales", outputs)).astype(np.float32) / 64
    bias = rng.integers(-1, 2, outputs) * more.get("bias", 3000)
    constants = [
        Constant(values=values, scale=scales, axis=axis),
        Constant(values=bias.astype(np.int32), scale=np.float32(INPUT_SCALE) * scales),
    ]
    scale = float(scales.max()) / 16 * 75 * 75 * math.sqrt(math.prod(shape) / outputs) / 60 * more.get("spread", 1.0)
    ends = {"zero_point": points[1], "scale": scale}
    if name == "FULLY_CONNECTED":
        x = Activation(shape=image, scale=INPUT_SCALE, zero_point=points[0])
        y = Activation(shape=(image[0], outputs), **ends)
        return Operator(name, [x, *constants], [y], 5, {"fusedActivationFunction": activation})
    sides = shape[1:3]
    reach = [(side - 1) * dilation + 1 for side, dilation in zip(sides, dilations, strict=True)]
    out = [
        -(-size // stride) if padding == SAME else (size - far) // stride + 1
        for size, stride, far in zip(image, strides, reach, strict=True)
    ]
    channels = shape[3] // more.get("multiplier", 1)
    x = Activation(shape=(more.get("batches", 1), *image, channels), scale=INPUT_SCALE, zero_point=points[0])
    y = Activation(shape=(more.get("batches", 1), *out, outputs), **ends)
    options = {"padding": padding, "strideH": strides[0], "strideW": strides[1], "fusedActivationFunction": activation}
    options |= {"dilationHFactor": dilations[0], "dilationWFactor": dilations[1]}
    if name == "DEPTHWISE_CONV_2D":
        options["depthMultiplier"] = more.get("multiplier", 1)
    return Operator(name, [x, *constants], [y], 3, options)


def replaced_weights(operator, value):
    """The operator with all weights alike."""
    operator.inputs[1].values[:] = value
    return operator


conv = functools.partial(weighted, "CONV_2D")
depthwise = functools.partial(weighted, "DEPTHWISE_CONV_2D")
matrix = functools.partial(weighted, "FULLY_CONNECTED")


def unary(name, shape, y=None, version=1, **options):
    x = Activation(shape=shape, scale=0.1, zero_point=7)
    return Operator(name, [x], [y or Activation(shape=shape, scale=0.07, zero_point=-9)], version, options)


def binary(name, first, second, scale):
    inputs = [Activation(shape=first, scale=0.1, zero_point=7), Activation(shape=second, scale=0.031, zero_point=-20)]
    shape = np.broadcast_shapes(first, second)
    return Operator(name, inputs, [Activation(shape=shape, scale=scale, zero_point=2)], 2)


def pooled(name, image=(7, 6), side=3, channels=5):
    x = Activation(shape=(1, *image, channels), scale=0.1, zero_point=7)
    options = {"padding": SAME, "strideH": 2, "strideW": 2, "filterHeight": side, "filterWidth": side}
    y = Activation(shape=(1, *(-(-size // 2) for size in image), channels), scale=0.1, zero_point=7)
    return Operator(name, [x], [y], 2, {**options, "fusedActivationFunction": NONE})


def mean():
    axes = Constant(values=np.array([1, 2], np.int32))
    x, y = (Activation(shape=shape, scale=0.1, zero_point=7) for shape in ((1, 7, 6, 5), (1, 5)))
    return Operator("MEAN", [x, axes], [y], 2, {"keepDims": False})


def with_pool(conv, size, *, side=2, stride=2, activation=NONE):
    """A convolution, and the largest of its outputs in windows of a pool; ``size``: of these."""
    (between,) = conv.outputs
    y = dataclasses.replace(between, shape=(between.shape[0], *size, between.shape[3]))
    options = {"padding": VALID, "strideH": stride, "strideW": stride, "filterHeight": side, "filterWidth": side}
    pool = Operator("MAX_POOL_2D", [between], [y], 2, {**options, "fusedActivationFunction": activation})
    return dataclasses.replace(conv, then=pool)


POOLED = [
    with_pool(conv((6, 3, 3, 1), 0, (9, 12), batches=2), (4, 6)),
    with_pool(conv((3, 3, 3, 1), 0, (9, 8), padding=VALID, points=(-128, 127)), (3, 3), activation=RELU6),
    with_pool(conv((5, 3, 3, 1), 0, (8, 8), activation=RELU6, points=(0, -100), scales=1), (4, 4)),
    with_pool(conv((16, 3, 3, 8), 0, (18, 18), batches=2), (9, 9)),
    with_pool(conv((32, 5, 4, 3), 0, (31, 32), strides=(1, 2), points=(-128, 5)), (10, 5), side=3, stride=3),
]
OPERATORS = [
    # tiles of 2x2 outputs; the last ones reach back
    conv((5, 3, 3, 1), 0, (7, 9), points=(-128, 127)),
    conv((4, 3, 3, 1), 0, (6, 5), padding=VALID, batches=2, activation=RELU6, points=(3, -128)),
    conv((2, 3, 3, 1), 0, (4, 2), scales=1, largest=128),
    conv((2, 3, 3, 1), 0, (4, 2), bias=2**30),
    conv((2, 3, 3, 1), 0, (4, 5), largest=1, spread=4e-3, bias=0),  # a shift to the left
    *POOLED,
    # four pixels of paired weights: rounded inputs, padding, a last group that reaches back, odd outputs
    conv((5, 3, 3, 8), 0, (6, 7)),
    conv((4, 3, 3, 3), 0, (7, 5), strides=(2, 2), points=(-128, 127)),
    conv((3, 5, 2, 4), 0, (8, 6), strides=(1, 2), dilations=(1, 2), padding=VALID, batches=2),
    conv((6, 1, 1, 10), 0, (3, 3), activation=RELU6, points=(0, -100)),
    conv((7, 1, 1, 12), 0, (1, 3), scales=1),  # fewer pixels
    conv((2, 1, 1, 1100), 0, (2, 2)),  # more inputs than one product takes
    conv((3, 3, 3, 4), 0, (4, 4), bias=2**30),  # wide sums
    conv((3, 1, 1, 4), 0, (4, 4), spread=1e-3),  # shifts to the left, all saturated
    conv((8, 1, 1, 2), 0, (4, 4), largest=1, spread=4e-3, bias=0),  # the same, and most are not saturated
    conv((9, 1, 1, 33), 0, (2, 3)),
    # four windows that are read at once, whose rows share words in every way
    conv((3, 3, 3, 3), 0, (9, 18), strides=(2, 2), points=(-128, 127)),
    conv((2, 3, 3, 1), 0, (8, 12)),
    conv((3, 2, 2, 3), 0, (6, 12), padding=VALID),
    conv((2, 5, 1, 2), 0, (9, 16), strides=(1, 2)),
    conv((2, 4, 5, 1), 0, (9, 12), dilations=(2, 1), padding=VALID),
    conv((3, 1, 3, 5), 0, (5, 11), batches=2),
    conv((4, 1, 1, 5), 0, (5, 6), batches=2),
    conv((4, 1, 1, 6), 0, (5, 16), strides=(1, 2), padding=VALID),
    # a table of scales, odd outputs, outputs that are clamped at the zero point, every rest of the turns of four inputs
    conv((5, 3, 3, 3), 0, (6, 6), points=(3, -128)),
    conv((3, 1, 1, 3), 0, (5, 4)),
    conv((4, 1, 1, 20), 0, (4, 4), activation=RELU6, points=(0, -100)),
    conv((6, 1, 1, 32), 0, (4, 5), scales=1, points=(3, -128)),
    conv((3, 1, 1, 24), 0, (4, 5)),
    conv((11, 1, 1, 12), 0, (3, 3), points=(3, -128)),  # fewer pixels: scales by eight
    # some of four windows are read again; parts of windows that come in fours; rows in the padding above and below
    conv((4, 3, 3, 4), 0, (5, 9), points=(-7, 3)),
    conv((3, 4, 4, 1), 0, (9, 5), strides=(2, 2), points=(-7, 3)),
    conv((2, 3, 3, 3), 0, (2, 9), dilations=(3, 1), points=(-7, 3)),
    depthwise((1, 3, 3, 6), 3, (7, 4)),
    depthwise((1, 3, 3, 5), 3, (4, 9), activation=RELU6, points=(127, -128)),
    depthwise((1, 3, 3, 4), 3, (9, 8), strides=(2, 2), points=(-128, 3)),
    depthwise((1, 3, 3, 4), 3, (6, 5), strides=(1, 2), padding=VALID, batches=2),
    depthwise((1, 3, 3, 2), 3, (5, 8), padding=VALID),
    depthwise((1, 3, 3, 2), 3, (7, 7), strides=(3, 2), points=(127, 3)),
    depthwise((1, 3, 3, 2), 3, (3, 2), strides=(2, 1)),
    depthwise((1, 3, 3, 3), 3, (1, 2)),
    depthwise((1, 3, 3, 3), 3, (2, 1), scales=1),
    depthwise((1, 3, 3, 4), 3, (5, 5), spread=4e-3, largest=1, bias=0),
    depthwise((1, 3, 3, 4), 3, (5, 5), bias=2**30),
    # lines along either side, each number of outputs that four a turn leave over, no output that is wholly within
    depthwise((1, 3, 3, 3), 3, (10, 3), points=(-128, 127), largest=128, batches=2),
    depthwise((1, 3, 3, 2), 3, (12, 4), points=(127, 3), scales=1),
    depthwise((1, 3, 3, 2), 3, (5, 2)),
    depthwise((1, 3, 3, 2), 3, (9, 7), padding=VALID),
    depthwise((1, 3, 3, 2), 3, (13, 3), strides=(3, 1)),
    depthwise((1, 3, 3, 2), 3, (4, 6), strides=(3, 1), largest=128),
    depthwise((1, 3, 3, 2), 3, (5, 5), strides=(2, 2), batches=2),
    # outputs that are clamped at the zero point
    depthwise((1, 3, 3, 3), 3, (10, 3), points=(3, -128)),
    depthwise((1, 3, 3, 4), 3, (9, 8), strides=(2, 2), points=(-128, -20), activation=RELU6),
    depthwise((1, 3, 3, 2), 3, (5, 8), points=(3, -20), activation=RELU6, batches=2),
    # small shifts to the right, so that many outputs are next to halves
    depthwise((1, 3, 3, 6), 3, (9, 8), points=(3, -128), largest=1, spread=1e-2, bias=99),
    depthwise((1, 3, 3, 6), 3, (9, 8), points=(3, -5), largest=1, spread=1e-2, bias=99),
    depthwise((1, 5, 2, 6), 3, (6, 7), dilations=(1, 2), multiplier=2),
    matrix((19, 37), 0, (2, 37)),
    matrix((8, 1030), 0, (1, 1030), activation=RELU6),
    matrix((5, 16), 0, (1, 16), scales=1),
    matrix((9, 12), 0, (3, 12), bias=2**30),
    binary("ADD", (2, 3, 4), (2, 3, 4), 0.2),
    binary("SUB", (2, 3, 4), (4,), 0.2),
    binary("MUL", (2, 3, 4), (2, 1, 1), 0.02),
    unary("SOFTMAX", (3, 10), Activation(shape=(3, 10), scale=1 / 256, zero_point=-128), 2, beta=1.0),
    unary("LOGISTIC", (1, 64), Activation(shape=(1, 64), scale=1 / 256, zero_point=-128)),
    unary("QUANTIZE", (1, 64)),
    pooled("AVERAGE_POOL_2D"),
    pooled("AVERAGE_POOL_2D", (17, 17), 32, 4),  # sums that do not fit in half-words
    pooled("MAX_POOL_2D"),
    pooled("MAX_POOL_2D", (5, 6), 2, 21),
    mean(),
]
HELIUM = [
    # windows of one to four registers, full and not; more inputs; outputs that are left of fours and threes
    conv((16, 3, 3, 1), 0, (5, 7), points=(127, -5)),
    conv((5, 4, 4, 1), 0, (4, 4), strides=(2, 2), activation=RELU6, points=(-128, -100)),
    conv((8, 3, 3, 3), 0, (5, 6), strides=(2, 2), largest=128),
    conv((6, 1, 1, 32), 0, (3, 5), batches=2),
    conv((7, 10, 4, 1), 0, (11, 6), strides=(2, 2)),
    conv((4, 1, 1, 48), 0, (1, 1)),
    conv((9, 5, 5, 2), 0, (4, 3), largest=128),
    conv((53, 1, 1, 64), 0, (3, 3)),
    conv((4, 1, 1, 64), 0, (5, 7), strides=(2, 3)),
    conv((5, 1, 1, 65), 0, (2, 3), largest=128),
    conv((101, 3, 3, 8), 0, (3, 5), dilations=(2, 1)),
    conv((16, 3, 3, 16), 0, (6, 5), dilations=(1, 2)),
    conv((3, 3, 3, 8), 0, (3, 3)),  # fewer than four outputs
    conv((6, 3, 3, 9), 0, (4, 4), scales=1),
    conv((7, 3, 3, 9), 0, (4, 4), bias=2**30),
    conv((10, 1, 1, 2), 0, (3, 3), largest=1, spread=4e-3, bias=0),  # shifts to the left
    # sixteen channels; a part of them; several columns at once; strips side by side
    depthwise((1, 3, 3, 16), 3, (7, 19), points=(127, -128)),
    depthwise((1, 3, 3, 40), 3, (6, 21), strides=(2, 2), activation=RELU6, points=(-128, -100)),
    depthwise((1, 3, 3, 33), 3, (9, 4), strides=(3, 1), scales=1, batches=2),
    depthwise((1, 3, 3, 8), 3, (5, 21)),
    depthwise((1, 3, 3, 8), 3, (7, 21), strides=(1, 2), padding=VALID),
    depthwise((1, 3, 3, 5), 3, (4, 20), strides=(5, 1), padding=VALID),
    depthwise((1, 3, 3, 1), 3, (4, 40)),
    depthwise((1, 3, 3, 3), 3, (3, 18), scales=1),
    depthwise((1, 3, 3, 15), 3, (3, 2), batches=2),
]
LEAST = [  # the product of the least weight and the least input, as often as can be
    replaced_weights(conv((8, 3, 3, 32), 0, (4, 4), bias=0, spread=40), -128),
    replaced_weights(conv((4, 1, 1, 9), 0, (2, 2), bias=0, spread=10), -128),
    replaced_weights(depthwise((1, 3, 3, 18), 3, (4, 5), points=(3, -5), bias=0, spread=10), -128),
    replaced_weights(depthwise((1, 3, 3, 18), 3, (4, 5), points=(3, -5), bias=0, spread=10), 127),
]
LAYERS = {
    "1x1 128 to 128, 8x8": conv((128, 1, 1, 128), 0, (8, 8)),
    "1x1 64 to 64, 25x5": conv((64, 1, 1, 64), 0, (25, 5)),
    "3x3 32 to 32, 16x16": conv((32, 3, 3, 32), 0, (16, 16)),
    "3x3 depthwise of 64, 25x5": depthwise((1, 3, 3, 64), 3, (25, 5)),
    "FULLY_CONNECTED 1024 to 128": matrix((128, 1024), 0, (1, 1024)),
    "3x3 1 to 16, 28x28": conv((16, 3, 3, 1), 0, (28, 28)),
    "the same, pooled": with_pool(conv((16, 3, 3, 1), 0, (28, 28)), (14, 14)),
}
INSTRUCTIONS = {
    "cortex-m3": [2_785_511, 1_615_825, 5_766_183, 661_958, 360_071, 491_461, 380_458],
    "cortex-m4": [890_502, 486_130, 2_012_320, 161_708, 142_798, 202_643, 177_118],
}
CMSIS_NN_ON_M4 = {  # benchmarks/micro_dense_counts.json
    "1x1 128 to 128, 8x8": 1_837_696,
    "1x1 64 to 64, 25x5": 1_047_040,
    "3x3 32 to 32, 16x16": 4_538_241,
    "3x3 depthwise of 64, 25x5": 582_818,
    "FULLY_CONNECTED 1024 to 128": 252_211,
}
ALLOWED = 0.03
MOST_OF_CMSIS_NN = 1.15 * 0.55


def made_input(rng, x):
    """Random values; of a large image the largest, for sums that are as large as can be."""
    if min(x.shape[1:3], default=0) > 16:
        return np.full(x.shape, 127, np.int8)
    return rng.integers(-128, 128, x.shape).astype(np.int8)


def generated(model, cpu, *, sparse=False):
    parsed = serde.parse(tiny_models.to_bytes(model))
    if sparse:
        encode_model(parsed, in_c.planned(cpu, "latency"))
    return files.generate(parsed, Naming("model", "tests", "model.tflite"), cpu)


def run(cpu, operators, made_for=None, *, sparse=False, value=None, optimised="-O2"):
    """(what the emulated CPU computes and counts, what TensorFlow Lite Micro computes); ``value``: of all inputs."""
    model = side_by_side(operators)
    rng = np.random.default_rng(0)
    inputs = [made_input(rng, x) for each in operators for x in each.activations]
    if value is not None:
        inputs = [np.full_like(each, value) for each in inputs]
    sources = generated(model, made_for or cpu, sparse=sparse)
    assert all(step.form.startswith("sparse") for step in sources.program.steps) or not sparse
    ports = [
        [PortBytes(sources.program.values[number].shape, np.dtype(np.int8)) for number in numbers]
        for numbers in (sources.program.inputs, sources.program.outputs)
    ]
    steps = len(sources.program.steps)
    counted = cortex_m_model.run(cpu, sources.files, "model", tuple(ports), steps, [inputs], optimised)
    return counted, by_micro(model, inputs)


def different(operators, counted, expected):
    """Operators whose outputs differ, and their places."""
    (found,) = counted.rows
    return [
        (each.name, place)
        for place, (each, ours, theirs) in enumerate(zip(operators, found, expected, strict=True))
        if not np.array_equal(ours, theirs)
    ]


def test_pools_are_computed_with_their_convolutions():
    """So that the test below reaches what does."""
    functions = [
        call.function for step in generated(side_by_side(POOLED), "cortex-m4").program.steps for call in step.calls
    ]
    assert functions == 3 * ["tfls_conv_2d_3x3x1_max_pool"] + 2 * ["tfls_conv_2d_max_pool"]


OTHER_LAYOUTS = [("cortex-m4", "generic"), ("cortex-m55", "cortex-m4")]


@pytest.mark.slow
@pytest.mark.parametrize(("cpu", "made_for"), [*((cpu, cpu) for cpu in sorted(cortex_m.CPUS)), *OTHER_LAYOUTS])
def test_outputs_are_those_of_tensorflow_lite_micro(cpu, made_for):
    counted, expected = run(cpu, OPERATORS, made_for)
    assert not different(OPERATORS, counted, expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cpu", "optimised"), [("cortex-m4", "-Og"), ("cortex-m4", "-O1"), ("cortex-m55", "-Og"), ("cortex-m0", "-Os")]
)
def test_whatever_the_compiler_optimises(cpu, optimised):
    """As debug builds and small ones are compiled; where functions of assembly come to lie then differs."""
    for operators, sparse in ((OPERATORS, False), (SPARSE, True)):
        if sparse and cpu == "cortex-m55":
            continue  # dense operators are quicker there
        counted, expected = run(cpu, operators, sparse=sparse, optimised=optimised)
        assert not different(operators, counted, expected)


@pytest.mark.slow
def test_outputs_of_loops_with_helium():
    counted, expected = run("cortex-m55", HELIUM)
    assert not different(HELIUM, counted, expected)


@pytest.mark.slow
def test_largest_products_with_helium():
    counted, expected = run("cortex-m55", LEAST, value=-128)
    assert not different(LEAST, counted, expected)


SPARSE = [
    conv((24, 1, 1, 32), 0, (5, 5), zeros=0.85),
    conv((24, 1, 1, 32), 0, (5, 5), zeros=0.85, scales=1, largest=1, spread=2.8e-3, bias=0),  # no shift
    conv((24, 1, 1, 32), 0, (5, 5), zeros=0.85, largest=1, spread=2e-3, bias=0),  # none, or to the right
    conv((24, 3, 3, 8), 0, (6, 9), zeros=0.85, bias=2**30),  # wide sums
    matrix((40, 300), 0, (1, 300), zeros=0.85),
    matrix((40, 300), 0, (1, 300), zeros=0.85, scales=1, largest=1, spread=9e-4, bias=0),  # no shift
]


@pytest.mark.parametrize("cpu", ["cortex-m0", "cortex-m4"])
def test_sparse_operators_that_are_opened_ahead(cpu):
    counted, expected = run(cpu, SPARSE, sparse=True)
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(counted.rows[0], expected, strict=True))


@pytest.mark.parametrize("cpu", sorted(INSTRUCTIONS))
def test_instructions(cpu):
    """A regression fails; so does an improvement until it is written down here."""
    counted, expected = run(cpu, list(LAYERS.values()))
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(counted.rows[0], expected, strict=True))
    wanted = dict(zip(LAYERS, INSTRUCTIONS[cpu], strict=True))
    found = dict(zip(LAYERS, counted.instructions, strict=True))
    assert not {name: count for name, count in found.items() if abs(count / wanted[name] - 1) > ALLOWED}


def test_dense_layers_take_half_of_what_cmsis_nn_takes():
    ours = dict(zip(LAYERS, INSTRUCTIONS["cortex-m4"], strict=True))
    assert max(ours[name] / theirs for name, theirs in CMSIS_NN_ON_M4.items()) <= MOST_OF_CMSIS_NN


DENSE = {
    "1x1 128 to 128, 8x8": (Filter(128, 1, 1, 128), Pixels(1, 8, 8)),
    "1x1 64 to 64, 25x5": (Filter(64, 1, 1, 64), Pixels(1, 25, 5)),
    "3x3 32 to 32, 16x16": (Filter(32, 3, 3, 32), Pixels(1, 16, 16)),
    "FULLY_CONNECTED 1024 to 128": (Filter(128, 1, 1, 1024), Pixels(1, 1, 1)),
}


@pytest.mark.parametrize("name", sorted(DENSE))
def test_the_model_of_costs_knows_dense_layers(name):
    shape, pixels = DENSE[name]
    modelled = micro_costs.of("cortex-m4", "standalone").of_dense(shape, pixels, is_matrix="FULLY" in name)
    assert modelled == pytest.approx(dict(zip(LAYERS, INSTRUCTIONS["cortex-m4"], strict=True))[name], rel=0.1)


RARE = [  # weights of -128, wide sums, columns that lie apart
    conv((32, 3, 3, 16), 0, (12, 12), largest=128),
    conv((32, 1, 1, 32), 0, (12, 12), largest=128),
    matrix((40, 256), 0, (1, 256), largest=128),
    conv((32, 3, 3, 16), 0, (12, 12), bias=2**30),
    matrix((40, 256), 0, (1, 256), bias=2**30),
    conv((16, 3, 3, 16), 0, (12, 12), largest=128, bias=2**30),
    conv((2, 5, 5, 3), 0, (18, 18), dilations=(1, 2)),
    conv((5, 3, 5, 5), 0, (12, 17), dilations=(1, 2)),
]


@pytest.mark.parametrize("cpu", ["cortex-m0", "cortex-m4"])
def test_the_model_of_costs_knows_rare_loops(cpu):
    counted, _ = run(cpu, RARE)
    estimated = estimate.instructions(generated(side_by_side(RARE), cpu).program, cpu)
    assert estimated == pytest.approx(counted.instructions, rel=0.12)
