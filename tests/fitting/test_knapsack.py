"""Compare the integer programme with trying everything."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tflite_sparse.fitting import knapsack

OPTIONS = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 60)), min_size=1, max_size=5)  # (loss, weight)
PROBLEMS = st.lists(OPTIONS, min_size=1, max_size=4)


def split(problem):
    return [np.array([loss for loss, _ in options], float) for options in problem], [
        np.array([weight for _, weight in options]) for options in problem
    ]


def total(problem, chosen, part):
    return sum(options[place][part] for options, place in zip(problem, chosen, strict=True))


@given(PROBLEMS, st.integers(0, 200))
def test_nothing_within_the_capacity_loses_less(problem, capacity):
    found = knapsack.solve(*split(problem), capacity)
    every = itertools.product(*(range(len(options)) for options in problem))
    losses = [total(problem, chosen, 0) for chosen in every if total(problem, chosen, 1) <= capacity]
    if not losses:
        assert found is None
    else:
        assert total(problem, found, 1) <= capacity
        assert total(problem, found, 0) == min(losses)


def test_the_greedy_choice_is_not_taken_where_it_is_worse():
    """By loss for each byte the first item's second option is best, but leaves no room for the second item's."""
    problem = [[(10, 1), (0, 6)], [(20, 1), (4, 9)]]
    assert knapsack.solve(*split(problem), 10) == [0, 1]


def test_without_items_there_is_nothing_to_choose():
    assert knapsack.solve([], [], 0) == []
    assert knapsack.solve([], [], -1) is None


def test_a_capacity_of_exactly_the_weights_is_enough():
    assert knapsack.solve(*split([[(0, 7)], [(0, 8)]]), 15) == [0, 0]
    assert knapsack.solve(*split([[(0, 7)], [(0, 8)]]), 14) is None
    assert knapsack.solve(*split([[(5, 0), (0, 3)], [(6, 0), (0, 4)]]), 7) == [1, 1]
    assert knapsack.solve(*split([[(5, 0), (0, 3)], [(6, 0), (0, 4)]]), 6) == [0, 1]


def test_one_byte_of_megabytes_is_too_many():
    """The solver alone would accept it: its constraints hold up to a millionth of the heaviest option."""
    problem = [[(5, 0), (0, 3_000_000)], [(6, 0), (0, 4_000_001)]]
    assert knapsack.solve(*split(problem), 7_000_001) == [1, 1]
    assert knapsack.solve(*split(problem), 7_000_000) == [0, 1]
    # Below the capacity only the lightest options are left, and of these the one that loses less.
    problem = [[(0, 3_000_001), (9, 3_000_000), (7, 3_000_000)], [(0, 4_000_000)]]
    assert knapsack.solve(*split(problem), 7_000_000) == [2, 0]


def least_loss(problem, capacity):
    """Solve it by dynamic programming over the used weight."""
    best = {0: 0}
    for options in problem:
        found = {}
        for used, before in best.items():
            for loss, weight in options:
                if used + weight <= capacity:
                    found[used + weight] = min(found.get(used + weight, before + loss), before + loss)
        best = found
    return min(best.values())


def test_the_optimum_is_reached_and_not_only_come_near_to():
    """Losses of a million differ by 1,000 at most: many are within the solver's usual tolerance of 0.01 %."""
    generator = np.random.default_rng(0)
    problem = [
        list(zip((10**6 + np.sort(generator.integers(0, 1000, 10))).tolist(), weights.tolist(), strict=True))
        for weights in -np.sort(-generator.integers(1, 400, (12, 10)))
    ]
    found = knapsack.solve(*split(problem), 2000)
    assert total(problem, found, 1) <= 2000
    assert total(problem, found, 0) == least_loss(problem, 2000)


@pytest.mark.parametrize("unit", [1e-12, 1e12])
def test_losses_may_be_of_any_magnitude(unit):
    problem = [[(10 * unit, 1), (0, 6)], [(20 * unit, 1), (4 * unit, 9)]]
    assert knapsack.solve(*split(problem), 10) == [0, 1]


ROWS = st.lists(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=4),
    min_size=1,
    max_size=3,
)


@given(ROWS, st.integers(0, 150), st.integers(0, 150))
@example([[(0, 1, 9), (5, 2, 1), (6, 1, 1)], [(0, 1, 1)]], 3, 5)  # the second capacity refuses the first option
def test_nothing_within_two_capacities_loses_less(problem, first, second):
    losses = [np.array([loss for loss, *_ in options], float) for options in problem]
    weights = [np.array([rows for _, *rows in options]).T for options in problem]
    found = knapsack.solve(losses, weights, [first, second])
    every = itertools.product(*(range(len(options)) for options in problem))
    within = [
        total(problem, chosen, 0)
        for chosen in every
        if total(problem, chosen, 1) <= first and total(problem, chosen, 2) <= second
    ]
    if not within:
        assert found is None
    else:
        assert total(problem, found, 1) <= first
        assert total(problem, found, 2) <= second
        assert total(problem, found, 0) == min(within)
