"""Dense int8 weights as the C operators of ``micro_kernels/standalone`` read them: in pairs, for CPUs with SMLAD.

Two outputs share a half-word, ``w0 + 256 * w1``, so that one multiply-add serves both (``tfls_paired.h`` says how they
part again). Inputs are rounded up to a multiple of four and outputs to one of two, with zeros. Of each four inputs a
group of ``g`` outputs has ``4 * g`` bytes: for inputs 0 and 2, then for inputs 1 and 3, for each pair of outputs its
two half-words. FULLY_CONNECTED has groups of eight outputs, and groups of two behind them; CONV_2D has groups of two.
"""

from __future__ import annotations

import numpy as np

from tflite_sparse.codecs.streams.parameters import Parameters
from tflite_sparse.codecs.streams.stream import absolute_sums

_INPUTS = 4
_PAIR, _FULLY_CONNECTED_GROUP = 2, 8
_NARROW_BITS, _LEAST_SHIFT = 30, -20


def can_be_paired(weights: np.ndarray) -> bool:
    """Whether int8 weights can be paired: -128, which converters do not write, would not fit beside another."""
    return not np.any(weights == np.iinfo(np.int8).min)


def paired_convolution(weights: np.ndarray) -> np.ndarray:
    """Pair the weights of CONV_2D.

    Args:
        weights: int8 (outputs, rows, columns, channels).

    Returns:
        int8, one-dimensional: outputs rounded up to a multiple of 2 times inputs rounded up to one of 4.

    Raises:
        ValueError: a weight is -128.
    """
    return _paired(weights.reshape(weights.shape[0], -1), _PAIR)


def paired_matrix(weights: np.ndarray) -> np.ndarray:
    """Pair the weights of FULLY_CONNECTED.

    Args:
        weights: int8 (outputs, inputs).

    Returns:
        int8, one-dimensional: outputs rounded up to a multiple of 2 times inputs rounded up to one of 4.

    Raises:
        ValueError: a weight is -128.
    """
    whole = weights.shape[0] // _FULLY_CONNECTED_GROUP * _FULLY_CONNECTED_GROUP
    parts = ((weights[:whole], _FULLY_CONNECTED_GROUP), (weights[whole:], _PAIR))
    return np.concatenate([_paired(rows, group) for rows, group in parts])


def is_wide(parameters: Parameters, weights: np.ndarray) -> bool:
    """Whether an operator needs the slower requantisation: ``wide`` of its struct in C.

    Args:
        parameters: of the operator, the input's zero point folded into the bias.
        weights: int8 (outputs, ...).
    """
    largest = np.abs(parameters.bias.astype(np.int64)) + 128 * absolute_sums(weights)
    shifts = parameters.shifts.astype(np.float64)
    raised = largest * np.exp2(np.maximum(shifts, 0))
    return bool(np.any(raised >= 2**_NARROW_BITS) or np.any(shifts < _LEAST_SHIFT))


def _paired(rows: np.ndarray, group: int) -> np.ndarray:
    if not can_be_paired(rows):
        raise ValueError("a weight is -128; int8 weights go from -127 to 127")
    outputs, inputs = rows.shape
    whole = np.zeros((_rounded(outputs, group), _rounded(inputs, _INPUTS)), np.int16)
    whole[:outputs, :inputs] = rows
    halves = (whole[0::2] + 256 * whole[1::2]).astype("<i2")
    # (group, pair, four inputs, place of the half-word, word) to (group, four inputs, word, pair, place)
    split = halves.reshape(-1, group // _PAIR, halves.shape[1] // _INPUTS, 2, 2)
    return np.ascontiguousarray(split.transpose(0, 2, 4, 1, 3)).reshape(-1).view(np.int8)


def _rounded(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple
