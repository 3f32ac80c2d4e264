"""What C functions do, counted by plain loops over their windows; and what the model of costs knows."""

import dataclasses
import itertools
import math
import re
from collections import Counter

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import generated_c, int8_nets, tiny_models
from helpers.int8_graphs import GROWN, Int8Graph
from helpers.int8_models import Activation, Constant, Operator, one_operator, side_by_side
from tflite_sparse.codecs.streams.kernels import PAIR_KERNELS, Filter
from tflite_sparse.codecs.streams.work import Pixels
from tflite_sparse.errors import ExecutionError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.standalone_c import core, estimate, files, pooling, reader, work
from tflite_sparse.standalone_c.depthwise import BY_3X3_CLAMPED
from tflite_sparse.standalone_c.program import Call, Struct
from tflite_sparse.targets import micro_costs

SAME, VALID = schema.Padding.SAME, schema.Padding.VALID
PLAIN, DSP, HELIUM = frozenset(), frozenset({"dsp"}), frozenset({"dsp", "helium"})
ELSEWHERE = {"tfls_conv_2d", "tfls_conv_2d_max_pool", "tfls_fully_connected"}
WINDOWS = [  # image, filter, strides, dilations, padding, output
    ((7, 5), (3, 3), (1, 1), (1, 1), SAME, (7, 5)),
    ((7, 6), (3, 3), (2, 2), (1, 1), SAME, (4, 3)),
    ((8, 6), (5, 2), (1, 1), (1, 2), SAME, (8, 6)),
    ((6, 9), (4, 3), (2, 1), (1, 1), VALID, (2, 7)),
    ((2, 1), (3, 5), (1, 1), (2, 1), SAME, (2, 1)),
]


def only_call(model):
    generic = core.of("generic")
    (step,) = pooling.fused(reader.read(serde.parse(tiny_models.to_bytes(model)), generic), generic).steps
    (call,) = step.calls
    return call


def value(shape):
    return Activation(shape=shape, scale=0.1, zero_point=3)


