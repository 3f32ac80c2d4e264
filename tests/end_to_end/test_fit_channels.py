"""Test ``tflite-sparse fit`` under limits beside the bytes: whole channels go, and leave the file."""

import json
import re

import numpy as np
import pytest

import tflite_sparse
from helpers.tools import run_cli
from tflite_sparse.commands.fit import meter as fit_meter
from tflite_sparse.commands.fit import rounds as fit_rounds
from tflite_sparse.errors import BudgetError, SettingsError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.measurement import operators
from tflite_sparse.runtime import micro
from tflite_sparse.sources import keras_model

BUDGET, MACS, ARENA = 9500, 150_000, 4000
DROP, ARENA_TO_DECODE = 0.5, 9000  # masks alone lose much; some kernels can be decoded in that arena, others cannot


@pytest.fixture(scope="module")
def model(model3, tmp_path_factory):
    path = tmp_path_factory.mktemp("fit") / "dense.keras"
    model3.save(path)
    return path


@pytest.fixture(scope="module")
def run(model, digits_npz, tmp_path_factory):
    out = tmp_path_factory.mktemp("fit") / "out"
    done = run_cli(
        *("fit", model, "--data", digits_npz, "--budget", BUDGET, "--max-macs", MACS, "--epochs", 3, "--block", "1x1"),
        *("--out", out, "--json", "--quiet"),
    )
    assert done.code == 0, done.stderr
    return out, done.report


def multiply_adds(path):
    return sum(each.multiply_adds or 0 for each in operators.of_model(serde.read(path)))


@pytest.mark.slow
def test_the_file_is_within_budget_and_multiply_adds(run):
    out, report = run
    (limit,) = report["limits"]
    assert limit["resource"] == "multiply_adds"
    assert limit["used"] == multiply_adds(out / "model.tflite") <= MACS
    assert limit["untouched"] == multiply_adds(out / "dense-float32.tflite") > 2 * MACS
    assert limit["least"] < 0.5 * limit["used"]
    size = (out / "model.tflite").stat().st_size
    assert 0.9 * BUDGET < size <= BUDGET
    assert report["file_bytes"] == size == report["rounds"][-1]["file_bytes"]
    assert report["rounds"][-1]["used"] == {"multiply_adds": limit["used"]}
    assert abs(report["prediction_error"]) < 0.05
    assert report["accuracy"] > 0.8
    assert json.loads((out / "fit.json").read_text()) == report


@pytest.mark.slow
def test_channels_are_zero_in_the_model_and_gone_in_the_file(run):
    out, report = run
    exported = json.loads((out / "report.json").read_text())
    assert exported["channels"]["removed"]
    assert exported["verification"]["outputs_bit_exact"]
    kernels = {kernel.name: kernel.read() for kernel in keras_model.open_model(out / "fitted.keras").kernels()}
    groups = {each["kernels"][0].split("/")[-2]: each for each in report["channels"]}
    assert list(groups) == ["conv1", "conv2", "dense"]
    for each in groups.values():
        values = kernels[each["kernels"][0]]
        filters = np.count_nonzero(values.any(axis=tuple(range(values.ndim - 1))))
        assert filters <= each["kept"] <= each["planned"]  # single zeros can leave nothing of a filter but its bias
        assert each["planned"] % 8 == 0
    conv1 = kernels[groups["conv1"]["kernels"][0]]  # of which no single weights are pruned
    assert np.count_nonzero(conv1.any(axis=(0, 1, 2))) == groups["conv1"]["kept"]
    assert sum(each["kept"] for each in groups.values()) < sum(each["channels"] for each in groups.values())
    assert groups["conv1"]["predicted_rise"] > 0 or groups["conv2"]["predicted_rise"] > 0


@pytest.mark.slow
def test_the_page_tells_limits_and_channels(run):
    out, _ = run
    page = (out / "report.html").read_text()
    assert f"The most accurate file of at most {BUDGET:,} bytes and at most {MACS:,} multiply-adds" in page
    assert "Channels that can go together." in page
    assert 'block = "channel"' in (out / "recipe.toml").read_text()


