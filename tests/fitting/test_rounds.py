"""When a round of ``fit`` is within its budget or its gate, and what the next plan may take."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest

from tflite_sparse import fit_rounds
from tflite_sparse.config import FitSettings
from tflite_sparse.fitting.costs import Sizes
from tflite_sparse.progress import Silent, Timed

DENSE = SimpleNamespace(candidates=[], path=Path("dense.keras"), samples=None, sizes=lambda choice: sizes(900))


def sizes(file_bytes):
    return Sizes(file_bytes, {}, {})


class Scripted(fit_rounds.Rounds):
    """Carries nothing out: the files of its rounds have these bytes."""

    def __init__(self, settings, *file_bytes):
        super().__init__(settings, SimpleNamespace(), Timed(Silent()), "auto", SimpleNamespace(time_step=None))
        self.left = list(file_bytes)
        self.planned = []

    def _carry_out(self, choice, predicted, dense, start, epochs, samples):
        size = sizes(self.left.pop(0))
        return fit_rounds.Carried(choice, predicted, None, Path("p"), Path("c"), Path("f"), size, epochs, None)


@pytest.fixture
def under_budget(monkeypatch):
    """Rounds of files of these bytes, each predicted to take 900, with a budget of 1,000."""

    def run(*file_bytes, rounds=3):
        found = Scripted(FitSettings(budget=1000, rounds=rounds), *file_bytes)

        def plan(dense, left, budget):
            found.planned.append(budget)
            return {}, sizes(900)

        monkeypatch.setattr(fit_rounds, "plan", plan)
        return found, found.under_budget(DENSE).sizes.file_bytes

    return run


def test_a_file_of_exactly_the_budget_is_within_it(under_budget):
    rounds, reached = under_budget(1000)
    assert ([each.passed for each in rounds.done], reached, rounds.planned) == ([True], 1000, [1000])


def test_a_byte_more_takes_another_round_with_a_tighter_plan(under_budget):
    """By as much as the file had beyond its prediction, of all rounds together."""
    rounds, reached = under_budget(1001, 950)
    assert ([each.passed for each in rounds.done], reached, rounds.planned) == ([False, True], 950, [1000, 899])
    rounds, reached = under_budget(1100, 1050, 1001)
    assert [each.passed for each in rounds.done] == [False, False, False]
    assert (reached, rounds.planned) == (1001, [1000, 800, 650])


@pytest.mark.parametrize(
    ("drop", "passed"), [(-0.1, True), (0.01, True), (math.nextafter(0.01, 1), False), (None, False), (math.nan, False)]
)
def test_a_drop_that_equals_the_gate_is_within_it(drop, passed, monkeypatch):
    """None: the file yields NaN or infinity."""
    reached = None if drop is None else SimpleNamespace(drop_from=lambda best: drop)
    scores = (None, ["the baseline", reached])
    monkeypatch.setattr(fit_rounds, "Evaluation", lambda *_: SimpleNamespace(scores=lambda *_: scores))
    rounds = Scripted(FitSettings(gate=True), 700)
    assert rounds._try({}, DENSE, None, Path("baseline"))[1] is passed
    (only,) = rounds.done
    assert (only.passed, only.file_bytes) == (passed, 700)
