"""The numbers of an activation, and the value that all kernels give a constant: int8, int16 and float32.

Kernels round in different ways: XNNPACK in float32, the built-in kernels in fixed point, once or twice. A value that is
near a tie has no common answer and counts as not known. What was found by counter-examples:

* Built-in kernels round a product before they shift it right, so that a tie is half a unit of that shift wide.
* int16 kernels reduce the multiplier to 16 bits: only 0 is known.
* float32 kernels sum in different orders: only 0 is known, but for a single operation on two values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.flatbuffer.graph import quantisation_of
from tflite_sparse.flatbuffer.types import Tensor

MARGIN = 1e-3
"""Distance from a tie, in steps of the output: more than fixed-point and float32 multipliers are apart."""

_FLOAT32 = 2.0**-22
"""By how much a quotient of float32 numbers may be off."""

_ACTIVATIONS = {
    schema.ActivationFunctionType.NONE: (-np.inf, np.inf),
    schema.ActivationFunctionType.RELU: (0.0, np.inf),
    schema.ActivationFunctionType.RELU_N1_TO_1: (-1.0, 1.0),
    schema.ActivationFunctionType.RELU6: (0.0, 6.0),
}
_WITHOUT_SCALE = (schema.TensorType.FLOAT32, schema.TensorType.BOOL)
_TYPES = (*_WITHOUT_SCALE, schema.TensorType.INT8, schema.TensorType.INT16)
_LEAST, _GREATEST = -128, 127


@dataclass(frozen=True, slots=True)
class Numbers:
    """What the values of an activation stand for: real value = scale * (stored value - zero).

    Attributes:
        kind: the schema's type: float32 or bool (with scale 1 and zero 0), int8 or int16.
        scale: of the tensor.
        zero: the stored value that stands for 0.
    """

    kind: int
    scale: float
    zero: int

    @classmethod
    def of(cls, tensor: Tensor) -> Numbers | None:
        """Return those of a tensor; None for a type, or a quantisation, that is not known here."""
        if tensor.type not in _TYPES:
            return None
        if tensor.type in _WITHOUT_SCALE:
            return cls(tensor.type, 1.0, 0)
        scale, zero = quantisation_of(tensor)
        usable = scale > 0 and np.isfinite(scale) and (tensor.type == schema.TensorType.INT8 or zero == 0)
        return cls(tensor.type, scale, zero) if usable else None

    @property
    def is_float(self) -> bool:
        """Whether the values are float32."""
        return bool(self.kind == schema.TensorType.FLOAT32)

    @property
    def is_quantised(self) -> bool:
        """Whether the values are steps of a scale: int8 or int16."""
        return self.kind not in _WITHOUT_SCALE

    @property
    def folds(self) -> bool:
        """Whether a constant other than 0 can move into a bias without a change of any sum: int8 only."""
        return bool(self.kind == schema.TensorType.INT8)

    def real(self, stored: np.ndarray) -> np.ndarray:
        """Return the real values, float64; NaN stays NaN."""
        return np.asarray((stored - self.zero) * self.scale)

    def stored(
        self,
        real: np.ndarray,
        multiplier: np.ndarray | float = 1.0,
        activation: int = 0,
        off: np.ndarray | float = 0.0,
    ) -> np.ndarray:
        """Return the stored values that every kernel yields, float64; NaN where that is not known.

        Args:
            real: exact real values before the activation; NaN: not known.
            multiplier: that the kernel requantises its sum with, positive, for the width of ties.
            activation: fused activation function, the schema's number.
            off: by how much a kernel with a coarse multiplier may miss the value, in steps.
        """
        if activation not in _ACTIVATIONS:
            return np.full(np.shape(real), np.nan)
        if not self.folds:
            return np.where(real == 0, 0.0, np.nan)
        low, high = (self._bound(bound) for bound in _ACTIVATIONS[activation])
        steps = np.asarray(real) / self.scale + self.zero
        inside = np.clip(common_rounding(steps, multiplier, off), low, high)
        return np.where(steps < low - 1 - off, low, np.where(steps > high + 1 + off, high, inside))

    def computed(
        self, real: np.ndarray, multiplier: float = 1.0, activation: int = 0, off: np.ndarray | float = 0.0
    ) -> np.ndarray:
        """Return as :meth:`stored` what one operation on two values yields; float32 kernels round that only once."""
        if not self.is_float or activation not in _ACTIVATIONS:
            return self.stored(real, multiplier, activation, off)
        with np.errstate(over="ignore"):
            rounded = np.clip(real, *_ACTIVATIONS[activation]).astype(np.float32).astype(np.float64)
        return np.where(np.isfinite(rounded), rounded, np.nan)

    def _bound(self, real: float) -> float:
        """Return the stored value of an activation's bound; NaN near a tie."""
        if np.isinf(real):
            return _LEAST if real < 0 else _GREATEST
        return float(np.clip(common_rounding(np.float64(real / self.scale + self.zero)), _LEAST, _GREATEST))