@pytest.mark.slow
def test_a_limit_that_cannot_be_met_names_the_least(model, digits_npz, tmp_path):
    out = tmp_path / "new"
    done = run_cli("fit", model, "--data", digits_npz, "--max-macs", 1000, "--out", out, "--quiet")
    assert done.code == 1
    assert (
        "--max-macs of 1,000 multiply-adds cannot be met: with the fewest channels, 24 of 64 in 3 groups,"
        in done.stderr
    )
    assert ", with all of them 312,480; most multiply-adds are those of conv2 " in done.stderr
    assert not out.exists()


@pytest.mark.slow
def test_a_time_that_no_file_takes_is_told_with_those_that_files_take(model, digits, tmp_path, monkeypatch):
    monkeypatch.setattr(fit_meter, "_CALL_MS", 50.0)
    out = tmp_path / "new"
    with pytest.raises(BudgetError) as caught:
        tflite_sparse.fit(model, digits, max_latency=1e-5, epochs=0, out=out)
    told = re.fullmatch(
        r"`max_latency` of 1e-05 ms cannot be met: with the fewest channels, 24 of 64 in 3 groups, \S+ takes (\S+) ms, "
        r"with all of them (\S+); most multiply-adds are those of conv2 .*",
        str(caught.value).partition("\n")[0],
    )
    assert told, caught.value
    assert all(1e-4 < float(each) < 100 for each in told.groups())  # a run takes microseconds
    assert not out.exists()


@pytest.mark.slow
def test_a_file_for_microcontrollers_within_an_arena(model, digits, tmp_path):
    report = tflite_sparse.fit(model, digits, max_arena=ARENA, target="micro", epochs=0, out=tmp_path)
    assert report.mode == "limits"
    assert report.gates.passed, report.gates.failures
    (limit,) = report.limits
    assert micro.arena(tmp_path / "model.tflite") == limit.used <= ARENA < limit.untouched
    assert report.kernels == []  # without a budget weights stay as they are, and nobody is warned of that
    assert json.loads((tmp_path / "report.json").read_text())["pruning"]["left_dense"] is None
    assert "Nothing got smaller" not in (tmp_path / "report.md").read_text()


@pytest.mark.slow
def test_the_smallest_file_within_a_gate_and_limits(model, digits, tmp_path, monkeypatch):
    """Plans lose too much accuracy, or need too much memory for decoded weights, until one does neither."""
    monkeypatch.setattr(fit_rounds, "_CLOSE_ENOUGH", 0.3)  # a short search
    limits = {"multiply_adds": MACS, "arena_bytes": ARENA_TO_DECODE}
    settings = {"max_macs": MACS, "max_arena": ARENA_TO_DECODE, "target": "micro", "epochs": 0, "blocks": ("1x1",)}
    report = tflite_sparse.fit(model, digits, gate=True, max_accuracy_drop=DROP, out=tmp_path, **settings)
    assert report.mode == "gate"
    assert report.gates.passed, report.gates.failures
    accurate = [each for each in report.rounds if each.held_out_drop <= DROP]
    within = [each for each in report.rounds if all(each.used[name] <= limit for name, limit in limits.items())]
    passed = [each for each in report.rounds if each.passed]
    assert passed == [each for each in accurate if each in within]
    assert len(accurate) > len(passed), "limits decided nothing"
    assert len(within) > len(passed), "accuracy decided nothing"
    file = tmp_path / "model.tflite"
    assert file.stat().st_size == report.file_bytes == min(each.file_bytes for each in passed)
    assert {limit.resource: limit.used for limit in report.limits} == {
        "multiply_adds": multiply_adds(file),
        "arena_bytes": micro.arena(file),
    }
    assert multiply_adds(file) <= MACS < multiply_adds(tmp_path / "dense-float32.tflite")
    assert sum(each.kept for each in report.channels) < sum(each.channels for each in report.channels)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_arena": 1000}, "`max_arena` applies to the target micro, not to litert"),
        ({"max_latency": 1.0, "target": "micro"}, "`max_latency` applies to the target litert, not to micro"),
        ({"max_macs": 0}, "`max_macs=0`"),
        ({"max_latency": 0.0}, "`max_latency=0.0`"),
    ],
)
def test_limits_that_make_no_sense(settings, message):
    with pytest.raises(SettingsError, match=message):
        tflite_sparse.fit("model.keras", "digits", **settings)
