"""The least and largest int8 output that a fused activation leaves, as TensorFlow Lite Micro works it out.

Source: ``CalculateActivationRangeQuantized`` in ``tensorflow/lite/kernels/kernel_util.cc``.
"""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

_INT8 = (-128, 127)
_BOUNDS: dict[int, tuple[float | None, float | None]] = {
    schema.ActivationFunctionType.NONE: (None, None),
    schema.ActivationFunctionType.RELU: (0.0, None),
    schema.ActivationFunctionType.RELU_N1_TO_1: (-1.0, 1.0),
    schema.ActivationFunctionType.RELU6: (0.0, 6.0),
}


def of(activation: int, scale: float, zero_point: int) -> tuple[int, int] | None:
    """(least, largest) of an int8 output, or None for an activation that the runtime does not fuse, or that leaves
    no value.

    Args:
        activation: as the schema numbers it.
        scale: of the output.
        zero_point: of the output.
    """
    if activation not in _BOUNDS:
        return None
    low, high = _BOUNDS[activation]
    with np.errstate(over="ignore"):
        if not np.isfinite(np.float32(6) / np.float32(scale)):
            return None
    least = _INT8[0] if low is None else max(_INT8[0], _quantised(low, scale, zero_point))
    largest = _INT8[1] if high is None else min(_INT8[1], _quantised(high, scale, zero_point))
    return (least, largest) if least <= largest else None


def _quantised(value: float, scale: float, zero_point: int) -> int:
    """The quotient is rounded to float32, then to the nearest integer, halves away from zero."""
    steps = float(np.float32(value) / np.float32(scale))
    return zero_point + int(np.trunc(steps + np.copysign(0.5, steps)))