def within(window):
    """For each window, the places of the filter within the image: (row of the filter, its column)."""
    image, sides, strides, dilations, padding, out = window
    reach = [(side - 1) * dilation + 1 for side, dilation in zip(sides, dilations, strict=True)]
    needed = [(count - 1) * stride + far for count, stride, far in zip(out, strides, reach, strict=True)]
    pads = [max(each - size, 0) // 2 if padding == SAME else 0 for each, size in zip(needed, image, strict=True)]
    for place in itertools.product(*map(range, out)):
        found = []
        for tap in itertools.product(*map(range, sides)):
            at = [
                p * stride - pad + t * dilation
                for p, stride, pad, t, dilation in zip(place, strides, pads, tap, dilations, strict=True)
            ]
            if all(0 <= each < size for each, size in zip(at, image, strict=True)):
                found.append(tap)
        yield found


def depthwise(window, channels, multiplier):
    image, sides, strides, dilations, padding, out = window
    weights = Constant(values=np.ones((1, *sides, channels * multiplier), np.int8), scale=0.01)
    options = {"padding": padding, "strideH": strides[0], "strideW": strides[1], "depthMultiplier": multiplier}
    options |= {"dilationHFactor": dilations[0], "dilationWFactor": dilations[1]}
    ends = value((1, *image, channels)), value((1, *out, channels * multiplier))
    return only_call(one_operator("DEPTHWISE_CONV_2D", [ends[0], weights], [ends[1]], version=3, **options))


def conv_3x3(image, channels, outputs, padding, out, pool_out=None, batches=1):
    """A model of a clamped convolution; with a pool of 2x2 behind it, if that is given a size."""
    weights = Constant(values=np.ones((outputs, 3, 3, channels), np.int8), scale=0.01)
    options = dict.fromkeys(("strideH", "strideW", "dilationHFactor", "dilationWFactor"), 1)
    options |= {"padding": padding, "fusedActivationFunction": schema.ActivationFunctionType.RELU}
    between, after = value((batches, *out, outputs)), None
    if pool_out is not None:
        sizes = dict.fromkeys(("strideH", "strideW", "filterHeight", "filterWidth"), 2)
        ends = [between], [value((batches, *pool_out, outputs))]
        after = Operator("MAX_POOL_2D", *ends, 2, {"padding": VALID, **sizes})
    inputs = [value((batches, *image, channels)), weights, None]
    return side_by_side([Operator("CONV_2D", inputs, [between], 3, options, after)])


@pytest.mark.parametrize(
    ("image", "padding", "out", "pool_out"),
    [
        ((7, 9), SAME, (7, 9), None),
        ((7, 9), VALID, (5, 7), None),
        ((9, 8), SAME, (9, 8), (4, 4)),
        ((6, 7), VALID, (4, 5), (2, 2)),
    ],
)
def test_tiles(image, padding, out, pool_out):
    tiles = pool_out or [-(-size // 2) for size in out]
    starts = [
        [min(2 * at, size - 2) - (padding == SAME) for at in range(n)] for n, size in zip(tiles, out, strict=True)
    ]
    inner = [sum(0 <= at <= size - 4 for at in side) for side, size in zip(starts, image, strict=True)]
    assert 0 < math.prod(inner) < math.prod(tiles) or padding == VALID
    found = work.of(only_call(conv_3x3(image, 1, 6, padding, out, pool_out, batches=2)), PLAIN)
    count, outputs = 2 * math.prod(tiles), 2 * math.prod(pool_out or out) * 6
    assert found.kind == ("conv_3x3x1_max_pool" if pool_out else "conv_3x3x1")
    assert found.parts.tolist() == [6 * count, count, count - 2 * math.prod(inner), 6, 1, outputs]


def test_rows_of_a_pool_cost_what_their_parts_do():
    """Four times a convolution of two rows, and a pool of these."""
    program = generated_c.generated(conv_3x3((8, 8), 8, 16, SAME, (8, 8), (4, 4)), "cortex-m4").program
    assert [call.function for step in program.steps for call in step.calls] == ["tfls_conv_2d_max_pool"]
    costs = micro_costs.of("cortex-m4", "standalone")
    conv = costs.of_dense(Filter(16, 3, 3, 8), Pixels(1, 2, 8), is_matrix=False)
    window = ((2, 8), (2, 2), (2, 2), (1, 1), VALID, (1, 4))
    pooled = work.of(pool("MAX_POOL_2D", window, 16), costs.extensions)
    assert estimate.instructions(program, "cortex-m4") == [4 * (conv + costs.of_function(pooled.kind, pooled.parts))]


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_depthwise_convolutions(window):
    found = work.of(depthwise(window, 4, 2), PLAIN)
    three, other, other_rows, in_padding, in_part, outputs, begun, windows, once = found.parts
    places, taps = list(within(window)), window[1][0] * window[1][1]
    columns = [sorted({column for _, column in each}) for each in places]
    rows = [len({row for row, _ in each}) for each in places]
    assert three == 8 * sum(count for count, each in zip(rows, columns, strict=True) if len(each) == 3)
    assert other_rows == 8 * sum(count for count, each in zip(rows, columns, strict=True) if len(each) != 3)
    assert 3 * three + other == 8 * sum(map(len, places))
    # windows at the left and right border, and of each line the first one between them
    lines = [places[start : start + window[5][1]] for start in range(0, len(places), window[5][1])]
    wide = [[len({column for _, column in each}) == window[1][1] for each in line] for line in lines]
    first = [
        each
        for line, inner in zip(lines, wide, strict=True)
        for place, each in enumerate(line)
        if not inner[place] or not any(inner[:place])
    ]
    assert in_padding == 8 * sum(taps - len(each) for each in first)
    assert in_part == 8 * sum(len(each) < taps for each in first)
    assert (found.kind, outputs, once) == ("depthwise_conv_2d", 8 * len(places), 1)
    assert (begun, windows) == (8 * len(first), len(first))


def test_small_filters_have_loops_of_their_own_on_dsp_cores():
    for image in ((7, 5), (5, 7), (7, 3)):  # lines lie along the longer side
        window = (image, (3, 3), (1, 1), (1, 1), SAME, image)
        outputs, lines = 4 * image[0] * image[1], 4 * min(image)
        expected = [outputs - lines, lines, 0, 0, outputs, lines, 4, 0, 1]  # the last of a line with the one before
        assert work.of(depthwise(window, 4, 1), DSP).parts.tolist() == expected
    for image, strides, padding, out in (
        ((7, 2), (1, 1), SAME, (7, 2)),
        ((7, 5), (1, 1), VALID, (5, 3)),
        ((9, 4), (2, 1), SAME, (5, 4)),
    ):  # but for those that are not as many or too few
        window = (image, (3, 3), strides, (1, 1), padding, out)
        outputs, lines = 4 * out[0] * out[1], 4 * out[0]
        behind = lines if padding == SAME else 0
        expected = [outputs - behind, behind, 0, 0, outputs, lines, 4, 0, 1]
        assert work.of(depthwise(window, 4, 1), DSP).parts.tolist() == expected
    image = (7, 8)
    window = (image, (3, 3), (2, 2), (1, 1), SAME, (4, 4))
    call = depthwise(window, 4, 1)
    clamped = dataclasses.replace(call, function=BY_3X3_CLAMPED)
    assert work.of(clamped, DSP).parts.tolist() == [0, 0, 4 * 12, 4 * 4, 0, 4 * 4, 4, 0, 1]
    for call in (depthwise(WINDOWS[0], 4, 2), depthwise(WINDOWS[2], 4, 1), depthwise(WINDOWS[4], 4, 1)):
        assert work.of(call, DSP).kind == "depthwise_conv_2d"


@pytest.mark.parametrize(
    ("size", "channels", "stride", "parts"),
    [
        # vectors, strips, columns and rows that are copied, sets of sixteen lanes, images
        ((7, 20), 40, 1, [20 * 7, 3 * 7, (10 + 10 + 6) * 9, 3 * 9, 1]),  # eight columns of outputs a strip
        ((8, 12), 16, 2, [6 * 4, 2 * 4, (9 + 5) * 9, 2 * 9, 1]),  # four
        ((5, 30), 4, 1, [8 * 5, 4 * 5, 4 * 7 * 7, 4 * 7, 1]),  # four columns a vector, two vectors
        ((5, 6), 9, 1, [6 * 5, 5, 8 * 7, 7, 1]),
    ],
)
def test_small_filters_in_strips_with_helium(size, channels, stride, parts):
    out = tuple(-(-side // stride) for side in size)
    found = work.of(depthwise((size, (3, 3), (stride, stride), (1, 1), SAME, out), channels, 1), HELIUM)
    assert found.kind == "depthwise_3x3"
    assert found.parts.tolist() == [-(-channels // 16) * each for each in parts] + [1]


@pytest.mark.parametrize("window", WINDOWS[:2], ids=str)
def test_small_filters_have_loops_of_their_own_on_other_cores(window):
    """Outputs whose windows have three and two rows and columns within the input are told apart."""
    sizes = Counter(tuple(len(set(side)) for side in zip(*each, strict=True)) for each in within(window))
    found = work.of(depthwise(window, 4, 1), PLAIN)
    lines = window[-1][0]
    outputs = [4 * sizes[rows, columns] for columns in (3, 2) for rows in (3, 2)]
    assert (found.kind, found.parts.tolist()) == ("depthwise_3x3", [*outputs, 4 * lines, 4, 1])


def pool(name, window, channels):
    image, sides, strides, _, padding, out = window
    options = {"padding": padding, "strideH": strides[0], "strideW": strides[1]}
    options |= {"filterHeight": sides[0], "filterWidth": sides[1]}
    return only_call(one_operator(name, [value((1, *image, channels))], [value((1, *out, channels))], **options))


@pytest.mark.parametrize("window", [each for each in WINDOWS if each[3] == (1, 1)], ids=str)
def test_pools(window):
    places = list(within(window))
    taps, rows = sum(map(len, places)), sum(len({row for row, _ in each}) for each in places)
    small = sum(len(each) == 4 and len({row for row, _ in each}) == 2 for each in places)
    alone = [taps, rows, len(places)]
    large = [taps - 4 * small, rows - 2 * small, len(places) - small, small]
    found = work.of(pool("AVERAGE_POOL_2D", window, 6), DSP).parts
    assert found.tolist() == [*alone, *(2 * np.array(alone)), len(places), 1]
    found = work.of(pool("MAX_POOL_2D", window, 9), DSP).parts
    assert found.tolist() == [*(2 * np.array(large)), *alone, len(places), 0, 1]
    found = work.of(pool("MAX_POOL_2D", window, 20), HELIUM).parts
    together = [taps, rows, len(places), 0]
    assert found.tolist() == [*(2 * np.array(together)), 0, 0, 0, len(places), 0, 1]


@pytest.mark.parametrize(("stride", "side", "padding"), [(2, 3, SAME), (1, 4, SAME), (3, 2, VALID), (2, 3, VALID)])
def test_transposed_convolutions(stride, side, padding):
    image = (4, 3)
    out = [size * stride if padding == SAME else (size - 1) * stride + max(side, stride) for size in image]
    pads = [max((size - 1) * stride + side - n, 0) // 2 for size, n in zip(image, out, strict=True)]
    reached = [
        sum(0 <= at * stride + tap - pad < n for at in range(size) for tap in range(side))
        for size, n, pad in zip(image, out, pads, strict=True)
    ]
    weights = Constant(values=np.ones((5, side, side, 7), np.int8), scale=0.01)
    size = Constant(values=np.array([1, *out, 5], np.int32))
    options = {"padding": padding, "strideH": stride, "strideW": stride}
    model = one_operator(
        "TRANSPOSE_CONV", [size, weights, value((1, *image, 7))], [value((1, *out, 5))], version=3, **options
    )
    places = reached[0] * reached[1] * 5
    found = work.of(only_call(model), PLAIN).parts.tolist()
    assert found == [7 * places, places, reached[0] * out[1] * 5, out[0] * out[1] * 5, 1]


def test_every_function_is_known():
    header = (files.KERNELS / "standalone" / "tfls_operators.h").read_text("utf-8")
    declared = set(re.findall(r"^void (tfls_\w+)\(", header, re.MULTILINE))
    assert {name for name in declared if not work.is_known(Call(name, Struct("", ()), ()))} == ELSEWHERE


@pytest.mark.parametrize("cpu", ["cortex-m0", "cortex-m4", "cortex-m55", "generic"])
def test_every_operator_has_a_cost(cpu):
    graph = Int8Graph((1, 9, 8, 4), 3)
    ends = []
    for name in GROWN:
        graph.end = graph.start
        if graph.grow(name):
            ends.append(graph.end)
    program = generated_c.generated(graph.finished(ends), cpu).program
    found = estimate.instructions(program, cpu)
    assert [count > 10 for count in found] == [not step.is_view for step in program.steps]
    assert len(found) > 20


def test_weights_for_another_kind_of_cpu_are_refused():
    program = generated_c.sparse(int8_nets.residual().finished(), "cortex-m4").program
    assert {step.kernel for step in program.steps} & {int(each) for each in PAIR_KERNELS}
    assert min(estimate.instructions(program, "cortex-m7")) > 0
    with pytest.raises(ExecutionError, match="whose cost on cortex-m0 is unknown: encode the file for cortex-m0"):
        estimate.instructions(program, "cortex-m0")
