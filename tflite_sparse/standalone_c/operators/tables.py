"""Operators that map one int8 to one int8: a table of 256 outputs, in the arithmetic of the reference kernel.

Sources, under ``tensorflow/lite/``: ``{activations,leaky_relu,hard_swish,logistic,tanh,quantize}_common.cc`` in
``micro/kernels/``, and ``kernels/internal/reference/``. The runtime's package converts scales to float64 before it
multiplies and divides them; sources of August 2026 and before do it in float32 in RELU, LEAKY_RELU, HARD_SWISH and SUB.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from tflite_sparse.standalone_c import fixed_point
from tflite_sparse.standalone_c.node import Node
from tflite_sparse.standalone_c.operators import requantise
from tflite_sparse.standalone_c.operators.steps import one_to_one
from tflite_sparse.standalone_c.program import Step, Table, Value

_LOW, _HIGH = -128, 127
_MOST_LEFT, _LEAST_LEFT_16 = 23, -15
"""Shifts of differences of int8, which fit in int32 then; and of int16."""

_INPUTS = np.arange(_LOW, _HIGH + 1, dtype=np.int64)
_Function: TypeAlias = Callable[[Node, Value, Value], np.ndarray]


def _step(function: _Function) -> Callable[[Node], Step]:
    def step(node: Node) -> Step:
        source, result = node.int8_value(0), node.int8_output()
        if source.count != result.count:
            raise node.refused("its input and output differ in size")
        outputs = np.clip(function(node, source, result), _LOW, _HIGH).astype(np.int8)
        fields = (("table", Table("table", outputs)), ("count", source.count))
        return one_to_one(node, "tfls_table", "TflsTable", fields, "tfls_table", in_place=True)

    return step


def _requantised(node: Node, source: Value, result: Value, factor: float) -> np.ndarray:
    """The inputs in steps of the output, its zero point added."""
    multiplier, shift = requantise.pair(node, factor)
    if shift > _MOST_LEFT:
        raise node.refused("its scales differ too much")
    return np.asarray(result.zero_point + fixed_point.multiplied(_INPUTS - source.zero_point, multiplier, shift))


def _relu(node: Node, source: Value, result: Value) -> np.ndarray:
    """``ReluQuantized``."""
    found = _requantised(node, source, result, source.scale / result.scale)
    return np.asarray(np.maximum(found, result.zero_point))


def _relu6(node: Node, source: Value, result: Value) -> np.ndarray:
    """``Relu6Quantized``: clamped as it is, in steps of the input."""
    del node, result
    six = source.zero_point + int(np.floor(float(np.float32(6) / np.float32(source.scale)) + 0.5))
    return np.clip(_INPUTS, source.zero_point, min(six, _HIGH))


def _leaky_relu(node: Node, source: Value, result: Value) -> np.ndarray:
    """``QuantizeLeakyRelu``."""
    positive = _requantised(node, source, result, source.scale / result.scale)
    slope = float(np.float32(node.options.alpha))
    if slope < 0:
        raise node.refused("its slope is negative")
    negative = _requantised(node, source, result, source.scale * slope / result.scale)
    return np.where(source.zero_point <= _INPUTS, positive, negative)


def _requantise(node: Node, source: Value, result: Value) -> np.ndarray:
    """QUANTIZE of int8: ``reference_ops::Requantize``."""
    return _requantised(node, source, result, source.scale / result.scale)


def _logistic(node: Node, source: Value, result: Value) -> np.ndarray:
    """``reference_integer_ops::Logistic``: Q4 in, Q8 out."""
    if (result.scale, result.zero_point) != (1 / 256, _LOW):
        raise node.refused("its output does not have a scale of 1/256 and a zero point of -128")
    return fixed_point.divided_by_power(_of_q4(source, fixed_point.logistic), 31 - 8) + _LOW


def _tanh(node: Node, source: Value, result: Value) -> np.ndarray:
    """``reference_integer_ops::Tanh``: Q4 in, Q7 out."""
    if (result.scale, result.zero_point) != (1 / 128, 0):
        raise node.refused("its output does not have a scale of 1/128 and a zero point of 0")
    return fixed_point.divided_by_power(_of_q4(source, fixed_point.tanh), 31 - 7)


def _of_q4(source: Value, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """A function of the inputs as Q4; beyond what Q4 holds, its limits."""
    multiplier, shift = fixed_point.to_q4(source.scale)
    radius = fixed_point.input_radius(4, shift)
    steps = _INPUTS - source.zero_point
    within = np.clip(steps, 1 - radius, radius - 1)
    largest = 2**31 - 1
    found = function(fixed_point.multiplied(within, multiplier, shift))
    lowest = 0 if function is fixed_point.logistic else -largest - 1
    return np.where(steps <= -radius, lowest, np.where(steps >= radius, largest, found))


def _hard_swish(node: Node, source: Value, result: Value) -> np.ndarray:
    """``reference_ops::HardSwish``, in int16."""
    fine = source.scale / 128
    output = fixed_point.to_int16(fine / result.scale)
    reluish = fixed_point.to_int16(fine / (3 / 32768))
    if output.shift > 0:
        raise node.refused("its output has a much finer scale than its input")
    if output.shift < _LEAST_LEFT_16:
        raise node.refused("its output has a much coarser scale than its input")
    values = (_INPUTS - source.zero_point) << 7
    before_shift = fixed_point.doubling_high_product_16(values, output.multiplier)
    slopes = values
    if reluish.shift > 0:
        slopes = fixed_point.raised_16(slopes, reluish.shift - 1)
    slopes = fixed_point.doubling_high_product_16(slopes, reluish.multiplier)
    if reluish.shift > 0:
        slopes = fixed_point.raised_16(slopes, 1)
    slopes = fixed_point.divided_by_power(slopes, max(-reluish.shift, 0))
    slopes = (slopes + (1 << 15)) >> 1
    product = slopes * before_shift
    truncated = np.sign(product) * (np.abs(product) >> 15)
    return fixed_point.divided_by_power(truncated, -output.shift) + result.zero_point


relu, relu6, leaky_relu = _step(_relu), _step(_relu6), _step(_leaky_relu)
hard_swish, logistic, tanh, requantised = _step(_hard_swish), _step(_logistic), _step(_tanh), _step(_requantise)
