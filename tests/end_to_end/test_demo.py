"""The main job of the README, on an eighth of its images: train, prune, quantise, encode, verify.

``.ci/run`` does the job itself and checks its figures.
"""

import json

import numpy as np
import pytest

from helpers.tools import run_program
from tflite_sparse.sources import dataset

pytestmark = pytest.mark.slow

PARTS = ("x_train", "y_train", "x_test", "y_test")


def test_without_a_model_a_network_is_trained_and_pruned(tmp_path):
    data = dataset.load("mnist-5k")
    few = {name: getattr(data, name)[: 500 if name.endswith("train") else 200] for name in PARTS}
    np.savez(tmp_path / "few.npz", **few)
    options = ("--data", "few.npz", "--max-accuracy-drop", "0.5")
    run = run_program("export", "--sparsity", "0.875", "--int8", "--json", *options, cwd=tmp_path)
    assert run.code == 0, run.stderr
    out = tmp_path / "tflite-sparse-out"
    names = {"dense-float32.tflite", "dense-int8.tflite", "model.tflite", "report.json", "report.md", "report.html"}
    assert {path.name for path in out.iterdir()} == names
    report = json.loads((out / "report.json").read_text())
    assert run.report == report

    files = report["models"]
    assert files["dense_float32"]["accuracy"] > 0.5  # it has learned; the whole job is checked for more
    assert report["accuracy"]["samples"] == 200
    assert report["ratios"]["vs_dense_float32"] >= 12
    assert files["dense_float32"]["sparsity"] < 0.01
    assert files["sparse_int8"]["sparsity"] == files["dense_int8"]["sparsity"] > 0.86

    weights = sum(tensor["dense_bytes"] for tensor in report["tensors"])
    pruning = report["pruning"]
    assert weights > 200_000
    assert pruning["prunable_weights"] >= 0.97 * weights
    assert pruning["after"] == pytest.approx(0.875, abs=1e-4)
    curve = report["training"]
    assert curve["sparsity"] == sorted(curve["sparsity"])
    assert (curve["sparsity"][0], curve["sparsity"][-1]) == (0, pytest.approx(0.875))
    assert curve["steps"][-1] == 30 * 8  # epochs, batches of 64 of 500 samples
    assert "<h2>Training</h2>" in (out / "report.html").read_text()
    assert report["verification"]["weights_bit_exact"]
    assert [runtime["outputs_bit_exact"] for runtime in report["verification"]["runtimes"]] == [True] * 3
    assert report["gates"] == {"passed": True, "failures": [], "unjudged": []}
    for stage in ("train dense baseline", "train and prune", "calibrate and convert int8", "encode", "evaluate"):
        assert f"done {stage}" in run.stderr
