"""Test the rounds of ``fit`` with made-up training, conversion and files."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from helpers.example_reports import make
from tflite_sparse.base.progress import Silent, Timed
from tflite_sparse.commands.fit import command as fit_command
from tflite_sparse.commands.fit import rounds as fit_rounds
from tflite_sparse.commands.fit.rounds import Carried, Rounds
from tflite_sparse.fitting.candidates import Candidate, Option
from tflite_sparse.fitting.costs import Sizes
from tflite_sparse.pruning.structure import UNSTRUCTURED
from tflite_sparse.settings import FitSettings
from tflite_sparse.sources.source_model import Kernel
from tflite_sparse.stages.baseline import Found

REST = 500  # bytes of a file without its kernels


@dataclass(frozen=True)
class Dense(fit_rounds.Dense):
    """A model whose files are as large as their kernels, ``REST`` and the bytes that they do not share."""

    unshared: int = 0

    def sizes(self, choice):
        kernels = {name: option.nbytes for name, option in choice.items()}
        is_floor = all(choice[each.kernel.name] == each.lightest for each in self.candidates)
        return Sizes(REST + sum(kernels.values()) + (0 if is_floor else self.unshared), kernels, {})


def candidate(name, *options):
    """``options``: (sparsity, bytes, rise)."""
    kernel = Kernel(name, "Dense", (4, 4), lambda: np.eye(4, dtype=np.float32), lambda new: None)
    return Candidate(kernel, tuple(Option(sparsity, UNSTRUCTURED, *rest) for sparsity, *rest in options))


def dense(*candidates, **changes):
    values = {"source": SimpleNamespace(name="net"), "path": Path("dense.keras"), "unpruned": Found()}
    values |= {"samples": None, "costs": None}
    return Dense(**values | changes, candidates=list(candidates))


def of_bytes(size):
    return candidate("k", (None, size, 0.0)).options[0]


# A plan.


def a_and_b():
    return (
        candidate("a", (None, 1000, 0.0), (0.5, 600, 1.0), (0.9, 300, 9.0)),
        candidate("b", (None, 1000, 0.0), (0.5, 600, 2.0), (0.9, 300, 9.0)),
    )


def planned(model, budget):
    choice, sizes = fit_rounds._plan(model, model.candidates, budget)
    assert sizes == model.sizes(choice)
    return {name: option.nbytes for name, option in choice.items()}


def test_a_plan_of_exactly_the_budget_is_taken():
    model = dense(*a_and_b())
    assert planned(model, REST + 1600) == {"a": 600, "b": 1000}
    assert planned(model, REST + 1599) == {"a": 600, "b": 600}


def test_what_a_plan_shares_less_than_the_floor_is_taken_off_its_budget():
    model = dense(*a_and_b(), unshared=30)
    assert planned(model, REST + 30 + 1600) == {"a": 600, "b": 1000}
    for missing in (1, 15, 30):  # so many bytes are missing; the next plan is taken, not the floor
        assert planned(model, REST + 30 + 1600 - missing) == {"a": 600, "b": 600}


def test_where_no_plan_fits_it_is_the_floor():
    assert planned(dense(*a_and_b()), REST + 599) == {"a": 300, "b": 300}


# Under a budget.


@dataclass
class Made(Rounds):
    """Carry nothing out; the files have the sizes ``comes_to``, one after the other."""

    comes_to: list[int] = field(default_factory=list)
    asked: list[tuple] = field(default_factory=list)

    def _carry_out(self, choice, predicted, dense, start, epochs, samples):
        self.asked.append((start.name, epochs))
        path = Path(f"round-{len(self.asked)}.keras")
        size = self.comes_to[len(self.asked) - 1] if self.comes_to else predicted.file_bytes
        sizes = Sizes(size, predicted.kernels, {})
        return Carried(choice, predicted, dense.source, path, path, None, path, sizes, epochs, None, dense)


def rounds_of(*comes_to, **settings):
    return Made(FitSettings(**settings), None, Timed(Silent()), "top1", None, comes_to=list(comes_to))


def test_a_file_of_exactly_the_budget_ends_the_rounds():
    run = rounds_of(10_000, budget=10_000)
    assert run.under_budget(dense(candidate("k", (None, 9500, 0.0)))).sizes.file_bytes == 10_000
    assert [each.passed for each in run.done] == [True]


def test_a_file_of_one_byte_more_is_pruned_further_by_as_much_as_it_was_more_than_predicted(monkeypatch):
    budgets = []

    def plan(model, left, budget):
        budgets.append(budget)
        choice = {"k": of_bytes(budget - REST)}
        return choice, model.sizes(choice)

    monkeypatch.setattr(fit_rounds, "plan", plan)
    run = rounds_of(10_001, 10_030, 9_980, budget=10_000, epochs=8)
    found = run.under_budget(dense(candidate("k", (None, 9500, 0.0))))
    assert budgets == [10_000, 9_999, 9_968]  # 1 byte more than predicted; then 31 more
    assert [each.passed for each in run.done] == [False, False, True]
    assert run.asked == [("dense.keras", 8), ("round-1.keras", 2), ("round-2.keras", 2)]
    assert found.path.name == "round-3.keras"


@pytest.mark.parametrize(("epochs", "later"), [(0, 0), (1, 1), (3, 1), (12, 3)])
def test_later_rounds_are_shorter_and_end_when_they_are_used_up(epochs, later):
    run = rounds_of(600, 600, budget=599, epochs=epochs, rounds=2)
    assert run.under_budget(dense(candidate("k", (None, 90, 0.0)))).sizes.file_bytes == 600
    assert [each.passed for each in run.done] == [False, False]
    assert [each[1] for each in run.asked] == [epochs, later]


# Within a gate.


@dataclass(frozen=True)
class Converter:
    """Write nothing."""

    samples: object = None
    time_step: object = None

    def float32(self, source, path):
        """See the class."""


def searched(monkeypatch, drops, allowed, weighs=lambda size: size):
    """Return the bytes of the plans tried, and the result, if a plan of so many bytes loses ``drops``."""
    tried = []
    way = [{"k": of_bytes(size)} for size in drops]
    by_file = {weighs(size): drop for size, drop in drops.items()}

    class Evaluation:
        def __init__(self, *about):
            pass

        def scores(self, baseline, files):
            drop = by_file[run.weighed]
            scored = None if drop is None else SimpleNamespace(drop_from=lambda best: drop)
            return None, (SimpleNamespace(), scored)

    class Weighs(Made):
        def _carry_out(self, choice, predicted, *about):
            tried.append(choice["k"].nbytes)
            self.weighed = weighs(choice["k"].nbytes)
            carried = super()._carry_out(choice, predicted, *about)
            return replace(carried, sizes=Sizes(self.weighed, {}, {}))

    monkeypatch.setattr(fit_rounds, "Evaluation", Evaluation)
    monkeypatch.setattr(fit_rounds, "held_out", lambda samples, seed: samples)
    monkeypatch.setattr(fit_rounds.choosing, "way_back", lambda candidates: way)
    settings = FitSettings(gate=True, max_accuracy_drop=allowed)
    work = SimpleNamespace(path=lambda name: Path(name))
    run = Weighs(settings, work, Timed(Silent()), "top1", Converter())
    found = run.within_gate(dense(candidate("k", *((None, size, 0.0) for size in drops))))
    assert [each.file_bytes for each in run.done] == [weighs(size) for size in tried]
    return tried, [each.passed for each in run.done], found.sizes.file_bytes


DROPS = {1000: 0.5, 2000: 0.3, 3000: 0.2, 4000: 0.1, 5000: 0.05, 6000: 0.02, 7000: 0.0}


def test_the_first_plan_within_the_gate_is_found_by_halves(monkeypatch):
    assert searched(monkeypatch, DROPS, 0.1) == ([4000, 2000, 3000], [True, False, False], 4000)
    assert searched(monkeypatch, DROPS, 0.0999) == ([4000, 6000, 5000], [False, True, True], 5000)
    assert searched(monkeypatch, DROPS, 1.0)[2] == 1000


def test_where_no_plan_that_was_tried_is_within_the_gate_the_last_one_is_carried_out(monkeypatch):
    assert searched(monkeypatch, DROPS, 0.001) == ([4000, 6000, 7000], [False, False, True], 7000)


def test_a_file_that_yields_nan_is_not_within_the_gate(monkeypatch):
    assert searched(monkeypatch, {1000: None, 2000: None, 3000: 0.0}, 1.0)[1:] == ([False, True], 3000)


def test_of_the_files_within_the_gate_the_smallest_is_taken_whatever_the_order_of_the_plans(monkeypatch):
    """In the file of the denser plan more weights round to zero: 6,000 bytes become 3,500."""
    weighs = {5000: 5100, 6000: 3500}
    found = searched(monkeypatch, DROPS, 0.0999, lambda size: weighs.get(size, size))
    assert found == ([4000, 6000, 5000], [False, True, True], 3500)


def test_the_search_ends_where_one_hundredth_of_the_bytes_is_left(monkeypatch):
    rest = {size - REST: drop for size, drop in {9900: 0.0, 9950: 0.0, 10_000: 0.0}.items()}
    assert searched(monkeypatch, rest, 1.0)[0] == [10_000 - REST]  # 100 of 10,000: only the last is tried
    rest = {size - REST: drop for size, drop in {9899: 0.0, 9950: 0.0, 10_000: 0.0}.items()}
    assert searched(monkeypatch, rest, 1.0)[0] == [9950 - REST]  # 101, then 51


# The verdict of the report.


def failures(written, drop, used=None, **settings):
    """Return the failures of a run whose export had none; ``used`` is what its file takes."""
    fit = fit_command._Fit(FitSettings(**settings), Timed(Silent()))
    model = dense(candidate("k", (None, 9500, 0.0)), samples=SimpleNamespace(name="digits", test_samples=1000))
    sizes = Sizes(written, {"k": 9500}, {})
    carried = Carried(
        model.untouched,
        sizes,
        SimpleNamespace(kernels=lambda: [each.kernel for each in model.candidates]),
        *[None] * 4,
        sizes,
        3,
        None,
        model,
        used or {},
    )
    exported = make()
    accuracy = exported.accuracy.model_copy(update={"drop": drop})
    models = exported.models
    models = models.model_copy(update={"sparse_int8": models.sparse.model_copy(update={"file_bytes": written})})
    exported = exported.model_copy(update={"accuracy": accuracy, "models": models})
    run = SimpleNamespace(done=[], warnings=[])
    return fit._completed(exported, carried, run).gates.failures


def test_the_budget_is_judged_by_the_byte():
    assert failures(9000, 0.0, budget=9000) == []
    (words,) = failures(9001, 0.0, budget=9000)
    assert words.startswith("budget: the file has 9,001 bytes, 1 too many")


@pytest.mark.parametrize("aim", [{"gate": True}, {"budget": 9000}])
def test_what_is_lost_on_the_test_samples_may_be_as_much_as_is_allowed(aim):
    assert failures(9000, 0.05, max_accuracy_drop=0.05, **aim) == []
    (words,) = failures(9000, 0.051, max_accuracy_drop=0.05, **aim)
    assert words.startswith("accuracy: top1 dropped by 0.0510 on the test samples, more than --max-accuracy-drop 0.05")
    assert ("search with a smaller drop" in words) == ("gate" in aim)


def test_under_limits_alone_no_budget_is_named():
    settings = {"used": {"multiply_adds": 999.0}, "max_macs": 1000, "max_accuracy_drop": 0.05}
    assert failures(9000, 0.05, **settings) == []
    (words,) = failures(9000, 0.051, **settings)
    assert words.endswith("Try more --epochs, or a larger --max-macs")


def test_with_a_budget_accuracy_is_judged_only_where_it_was_asked_for():
    assert failures(9000, 0.9, budget=9000) == []
    assert len(failures(9000, 0.011, gate=True)) == 1  # 0.01 is what a gate allows by itself
