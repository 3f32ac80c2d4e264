"""What operators that map each value alone do to channels: of a constant they make a constant.

Whether all kernels make the same one was measured: each operator on all 256 values of int8 and many scales, in XNNPACK,
built-in and reference kernels (LiteRT 2.3.0, x86-64):

* TANH, LOGISTIC, GELU, ELU, EXP and ABS round the exact value.
* QUANTIZE and LEAKY_RELU of XNNPACK reduce their multiplier to 8 bits behind the point.
* HARD_SWISH, SQRT and DIV compute in coarser steps: only what they make of 0 is known, of DIV not for all scales.
* int16 GELU and EXP interpolate between the values of a table and do not even meet that of 0.

Which elements a kernel rounds in another way because of their place was found in the same way, on tensors of 1 to 200
elements; see :func:`_by_place`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.flatbuffer.types import Operator
from tflite_sparse.rewrites.dead_channels.analysis import Analysis, Operand
from tflite_sparse.rewrites.dead_channels.kernels import Constant
from tflite_sparse.rewrites.dead_channels.numbers import Numbers

_STEPS_OF_A_MULTIPLIER = 2**8
"""Of 1, in which XNNPACK's kernels for QUANTIZE and LEAKY_RELU hold their multiplier: it is half a step off."""

_MOST_STEPS = 255.0
"""Of an int8 value from its zero point."""

_MOST_IN_16_BITS = float(2**15 - 1)
"""Of a result and its zero point: built-in int8 ADD, SUB and MUL wrap around beyond it where they compute several."""

_ADDED_OR_MULTIPLIED_AT_A_TIME = 16
"""Results in a row that these kernels compute together, or a multiple of it."""

_BITS_OF_A_FACTOR = 21
"""Of the larger factor in XNNPACK's int8 ADD and SUB."""

_REQUANTISED_AT_A_TIME = 16
"""Elements that the built-in kernel for QUANTIZE from int8 to int8 computes together."""

_CONVERTED_AT_A_TIME = 8
"""Elements that built-in kernels convert together between int8 and float32, and from float32 to int16."""

_FLOATS_AT_A_TIME = {"GELU": 4, "LOGISTIC": 4, "HARD_SWISH": 4}
"""Elements that built-in float32 kernels compute together, by operator; the others compute one as they compute many."""


@dataclass(frozen=True, slots=True)
class _Function:
    """What an operator makes of each value.

    Attributes:
        of: float64 to float64; also takes the options of the operator.
        only_zero: whether nothing but what becomes of 0 is known.
        is_coarse: whether a kernel reduces the multiplier to few bits.
        in_int16: whether int16 kernels yield the value for 0 that the function has.
        least_ratio: of the scales, source by result: for less a kernel shifts by more bits than it has.
    """

    of: Callable[..., np.ndarray]
    only_zero: bool = False
    is_coarse: bool = False
    in_int16: bool = True
    least_ratio: float = 0.0


def _gelu(real: np.ndarray, options: object) -> np.ndarray:
    """Gaussian error linear unit, by ``tanh`` or by ``erf`` as the options say."""
    if getattr(options, "approximate", False):
        share = np.tanh(math.sqrt(2 / math.pi) * (real + 0.044715 * real**3))
    else:
        share = np.array([math.erf(each) for each in (real / math.sqrt(2)).flat]).reshape(real.shape)
    return np.asarray(real * 0.5 * (1 + share))


def _leaky_relu(real: np.ndarray, options: schema.LeakyReluOptionsT) -> np.ndarray:
    return np.asarray(np.where(real < 0, real * options.alpha, real))


