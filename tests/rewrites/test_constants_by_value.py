"""Test the constants that operators of one value are predicted to make, and the groups that kernels round together."""

import math

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from helpers.tiny_models import Tiny, quantization, to_bytes
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs
from tflite_sparse.rewrites.dead_channels import operators
from tflite_sparse.rewrites.dead_channels.analysis import Analysis
from tflite_sparse.rewrites.dead_channels.channels import Channels

CODE, OPTIONS = schema.BuiltinOperator, schema.BuiltinOptions
STORED = np.arange(-128, 128)
KERNELS = (OpResolverType.AUTO, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, OpResolverType.BUILTIN_REF)
WITH_OPTIONS = {"HARD_SWISH": "HardSwish", "LEAKY_RELU": "LeakyRelu", "GELU": "Gelu", "ABS": "Abs", "EXP": "Exp"}
FIXED = {"TANH": (1 / 128, 0), "LOGISTIC": (1 / 256, -128)}  # what kernels demand of the result
FIRST_VERSION = ("QUANTIZE", "ELU", "HARD_SWISH", "SQRT", "RELU_0_TO_1")
COARSE = ("HARD_SWISH", "SQRT")
INT8 = ("TANH", "LOGISTIC", "ELU", "GELU", "EXP", "ABS", "RELU", "RELU6", "RELU_0_TO_1", "LEAKY_RELU", *COARSE)


def single(name, shape, source, result, kinds=("int8", "int8"), **fields):
    """One operator; ``source`` and ``result`` are scale and zero point."""
    tiny = Tiny()
    x, y = (
        tiny.tensor(each, shape, kind, None if kind == "float32" else quantization(*numbers))
        for each, kind, numbers in zip("xy", kinds, (source, result), strict=True)
    )
    words = WITH_OPTIONS.get(name, name.title() if "QUANTIZE" in name else None)
    options = None if words is None else getattr(schema, f"{words}OptionsT")()
    for key, value in fields.items():
        setattr(options, key, value)
    kind = 0 if words is None else getattr(OPTIONS, f"{words}Options")
    tiny.operator(getattr(CODE, name), 1 if name in FIRST_VERSION else 2, [x], [y], kind, options)
    return tiny.finished([x], [y])


def _of(model):
    graph = next(graphs(serde.parse(to_bytes(model))))
    return graph, Channels.of(graph)


def analysed(model, values=None):
    found = Analysis(*_of(model))
    if values is not None:
        found.learn(0, values)
    operators.analyse(found)
    return found


def computed(model, values, kernels):
    """What an interpreter computes; None if it has no such kernel."""
    try:
        runner = Interpreter(model_content=to_bytes(model), experimental_op_resolver_type=kernels)
        runner.allocate_tensors()
    except (RuntimeError, ValueError):
        return None
    runner.set_tensor(runner.get_input_details()[0]["index"], values)
    try:
        runner.invoke()
    except RuntimeError:  # a root of less than 0
        return None
    return runner.get_tensor(runner.get_output_details()[0]["index"]).copy()


@pytest.mark.parametrize("name", [*INT8, "QUANTIZE"])
def test_every_kernel_computes_the_constants_that_are_told(name):
    """All 256 values of int8, each as a channel."""
    generator = np.random.default_rng(0)
    shares = []
    for approximate in (False, True):
        for _ in range(6):
            source = (
                float(np.exp(generator.uniform(-6, -1.5))),
                -128 if name == "SQRT" else generator.integers(-128, 128),
            )
            result = FIXED.get(
                name, (float(source[0] * np.exp(generator.uniform(-2, 1))), generator.integers(-128, 128))
            )
            fields = {"LEAKY_RELU": {"alpha": 0.3}, "GELU": {"approximate": approximate}}.get(name, {})
            model = single(name, (1, 256), source, result, **fields)
            told = analysed(model, STORED.astype(np.float64)).known(1)
            known = ~np.isnan(told)
            assert known[source[1] + 128] or name == "EXP"
            shares.append(known.mean())
            found = [computed(model, STORED.astype(np.int8)[None], kernels) for kernels in KERNELS]
            assert found[0] is not None
            for each in found:
                if each is not None:
                    np.testing.assert_array_equal(each[0][known], told[known])
    least = 1 / 256 if name in COARSE else 0.4
    assert np.mean(shares) >= least


