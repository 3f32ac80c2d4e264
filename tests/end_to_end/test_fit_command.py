"""Test ``tflite-sparse fit`` from a model and a number of bytes to a file within it."""

import json
import shutil

import numpy as np
import pytest

import tflite_sparse
from helpers.tools import run_cli
from tflite_sparse.commands import prune as prune_command
from tflite_sparse.commands.fit import rounds as fit_rounds
from tflite_sparse.errors import InputError, OutputError, SettingsError
from tflite_sparse.fitting import costs
from tflite_sparse.pruning import sensitivity
from tflite_sparse.runtime import litert
from tflite_sparse.sources import keras_model

BUDGET = 9500
FILES = {"dense-float32.tflite", "dense-int8.tflite", "fit.json", "fitted.keras", "model.tflite", "recipe.toml"} | {
    "report.html",
    "report.json",
    "report.md",
}
NETWORK = """
import keras

def net():
    layers = keras.layers
    return keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(64), layers.Dense(10)])
"""
FAST = {"epochs": 0, "blocks": ("1x1",)}  # masks only: these tests are not about training


@pytest.fixture(scope="module")
def model(model3, tmp_path_factory):
    path = tmp_path_factory.mktemp("fit") / "dense.keras"
    model3.save(path)
    return path


@pytest.fixture(scope="module")
def run(model, digits_npz, tmp_path_factory):
    out = tmp_path_factory.mktemp("fit") / "out"
    done = run_cli(
        *("fit", model, "--data", digits_npz, "--budget", "9.5kB", "--epochs", 3, "--block", "1x1,1x16"),
        *("--out", out, "--json", "--quiet"),
    )
    assert done.code == 0, done.stderr
    return out, done.report


@pytest.mark.slow
def test_the_file_is_within_the_budget_and_uses_it(run):
    out, report = run
    size = (out / "model.tflite").stat().st_size
    assert report["budget_bytes"] == BUDGET
    assert 0.93 * BUDGET < size <= BUDGET
    assert report["file_bytes"] == size == report["rounds"][-1]["file_bytes"]  # the measured file is delivered
    assert {path.name for path in out.iterdir()} == FILES
    assert json.loads((out / "fit.json").read_text()) == report


@pytest.mark.slow
def test_the_file_is_verified_and_computes_what_the_model_does(run, digits):
    out, report = run
    exported = json.loads((out / "report.json").read_text())
    assert exported["gates"]["passed"]
    assert exported["verification"]["weights_bit_exact"]
    assert exported["models"]["sparse_int8"]["accuracy"] == report["accuracy"]
    # The baseline is the dense source model, not the pruned one.
    assert exported["models"]["dense_float32"]["sparsity"] < 0.01
    model = keras_model.open_model(out / "fitted.keras").model
    expected = model.predict(digits.x_test, verbose=0).argmax(-1)
    found = litert.run(out / "model.tflite", [digits.x_test]).real(0).argmax(-1)
    assert np.mean(found == expected) > 0.95  # int8 differs from float32 here and there
    assert report["accuracy"] == pytest.approx(np.mean(found == digits.y_test))
    assert report["accuracy"] > 0.8


@pytest.mark.slow
def test_bytes_were_predicted(run):
    """After training some kept weights round to zero; without training 1 % is the limit (below)."""
    out, report = run
    assert abs(report["prediction_error"]) < 0.05
    for kernel in report["kernels"]:
        assert kernel["file_bytes"] == pytest.approx(kernel["predicted_bytes"], rel=0.1)
    # The sizes of the kernels are those of the export.
    stored = {tensor["encoded_bytes"] for tensor in json.loads((out / "report.json").read_text())["tensors"]}
    assert {kernel["file_bytes"] for kernel in report["kernels"]} <= stored


@pytest.mark.slow
def test_the_page_shows_plan_and_training(run):
    out, _ = run
    page = (out / "report.html").read_text()
    assert "<h2>Plan</h2>" in page
    assert "The most accurate file of at most 9,500 bytes" in page
    curve = json.loads((out / "report.json").read_text())["training"]
    assert curve["sparsity"] == sorted(curve["sparsity"])
    assert curve["sparsity"][-1] > 0.5
    assert curve["learning_rate"][0] == pytest.approx(1e-3)
    before = page.partition("<h2>Settings")[0]
    assert run_cli("report", out).code == 0
    assert (out / "report.html").read_text().partition("<h2>Settings")[0] == before


@pytest.mark.slow
def test_the_model_holds_what_was_planned(run):
    out, report = run
    kernels = {kernel.name: kernel.read() for kernel in keras_model.open_model(out / "fitted.keras").kernels()}
    assert [kernel["name"].split("/")[-2] for kernel in report["kernels"]] == ["conv2", "dense"]
    for kernel in report["kernels"]:
        values = kernels[kernel["name"]]
        assert np.mean(values == 0) == pytest.approx(kernel["sparsity"])
        assert kernel["sparsity"] == pytest.approx(kernel["planned"] or 0.0, abs=0.01)


@pytest.fixture(scope="module")
def split(digits):
    """Without a test part of their own."""
    return {"x": digits.x_train[:300], "y": digits.y_train[:300]}


@pytest.mark.slow
def test_the_verdict_of_the_fit_is_in_every_file(model, split, tmp_path):
    """And so is the warning that the test part was split off."""
    report = tflite_sparse.fit(model, split, budget="9.5kB", max_accuracy_drop=0.0, out=tmp_path, **FAST)
    (failure,) = report.gates.failures  # masks without training cost accuracy
    assert failure.startswith("accuracy: top1 dropped by ")
    (warning,) = report.warnings
    assert "60 samples were split off. The model may have been trained on them" in warning
    exported = json.loads((tmp_path / "report.json").read_text())
    assert exported["gates"]["failures"] == [failure]
    assert exported["warnings"] == [warning]
    markdown = (tmp_path / "report.md").read_text()
    assert markdown.startswith(f"# {model} on data: FAILED\n")
    page = (tmp_path / "report.html").read_text()
    for text in (markdown, page):
        assert warning in text
    assert page.count(warning) == 1


@pytest.mark.slow
def test_a_model_that_was_pruned_before_is_compared_with_the_baseline(model, model3, split, keras3, tmp_path):
    pruned = keras3.models.clone_model(model3)
    pruned.set_weights(model3.get_weights())
    for layer in pruned.layers:
        if layer.weights and layer.weights[0].shape[0] > 8:
            kernel = layer.weights[0].numpy()
            layer.weights[0].assign(np.where(np.abs(kernel) > np.quantile(np.abs(kernel), 0.6), kernel, 0))
    before = tmp_path / "pruned.keras"
    pruned.save(before)
    with pytest.raises(SettingsError, match="`baseline` is what a given `model` was made of"):
        tflite_sparse.fit(None, split, budget=BUDGET, baseline=model, out=tmp_path / "out")
    unknown, known = (
        tflite_sparse.fit(
            before, split, budget=BUDGET, max_accuracy_drop=1.0, baseline=baseline, out=tmp_path / name, **FAST
        )
        for name, baseline in (("unknown", None), ("known", model))
    )
    assert not unknown.baseline.is_unpruned
    assert unknown.gates.unjudged[0].endswith("Name it with --baseline FILE.")
    assert known.baseline.is_unpruned
    assert (known.baseline.origin, known.baseline.model) == ("option", str(model))
    assert known.gates.unjudged == []
    dense = {
        name: json.loads((tmp_path / name / "report.json").read_text())["models"]["dense_float32"]["sparsity"]
        for name in ("unknown", "known")
    }
    assert dense["known"] < 0.01 < dense["unknown"]


def check_predictions(report):
    """Masks on the model, then converted and encoded, against masks applied to the converted dense file."""
    assert abs(report.prediction_error) < 0.01
    for kernel in report.kernels:
        assert kernel.file_bytes == pytest.approx(kernel.predicted_bytes, rel=0.01)


