"""Compare the gradual schedule with numbers computed independently."""

import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tflite_sparse.errors import SettingsError
from tflite_sparse.pruning.schedule import PolynomialSchedule

sparsities = st.floats(0, 0.999)


@st.composite
def schedules(draw):
    begin = draw(st.integers(0, 1000))
    length, frequency = draw(st.integers(1, 1000)), draw(st.integers(1, 300))
    return PolynomialSchedule(draw(sparsities), draw(sparsities), begin, begin + length, frequency)


@pytest.mark.parametrize(
    ("step", "sparsity"),
    # s_f = 0.8, s_i = 0.2, t0 = 100, n dt = 400: 0.8 - 0.6 * (1 - (t - 100) / 400) ** 3, by hand
    [(0, 0.0), (99, 0.0), (100, 0.2), (200, 0.546875), (300, 0.725), (400, 0.790625), (500, 0.8), (10_000, 0.8)],
)
def test_numbers_worked_out_by_hand(step, sparsity):
    assert PolynomialSchedule(0.2, 0.8, 100, 500, 10).sparsity_at(step) == pytest.approx(sparsity, abs=1e-15)


@given(schedules(), st.integers(0, 2500))
def test_formula_in_exact_arithmetic(schedule, step):
    first, last = Fraction(schedule.initial), Fraction(schedule.final)
    if step < schedule.begin:
        expected = Fraction(0)
    elif step >= schedule.end:
        expected = last
    else:
        left = 1 - Fraction(step - schedule.begin, schedule.end - schedule.begin)
        expected = last + (first - last) * left**3
    assert schedule.sparsity_at(step) == pytest.approx(float(expected), abs=1e-12)


@given(schedules())
def test_endpoints(schedule):
    assert schedule.sparsity_at(schedule.begin) == pytest.approx(schedule.initial, abs=1e-15)
    assert schedule.sparsity_at(schedule.end) == schedule.final
    assert schedule.sparsity_at(schedule.end + 1) == schedule.final
    if schedule.begin:
        assert schedule.sparsity_at(schedule.begin - 1) == 0


@given(schedules())
def test_moves_one_way_between_the_endpoints(schedule):
    values = [schedule.sparsity_at(step) for step in range(schedule.begin, schedule.end + 1)]
    sign = 1 if schedule.final >= schedule.initial else -1
    assert all(sign * (b - a) >= -1e-15 for a, b in itertools.pairwise(values))
    low, high = sorted((schedule.initial, schedule.final))
    assert all(low - 1e-15 <= value <= high + 1e-15 for value in values)


@given(schedules())
def test_updates_every_frequency_steps_and_at_the_end(schedule):
    found = [step for step in range(schedule.end + 2 * schedule.frequency) if schedule.updates_at(step)]
    assert found == sorted({*range(schedule.begin, schedule.end, schedule.frequency), schedule.end})


def test_last_update_is_the_end_where_the_frequency_does_not_divide():
    schedule = PolynomialSchedule(0.0, 0.5, 3, 20, 5)
    assert [step for step in range(40) if schedule.updates_at(step)] == [3, 8, 13, 18, 20]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((-0.1, 0.5, 0, 10, 1), "initial sparsity = -0.1"),
        ((1.0, 0.5, 0, 10, 1), "initial sparsity = 1.0"),
        ((0.0, 1.0, 0, 10, 1), "final sparsity = 1.0"),
        ((0.0, float("nan"), 0, 10, 1), "final sparsity = nan"),
        ((0.0, 0.5, 10, 10, 1), "begin must come before end"),
        ((0.0, 0.5, 11, 10, 1), "begin must come before end"),
        ((0.0, 0.5, -1, 10, 1), "begin must come before end"),
        ((0.0, 0.5, 0, 10, 0), "frequency = 0"),
        ((0.0, 0.5, 0, 10, -3), "frequency = -3"),
    ],
)
def test_refuses(arguments, words):
    with pytest.raises(SettingsError, match=words):
        PolynomialSchedule(*arguments)