@pytest.mark.parametrize("ratio", [2, 4, 8])
@pytest.mark.parametrize("name", [*(each for each in INT8 if each not in FIXED), "QUANTIZE"])
def test_constants_between_scales_of_powers_of_two(name, ratio):
    """A multiplier of 1/4 is 1/2 shifted by one bit: 57 of these are 14.25, of which built-in kernels make 15."""
    fields = {"LEAKY_RELU": {"alpha": 0.25}}.get(name, {})
    model = single(name, (1, 256), (2.0**-7, -128 if name == "SQRT" else 33), (2.0**-7 * ratio, -100), **fields)
    told = analysed(model, STORED.astype(np.float64)).known(1)
    known = ~np.isnan(told)
    for kernels in KERNELS:
        found = computed(model, STORED.astype(np.int8)[None], kernels)
        if found is not None:
            np.testing.assert_array_equal(found[0][known], told[known])


@pytest.mark.parametrize(("ratio", "known"), [(2.0**-9, True), (2.0**-10, False), (1e-7, False)])
def test_a_hard_swish_of_0_is_told_where_its_shift_is_defined(ratio, known):
    """A converter gives a tensor of zeros a scale of next to nothing."""
    model = single("HARD_SWISH", (1, 4), (0.01 * ratio, -5), (0.01, 61))
    np.testing.assert_array_equal(analysed(model, np.full(4, -5.0)).known(1), [61 if known else np.nan] * 4)
    found = [computed(model, np.full((1, 4), -5, np.int8), kernels) for kernels in KERNELS[:2]]
    assert all((each == 61).all() for each in found) == known


@pytest.mark.parametrize(("name", "known"), [("GELU", False), ("TANH", True), ("LEAKY_RELU", True), ("ABS", True)])
def test_of_int16_only_what_becomes_of_0_is_told(name, known):
    result = (1 / 32768, 0) if name == "TANH" else (0.002, 0)
    fields = {"alpha": 0.3} if name == "LEAKY_RELU" else {}
    model = single(name, (1, 4), (0.001, 0), result, ("int16", "int16"), **fields)
    told = analysed(model, np.array([0.0, 0.0, 100.0, np.nan])).known(1)
    np.testing.assert_array_equal(told, [0, 0, np.nan, np.nan] if known else [np.nan] * 4)
    for kernels in KERNELS if known else ():
        assert not computed(model, np.zeros((1, 4), np.int16), kernels).any()


def operands(name, kinds, result, values):
    """What is told of an operator on two activations of these values, in steps of 0.5."""
    tiny = Tiny()
    kinds = [(each, None if each in ("float32", "bool") else quantization(0.5)) for each in (*kinds, result)]
    *inputs, y = (tiny.tensor(f"t{i}", (1, 4), *kind) for i, kind in enumerate(kinds))
    words = "MaximumMinimum" if "IMUM" in name else "".join(part.title() for part in name.split("_"))
    options = getattr(schema, f"{words}OptionsT", None)
    tiny.operator(getattr(CODE, name), 1, inputs, [y], getattr(OPTIONS, f"{words}Options", 0), options and options())
    found = Analysis(*_of(tiny.finished(inputs, [y])))
    for each, known in zip(inputs, values, strict=True):
        found.learn(each, np.array(known))
    operators.analyse(found)
    return found.known(y)


NAN = np.nan


@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_of_comparisons_and_choices_only_those_of_zeros_are_told(kind):
    found = operands("GREATER", (kind, kind), "bool", ([0, 0, NAN, 2], [0, NAN, 0, 0]))
    np.testing.assert_array_equal(found, [0, NAN, NAN, NAN])
    found = operands("SELECT_V2", ("bool", kind, kind), kind, ([0, NAN, 0, NAN], [1, 1, NAN, 5], [3, 3, NAN, 5]))
    np.testing.assert_array_equal(found, [3, NAN, NAN, NAN])


def test_only_0_passes_a_slope_of_its_own():
    """PRELU; LEAKY_RELU, whose slope is an option, passes other constants too."""
    model = Tiny()
    x, y = (model.tensor(name, (1, 4), "int8", quantization(0.5)) for name in "xy")
    slope = model.constant("slope", np.full((1, 1, 4), 64, np.int8), quantization(1 / 128))
    model.operator(CODE.PRELU, 1, [x, slope], [y])
    found = analysed(model.finished([x], [y]), np.array([0.0, 4, -4, NAN])).known(y)
    np.testing.assert_array_equal(found, [0, NAN, NAN, NAN])


