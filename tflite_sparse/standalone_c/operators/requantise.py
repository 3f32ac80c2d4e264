"""Multipliers, shifts and folded biases of operators with weights, as the runtime's Prepare has them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tflite_sparse.codecs.streams.parameters import Scales, quantised_multiplier
from tflite_sparse.codecs.streams.stream import absolute_sums
from tflite_sparse.standalone_c.node import Node
from tflite_sparse.standalone_c.program import Field, Table, Value

_MOST_LEFT = 30
_WIDE_SUM = 1 << 30
_LEAST_SHIFT_OF_FAST_CODE = -20


@dataclass(frozen=True, eq=False, slots=True)
class Requantisation:
    """How sums become outputs: int32 bias (outputs,); int32 multipliers and int8 shifts, (outputs,) or (1,)."""

    bias: np.ndarray
    multipliers: np.ndarray
    shifts: np.ndarray

    def fields(self) -> tuple[tuple[str, Field], ...]:
        """The first fields of a struct, behind the weights."""
        return (
            ("bias", Table("bias", self.bias)),
            ("multiplier", Table("multiplier", self.multipliers)),
            ("shift", Table("shift", self.shifts)),
        )

    @property
    def channel_step(self) -> int:
        """1: one multiplier for each output; 0: one for all."""
        return int(self.multipliers.size > 1)

    def is_wide(self, weights: np.ndarray) -> bool:
        """Whether a sum needs more bits than the fast code has.

        Args:
            weights: int8 (outputs, ...).
        """
        largest = np.abs(self.bias.astype(np.int64)) + 128 * absolute_sums(weights)
        shifted = largest * 2.0 ** np.maximum(self.shifts.astype(np.int64), 0)
        return bool(np.any(shifted >= _WIDE_SUM) or np.any(self.shifts < _LEAST_SHIFT_OF_FAST_CODE))


def of(node: Node, source: Value, scales: np.ndarray, *, in_float: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The multipliers and shifts of an operator with weights of these scales.

    Args:
        node: the operator.
        source: its input.
        scales: of its weights, float32.
        in_float: whether the product of scales is rounded to float32, as FULLY_CONNECTED with one scale has it.
    """
    result = node.int8_output()
    factors = Scales(np.float32(source.scale), np.float32(result.scale), scales, in_float).effective()
    pairs = [pair(node, float(factor)) for factor in factors]
    multipliers, shifts = zip(*pairs, strict=True)
    return np.array(multipliers, np.int32), np.array(shifts, np.int8)


def pair(node: Node, factor: float) -> tuple[int, int]:
    """A factor as (multiplier, shift).

    Raises:
        OperatorRefusedError: it is too large for a shift, or no number.
    """
    if not 0 <= factor < 2.0**_MOST_LEFT:
        raise node.refused("its scales differ too much")
    return quantised_multiplier(factor)


def folded_bias(bias: np.ndarray | None, weights: np.ndarray, input_zero_point: int) -> np.ndarray:
    """The bias less what the input's zero point adds to every sum, int32 (outputs,), modulo 2**32.

    Args:
        bias: int32 (outputs,), or None.
        weights: int8 (outputs, ...).
        input_zero_point: of the input.
    """
    sums = weights.reshape(weights.shape[0], -1).astype(np.int64).sum(axis=1)
    own = np.zeros(weights.shape[0], np.int64) if bias is None else bias.astype(np.int64)
    return np.asarray((own - input_zero_point * sums).astype(np.int32))
