"""Compare accuracy with cost: find the best points, and compare two families of models at equal cost.

A cost is any positive number, such as bytes or weights; an accuracy is a share.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Trial:
    """One training: configuration, seed, cost (greater than 0) and accuracy."""

    configuration: str
    seed: int
    cost: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Lead:
    """The lead of one family over another at one budget.

    Attributes:
        budget: the cost of both.
        ours: accuracy of the first, mean over the seeds.
        theirs: accuracy of the second.
        difference: ``ours - theirs``.
        interval: half the width of the 95 % interval of the difference over the seeds; None for a single seed.
        seeds: number of seeds.
    """

    budget: float
    ours: float
    theirs: float
    difference: float
    interval: float | None
    seeds: int


@dataclass(frozen=True, slots=True)
class Curve:
    """Accuracy over the logarithm of the cost, one line for each seed.

    The cost of a configuration is its mean over the seeds: the positions of zeros change a file by some bytes, which is
    not another budget.
    """

    lines: Mapping[int, tuple[np.ndarray, np.ndarray]]

    @classmethod
    def of(cls, trials: Iterable[Trial]) -> Curve:
        """Make the curve of some trials; configurations of the same cost count as one."""
        found = list(trials)
        costs: dict[str, list[float]] = {}
        for trial in found:
            costs.setdefault(trial.configuration, []).append(trial.cost)
        place = {name: math.log(float(np.mean(values))) for name, values in costs.items()}
        lines = {}
        for seed in sorted({trial.seed for trial in found}):
            by_place: dict[float, list[float]] = {}
            for trial in found:
                if trial.seed == seed:
                    by_place.setdefault(place[trial.configuration], []).append(trial.accuracy)
            at = sorted(by_place)
            lines[seed] = np.array(at), np.array([np.mean(by_place[each]) for each in at])
        return cls(lines)

    def reaches(self, seed: int) -> tuple[float, float]:
        """Return the least and the highest cost of a seed, as logarithms."""
        at, _ = self.lines[seed]
        return float(at[0]), float(at[-1])

    def at(self, seed: int, budget: float) -> float:
        """Return the accuracy at ``budget``, which lies within the line, interpolated over its logarithm."""
        return float(np.interp(math.log(budget), *self.lines[seed]))


def common_range(ours: Curve, theirs: Curve) -> tuple[float, float] | None:
    """Return the range of costs within the lines of all seeds that both curves have; None if it is empty."""
    seeds = ours.lines.keys() & theirs.lines.keys()
    if not seeds:
        return None
    ends = [curve.reaches(seed) for seed in seeds for curve in (ours, theirs)]
    lowest, highest = max(low for low, _ in ends), min(high for _, high in ends)
    return (math.exp(lowest), math.exp(highest)) if lowest <= highest else None


def lead(ours: Curve, theirs: Curve, budget: float) -> Lead:
    """Return the lead of ``ours`` over ``theirs`` at ``budget``, which lies in their common range."""
    seeds = sorted(ours.lines.keys() & theirs.lines.keys())
    pairs = np.array([(ours.at(seed, budget), theirs.at(seed, budget)) for seed in seeds])
    differences = pairs[:, 0] - pairs[:, 1]
    first, second = (float(value) for value in pairs.mean(axis=0))
    return Lead(budget, first, second, float(differences.mean()), half_interval(differences), len(seeds))


def half_interval(values: Sequence[float] | np.ndarray) -> float | None:
    """Return half the width of the 95 % interval of the mean, by Student's t; None for a single value."""
    from scipy.special import stdtrit

    count = len(values)
    if count < 2:
        return None
    quantile = float(stdtrit(count - 1, (1 + _CONFIDENCE) / 2))
    return quantile * float(np.std(values, ddof=1)) / math.sqrt(count)


def budgets(lowest: float, highest: float, more: Iterable[float] = ()) -> list[float]:
    """Return the ends of a range, and ``more`` and round budgets in it (1, 1.5, 2, 3, 4, 5, 6, 8 times ``10**n``)."""
    steps = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
    powers = range(math.floor(math.log10(lowest)), math.ceil(math.log10(highest)) + 1)
    rounded = [step * 10.0**power for power in powers for step in steps]
    inside = {value for value in [*rounded, *more] if lowest < value < highest}
    return sorted({lowest, *inside, highest})


def front(costs: Sequence[float], accuracies: Sequence[float]) -> list[int]:
    """Return the indices of the points that no other dominates in cost and accuracy."""
    order = sorted(range(len(costs)), key=lambda i: (costs[i], -accuracies[i]))
    found: list[int] = []
    for place in order:
        if not found or accuracies[place] > accuracies[found[-1]]:
            found.append(place)
        elif (costs[place], accuracies[place]) == (costs[found[-1]], accuracies[found[-1]]):
            found.append(place)  # equal in both: neither dominates the other
    return found