@pytest.mark.parametrize(
    ("name", "values", "told"),
    [
        ("ADD", ([0, 0.1, NAN, 3e38], [1, 0.2, 1, 3e38]), [1, np.float32(0.1 + 0.2), NAN, NAN]),
        ("MUL", ([0, 0.1, NAN, NAN], [NAN, 0.2, 1, 0]), [0, np.float32(0.1 * 0.2), NAN, 0]),
        ("MINIMUM", ([0, 1, NAN, -2], [1, NAN, 0, -1]), [0, NAN, NAN, -2]),
        ("MAXIMUM", ([0, 1, NAN, -2], [1, NAN, 0, -1]), [1, NAN, NAN, -1]),
        ("DIV", ([0, 1, 0, 1], [NAN, 3, 0, 0]), [NAN, np.float32(1 / 3), NAN, NAN]),
    ],
)
def test_float_operations_on_two_constants_are_rounded_once(name, values, told):
    np.testing.assert_array_equal(operands(name, ("float32", "float32"), "float32", values), told)


def pairs(name, scales, zeros, length=256):
    """An operator on two activations of int8."""
    tiny = Tiny()
    numbers = [quantization(*each) for each in zip(scales, zeros, strict=True)]
    *inputs, y = (tiny.tensor(f"t{i}", (1, length), "int8", each) for i, each in enumerate(numbers))
    options = getattr(schema, f"{name.title()}OptionsT")()
    tiny.operator(getattr(CODE, name), 2, inputs, [y], getattr(OPTIONS, f"{name.title()}Options"), options)
    return tiny.finished(inputs, [y])


@pytest.mark.parametrize(
    ("name", "scales", "zeros", "pair"),
    [
        # XNNPACK holds the larger factor, 81, in 21 bits: 14 of them behind the point.
        ("ADD", (0.15341902451378092, 0.20451365756170642, 0.0025205367996591573), (67, -51, 52), (-109, 80)),
        ("ADD", (0.02, 0.03, 0.04), (3, -5, 7), (15, 40)),
        # -35,598 steps: the built-in kernel wraps around.
        ("ADD", (0.16874776321563778, 0.1563033445100796, 0.002030945119223838), (86, 125, -56), (-121, -114)),
        ("SUB", (0.02, 0.03, 0.04), (3, -5, 7), (15, 40)),
        # 37,585 steps: the built-in kernel wraps around.
        ("MUL", (0.029709640506190065, 0.23215126935654293, 0.002607152540873575), (57, -102, 49), (127, 101)),
        ("MUL", (0.02, 0.03, 0.03), (3, -5, 7), (15, 40)),
    ],
)
def test_every_kernel_computes_the_results_of_two_constants(name, scales, zeros, pair):
    """A pair of values that was found, and many others."""
    model = pairs(name, scales, zeros)
    generator = np.random.default_rng(0)
    shares = []
    for _ in range(20):
        one, two = generator.integers(-128, 128, (2, 256)).astype(np.int8)
        one[0], two[0] = pair
        found = Analysis(*_of(model))
        found.learn(0, one.astype(np.float64))
        found.learn(1, two.astype(np.float64))
        operators.analyse(found)
        told = found.known(2)
        known = ~np.isnan(told)
        shares.append(known.mean())
        for kernels in KERNELS:
            runner = Interpreter(model_content=to_bytes(model), experimental_op_resolver_type=kernels)
            runner.allocate_tensors()
            for detail, values in zip(runner.get_input_details(), (one, two), strict=True):
                runner.set_tensor(detail["index"], values[None])
            runner.invoke()
            result = runner.get_tensor(runner.get_output_details()[0]["index"])[0]
            np.testing.assert_array_equal(result[known], told[known])
    assert np.mean(shares) > 0.4


TIE = (4, -125)


def added(scales, values, length):
    runner = Interpreter(
        model_content=to_bytes(pairs("ADD", scales, (3, -5, 7), length)), experimental_op_resolver_type=KERNELS[1]
    )
    runner.allocate_tensors()
    for detail, value in zip(runner.get_input_details(), values, strict=True):
        runner.set_tensor(detail["index"], np.full((1, length), value, np.int8))
    runner.invoke()
    return runner.get_tensor(runner.get_output_details()[0]["index"])[0].tolist()


def test_sums_near_a_tie_are_rounded_by_their_place():
    """Of 1 and -120 steps of 2 and 3, in steps of 4: -89.5. With steps of 2, 4 and 4 all sums are alike."""
    for scales, values, alike in (((0.02, 0.03, 0.04), TIE, False), ((0.02, 0.04, 0.04), TIE, True)):
        found = added(scales, values, 17)
        assert len(set(found[:16])) == 1
        assert (found[16] == found[0]) is alike


