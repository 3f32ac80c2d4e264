"""Test an export of a pruned model with and without the model before pruning, and one that trains by itself."""

import json

import numpy as np
import pytest

import tflite_sparse
from helpers.tools import run_cli

pytestmark = pytest.mark.slow


def test_what_prune_wrote_is_exported_beside_the_model_before_pruning(model_files, digits_npz, tmp_path):
    pruned = tmp_path / "pruned.keras"
    dense = model_files["keras3.keras"]
    prune = run_cli(
        *("prune", dense, "--data", digits_npz, "--sparsity", 0.98, "--epochs", 1, "-o", pruned),
        *("--json", "--quiet"),
    ).report
    assert prune["baseline"]["accuracy"] == prune["before"] > prune["after"] + 0.1
    options = ("--data", digits_npz, "--int8", "--alternatives", "none", "--quiet")
    run = run_cli("export", pruned, *options, "--json", "--out", tmp_path / "a")
    assert run.code == 1
    report = run.report
    assert report["baseline"]["origin"] == "prune"
    assert report["baseline"]["is_unpruned"]
    assert report["models"]["dense_float32"]["accuracy"] == pytest.approx(prune["before"], abs=1e-6)
    assert report["accuracy"]["drop_by_pruning"] > 0.1
    low, high = (report["accuracy"]["interval_by_pruning"][end] for end in ("low", "high"))
    assert 0 < low < report["accuracy"]["drop_by_pruning"] < high

    pruned.with_suffix(".prune.json").unlink()
    run = run_cli("export", pruned, *options, "--out", tmp_path / "b")
    assert run.code == 0
    assert "float32, pruned before: 9" in run.stdout
    assert "dense float32" not in run.stdout
    (told,) = run.stderr.splitlines()
    assert told.startswith("not judged: accuracy: no baseline: accuracy against the unpruned model is unknown")
    gates = json.loads((tmp_path / "b" / "report.json").read_text())["gates"]
    assert (gates["passed"], gates["failures"], len(gates["unjudged"])) == (False, [], 1)

    run = run_cli("export", pruned, *options, "--json", "--baseline", dense, "--out", tmp_path / "c")
    assert (run.code, run.report["gates"]["unjudged"]) == (1, [])
    assert run.report["accuracy"]["drop"] == report["accuracy"]["drop"]


def test_a_model_with_labels_is_pruned_while_it_trains_and_stays_as_it_was(model3, digits, tmp_path):
    before, compiled = model3.get_weights(), (model3.optimizer, model3.loss)
    report = tflite_sparse.export(model3, digits, sparsity=0.8, int8=True, out=tmp_path / "out")
    assert 2 <= report.pruning.epochs <= 5
    assert report.pruning.after == pytest.approx(0.8, abs=1e-3)
    assert report.training is not None
    assert report.accuracy.drop < 0.03
    assert report.accuracy.drop == pytest.approx(report.accuracy.drop_by_pruning + report.accuracy.drop_by_int8)
    for mine, theirs in zip(model3.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert (model3.optimizer, model3.loss) == compiled


def test_a_test_part_that_was_split_off_is_told(model3, digits, tmp_path):
    data = (digits.x_train, digits.y_train)
    report = tflite_sparse.export(model3, data, out=tmp_path / "a")
    (warning,) = report.warnings
    assert "288 samples were split off. The model may have been trained on them" in warning
    assert "Give x_train, y_train, x_test, y_test." in warning
    whole = (data, (digits.x_test, digits.y_test))
    assert tflite_sparse.export(model3, whole, out=tmp_path / "b").warnings == []
    assert tflite_sparse.export(model3, digits.x_train, out=tmp_path / "c").warnings == []