@pytest.mark.slow
def test_a_recurrent_model_is_fitted_as_one_time_step(keras3, digits, tmp_path):
    """Each row of a digit is a time step; the plan covers the two kernels of the LSTM."""
    keras3.utils.set_random_seed(0)
    layers = keras3.layers
    model = keras3.Sequential([keras3.Input((8, 8)), layers.LSTM(64, name="memory"), layers.Dense(10, name="classes")])
    rows = {name: getattr(digits, f"x_{name}").reshape(-1, 8, 8) for name in ("train", "test")}
    data = {"x_train": rows["train"], "y_train": digits.y_train, "x_test": rows["test"], "y_test": digits.y_test}
    model.compile("adam", keras3.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(data["x_train"], data["y_train"], epochs=8, verbose=0)
    np.savez(tmp_path / "rows.npz", **data)
    done = tflite_sparse.fit(
        *(model, tmp_path / "rows.npz"),
        budget=18_000,
        recurrent="step",
        dense_scales="per-tensor",
        epochs=2,
        blocks=("1x1",),
        out=tmp_path / "out",
    )
    assert done.gates.passed, done.gates.failures
    assert [kernel.name.rpartition("/")[2] for kernel in done.kernels] == ["kernel", "recurrent_kernel"]
    assert (tmp_path / "out" / "model.tflite").stat().st_size <= 18_000
    exported = json.loads((tmp_path / "out" / "report.json").read_text())
    assert exported["time_step"]["steps"] == 8
    assert exported["verification"]["outputs_bit_exact"]
    assert done.accuracy > 0.7
    assert done.interval.low < done.accuracy < done.interval.high
    assert done.compared.paired


def test_the_gate_is_judged_on_samples_that_a_new_model_has_not_seen(digits_npz, tmp_path, monkeypatch):
    seen = []

    class StoppedError(Exception):
        """Raised by the test; later work does not matter."""

    def train(source, data, *arguments, **settings):
        seen.append(data)
        raise StoppedError

    (tmp_path / "net.py").write_text(NETWORK)
    monkeypatch.setattr("tflite_sparse.commands.fit.command.training.train_from_scratch", train)
    for aim in ({"gate": True}, {"budget": BUDGET}):
        with pytest.raises(StoppedError):
            tflite_sparse.fit(None, digits_npz, builder=f"{tmp_path / 'net.py'}:net", out=tmp_path / "out", **aim)
        shutil.rmtree(tmp_path / "out")
    of_gate, of_budget = (data.train_samples for data in seen)
    assert of_gate == of_budget - round(of_budget / 10)


@pytest.mark.slow
def test_a_budget_that_cannot_be_met_names_the_floor(model, digits_npz, tmp_path):
    out = tmp_path / "new" / "out"
    done = run_cli("fit", model, "--data", digits_npz, "--budget", "4kB", "--block", "1x1", "--out", out, "--quiet")
    assert done.code == 1
    assert "a --budget of 4,000 bytes cannot be met" in done.stderr
    assert "classes/kernel 110" in done.stderr  # what takes the bytes, without the inputs that are dead by then
    assert not out.parent.exists()
    floor = int(done.stderr.partition("has ")[2].partition(":")[0].replace(",", ""))
    report = tflite_sparse.fit(model, digits_npz, budget=floor, out=out, **FAST)
    assert report.floor_bytes == floor
    assert report.file_bytes == (out / "model.tflite").stat().st_size <= floor
    check_predictions(report)


@pytest.mark.slow
def test_a_file_for_microcontrollers(model, digits, tmp_path):
    report = tflite_sparse.fit(model, digits, budget=11_000, target="micro", out=tmp_path, epochs=0, metric="top5")
    assert report.metric == "top5"
    assert (tmp_path / "model.tflite").stat().st_size <= 11_000
    assert report.gates.passed, report.gates.failures
    check_predictions(report)


@pytest.mark.slow
def test_a_file_that_came_out_too_large_is_pruned_further(model, digits, tmp_path, monkeypatch):
    sizes = fit_rounds.Dense.sizes

    def too_small(dense, choice):
        found = sizes(dense, choice)
        return costs.Sizes(found.file_bytes - 700, found.kernels, found.others)

    monkeypatch.setattr(fit_rounds.Dense, "sizes", too_small)
    report = tflite_sparse.fit(model, digits, budget=10_000, out=tmp_path, **FAST)
    first, second = report.rounds
    assert not first.passed
    assert first.file_bytes > 10_000
    assert second.passed
    assert (tmp_path / "model.tflite").stat().st_size == report.file_bytes <= 10_000
    # After the last round an error tells that.
    report = tflite_sparse.fit(model, digits, budget=10_000, rounds=1, out=tmp_path, **FAST)
    assert not report.gates.passed
    assert [failure for failure in report.gates.failures if failure.startswith("budget: the file has ")]


@pytest.mark.slow
def test_an_interrupted_run_goes_on(model, digits, tmp_path, monkeypatch):
    def stop(*arguments, **options):
        raise KeyboardInterrupt

    options = {"data": digits, "out": tmp_path, "epochs": 1, "blocks": ("1x1",)}
    with monkeypatch.context() as patch:
        patch.setattr(prune_command, "undrawn", stop)
        with pytest.raises(KeyboardInterrupt):
            tflite_sparse.fit(model, budget=BUDGET, **options)
    found = {path.name for path in (tmp_path / "unfinished").iterdir()}
    assert {"dense.keras", "dense.tflite", "scan-1x1.json"} <= found
    with pytest.raises(OutputError, match="`resume=True`"):
        tflite_sparse.fit(model, budget=BUDGET, **options)
    with pytest.raises(InputError, match="budget = 9500, not 9600"):
        tflite_sparse.fit(model, budget=9600, resume=True, **options)
    monkeypatch.setattr(sensitivity, "scan", stop)  # stored results are not computed again
    report = tflite_sparse.fit(model, budget=BUDGET, resume=True, **options)
    assert report.file_bytes <= BUDGET
    assert not (tmp_path / "unfinished").exists()


@pytest.mark.slow
def test_a_model_that_fits_stays_as_it_is(model, model3, digits, tmp_path):
    report = tflite_sparse.fit(model3, digits, budget="1MB", out=tmp_path, blocks=("1x1",))
    assert [kernel.planned for kernel in report.kernels] == [None, None]
    assert report.rounds[0].epochs == 0
    for one, other in zip(
        keras_model.open_model(tmp_path / "fitted.keras").model.get_weights(), model3.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_the_smallest_file_within_a_gate(model, digits, tmp_path):
    settings = {"epochs": 3, "blocks": ("1x1",), "out": tmp_path}  # masks alone lose too much of this network
    report = tflite_sparse.fit(model, digits, gate=True, max_accuracy_drop=0.05, **settings)
    assert report.mode == "gate"
    passed = [each for each in report.rounds if each.passed]
    failed = [each for each in report.rounds if not each.passed]
    assert all(each.held_out_drop <= 0.05 for each in passed)
    assert all(each.held_out_drop > 0.05 for each in failed)
    assert min(each.file_bytes for each in passed) < 0.9 * report.untouched_bytes
    assert report.file_bytes == min(each.file_bytes for each in passed)
    assert not failed or min(each.file_bytes for each in failed) < report.file_bytes
    # The result on held-out samples is confirmed on the test samples, or the run fails.
    lost = report.dense_accuracy - report.accuracy
    assert report.gates.passed == (lost <= 0.05)


BUILDER = """
import keras

def build():
    layers = keras.layers
    return keras.Sequential([layers.Input((8, 8, 1)), layers.Flatten(), layers.Dense(64, activation="relu"),
                             layers.Dense(10, activation="softmax")])
"""


@pytest.mark.slow
def test_a_model_is_built_and_trained_first(digits_npz, tmp_path):
    (tmp_path / "net.py").write_text(BUILDER)
    out = tmp_path / "out"
    done = run_cli(
        *("fit", "--builder", f"{tmp_path / 'net.py'}:build", "--data", digits_npz, "--budget", "7kB"),
        *("--train-epochs", 10, "--epochs", 4, "--out", out, "--json"),
    )
    assert done.code == 0, done.stderr
    assert (out / "model.tflite").stat().st_size <= 7000
    assert done.report["dense_accuracy"] > 0.9


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "give `budget"),
        ({"budget": 1000, "gate": True}, "one of the two"),
        ({"budget": "10 apples"}, "units are"),
        ({"budget": 0}, "greater than"),
        ({"budget": "1kB", "blocks": ("2:4",)}, "give outputs x inputs"),
        ({"budget": "1kB", "metric": "speed"}, "`metric='speed'`: it takes auto, top1"),
    ],
)
def test_settings_that_make_no_sense(settings, message, model, digits, tmp_path):
    with pytest.raises(SettingsError, match=message):
        tflite_sparse.fit(model, digits, out=tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()
