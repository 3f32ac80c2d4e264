"""Keep the values of each sample that a score is computed from, so that it can be recomputed on resampled data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Statistic = Callable[..., float]
"""A score of columns, each ``(m, ...)``, one row for each sample; NaN where it is not defined."""

_RESAMPLES = 1000


@dataclass(frozen=True, eq=False, slots=True)
class Evidence:
    """The score of one file's output.

    Attributes:
        columns: each ``(n, ...)``, a row for each sample.
        statistic: computes the score of some rows of the columns.
        merit: computes the value for the accuracy gate, higher is better; None: the score itself.
        resamples: number of bootstrap samples for an interval.
    """

    columns: tuple[np.ndarray, ...]
    statistic: Statistic
    merit: Statistic | None = None
    resamples: int = _RESAMPLES

    @property
    def samples(self) -> int:
        """Number of samples."""
        return len(self.columns[0])

    @property
    def trials(self) -> np.ndarray | None:
        """``(n,)`` bool, whether each sample is right; None if the score is not a share of right samples."""
        first = self.columns[0]
        return first if self.statistic is mean and first.dtype == bool and first.ndim == 1 else None

    def score(self) -> float:
        """Return the score of all samples."""
        return self.statistic(*self.columns)

    def gate_value(self) -> float:
        """Return the value for the accuracy gate, of all samples; higher is better."""
        return (self.merit or self.statistic)(*self.columns)

    def scores(self, draws: np.ndarray) -> np.ndarray:
        """Return the score of each row of ``draws``, ``(k, m)`` numbers of samples, as float64 ``(k,)``."""
        return self._of_draws(self.statistic, draws)

    def gate_values(self, draws: np.ndarray) -> np.ndarray:
        """Return the value for the accuracy gate of each row of ``draws``; see :meth:`scores`."""
        return self._of_draws(self.merit or self.statistic, draws)

    def _of_draws(self, statistic: Statistic, draws: np.ndarray) -> np.ndarray:
        if statistic is mean and self.columns[0].ndim == 1:  # the usual one, all rows at once
            return np.asarray(self.columns[0][draws].mean(axis=1), np.float64)
        return np.array([statistic(*(column[rows] for column in self.columns)) for rows in draws])


def mean(values: np.ndarray) -> float:
    """Return the mean of all values."""
    return float(np.mean(values))


def explained(errors: np.ndarray, spreads: np.ndarray) -> float:
    """Return the coefficient of determination ``1 - SSE / SST``.

    Args:
        errors: ``(m,)``, squared error of each sample.
        spreads: ``(m,)``, its squared distance from the mean of all samples. For a bootstrap sample the sum is ``SST``
            up to a share of the order of ``1 / m``.
    """
    error, spread = float(np.sum(errors)), float(np.sum(spreads))
    return 1 - error / spread if spread else float(error == 0)
