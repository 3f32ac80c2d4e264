"""Arithmetic of TensorFlow Lite Micro's reference kernels in int64 arrays: for tables that are made ahead.

Sources: gemmlowp's ``fixedpoint/fixedpoint.h`` (its names are kept) and ``MultiplyByQuantizedMultiplier`` of
``kernels/internal/common.cc``, in the form that rounds twice. Numbers of ``n`` integer bits are int32 with ``31 - n``
bits behind the point, "Qn" below.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tflite_sparse.codecs.streams.parameters import quantised_multiplier

_BITS = 31
_MAX = 2**_BITS - 1
_MAX_16 = 2**15 - 1
_EXPONENTS = ((-2, 1672461947), (-1, 1302514674), (0, 790015084), (1, 290630308), (2, 39332535), (3, 720401), (4, 242))
"""(k, exp(-2**k) as Q0)."""
_EXP_OF_MINUS_ONE_EIGHTH, _ONE_THIRD = 1895147668, 715827883  # Q0
_48_OVER_17, _MINUS_32_OVER_17 = 1515870810, -1010580540  # Q2
_ONE_Q2 = 1 << 29
_STEPS_OF_NEWTON = 3


def doubling_high_product(a: np.ndarray, b: np.ndarray | int) -> np.ndarray:
    """``a * b / 2**31``, rounded to nearest, halves away from zero; int64 that fit in int32."""
    product = np.asarray(a, np.int64) * np.asarray(b, np.int64)
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    quotient = np.sign(nudged) * (np.abs(nudged) >> _BITS)  # C divides towards zero
    return np.asarray(np.minimum(quotient, _MAX))


def divided_by_power(a: np.ndarray, exponent: int) -> np.ndarray:
    """``a / 2**exponent``, rounded to nearest, halves away from zero."""
    values, mask = np.asarray(a, np.int64), (1 << exponent) - 1
    threshold = (mask >> 1) + (values < 0)
    return np.asarray((values >> exponent) + ((values & mask) > threshold))


def multiplied(a: np.ndarray, multiplier: int, shift: int) -> np.ndarray:
    """``a * multiplier * 2**(shift - 31)`` as kernels requantise; ``a`` times ``2**shift`` must fit in int32."""
    left = max(shift, 0)
    return divided_by_power(doubling_high_product(np.asarray(a, np.int64) << left, multiplier), left - shift)


def _raised(a: np.ndarray, exponent: int) -> np.ndarray:
    """``a * 2**exponent`` for an exponent of 0 or more, saturated to int32."""
    return np.asarray(np.clip(np.asarray(a, np.int64) << exponent, -_MAX - 1, _MAX))


def _exp_near_zero(a: np.ndarray) -> np.ndarray:
    """Exp of Q0 numbers from -1/4 up to 0, which is left out, as Q0: a series around -1/8."""
    x = a + (1 << (_BITS - 3))
    x2 = doubling_high_product(x, x)
    x3, x4 = doubling_high_product(x2, x), doubling_high_product(x2, x2)
    inner = doubling_high_product(divided_by_power(x4, 2) + x3, _ONE_THIRD) + x2
    product = doubling_high_product(x + divided_by_power(inner, 1), _EXP_OF_MINUS_ONE_EIGHTH)
    return _EXP_OF_MINUS_ONE_EIGHTH + product


def exp_on_negative_values(a: np.ndarray, integer_bits: int) -> np.ndarray:
    """Exp of numbers of 0 and less, Q(integer_bits), as Q0."""
    values = np.asarray(a, np.int64)
    fraction_bits = _BITS - integer_bits
    quarter = 1 << (fraction_bits - 2)
    reduced = (values & (quarter - 1)) - quarter
    result = _exp_near_zero(_raised(reduced, integer_bits))
    remainder = reduced - values
    for exponent, factor in _EXPONENTS:
        if integer_bits > exponent:
            is_set = (remainder >> (fraction_bits + exponent)) & 1
            result = np.where(is_set, doubling_high_product(result, factor), result)
    if integer_bits > 5:  # what is below -32
        result = np.where(values < -(1 << (36 - integer_bits)), 0, result)
    return np.where(values == 0, _MAX, result)


def _reciprocal(a: np.ndarray) -> np.ndarray:
    """2 / (1 + a) of Q0 numbers from 0 to 1, as Q2: Newton's method."""
    total = np.asarray(a, np.int64) + _MAX
    half = np.sign(total + 1) * (np.abs(total + 1) // 2)  # of sums of 0 and more
    x = _48_OVER_17 + doubling_high_product(half, _MINUS_32_OVER_17)
    for _ in range(_STEPS_OF_NEWTON):
        x = x + _raised(doubling_high_product(x, _ONE_Q2 - doubling_high_product(half, x)), 2)
    return x


def logistic(a: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-a)) of Q4 numbers, as Q0."""
    values = np.asarray(a, np.int64)
    of_positive = _raised(_reciprocal(exp_on_negative_values(-np.abs(values), 4)), 1)
    return np.where(values == 0, 1 << 30, np.where(values > 0, of_positive, _MAX - of_positive))


def tanh(a: np.ndarray) -> np.ndarray:
    """Tanh of Q4 numbers, as Q0."""
    values = np.asarray(a, np.int64)
    of_positive = _raised(_reciprocal(exp_on_negative_values(-np.abs(values), 5)) - _ONE_Q2, 2)
    return np.where(values == 0, 0, np.sign(values) * of_positive)


def input_radius(integer_bits: int, left_shift: int) -> int:
    """The largest input that stays within ``integer_bits`` after ``left_shift``: ``CalculateInputRadius``."""
    largest = ((1 << integer_bits) - 1) * 2.0 ** (_BITS - integer_bits) / 2.0**left_shift
    return math.floor(largest)


def to_q4(scale: float) -> tuple[int, int]:
    """The multiplier and shift that take steps of an input of this scale to Q4."""
    return quantised_multiplier(scale * 2.0 ** (_BITS - 4))


@dataclass(frozen=True, slots=True)
class Int16Multiplier:
    """A factor as multiplier * 2**(shift - 15), the multiplier below 2**15."""

    multiplier: int
    shift: int


def to_int16(factor: float) -> Int16Multiplier:
    """``QuantizeMultiplier``, then ``DownScaleInt32ToInt16Multiplier``."""
    multiplier, shift = quantised_multiplier(factor)
    return Int16Multiplier(min((multiplier + (1 << 15)) >> 16, _MAX_16), shift)


def doubling_high_product_16(a: np.ndarray, multiplier: int) -> np.ndarray:
    """``a * multiplier / 2**15``, rounded to nearest, halves away from zero, saturated to int16."""
    product = np.asarray(a, np.int64) * multiplier
    nudged = product + np.where(product >= 0, 1 << 14, 1 - (1 << 14))
    return np.asarray(np.minimum(np.sign(nudged) * (np.abs(nudged) >> 15), _MAX_16))


def raised_16(a: np.ndarray, exponent: int) -> np.ndarray:
    """``a * 2**exponent``, saturated to int16."""
    return np.asarray(np.clip(np.asarray(a, np.int64) << exponent, -_MAX_16 - 1, _MAX_16))
