"""Cluster integers on a line: the optimal few values for many.

In one dimension the clusters of least squared error are intervals of the sorted values, so dynamic programming finds
the optimum (Wang and Song, "Ckmeans.1d.dp", The R Journal 3/2, 2011). int8 has at most 254 kept values, which makes the
plain quadratic form of it fast. Libraries for the problem take neither weights nor centres that must be integers.
"""

from __future__ import annotations

import numpy as np

_LEAST_WEIGHT = 1e-9  # of the largest: sums of all weights must not swallow one


def share(values: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
    """Return integers of which at most ``count`` differ from each other and from 0; what is 0 stays 0.

    Args:
        values: integers in any shape, in a narrow range as that of int8; at least one.
        weights: by which squared errors count, positive, of the same shape.
        count: at least 1.

    Returns:
        int64, of the same shape.
    """
    least = int(values.min())
    places = values.astype(np.int64) - least
    mass = np.bincount(places.reshape(-1), weights.reshape(-1))
    table = np.arange(len(mass)) + least
    kept = np.flatnonzero((mass > 0) & (table != 0))
    table[kept] = nearest_integers(table[kept], mass[kept], count)
    return np.asarray(table[places])


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
    values, weights = np.asarray(values, np.int64), np.asarray(weights, np.float64)
    if len(values) <= count:
        return values
    costs, centres = _intervals(values, np.maximum(weights, weights.max() * _LEAST_WEIGHT))
    best, starts = costs[0], [np.zeros(len(values), np.int64)]
    for _ in range(1, count):
        # Row i: the last cluster begins at value i, the ones before it end at i - 1.
        totals = np.concatenate([[np.inf], best[:-1]])[:, None] + costs
        starts.append(totals.argmin(0))
        best = totals.min(0)
    found = np.empty_like(values)
    end = len(values)
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
