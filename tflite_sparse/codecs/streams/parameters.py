"""What a kernel knows of an output beside its weights: bias, multiplier, shift, in 9 bytes.

The input's zero point is folded into the bias. Multiplier and shift are those that TensorFlow Lite Micro computes from
the scales: ``PopulateConvolutionQuantizationParams`` in ``kernels/kernel_util.cc``, ``CalculateOpDataFullyConnected``
in ``micro/kernels/fully_connected_common.cc``, ``QuantizeMultiplier`` in ``kernels/internal/quantization_util.cc``.
The runtime's package converts each scale to float64 first. Sources of August 2026 and before round the product of
FULLY_CONNECTED with one scale to float32; there an output at the edge of two values may be the neighbour.
They hold 31 bits of the product of scales, a float32 scale has 24: it is given back to the bit.

Bytes, little-endian: int32 bias of each output, int32 multipliers, int8 shifts; one multiplier and one shift where all
outputs share them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tflite_sparse.codecs.streams.stream import absolute_sums

ACCUMULATOR_LIMIT = 2**31 - 1
"""No sum may reach this, whatever the input."""

_MULTIPLIER_BITS = 31
_LEAST_SHIFT = -31


@dataclass(frozen=True, slots=True)
class Scales:
    """Scales of an operator, float32.

    Attributes:
        input: of the input.
        output: of the output.
        filter: (outputs,), or (1,) where all outputs share one.
    """

    input: np.float32
    output: np.float32
    filter: np.ndarray

    def effective(self) -> np.ndarray:
        """What an accumulator is multiplied with, float64."""
        return np.float64(self.input) * self.filter.astype(np.float64) / np.float64(self.output)


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of an operator: int32 bias (outputs,), int32 multipliers, int8 shifts (outputs,) or (1,)."""

    bias: np.ndarray
    multipliers: np.ndarray
    shifts: np.ndarray

    def to_bytes(self) -> np.ndarray:
        """Uint8, as the kernels read them."""
        parts = (self.bias.astype("<i4"), self.multipliers.astype("<i4"), self.shifts.astype(np.int8))
        return np.concatenate([part.view(np.uint8) for part in parts])


def nbytes(outputs: int, scales: int) -> int:
    """Bytes of the parameters."""
    return 4 * outputs + 5 * scales


def from_bytes(contents: np.ndarray, outputs: int, scales: int) -> Parameters:
    """Read parameters, uint8.

    Raises:
        ValueError: there are more or fewer bytes.
    """
    if contents.size != nbytes(outputs, scales):
        raise ValueError(f"its parameters take {contents.size:,} bytes instead of {nbytes(outputs, scales):,}")
    words = np.frombuffer(contents[: 4 * (outputs + scales)].tobytes(), "<i4").astype(np.int32)
    return Parameters(words[:outputs], words[outputs:], contents[4 * (outputs + scales) :].view(np.int8).copy())


def of(scales: Scales, bias: np.ndarray | None, weights: np.ndarray, input_zero_point: int) -> Parameters:
    """The parameters of an operator.

    Args:
        scales: its scales.
        bias: int32 (outputs,), or None.
        weights: int8 (outputs, ...).
        input_zero_point: of its input.

    Raises:
        ValueError: a sum could leave the accumulator, or a scale is negative or no number.
    """
    sums = weights.reshape(weights.shape[0], -1).astype(np.int64).sum(axis=1)
    folded = (0 if bias is None else bias.astype(np.int64)) - input_zero_point * sums
    factors = scales.effective()
    if not np.all(np.isfinite(factors) & (factors >= 0)):
        raise ValueError("one of its scales is negative or no number")
    pairs = [quantised_multiplier(float(factor)) for factor in factors]
    multipliers = np.array([multiplier for multiplier, _ in pairs], np.int32)
    shifts = np.array([shift for _, shift in pairs], np.int64)
    largest = np.abs(folded) + 128 * absolute_sums(weights)
    if np.any(shifts > 30) or np.any(largest * 2.0 ** np.maximum(shifts, 0) >= ACCUMULATOR_LIMIT):
        raise ValueError(f"the sum of an output could reach {ACCUMULATOR_LIMIT:,}")
    return Parameters(folded.astype(np.int32), multipliers, shifts.astype(np.int8))


def dense_bias(parameters: Parameters, weights: np.ndarray, input_zero_point: int) -> np.ndarray:
    """The bias that :func:`of` was given, int32 (outputs,); zeros where there was none."""
    sums = weights.reshape(weights.shape[0], -1).astype(np.int64).sum(axis=1)
    return np.asarray((parameters.bias.astype(np.int64) + input_zero_point * sums).astype(np.int32))


def filter_scales(parameters: Parameters, input_scale: np.float32, output_scale: np.float32) -> np.ndarray:
    """The scales of the filter that :func:`of` was given, float32, unless they were rounded or too small."""
    products = parameters.multipliers.astype(np.float64) * np.exp2(parameters.shifts.astype(np.float64) - 31)
    return np.asarray((products * np.float64(output_scale) / np.float64(input_scale)).astype(np.float32))


def quantised_multiplier(factor: float) -> tuple[int, int]:
    """``factor`` as (multiplier, shift): multiplier * 2**(shift - 31), the multiplier below 2**31."""
    if factor == 0:
        return 0, 0
    fraction, shift = math.frexp(factor)
    multiplier = math.floor(fraction * 2**_MULTIPLIER_BITS + 0.5)
    if multiplier == 2**_MULTIPLIER_BITS:
        multiplier, shift = multiplier // 2, shift + 1
    return (0, 0) if shift < _LEAST_SHIFT else (multiplier, shift)
