"""Test ``export`` when a file must not be delivered: exit code, message, and remaining files."""

import json

import numpy as np
import pytest

from helpers import known_conversion, odd_models, tiny_models
from helpers.spoiling import change_a_decoded_weight, change_a_weight, change_the_biases, grow, spoiling
from helpers.tools import run_cli
from tflite_sparse.backends import micro as micro_backend
from tflite_sparse.planning import encoder
from tflite_sparse.planning.encoder import encode_file
from tflite_sparse.runtime import litert, micro
from tflite_sparse.stages.deliver import (
    DENSE_FLOAT32,
    DENSE_INT8,
    REPORT_HTML,
    REPORT_JSON,
    REPORT_MARKDOWN,
    SPARSE,
)

REPORTS = {REPORT_JSON, REPORT_MARKDOWN, REPORT_HTML}
FOR_MICRO = ("--target", "micro", "--micro-codec", "prune", "--c-array")


@pytest.fixture
def folder(tmp_path, monkeypatch, interpreters):
    monkeypatch.setattr(micro, "is_available", lambda: False)
    known_conversion.install(monkeypatch)
    known_conversion.data(tmp_path / "data.npz")
    return tmp_path


def export(folder, *options):
    """Return the exit code and the report on standard output, which equals the one in the folder."""
    run = run_cli(
        *("export", "model.keras", "--data", folder / "data.npz", "--max-accuracy-drop", 1),
        *("--out", folder / "out", "--json", "--quiet", *options),
    )
    assert run.report == json.loads((folder / "out" / REPORT_JSON).read_text("utf-8"))
    gates = run.report["gates"]
    assert (run.code == 0) == gates["passed"] == (not gates["failures"])
    assert run.stderr.splitlines() == [f"failed: {failure}" for failure in gates["failures"]]
    return run.code, run.report


def names(folder):
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("change", "weights_exact", "words"),
    [
        (change_a_weight, False, "weight 'weight' differs"),
        (change_the_biases(9000), True, f"{litert.NAMES['default']}: output "),
    ],
    ids=["weight", "outputs"],
)
def test_a_sparse_file_that_is_not_the_dense_one_is_not_delivered(change, weights_exact, words, folder, monkeypatch):
    code, report = export(folder, "--int8", "--android-assets", folder / "earlier")
    assert (code, report["gates"]["failures"], report["warnings"]) == (0, [], [])
    assert names(folder / "out") == {DENSE_FLOAT32, DENSE_INT8, SPARSE, *REPORTS}

    monkeypatch.setattr(encoder, "encode_file", spoiling(encode_file, change))
    known_conversion.install(monkeypatch)
    code, report = export(folder, "--int8", "--android-assets", folder / "assets")
    assert code == 1
    found = report["gates"]["failures"]
    assert found[0].startswith(f"verification: {words}")
    assert all(failure.startswith("verification: ") for failure in found)
    assert report["models"]["sparse_int8"] is report["ratios"] is None
    exact = report["verification"]["weights_bit_exact"], report["verification"]["outputs_bit_exact"]
    assert exact == (weights_exact, False)
    assert names(folder / "out") == {DENSE_FLOAT32, DENSE_INT8, *REPORTS}  # the file of the earlier run is gone too
    assert not (folder / "assets").exists()
    assert not any("earlier export" in warning for warning in report["warnings"])

    known_conversion.install(monkeypatch)
    before = {path.name: path.read_bytes() for path in (folder / "earlier").iterdir()}
    code, report = export(folder, "--int8", "--android-assets", folder / "earlier")
    assert code == 1
    kept = f"{folder / 'earlier'} still holds the files of an earlier export; this one gave the app none."
    assert kept in report["warnings"]
    assert {path.name: path.read_bytes() for path in (folder / "earlier").iterdir()} == before


def test_a_micro_file_that_is_not_the_dense_one_is_not_delivered(folder, monkeypatch):
    code, _ = export(folder, "--int8", *FOR_MICRO)
    assert code == 0
    assert names(folder / "out") == {DENSE_FLOAT32, DENSE_INT8, SPARSE, "model.h", "model.cc", "app.cc", *REPORTS}

    monkeypatch.setattr(micro_backend, "encode_file", spoiling(encode_file, change_a_decoded_weight))
    known_conversion.install(monkeypatch)
    code, report = export(folder, "--int8", *FOR_MICRO)
    assert code == 1
    assert report["gates"]["failures"] == ["verification: weight 'weight' differs"]
    assert report["models"]["sparse_int8"] is report["ratios"] is report["micro"] is None
    assert names(folder / "out") == {DENSE_FLOAT32, DENSE_INT8, *REPORTS}


def test_a_sparse_file_that_is_larger_than_the_dense_one_fails_and_is_kept(folder, monkeypatch):
    monkeypatch.setattr(encoder, "encode_file", spoiling(encode_file, grow))
    code, report = export(folder, "--int8")
    assert code == 1
    sparse, dense = ((folder / "out" / name).stat().st_size for name in (SPARSE, DENSE_INT8))
    assert sparse > dense
    assert report["gates"]["failures"] == [
        f"size: {sparse:,} bytes, more than the dense int8 file's {dense:,}",
    ]


def test_a_sparse_file_that_yields_nan_fails_and_is_kept(folder, monkeypatch):
    """It computes the same as the model, bit for bit; the masks made that worthless."""

    def spoil(tensor, model):
        values = model.buffers[tensor.buffer].data.view(np.float32).copy()
        values[3] = np.nan
        model.buffers[tensor.buffer].data = values.view(np.uint8)

    masked = odd_models.edited(known_conversion.model("float32"), "bias", spoil)
    known_conversion.install(monkeypatch, pruned_float32=tiny_models.to_bytes(masked))
    code, report = export(folder)
    assert code == 1
    assert report["gates"]["failures"] == ["accuracy: the sparse file yields NaN or infinity on test samples"]
    assert report["verification"]["outputs_bit_exact"]
    assert report["accuracy"] is None
    assert report["models"]["sparse_float32"]["accuracy"] is None
    assert names(folder / "out") == {DENSE_FLOAT32, SPARSE, *REPORTS}
