"""Check ``report.html`` of a measured ``export`` of a model from ``prune``."""

import json

import pytest

import tflite_sparse
from helpers.tools import run_cli


@pytest.mark.slow
def test_measured_export_of_a_pruned_model(model_files, digits, tmp_path):
    pruned = tmp_path / "pruned.keras"
    tflite_sparse.prune(model_files["keras3.keras"], digits, pruned, sparsity=0.75, epochs=1)
    run = run_cli("export", pruned, "--measure", "--out", tmp_path / "out", "--quiet")
    assert run.code == 0, run.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    measured = report["measured"]["files"]
    assert [each["path"] for each in measured] == ["dense-float32.tflite", "model.tflite"]
    assert all(each["latency_ms_median"] > 0 and each["load_ms"] > 0 for each in measured)
    assert report["training"] == json.loads((tmp_path / "pruned.prune.json").read_text())["curve"]
    assert report["training"]["sparsity"][-1] == 0.75
    page = tmp_path / "out" / "report.html"
    written = page.read_bytes()
    for part in (b"<h2>Latency and memory</h2>", b"<h2>Training</h2>", b"<h2>Masks</h2>"):
        assert part in written
    page.unlink()
    assert run_cli("report", tmp_path / "out").code == 0
    assert page.read_bytes() == written


def test_a_report_of_another_model_is_not_taken_for_its_training(model_files, tmp_path):
    """Only the file name is the same; prune wrote another model."""
    (tmp_path / "other.prune.json").write_text("{}")
    source = tmp_path / "other.keras"
    source.write_bytes(model_files["keras3.keras"].read_bytes())
    run = run_cli("export", source, "--out", tmp_path / "out", "--json", "--quiet")
    assert run.code == 0, run.stderr
    assert run.report["training"] is None
    assert run.report["measured"] is None


def test_files_of_micro_are_not_measured(model_files, tmp_path):
    run = run_cli("export", model_files["keras3.keras"], "--target", "micro", "--measure", "--out", tmp_path / "out")
    assert run.code == 2
    assert "measure runs files in LiteRT" in run.stderr