def common_rounding(
    steps: np.ndarray | np.float64, multiplier: np.ndarray | float = 1.0, off: np.ndarray | float = 0.0
) -> np.ndarray:
    """Round to the nearest integer; NaN where kernels may disagree.

    Args:
        steps: exact values.
        multiplier: that the kernel requantises with. It is a fraction of 1/2 to 1 that is shifted right by ``s`` bits:
            a kernel may round twice, which is off by up to half a unit before the shift. Of a power of two, which
            some kernels have in float32, the wider tie of both neighbours counts.
        off: by how much the value may be off before it is rounded.
    """
    magnitude = np.nan_to_num(np.abs(multiplier), nan=1.0, posinf=1.0)
    shifts = [-np.frexp(magnitude * near)[1] for near in (1 - _FLOAT32, 1 + _FLOAT32)]
    width = MARGIN + off + np.max([np.where(s >= 1, 2.0 ** -(np.maximum(s, 1.0) + 1), 0.0) for s in shifts], axis=0)
    from_tie = np.abs(np.abs(steps - np.floor(steps)) - 0.5)
    return np.where(from_tie > width, np.floor(np.asarray(steps) + 0.5), np.nan)


def mean_of_constant(
    source: Numbers, result: Numbers, stored: np.ndarray, count: int, *, is_planar: bool
) -> np.ndarray:
    """Return the stored mean of equal values, where the formulas of all kernels agree; else NaN.

    Kernels take the zero point off the sum of the values and multiply by ``scales / count``: the mean of zeros is the
    zero point of the result. They divide the multiplier of ``scales`` by the count and shift it left by
    ``floor(log2(count))`` bits, so that a tie is up to twice as wide as that of a multiplier of 32 bits (TensorFlow
    Lite, ``reference/reduce.h``). The built-in int8 kernel for the mean of a plane that keeps its axes multiplies the
    sum as it is, by ``scales / count``, which may be shifted right by one bit more: that counts where the other one is
    not shifted. It takes off ``zero * scales``, which it rounds alone (``optimized/integer_ops/mean.h``).

    Args:
        source: numbers of the values.
        result: numbers of the mean, of the same kind.
        stored: the value of each channel; NaN: not known.
        count: how many values each mean is of.
        is_planar: whether it is the mean over the axes 1 and 2 of four, and keeps them.
    """
    if not source.folds:
        return result.stored(source.real(stored))
    scales = source.scale / result.scale
    multiplier = 2.0 ** (math.frexp(scales)[1] - count.bit_length())  # both shifts: this one's, and one bit more
    whole = result.stored(source.real(stored), multiplier)
    if not is_planar:
        return whole
    share = common_rounding(np.float64(source.zero * scales))
    apart = result.stored((stored * scales - share) * result.scale, multiplier)
    return np.where(whole == apart, whole, np.nan)
