"""Estimate how much of a score, or of a difference between files, is due to the choice of test samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tflite_sparse.scoring.evidence import Evidence

LEVEL = 0.95
"""Confidence level of every interval."""

_DRAWN_AT_ONCE = 2**14  # numbers of samples; they stay in a cache
_PERCENTILES = (50 * (1 - LEVEL), 50 * (1 + LEVEL))


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval of :data:`LEVEL`, from ``low`` to ``high``, and its ``method``."""

    low: float
    high: float
    method: Literal["wilson", "bootstrap"]


@dataclass(frozen=True, slots=True)
class McNemar:
    """The exact test of McNemar (1947) on two files and the same samples.

    Attributes:
        lost: number of samples that only the other file gets right.
        gained: number of samples that only this one gets right.
        p_value: two-sided probability that chance alone splits the differing samples as unevenly.
    """

    lost: int
    gained: int
    p_value: float


def interval(evidence: Sequence[Evidence], seed: int) -> Interval | None:
    """Return the interval of a score, or of the mean score of several outputs on the same samples.

    Use Wilson's (1927) for a share of right samples; else the percentiles of a bootstrap over samples (Efron, 1979).
    Return None for a single sample, or if the score is not defined on any bootstrap sample.
    """
    trials = evidence[0].trials if len(evidence) == 1 else None
    if trials is not None:
        return _wilson(int(trials.sum()), trials.size)
    return _bootstrap(evidence, lambda draws: _mean_scores(evidence, draws), seed)


def difference(evidence: Sequence[Evidence], other: Sequence[Evidence], seed: int) -> Interval | None:
    """Return the interval of the score minus that of another file, both computed on the same bootstrap samples."""
    return _bootstrap(evidence, lambda draws: _mean_scores(evidence, draws) - _mean_scores(other, draws), seed)


def drop(best: Sequence[Evidence], evidence: Sequence[Evidence], seed: int) -> Interval | None:
    """Return the interval of the drop that the accuracy gate compares, of one file against another one, ``best``."""

    def mean_drop(draws: np.ndarray) -> np.ndarray:
        drops = [
            before.gate_values(draws) - after.gate_values(draws) for before, after in zip(best, evidence, strict=True)
        ]
        return np.asarray(sum(drops) / len(best))

    return _bootstrap(evidence, mean_drop, seed)


def mcnemar(evidence: Sequence[Evidence], other: Sequence[Evidence]) -> McNemar | None:
    """Return the test of two shares of right samples; None if the scores are no such shares."""
    if len(evidence) != 1:
        return None
    right, right_before = evidence[0].trials, other[0].trials
    if right is None or right_before is None:
        return None
    from scipy.special import bdtr

    lost, gained = int((right_before & ~right).sum()), int((right & ~right_before).sum())
    # Both tails of a fair coin are alike: twice the lower one, or 1 if the two numbers are equal.
    p_value = 1.0 if lost == gained else 2 * float(bdtr(min(lost, gained), lost + gained, 0.5))
    return McNemar(lost, gained, p_value)


def mean_score(evidence: Sequence[Evidence]) -> float:
    """Return the score of one output, or the mean of several."""
    return sum(each.score() for each in evidence) / len(evidence)


def _mean_scores(evidence: Sequence[Evidence], draws: np.ndarray) -> np.ndarray:
    """The same of each row of ``draws``, ``(k, m)``."""
    return np.asarray(sum(each.scores(draws) for each in evidence) / len(evidence))


def _wilson(right: int, samples: int) -> Interval:
    """Return Wilson's interval of a share. scipy.stats has it, but takes 0.7 CPU seconds to import."""
    from scipy.special import ndtri

    z = float(ndtri((1 + LEVEL) / 2))
    share, weight = right / samples, z * z / samples
    middle = (share + weight / 2) / (1 + weight)
    reach = z / (1 + weight) * math.sqrt(share * (1 - share) / samples + weight / (4 * samples))
    return Interval(0.0 if right == 0 else middle - reach, 1.0 if right == samples else middle + reach, "wilson")


def _bootstrap(evidence: Sequence[Evidence], scores: Callable[[np.ndarray], np.ndarray], seed: int) -> Interval | None:
    """Percentiles of ``scores``, which takes draws of samples, ``(k, m)``, and returns ``(k,)`` float64."""
    samples = evidence[0].samples
    draws = min(each.resamples for each in evidence)
    generator = np.random.default_rng(seed)
    at_once = max(_DRAWN_AT_ONCE // samples, 1)
    parts = [min(at_once, draws - first) for first in range(0, draws, at_once)]
    found = np.concatenate([scores(generator.integers(samples, size=(part, samples))) for part in parts])
    defined = found[np.isfinite(found)]
    if samples < 2 or defined.size == 0:
        return None
    low, high = np.percentile(defined, _PERCENTILES)
    return Interval(float(low), float(high), "bootstrap")