@pytest.mark.parametrize(
    ("shape", "other", "scales", "multiple"),
    [
        ((1, 6, 6, 32), (1, 6, 6, 32), (0.02, 0.03, 0.04), 4),
        ((1, 4, 4, 32), (1, 4, 4, 32), (0.02, 0.03, 0.04), 1),
        ((1, 3, 3, 32), (1, 3, 3, 32), (0.02, 0.03, 0.04), 16),
        ((1, 3, 3, 32), (1, 3, 3, 32), (0.02, 0.04, 0.03), 1),
        ((1, 4, 4, 32), (1, 1, 1, 32), (0.02, 0.03, 0.04), 16),  # row by row
    ],
)
@pytest.mark.parametrize("kind", ["int8", "int16"])
def test_sums_keep_their_place(kind, shape, other, scales, multiple):
    tiny = Tiny()
    numbers = [quantization(scale, 0) for scale in scales]
    *inputs, y = (
        tiny.tensor(f"t{i}", size, kind, each)
        for i, (size, each) in enumerate(zip((shape, other, shape), numbers, strict=True))
    )
    tiny.operator(CODE.ADD, 2, inputs, [y], OPTIONS.AddOptions, schema.AddOptionsT())
    found = Analysis(*_of(tiny.finished(inputs, [y])))
    operators.analyse(found)
    assert found.multiples.get(2, 1) == multiple


@pytest.mark.parametrize(("scale", "multiple"), [(0.00116, 16), (0.0012, 1)])
def test_products_that_wrap_around_in_a_vector_keep_their_side(scale, multiple):
    """255 squared times 0.0006 over the scale of the result, and its zero point: beyond 32,767 the sum wraps around."""
    model = pairs("MUL", (0.02, 0.03, scale), (-128, -128, 100), length=17)
    found = Analysis(*_of(model))
    operators.analyse(found)
    assert found.multiples.get(2, 1) == multiple
    runner = Interpreter(model_content=to_bytes(model), experimental_op_resolver_type=KERNELS[1])
    runner.allocate_tensors()
    for detail in runner.get_input_details():
        runner.set_tensor(detail["index"], np.full((1, 17), 127, np.int8))
    runner.invoke()
    result = runner.get_tensor(runner.get_output_details()[0]["index"])[0]
    assert result[-1] == 127
    assert set(result[:16].tolist()) == {-128 if multiple == 16 else 127}


@pytest.mark.parametrize(("scale", "told"), [(0.5, [-2, NAN, 3, NAN]), (0.25, [NAN] * 4)])
def test_stored_values_are_compared_where_they_have_one_scale(scale, told):
    tiny = Tiny()
    one, two, y = (tiny.tensor(f"t{i}", (1, 4), "int8", quantization(each)) for i, each in enumerate((0.5, scale, 0.5)))
    options = schema.MaximumMinimumOptionsT()
    tiny.operator(CODE.MINIMUM, 1, [one, two], [y], OPTIONS.MaximumMinimumOptions, options)
    found = Analysis(*_of(tiny.finished([one, two], [y])))
    found.learn(one, np.array([-2.0, NAN, 3, NAN]))
    found.learn(two, np.array([5.0, 0, 4, NAN]))
    operators.analyse(found)
    np.testing.assert_array_equal(found.known(y), told)


def test_float_constants_become_steps():
    model = single("QUANTIZE", (1, 4), (), (0.5, 3), ("float32", "int8"))
    np.testing.assert_array_equal(analysed(model, np.array([0, 1, -0.25, NAN])).known(1), [3, 5, NAN, NAN])


def tables(kinds, source, result, values, length):
    """What built-in kernels make of each value at each place: (values, places)."""
    name = "DEQUANTIZE" if kinds[1] == "float32" else "QUANTIZE"
    model = single(name, (1, length), source, result, kinds)
    rows = [computed(model, np.full((1, length), value, values.dtype), KERNELS[1])[0] for value in values]
    return np.stack(rows)


