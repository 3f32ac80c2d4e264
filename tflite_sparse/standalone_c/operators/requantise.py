"""Multipliers, shifts and folded biases of operators with weights, as the runtime's Prepare has them."""

from __future__ import annotations

import numpy as np

from tflite_sparse.codecs.streams.parameters import Parameters, Scales, quantised_multiplier
from tflite_sparse.standalone_c.node import Node
from tflite_sparse.standalone_c.program import Field, Table, Value

_MOST_LEFT = 30


def fields(parameters: Parameters) -> tuple[tuple[str, Field], ...]:
    """The fields of a struct behind its weights."""
    return (
        ("bias", Table("bias", parameters.bias)),
        ("multiplier", Table("multiplier", parameters.multipliers)),
        ("shift", Table("shift", parameters.shifts)),
    )


def channel_step(parameters: Parameters) -> int:
    """1: one multiplier for each output; 0: one for all."""
    return int(parameters.multipliers.size > 1)


def of(node: Node, source: Value, scales: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The multipliers and shifts of an operator with weights of these scales.

    Args:
        node: the operator.
        source: its input.
        scales: of its weights, float32.
    """
    result = node.int8_output()
    factors = Scales(np.float32(source.scale), np.float32(result.scale), scales).effective()
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
