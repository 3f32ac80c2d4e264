"""Cluster integers on a line: the optimal few values for many.

In one dimension the clusters of least squared error are intervals of the sorted values, so dynamic programming finds
the optimum (Wang and Song, "Ckmeans.1d.dp", The R Journal 3/2, 2011). int8 has at most 254 kept values, which makes the
plain quadratic form of it fast. Libraries for the problem take neither weights nor centres that must be integers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

_LEAST_WEIGHT = 1e-9  # of the largest: sums of all weights must not swallow one


def share(values: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
    """Return integers of which at most ``count`` differ from each other and from 0; what is 0 stays 0.

    Args:
        values: integers in any shape, in a narrow range as that of int8.
        weights: by which squared errors count, positive, of the same shape.
        count: at least 1.

    Returns:
        int64, of the same shape.
    """
    return next(share_each(values, weights, (count,)))


def share_each(values: np.ndarray, weights: np.ndarray, counts: Sequence[int]) -> Iterator[np.ndarray]:
    """Yield what :func:`share` returns for each of several counts; together they take as long as the largest alone."""
    kept = values != 0
    places = values[kept].astype(np.int64)
    least = int(places.min(initial=0))
    places -= least
    mass = np.bincount(places, weights[kept])
    used = np.flatnonzero(mass)
    for found in nearest_integers_each(used + least, mass[used], counts):
        table = np.arange(len(mass)) + least
        table[used] = found
        shared = np.zeros(values.shape, np.int64)
        shared[kept] = table[places]
        yield shared


def nearest_integers(values: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
    """Return for each value the integer that stands for it, of ``count`` integers with the least squared error.

    A centre is never 0: zeros are the pruned weights.

    Args:
        values: distinct integers other than 0 in rising order, ``(n,)``.
        weights: by which squared errors count, positive, ``(n,)``.
        count: of centres, at least 1.

    Returns:
        ``(n,)`` int64; the values themselves if there are no more than ``count``.
    """
    (found,) = nearest_integers_each(values, weights, (count,))
    return found


def nearest_integers_each(values: np.ndarray, weights: np.ndarray, counts: Sequence[int]) -> list[np.ndarray]:
    """Return what :func:`nearest_integers` returns for each of several counts, which one table yields."""
    values, weights = np.asarray(values, np.int64), np.asarray(weights, np.float64)
    fewer = [count for count in counts if count < len(values)]
    if not fewer:
        return [values] * len(counts)
    costs, centres = _intervals(values, np.maximum(weights, weights.max() * _LEAST_WEIGHT))
    starts = _starts(costs, max(fewer))
    return [_centres(centres, starts[:count]) if count < len(values) else values for count in counts]


def _starts(costs: np.ndarray, count: int) -> list[np.ndarray]:
    """Of the best partitions of the first values into 1 to ``count`` intervals, where the last one begins.

    Args:
        costs: errors of one centre for the values from row to column, ``(n, n)``, infinite below the diagonal.
        count: of intervals, at least 1.

    Returns:
        For each number of intervals ``(n,)`` int64, by the last value.
    """
    best, by_end = costs[0], np.ascontiguousarray(costs.T)
    starts, ends = [np.zeros(len(best), np.int64)], np.arange(len(best))
    for _ in range(1, count):
        # Column i: the last interval begins at value i, the ones before it end at i - 1.
        totals = np.concatenate([[np.inf], best[:-1]]) + by_end
        starts.append(totals.argmin(1))
        best = totals[ends, starts[-1]]
    return starts


def _centres(centres: np.ndarray, starts: Sequence[np.ndarray]) -> np.ndarray:
    """Return the centre of each value: those of the intervals that :func:`_starts` found, ``(n,)`` int64."""
    found = np.empty(len(centres), np.int64)
    end = len(centres)
    for first in reversed(starts):
        begin = int(first[end - 1])
        found[begin:end] = centres[begin, end - 1]
        end = begin
    return found


def _intervals(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Errors of one centre for the values from row to column, ``(n, n)``, infinite below the diagonal; the centres."""
    moments = [np.concatenate([[0.0], np.cumsum(weights * values.astype(np.float64) ** power)]) for power in range(3)]
    mass, first, second = (sums[None, 1:] - sums[:-1, None] for sums in moments)
    is_interval = np.triu(np.ones(mass.shape, bool))
    mean = np.divide(first, mass, out=np.zeros_like(first), where=is_interval)
    centre = np.rint(mean)
    centre = np.where(centre == 0, np.where(mean < 0, -1.0, 1.0), centre)
    error = second - 2 * centre * first + centre**2 * mass
    return np.where(is_interval, np.maximum(error, 0.0), np.inf), centre.astype(np.int64)
