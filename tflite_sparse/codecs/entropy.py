"""Compute the zeroth-order entropy bound: the fewest bytes if each mask bit and kept value is coded independently."""

from __future__ import annotations

import math

import numpy as np

from tflite_sparse.codecs.layout import kept_mask


def entropy_bytes(array: np.ndarray, zero_points: np.ndarray | int = 0) -> int:
    """Return the entropy of the mask plus that of the kept values, in bytes, rounded up.

    ``n H(mask) + k H(kept values)`` bits with ``H(p) = -sum p log2 p`` over the observed frequencies (Shannon 1948).
    Only a code that uses the neighbours of a weight (blocks, rows) can go below.

    The table of distinct values (at most 256) is not counted for values of one byte. Most wider values are distinct:
    their table is counted, or the kept values unencoded where that is less. Otherwise 1,024 distinct float32 values
    would count ``log2(1024) = 10`` bits each, which no file reaches.

    Args:
        array: values as stored, of any rank.
        zero_points: of a quantised array; see :func:`tflite_sparse.codecs.layout.kept_mask`.
    """
    if array.size == 0:
        return 0
    kept = array[kept_mask(array, zero_points)].reshape(-1)
    mask_bits = array.size * _entropy(np.array([kept.size, array.size - kept.size]))
    return math.ceil(float(mask_bits + _bits_of_values(kept)) / 8)


def _bits_of_values(kept: np.ndarray) -> float:
    """Return the fewest bits of one-dimensional kept values; for wide values with the table of distinct ones."""
    frequencies = _frequencies(kept)
    coded = kept.size * _entropy(frequencies)
    if kept.itemsize == 1:
        return coded
    bits = 8 * kept.itemsize
    return min(coded + bits * np.count_nonzero(frequencies), float(bits * kept.size))


def _frequencies(values: np.ndarray) -> np.ndarray:
    if values.itemsize == 1:  # the common case, ten times faster than sorting
        return np.bincount(values.view(np.uint8), minlength=256)
    return np.unique(values.view(f"u{values.dtype.itemsize}"), return_counts=True)[1]


def _entropy(counts: np.ndarray) -> float:
    shares = counts[counts > 0] / max(int(counts.sum()), 1)
    return float(-(shares * np.log2(shares)).sum())