_FUNCTIONS = {
    "LOGISTIC": _Function(lambda real, _: 1 / (1 + np.exp(-real))),
    "TANH": _Function(lambda real, _: np.tanh(real)),
    "ELU": _Function(lambda real, _: np.asarray(np.where(real < 0, np.expm1(np.minimum(real, 0)), real))),
    "GELU": _Function(_gelu, in_int16=False),
    "EXP": _Function(lambda real, _: np.exp(real), in_int16=False),
    "ABS": _Function(lambda real, _: np.asarray(np.abs(real))),
    "RELU_0_TO_1": _Function(lambda real, _: np.clip(real, 0, 1)),
    "LEAKY_RELU": _Function(_leaky_relu, is_coarse=True),
    "HARD_SWISH": _Function(lambda real, _: real, only_zero=True, least_ratio=2.0**-9),
    "NEG": _Function(lambda real, _: -real, only_zero=True),
    "SIN": _Function(lambda real, _: real, only_zero=True),
    "SQRT": _Function(lambda real, _: real, only_zero=True),
    "SQUARE": _Function(lambda real, _: real, only_zero=True),
}
_RELUS = {
    "RELU": schema.ActivationFunctionType.RELU,
    "RELU_N1_TO_1": schema.ActivationFunctionType.RELU_N1_TO_1,
    "RELU6": schema.ActivationFunctionType.RELU6,
}
_CHOICES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {"MINIMUM": np.minimum, "MAXIMUM": np.maximum}
WITHOUT_OPTIONS = (*_RELUS, *(name for name in _FUNCTIONS if name not in ("GELU", "LEAKY_RELU")))
"""Operators of :func:`by_function` that are analysed without their options."""


def by_function(found: Analysis, operator: Operator) -> bool:
    """Analyse an activation function and its kin."""
    source, result, name = int(operator.inputs[0]), int(operator.outputs[0]), found.graph.operator_name(operator)
    if not found.same(source, result):
        return False
    numbers = found.numbers_of(source, result)
    if numbers is None or numbers[0].kind != numbers[1].kind:
        return numbers is not None
    if numbers[0].is_float and found.is_quantised and name in _FLOATS_AT_A_TIME:
        found.multiples[result] = _by_place(found, result, _FLOATS_AT_A_TIME[name])
    real, multiplier = numbers[0].real(found.known(source)), numbers[0].scale / numbers[1].scale
    if name in _RELUS:
        found.learn(result, numbers[1].stored(real, multiplier, _RELUS[name]))
        return True
    function = _FUNCTIONS[name]
    if function.only_zero or not numbers[0].folds:
        real = np.where(real == 0, real, np.nan)
    is_in_table = function.in_int16 or numbers[0].kind != schema.TensorType.INT16
    if not is_in_table or multiplier < function.least_ratio:
        real = np.full_like(real, np.nan)
    values = np.full_like(real, np.nan)
    known = ~np.isnan(real)
    with np.errstate(over="ignore"):  # what is too large saturates
        values[known] = function.of(real[known], operator.builtinOptions)
    slope = np.where(real < 0, operator.builtinOptions.alpha, 1.0) if name == "LEAKY_RELU" else 1.0
    off = _off(found, source, numbers[0]) if function.is_coarse else 0.0
    known_by = (
        numbers[1].computed(values) if numbers[1].is_float else numbers[1].stored(values, multiplier * slope, off=off)
    )
    found.learn(result, known_by)
    return True


def rescaled(found: Analysis, operator: Operator) -> bool:
    """Analyse a QUANTIZE or DEQUANTIZE."""
    source, result = int(operator.inputs[0]), int(operator.outputs[0])
    if not found.same(source, result):
        return False
    numbers = found.numbers_of(source, result)
    if numbers is None:
        return False
    multiplier = numbers[0].scale / numbers[1].scale
    together = _at_a_time(numbers[0], numbers[1])
    if together > 1:
        found.multiples[result] = _by_place(found, result, together)
    off = _off(found, source, numbers[0]) if numbers[0].folds else 0.0
    found.learn(result, numbers[1].stored(numbers[0].real(found.known(source)), multiplier, off=off))
    return True


def _off(found: Analysis, source: int, numbers: Numbers) -> np.ndarray:
    """Return by how much the product of a multiplier of 8 bits may be off, in steps of the result."""
    return np.asarray(np.abs(found.known(source) - numbers.zero) / (2 * _STEPS_OF_A_MULTIPLIER))


def _at_a_time(source: Numbers, result: Numbers) -> int:
    """Return how many elements a built-in kernel converts together; it rounds what is left over in another way.

    Between int8 and int8 it rounds once or twice, which is the same for a multiplier of 1/2 or more, which is not
    shifted right. From int8 to float32 it adds the zero point before or behind; from float32 it multiplies by the
    inverse of the scale or divides. Others convert one by one.
    """
    if source.folds and result.folds:
        return _REQUANTISED_AT_A_TIME if source.scale / result.scale < 1 / 2 else 1
    if source.is_float == result.is_float:
        return 1
    return _CONVERTED_AT_A_TIME if source.is_float or source.folds else 1


def _by_place(found: Analysis, tensor: int, together: int) -> int:
    """Return the multiple of channels to keep so that no element moves from the part of a vector to what is left over.

    Elements are counted through the whole tensor. Where what is left over are whole positions, each of which stays on
    its side if the others hold a multiple of ``together``.
    """
    shape, channels = found.shape(tensor), found.channels.sizes[tensor]
    positions = math.prod(size for size in shape[:-1] if size > 0)  # an open size may be any
    left_over = 0 if min(shape) < 0 else positions * channels % together
    if not channels or left_over % channels:
        return channels
    return together // math.gcd(positions - left_over // channels, together)


def arithmetic(found: Analysis, operator: Operator) -> bool:
    """Analyse ADD, SUB, MUL, DIV, MINIMUM and MAXIMUM, of two activations or with a constant.

    Gates have a size of 1 on other axes.
    """
    result, name = int(operator.outputs[0]), found.graph.operator_name(operator)
    numbers = found.numbers_of(result)
    if numbers is None:
        return False
    operands = []
    for position in range(2):
        real = _operand(found, operator, position, result)
        if real is None:
            return False
        operands.append(real)
    one, two = operands
    multiplier, off = 1.0, np.zeros_like(one)
    if name == "DIV":
        real = _quotient(found, operator, numbers[0], one, two)
    elif name == "MUL":
        real = np.where((one == 0) | (two == 0), 0.0, one * two)
        for position in range(2):
            multiplier *= _scale(found, int(operator.inputs[position]))
        multiplier /= numbers[0].scale
        real = _within_16_bits(found, result, real, multiplier * _MOST_STEPS**2)
    elif name in _CHOICES:
        real = _CHOICES[name](one, two) if _has_one_scale(found, operator) else np.full_like(one, np.nan)
    else:
        real = one + two if name == "ADD" else one - two
        scales = [_scale(found, int(operator.inputs[position])) for position in range(2)]
        off = _off_of_sum(scales, numbers[0], one, two)
        if name == "ADD" and not numbers[0].is_float and math.frexp(scales[0] / scales[1])[0] != 1 / 2:
            found.multiples[result] = _sums_by_place(found, operator, result)
        real = _within_16_bits(found, result, real, sum(scales) / numbers[0].scale * _MOST_STEPS)
    activation = getattr(operator.builtinOptions, "fusedActivationFunction", 0)
    found.learn(result, numbers[0].computed(real, multiplier, activation, off))
    return True


def _sums_by_place(found: Analysis, operator: Operator, result: int) -> int:
    """Return the multiple of channels to keep so that no sum is computed with others before, and alone behind, or back.

    Built-in kernels round some sums in another way alone: of int8, with scales that are no power of two apart, one or
    two of 65,536 pairs of values in one of a hundred pairs of scales, hundreds where 2:3:4 or the like are the scales.
    """
    inputs = (int(operator.inputs[position]) for position in range(2))
    if any(found.shape(each) != found.shape(result) for each in inputs):  # row by row
        return _ADDED_OR_MULTIPLIED_AT_A_TIME
    return _by_place(found, result, _ADDED_OR_MULTIPLIED_AT_A_TIME)


def _within_16_bits(found: Analysis, result: int, real: np.ndarray, reach: float) -> np.ndarray:
    """Return the results that built-in int8 kernels can hold; note which channels they compute together.

    Args:
        found: the analysis.
        result: the activation.
        real: the results by channel, exact.
        reach: the most steps from the zero point that any operands make.
    """
    numbers = found.numbers[result]
    if numbers is None or not numbers.folds or reach <= (most := _MOST_IN_16_BITS - abs(numbers.zero)):
        return real
    found.multiples[result] = _ADDED_OR_MULTIPLIED_AT_A_TIME
    return np.where(np.abs(real) / numbers.scale > most, np.nan, real)