@pytest.mark.parametrize(
    ("kinds", "source", "result", "together"),
    [
        (("int8", "int8"), (0.02, 0), (0.06, 3), 16),
        (("int8", "int8"), (0.02, 0), (0.04, 3), 1),
        (("int8", "float32"), (0.0137, 3), (1.0, 0), 8),
        (("float32", "int8"), (1.0, 0), (0.0137, 3), 8),
        (("int8", "int16"), (0.02, 3), (0.0003, 0), 1),
        (("float32", "int16"), (1.0, 0), (0.0137, 0), 8),
        (("int16", "float32"), (0.0137, 0), (1.0, 0), 1),
    ],
)
def test_what_is_left_over_of_a_vector_is_rounded_in_another_way(kinds, source, result, together):
    values = STORED.astype(kinds[0])
    if kinds[0] == "float32":
        values = (values + np.float32(0.5)) * np.float32(0.0137)
    length = 2 * max(together, 8) + 3
    table = tables(kinds, source, result, values, length)
    differs = (table != table[:, -1:]).any(axis=0)
    assert np.flatnonzero(differs).tolist() == (list(range(length // together * together)) if together > 1 else [])
    found = analysed(single("DEQUANTIZE" if kinds[1] == "float32" else "QUANTIZE", (1, 32), source, result, kinds))
    assert found.multiples.get(1, 1) == together


@pytest.mark.parametrize(
    ("shape", "multiple"),
    [
        ((1, 32), 16),
        ((1, 4, 4, 5), 1),
        ((1, 6, 6, 8), 4),
        ((1, 5, 5, 8), 2),  # 192 elements in front, and the last position of 8
        ((1, 3, 10), 10),  # 16 elements in front, which end within a position: all stay
        ((1, 3, 3), 1),  # fewer than 16 elements: none is in front
    ],
)
def test_elements_keep_their_side(shape, multiple):
    model = single("QUANTIZE", shape, (0.02, 0), (0.06, 3))
    assert analysed(model).multiples[1] == multiple
    channels, positions = shape[-1], math.prod(shape[:-1])
    last = np.arange(positions * channels) >= positions * channels // 16 * 16
    for fewer in range(multiple, channels, multiple):
        kept = last.reshape(positions, channels)[:, :fewer].reshape(-1)
        np.testing.assert_array_equal(kept, np.arange(kept.size) >= kept.size // 16 * 16)


def test_an_open_size_keeps_a_whole_vector_of_channels():
    model = single("QUANTIZE", (1, 5, 8), (0.02, 0), (0.06, 3))
    assert analysed(model).multiples[1] == 4
    model.subgraphs[0].tensors[1].shapeSignature = np.array([-1, 5, 8], np.int32)
    assert analysed(model).multiples[1] == 16


@pytest.mark.parametrize(("kind", "together"), [("int8", 4), ("float32", 1)])
def test_float_kernels_count_only_where_others_are_quantised(kind, together):
    """Built-in kernels compute LOGISTIC of four float32 values together; a file of float32 need not be exact."""
    tiny = Tiny()
    x = tiny.tensor("x", (1, 8), kind, quantization(0.02) if kind == "int8" else None)
    y, z = (tiny.tensor(name, (1, 8), "float32") for name in "yz")
    if kind == "int8":
        tiny.operator(CODE.DEQUANTIZE, 2, [x], [y], OPTIONS.DequantizeOptions, schema.DequantizeOptionsT())
    tiny.operator(CODE.LOGISTIC, 2, [y], [z])
    assert analysed(tiny.finished([x], [z])).multiples.get(z, 1) == together
    model = single("LOGISTIC", (1, 5), (), (), ("float32", "float32"))
    rows = np.linspace(-4, 4, 100, dtype=np.float32)
    table = np.stack([computed(model, np.full((1, 5), each), KERNELS[1])[0] for each in rows])
    assert (table != table[:, 4:]).any(axis=0).tolist() == [True] * 4 + [False]


@pytest.mark.parametrize(("scale", "known"), [(0.02, True), (0.005, False)])
def test_an_int8_quotient_of_0_is_told_where_its_shift_is_defined(scale, known):
    """Divided by the 51 steps of 1.02, at a scale of the result of 1/50."""
    tiny = Tiny()
    numbers = {"one": (scale, -19), "two": (0.02, -90), "y": (0.02, 7)}
    one, two, y = (tiny.tensor(name, (1, 4), "int8", quantization(*each)) for name, each in numbers.items())
    tiny.operator(CODE.DIV, 2, [one, two], [y], OPTIONS.DivOptions, schema.DivOptionsT())
    model = tiny.finished([one, two], [y])
    found = Analysis(*_of(model))
    found.learn(one, np.array([-19.0, -19, -19, 0]))
    found.learn(two, np.array([-39.0, np.nan, -90, -39]))
    operators.analyse(found)
    np.testing.assert_array_equal(found.known(y), [7 if known else np.nan, np.nan, np.nan, np.nan])
    runner = Interpreter(model_content=to_bytes(model))
    runner.allocate_tensors()
    for index, value in ((one, -19), (two, -39)):
        runner.set_tensor(index, np.full((1, 4), value, np.int8))
    runner.invoke()
    assert (runner.get_tensor(y) == 7).all() == known
