"""Choose the ranges of activations from all their values instead of the smallest and largest alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

KEPT_SHARE = 0.9999
"""Share of the values that ``percentile`` keeps within the range. Wu et al. (2020, "Integer quantization for deep
learning inference") compare 99.9 to 99.9999 %; the best differs between networks. This one is in the middle."""

_LEVELS = 256
_DROPPED_BITS = 16  # of the 23 of a float32's mantissa: bins within 1/128 of their value
_BINS = 1 << (32 - _DROPPED_BITS)
_SIGN = _BINS // 2
_CANDIDATES = 128
_FINEST = 2.0**-6  # the smallest range tried, as a share of min-max: four of its levels

Range = tuple[float, float]


class Histogram:
    """Counts of the values of one tensor, in bins of relative width 1/128.

    A bin is the upper half of a float32: sign, exponent and 7 bits of the mantissa. So it needs no range in advance,
    takes 512 kB for any number of values, and does not depend on their order.
    """

    def __init__(self) -> None:
        self._counts = np.zeros(_BINS, np.int64)
        self.least = np.inf
        self.most = -np.inf

    def add(self, values: np.ndarray) -> None:
        """Count the finite values among ``values`` (any shape, float)."""
        flat = np.ascontiguousarray(values, np.float32).reshape(-1)
        flat = flat[np.isfinite(flat)]
        if flat.size:
            self._counts += np.bincount(flat.view(np.uint32) >> _DROPPED_BITS, minlength=_BINS)
            self.least = min(self.least, float(flat.min()))
            self.most = max(self.most, float(flat.max()))

    @property
    def is_empty(self) -> bool:
        """Whether no value was counted."""
        return self.least > self.most

    def bins(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the middles of the bins that hold values, ascending, and the counts in them."""
        order = np.concatenate([np.arange(_BINS - 1, _SIGN - 1, -1), np.arange(_SIGN)])
        held = order[self._counts[order] > 0].astype(np.uint32)
        middle = ((held << _DROPPED_BITS) | (1 << (_DROPPED_BITS - 1))).view(np.float32).astype(np.float64)
        middle[(held & (_SIGN - 1)) == 0] = 0.0
        return np.clip(middle, self.least, self.most), self._counts[held]


def percentile_range(histogram: Histogram, kept: float = KEPT_SHARE) -> Range:
    """Return the range that leaves out at most ``(1 - kept) / 2`` of the values at either end, and includes zero.

    Of fewer than ``2 / (1 - kept)`` (20,000) values none is left out: the range is that of min-max.
    """
    values, counts = histogram.bins()
    beyond = (1 - kept) / 2 * counts.sum()
    low = values[np.searchsorted(np.cumsum(counts), beyond, side="right")]
    high = values[::-1][np.searchsorted(np.cumsum(counts[::-1]), beyond, side="right")]
    return _with_zero(float(low), float(high))


def mse_range(histogram: Histogram) -> Range:
    """Return the range, including zero, whose 256 levels have the least mean squared error over all values.

    A clipped value errs by its distance from the range, one nearer to zero than half a step by itself, and any other by
    a variance of ``step**2 / 12`` (Banner et al., 2019, "Post training 4-bit quantization", section 3). Both ends are
    scaled together, from the outermost values down to 1/64 of them in 128 steps of equal ratio.
    """
    values, counts = histogram.bins()
    least, most = _with_zero(histogram.least, histogram.most)
    shares = np.geomspace(1.0, _FINEST, _CANDIDATES)
    lows = least * shares if least < 0 else np.zeros(1)
    highs = most * shares if most > 0 else np.zeros(1)
    below, clipped_below = _clipping(-values, counts, -lows)
    above, clipped_above = _clipping(values, counts, highs)
    step = (highs - lows[:, None]) / (_LEVELS - 1)
    near, counted_near = _near_zero(values, counts, step / 2)
    rest = np.maximum(counts.sum() - clipped_below[:, None] - clipped_above - counted_near, 0)
    error = below[:, None] + above + near + step**2 / 12 * rest
    low, high = np.unravel_index(np.argmin(error), error.shape)
    return float(lows[low]), float(highs[high])


RANGES: Mapping[str, Callable[[Histogram], Range]] = {"percentile": percentile_range, "mse": mse_range}
"""By the names of :data:`tflite_sparse.settings.Calibration`; the converter computes ``min-max`` itself."""


def _clipping(values: np.ndarray, counts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each end the sum of the squared distances of the values beyond it, and their number."""
    errors = [float(np.sum(counts * np.maximum(values - end, 0.0) ** 2)) for end in ends]
    return np.array(errors), np.array([int(counts[values > end].sum()) for end in ends])


def _near_zero(values: np.ndarray, counts: np.ndarray, limits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each limit the sum of the squares of the values below it in magnitude, and their number."""
    order = np.argsort(np.abs(values))
    places = np.searchsorted(np.abs(values)[order], limits)
    sorted_counts = counts[order]
    squares = np.concatenate([[0.0], np.cumsum(sorted_counts * values[order] ** 2)])
    return squares[places], np.concatenate([[0], np.cumsum(sorted_counts)])[places]


def _with_zero(low: float, high: float) -> Range:
    return min(low, 0.0), max(high, 0.0)