def _off_of_sum(scales: list[float], result: Numbers, one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Return by how much a sum of two int8 values may be off, in steps of the result.

    XNNPACK multiplies both by integers, of which the larger one has 21 bits (``xnn_init_qs8_add_minmax_params``).
    """
    exponent = math.frexp(max(scales) / result.scale)[1]
    steps = np.abs(one) / scales[0] + np.abs(two) / scales[1]
    return np.asarray(steps * 2.0 ** (exponent - _BITS_OF_A_FACTOR - 1))


def _has_one_scale(found: Analysis, operator: Operator) -> bool:
    """Return whether operands and result have the same numbers: MINIMUM and MAXIMUM compare what is stored."""
    tensors = [int(operator.inputs[0]), int(operator.inputs[1]), int(operator.outputs[0])]
    return len({Numbers.of(found.graph.tensor(index)) for index in tensors}) == 1


def _quotient(found: Analysis, operator: Operator, result: Numbers, one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Return the real quotients by channel; NaN where they are not known.

    The int8 kernel shifts 0 right by ``31 + floor(log2(divisor in steps)) - exponent of the scales``. A shift of more
    than 31 bits is not defined and mostly makes 1 of it (TensorFlow Lite, ``reference/div.h``, ``DivElementwise``).
    """
    if result.is_float:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(one / two)
    steps = [_scale(found, int(operator.inputs[position])) for position in range(2)]
    exponent = math.frexp(steps[0] / (steps[1] * result.scale))[1]
    divisor = np.nan_to_num(np.abs(two) / steps[1], nan=_MOST_STEPS)
    is_defined = (divisor >= 1) & (np.floor(np.log2(np.maximum(divisor, 1))) <= exponent)
    return np.where((one == 0) & is_defined & result.folds, 0.0, np.nan)


def prelu(found: Analysis, operator: Operator) -> bool:
    """Analyse a PRELU, whose slope may be one for each channel."""
    source, result = int(operator.inputs[0]), int(operator.outputs[0])
    numbers = found.numbers_of(source, result)
    if numbers is None or not found.same(source, result) or _operand(found, operator, 1, result) is None:
        return False
    real = numbers[0].real(found.known(source))
    found.learn(result, numbers[1].stored(np.where(real == 0, real, np.nan)))
    return True


def greater(found: Analysis, operator: Operator) -> bool:
    """Analyse a GREATER: of 0 and 0 it is false."""
    result = int(operator.outputs[0])
    operands = [_operand(found, operator, position, result) for position in range(2)]
    if found.numbers_of(result) is None or operands[0] is None or operands[1] is None:
        return False
    found.learn(result, np.where((operands[0] == 0) & (operands[1] == 0), 0.0, np.nan))
    return True


def selection(found: Analysis, operator: Operator) -> bool:
    """Analyse a SELECT or SELECT_V2 of activations: where the condition is known to be false it is the last one."""
    condition, one, two = (int(operator.inputs[position]) for position in range(3))
    result = int(operator.outputs[0])
    if found.graph.operator_name(operator) == "SELECT" and found.rank(condition) != found.rank(result):
        return False  # a condition for each row
    numbers = found.numbers_of(condition, one, two, result)
    if numbers is None or not all(found.same(each, result) for each in (condition, one, two)):
        return False
    if numbers[2] == numbers[3]:
        found.learn(result, np.where(found.known(condition) == 0, found.known(two), np.nan))
    return True


def _operand(found: Analysis, operator: Operator, position: int, result: int) -> np.ndarray | None:
    """Return the real values of an operand by channel of the result, NaN where they vary; None if it is not known."""
    index, channels = int(operator.inputs[position]), found.channels.sizes[result]
    if index in found.channels:
        numbers = found.numbers_of(index)
        if numbers is None or not found.same(index, result):
            return None
        return numbers[0].real(found.known(index))
    read = found.constants.operand(operator, position)
    if read is None:
        return None
    constant, values = read
    real = _real(found, constant, values)
    if values.size == 1:
        return np.full(channels, real.flat[0])
    if values.shape[-1:] != (channels,) or not values.size:
        return None
    found.edits.append(Operand(operator, constant, result))
    rows = real.reshape(-1, channels)
    return np.where((rows == rows[0]).all(axis=0), rows[0], np.nan)


def _real(found: Analysis, constant: Constant, values: np.ndarray) -> np.ndarray:
    """Return what the values of a constant stand for, float64; NaN where that is not known or not finite."""
    numbers = Numbers.of(found.graph.tensor(constant.tensor))
    if values.dtype.kind == "f":
        real = values.astype(np.float64)
    elif numbers is None or constant.rebuilt is not None:
        return np.full(values.shape, np.nan)
    else:
        real = numbers.real(values.astype(np.float64))
    return np.where(np.isfinite(real), real, np.nan)


def _scale(found: Analysis, tensor: int) -> float:
    numbers = Numbers.of(found.graph.tensor(tensor))
    return 1.0 if numbers is None else numbers.scale
