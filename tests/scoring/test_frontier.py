"""Test accuracy against cost: interpolation, common ranges, margins over seeds, the Pareto front."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tflite_sparse.scoring import frontier
from tflite_sparse.scoring.frontier import Curve, Trial

COSTS = st.integers(1, 10**9)
ACCURACIES = st.floats(0, 1)


def curve(*rows, seeds=(0,), shift=None):
    """Return a curve through (cost, accuracy), with the accuracy of each seed moved by its ``shift``."""
    shift = shift or {}
    return Curve.of(
        Trial(f"at {cost}", seed, cost, accuracy + shift.get(seed, 0)) for cost, accuracy in rows for seed in seeds
    )


def test_accuracy_is_interpolated_on_the_logarithm_of_the_cost():
    line = curve((10_000, 0.8), (1_000_000, 0.9))
    assert line.at(0, 100_000) == pytest.approx(0.85)
    assert line.at(0, 10_000) == pytest.approx(0.8)


@given(st.lists(st.tuples(COSTS, ACCURACIES), min_size=1, max_size=8, unique_by=lambda row: row[0]))
def test_a_curve_goes_through_its_points_and_never_beyond_them(rows):
    line = curve(*rows)
    for cost, accuracy in rows:
        assert line.at(0, cost) == pytest.approx(accuracy, abs=1e-5)
    low, high = line.reaches(0)
    between = line.at(0, math.exp((low + high) / 2))
    assert min(a for _, a in rows) - 1e-9 <= between <= max(a for _, a in rows) + 1e-9


def test_configurations_of_equal_cost_count_as_one():
    line = Curve.of([Trial("a", 0, 100, 0.4), Trial("b", 0, 100, 0.6), Trial("c", 0, 1000, 0.9)])
    assert line.at(0, 100) == pytest.approx(0.5)


def test_the_bytes_of_a_configuration_are_their_mean_over_the_seeds():
    line = Curve.of([Trial("a", 0, 90, 0.5), Trial("a", 1, 110, 0.7)])
    assert line.reaches(0) == line.reaches(1) == (pytest.approx(math.log(100)),) * 2


def test_only_the_common_range_is_compared():
    ours, theirs = curve((20, 0.5), (200, 0.9)), curve((50, 0.4), (500, 0.9))
    assert frontier.common_range(ours, theirs) == pytest.approx((50, 200))
    assert frontier.common_range(ours, curve((200, 0.5), (400, 0.6))) == pytest.approx((200, 200))  # they touch
    assert frontier.common_range(ours, curve((201, 0.5), (400, 0.6))) is None
    assert frontier.common_range(ours, curve((300, 0.5), (400, 0.6))) is None
    assert frontier.common_range(ours, curve((50, 0.5), (60, 0.6), seeds=(7,))) is None  # no seed in common


def test_a_seed_that_lacks_a_configuration_narrows_the_range():
    both = [Trial("small", seed, 10, 0.5) for seed in (0, 1)] + [Trial("large", 0, 100, 0.8)]
    both.append(Trial("middle", 1, 50, 0.7))
    assert frontier.common_range(Curve.of(both), curve((5, 0.1), (500, 0.2), seeds=(0, 1))) == pytest.approx((10, 50))


def test_the_margin_is_paired_by_seed():
    """Seeds that move both families alike do not change the margin or add spread."""
    seeds, shift = (0, 1, 2), {0: 0.0, 1: 0.05, 2: -0.03}
    ours = curve((10, 0.7), (1000, 0.9), seeds=seeds, shift=shift)
    theirs = curve((10, 0.6), (1000, 0.8), seeds=seeds, shift=shift)
    lead = frontier.lead(ours, theirs, 100)
    assert (lead.difference, lead.interval, lead.seeds) == (pytest.approx(0.1), pytest.approx(0, abs=1e-12), 3)
    assert lead.ours == pytest.approx(0.8 + 0.02 / 3)


def test_the_interval_is_that_of_student():
    """For 1, 2 and 3 the standard error is 1/sqrt(3), the quantile for two degrees of freedom 4.302653."""
    assert frontier.half_interval([1, 2, 3]) == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert frontier.half_interval([1]) is None
    assert frontier.half_interval([2, 2]) == 0


@given(st.floats(1, 1e8), st.floats(1, 1e3), st.lists(COSTS, max_size=4))
def test_budgets_are_in_the_range_and_rise(lowest, factor, more):
    highest = lowest * factor
    found = frontier.budgets(lowest, highest, more)
    assert found[0] == lowest
    assert found[-1] == highest
    assert found == sorted(set(found))
    assert set(found) >= {value for value in more if lowest <= value <= highest}


def test_budgets_are_round():
    assert frontier.budgets(18_000, 64_000, [33_300]) == [18e3, 20e3, 30e3, 33_300, 40e3, 50e3, 60e3, 64e3]


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=12))
def test_the_front_is_what_nothing_beats(rows):
    costs, accuracies = zip(*rows, strict=True)

    def beats(a, b):
        no_worse = costs[a] <= costs[b] and accuracies[a] >= accuracies[b]
        return no_worse and (costs[a], accuracies[a]) != (costs[b], accuracies[b])

    places = range(len(rows))
    expected = {b for b in places if not any(beats(a, b) for a in places)}
    assert set(frontier.front(costs, accuracies)) == expected
    assert np.all(np.diff([costs[place] for place in frontier.front(costs, accuracies)]) >= 0)
