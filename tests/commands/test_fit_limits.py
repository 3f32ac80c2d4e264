"""Test limits of ``fit`` beside the bytes: what is measured, and what happens where a file takes more than planned."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from helpers import tiny_models
from tflite_sparse.base.progress import Silent, Timed
from tflite_sparse.commands.fit import limits as fit_limits
from tflite_sparse.commands.fit import meter as fit_meter
from tflite_sparse.commands.fit import rounds as fit_rounds
from tflite_sparse.commands.fit.dense import Dense
from tflite_sparse.commands.fit.limits import ChannelLimits
from tflite_sparse.commands.fit.meter import Meter
from tflite_sparse.commands.fit.rounds import Carried, Rounds
from tflite_sparse.errors import ExecutionError
from tflite_sparse.fitting.channel_choice import GroupCandidate
from tflite_sparse.fitting.costs import Sizes
from tflite_sparse.fitting.workspace import Workspace
from tflite_sparse.pruning.allocation import Curve
from tflite_sparse.pruning.channel_groups import ChannelGroup, Part
from tflite_sparse.results.scan import KernelScan, Point, Scan
from tflite_sparse.settings import FitSettings
from tflite_sparse.sources.source_model import Kernel
from tflite_sparse.stages.baseline import Found

LINE = Curve(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
MACS = 4000  # of the limit; a channel takes 100


def candidates():
    return [GroupCandidate.of(ChannelGroup(name, 32, (), (), ()), LINE, 8) for name in "ab"]


@dataclass
class Limits(ChannelLimits):
    """Count channels instead of files."""

    asked: list = field(default_factory=list)

    def measured(self, choices):
        self.asked += choices
        return [{"multiply_adds": 100.0 * sum(counts.values())} for counts in choices]

    def _applied(self, chosen):
        return chosen.counts


def limits_of(tmp_path, **settings):
    work = Workspace.open(tmp_path, resume=True)
    meter = Meter(FitSettings(**({"max_macs": MACS} | settings)), Path("dense.tflite"))
    nothing = {"multiply_adds": 0.0}
    return Limits(None, None, candidates(), nothing, nothing, meter, work, Timed(Silent()))


def test_a_file_within_the_limits_keeps_as_many_channels_as_it_can(tmp_path):
    made = limits_of(tmp_path)
    assert sum(made.within({"multiply_adds": MACS}).values()) == 40
    assert made.now.used == {"multiply_adds": 4000.0}
    assert sum(limits_of(tmp_path / "all").within({"multiply_adds": 6400}).values()) == 64


def test_what_a_file_takes_beyond_its_prediction_is_taken_off(tmp_path):
    """700 more than predicted: 3,300 are sought, which 32 channels take, and no group gets channels back."""
    made = limits_of(tmp_path)
    before = made.within({"multiply_adds": MACS})
    after = made.tightened({"multiply_adds": 4700.0})
    assert sum(after.values()) == 32
    assert all(after[name] <= before[name] for name in before)
    made.tightened({"multiply_adds": 9999.0})
    assert made.now.counts == {"a": 8, "b": 8}, "what cannot be reached is come near to"
    assert made.tightened({"multiply_adds": 9999.0}) is None


def test_a_choice_is_kept_for_a_run_that_goes_on(tmp_path):
    first, again = limits_of(tmp_path), limits_of(tmp_path)
    found = first.within({"multiply_adds": MACS})
    assert again.within({"multiply_adds": MACS}) == found
    assert again.now == first.now
    assert again.asked == []


class Timings(Limits):
    """The file with the fewest channels takes 3 ms."""

    def measured(self, choices):
        return [{"latency_ms": 3.0} for _ in choices]


def test_latencies_are_those_of_the_first_start(tmp_path, file, monkeypatch):
    """A run that goes on while the machine is slow neither ends nor comes to other rounds."""
    found = SimpleNamespace(groups=[], left={})
    monkeypatch.setattr(fit_limits.channel_groups, "find", lambda model, kernels: found)
    monkeypatch.setattr(fit_limits, "kernels_and_variables", lambda model: [])
    monkeypatch.setattr(fit_limits.ChannelFile, "of", lambda *about: found)
    monkeypatch.setattr(fit_limits, "_candidates", lambda *about: candidates())
    source = SimpleNamespace(model=None, kernels=list)
    whole = SimpleNamespace(source=source, costs=SimpleNamespace(dense=file))
    work = Workspace.open(tmp_path / "out", resume=True)

    def started(*timings):
        times = iter(np.array(each) for each in timings)
        monkeypatch.setattr(fit_meter.latency, "interleaved", lambda files, **_: next(times))
        made = Timings.of(whole, FitSettings(max_latency=4.0), work, Timed(Silent()))
        taken = made.used_by_round(Path("round-1.tflite"))
        return made.untouched, made.least, made.meter.whole_ms, taken

    first = started([[9.0]], [[8.0]], [[8.0], [5.0]])
    assert first == ({"latency_ms": 8.0}, {"latency_ms": 3.0}, 8.0, {"latency_ms": 5.0})
    monkeypatch.setattr(Timings, "measured", lambda self, choices: [{"latency_ms": 4.1} for _ in choices])
    assert started() == first


@dataclass
class Made(Rounds):
    """Carry nothing out: the files take so many multiply-adds, one after the other."""

    takes: list = field(default_factory=list)
    asked: list = field(default_factory=list)

    def _carry_out(self, choice, predicted, dense, start, epochs, samples):
        self.asked.append((dense.counts, start.name, epochs))
        used = {"multiply_adds": float(self.takes[len(self.asked) - 1])}
        path = Path(f"round-{len(self.asked)}.keras")
        return Carried(choice, predicted, None, path, path, None, path, Sizes(500, {}, {}), epochs, None, dense, used)


def dense(counts):
    return Dense(SimpleNamespace(name="net"), Path("dense.keras"), Found(), None, Costs(), [], counts=counts)


class Costs:
    """All files are of one size."""

    def sizes(self, masks, counts):
        assert masks == counts == {}
        return Sizes(500, {}, {})


class Tightening:
    """One channel fewer each time, until one is left."""

    def __init__(self):
        self.counts = 3

    def tightened(self, used):
        self.counts -= 1
        return dense({"g": self.counts}) if self.counts else None


@pytest.mark.parametrize("budget", [None, 500])
def test_a_file_beyond_a_limit_loses_more_channels_in_a_further_round(budget):
    settings = FitSettings(max_macs=MACS, budget=budget, epochs=8)
    run = Made(settings, None, Timed(Silent()), "top1", None, Tightening(), takes=[4001, 4100, 4000])
    found = run.under_budget(dense({"g": 3}))
    assert [each.passed for each in run.done] == [False, False, True]
    assert [each.used["multiply_adds"] for each in run.done] == [4001, 4100, 4000]
    assert run.asked == [
        ({"g": 3}, "dense.keras", 8),
        ({"g": 2}, "round-1.keras", 2),
        ({"g": 1}, "round-2.keras", 2),
    ]
    assert found.dense.counts == {"g": 1}


def test_where_no_more_channels_can_go_the_rounds_end_without_success():
    run = Made(
        FitSettings(max_macs=MACS, rounds=3), None, Timed(Silent()), "top1", None, Tightening(), takes=[5000] * 3
    )
    run.limits.counts = 1
    assert run.under_budget(dense({"g": 1})).used == {"multiply_adds": 5000.0}
    assert [each.passed for each in run.done] == [False] * 3


def test_within_a_gate_the_limits_count_too(monkeypatch):
    class Evaluation:
        def __init__(self, *about):
            pass

        def scores(self, baseline, files):
            return None, (SimpleNamespace(), SimpleNamespace(drop_from=lambda best: 0.0))

    monkeypatch.setattr(fit_rounds, "Evaluation", Evaluation)
    settings = FitSettings(max_macs=MACS, gate=True)
    run = Made(settings, None, Timed(Silent()), "top1", SimpleNamespace(time_step=None), takes=[4001, 4000])
    assert not run._try({}, dense({}), None, Path("float.tflite"))[1]
    assert run._try({}, dense({}), None, Path("float.tflite"))[1]


@pytest.mark.parametrize(
    ("limits", "is_needed"),
    [({"multiply_adds": 10}, False), ({"multiply_adds": 9}, True), ({"arena_bytes": 10}, True)],
)
def test_what_sparse_weights_add_may_take_channels_later(limits, is_needed):
    assert fit_limits.may_need_fewer(dict.fromkeys(limits, 10.0), limits) == is_needed


def test_a_group_without_a_channel_that_is_left_is_no_candidate(tmp_path):
    """Of 32 channels one group has 20 left, and one none: it takes nothing, and no recipe can ask for none."""

    def group(name, alive):
        values = np.ones((4, 32), np.float32) * (np.arange(32) < alive)
        filters = Kernel(f"{name}/kernel", "Dense", values.shape, lambda: values, lambda new: None)
        return ChannelGroup(name, 32, (Part(filters, None, -1, np.arange(32)),), (), ())

    def scanned(name):
        point = Point(asked=0.5, sparsity=0.5, metric=0.5, loss=2.0)
        return KernelScan(name=name, type="Dense", shape=(4, 32), weights=128, block="channel", held=0, points=(point,))

    work = Workspace.open(tmp_path, resume=True)
    scan = Scan(model="m", baseline_metric=0.9, baseline_loss=1.0, kernels=tuple(map(scanned, ("some", "none"))))
    work.path("scan-channel.json").write_text(scan.model_dump_json())
    groups = [group("some", 20), group("none", 0)]
    (found,) = fit_limits._candidates(None, groups, FitSettings(max_macs=1), work, Timed(Silent()))
    assert found.group is groups[0]
    assert found.counts == (8, 16, 20)


# What is measured.


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "dense.tflite"
    path.write_bytes(tiny_models.to_bytes(tiny_models.fully_connected(weights=np.ones((64, 20), np.int8))))
    return path


@pytest.mark.slow
def test_multiply_adds_and_latency_are_those_of_the_file(file):
    meter = Meter.of(FitSettings(max_macs=1, max_latency=1.0), file)
    one, two = meter.used([file, file])
    assert list(one) == ["multiply_adds", "latency_ms"]
    assert one["multiply_adds"] == two["multiply_adds"] == 64 * 20
    assert 0 < meter.whole_ms < 1000
    assert meter.whole_ms / 3 < one["latency_ms"] < 3 * meter.whole_ms


def test_a_machine_that_is_slower_for_a_while_changes_no_latency(file, monkeypatch):
    """The file with all channels takes 2 ms, and another one half of that, also where both take ten times as long."""
    first = np.array([[2.0, 2.0, 9.0]])
    times = iter([first, first, np.array([[20.0, 2.0, 2.0], [10.0, 1.0, 1.5]])])
    monkeypatch.setattr(fit_meter.latency, "interleaved", lambda files, **_: next(times))
    meter = Meter.of(FitSettings(max_latency=1.0), file)
    assert meter.used([file]) == [{"latency_ms": 1.0}]


@pytest.mark.parametrize(("run_ms", "least", "of_whole", "of_two"), [(0.02, 15, 1500, 500), (200.0, 15, 15, 15)])
def test_short_runs_are_timed_more_often(run_ms, least, of_whole, of_two, file, monkeypatch):
    """A call times for a second and a half, however many files take turns in it; long runs have the least turns."""
    asked = []

    def interleaved(files, rounds, on_step=None):
        asked.append(rounds)
        return np.full((len(files), rounds), run_ms)

    monkeypatch.setattr(fit_meter.latency, "interleaved", interleaved)
    Meter.of(FitSettings(max_latency=1.0), file).used([file, file])
    assert asked == [least, of_whole, of_two]


def test_only_what_is_limited_is_measured(file, monkeypatch):
    monkeypatch.setattr(fit_meter.latency, "interleaved", None)  # would raise
    assert Meter.of(FitSettings(max_macs=1), file).used([file]) == [{"multiply_adds": 1280}]


def test_what_a_limit_on_multiply_adds_does_not_see_is_told(tmp_path):
    path, progress = tmp_path / "lstm.tflite", Timed(Silent())
    path.write_bytes(tiny_models.to_bytes(tiny_models.lstm()))
    fit_limits._warn_of_operators(path, FitSettings(max_latency=1.0), progress)
    assert progress.warnings == ()
    fit_limits._warn_of_operators(path, FitSettings(max_macs=1), progress)
    (words,) = progress.warnings
    assert words.startswith("`max_macs` does not count the multiply-adds of UNIDIRECTIONAL_SEQUENCE_LSTM in full")


def test_an_arena_needs_the_runtime(file, monkeypatch):
    meter = Meter.of(FitSettings(max_arena=1, target="micro"), file)
    (found,) = meter.used([file])
    assert 100 < found["arena_bytes"] < 10_000
    monkeypatch.setattr("tflite_sparse.runtime.micro.is_available", lambda: False)
    with pytest.raises(ExecutionError, match="TensorFlow Lite Micro is not installed"):
        meter.used([file])
