"""Export every form of a user's model through the command line to files that run."""

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from helpers.tools import run_cli
from tflite_sparse.flatbuffer import serde
from tflite_sparse.runtime import litert
from tflite_sparse.verification.weights import check_weights

ALL_FILES = {"dense-float32.tflite", "dense-int8.tflite", "model.tflite", "report.json", "report.md", "report.html"}
PLAIN = ["keras3.keras", "keras3.h5", "keras3-export", "keras2.keras", "keras2.h5", "keras2-savedmodel"]
WRAPPED = ["wrapped.keras", "wrapped.h5", "wrapped-savedmodel", "wrapped-export"]


@pytest.mark.parametrize("form", [PLAIN[0], *(pytest.param(form, marks=pytest.mark.slow) for form in PLAIN[1:])])
def test_plain_model_is_masked_and_exported(form, model_files, tmp_path):
    out = tmp_path / "out"
    run = run_cli(
        "export", model_files[form], "--sparsity", 0.75, "--finetune-epochs", 0,
        "--int8", "--data", "digits", "--max-accuracy-drop", 1,
        "--out", out, "--json", "--quiet",
    )  # fmt: skip
    assert run.code == 0, run.stderr
    assert {path.name for path in out.iterdir()} == ALL_FILES
    report = run.report
    assert report["pruning"]["words"] == "masked from 0.000 to 0.750 without fine-tuning"
    assert report["pruning"]["prunable_kernels"] == 2
    assert report["pruning"]["prunable_weights"] == 4608 + 8192
    assert report["models"]["dense_float32"]["sparsity"] < 0.01
    assert report["models"]["sparse_int8"]["file_bytes"] < report["models"]["dense_int8"]["file_bytes"]
    assert report["models"]["dense_float32"]["accuracy"] > 0.9
    _check_files(out, report)


@pytest.mark.parametrize("form", [WRAPPED[0], *(pytest.param(form, marks=pytest.mark.slow) for form in WRAPPED[1:])])
def test_wrappers_come_off_with_their_masks(form, model_files, tmp_path):
    out = tmp_path / "out"
    options = ("--int8", "--keep-channels", "--data", "digits", "--json", "--quiet")  # it compares whole weights
    run = run_cli("export", model_files[form], "--out", out, *options)
    assert run.code == 0, run.stderr
    report = run.report
    assert report["pruning"]["words"] == "4 pruning masks applied; kept at sparsity 0.800"
    assert report["pruning"]["after"] == pytest.approx(0.8, abs=0.001)
    assert report["models"]["sparse_int8"]["sparsity"] > 0.79
    _check_files(out, report)


@pytest.mark.slow
def test_more_sparsity_than_asked_for_is_kept(model_files, tmp_path):
    run = run_cli(
        "export", model_files["wrapped.keras"], "--sparsity", 0.5, "--finetune-epochs", 0, "--int8", "--data", "digits",
        "--out", tmp_path / "out", "--json", "--quiet",
    )  # fmt: skip
    assert run.code == 0, run.stderr
    assert run.report["pruning"]["after"] == pytest.approx(0.8, abs=0.001)


@pytest.mark.slow
def test_missing_sparsity_is_added_to_a_pruned_model(model_files, tmp_path):
    run = run_cli(
        "export", model_files["wrapped.h5"], "--sparsity", 0.9, "--finetune-epochs", 0, "--int8", "--data", "digits",
        "--max-accuracy-drop", 1, "--out", tmp_path / "out", "--json", "--quiet",
    )  # fmt: skip
    assert run.code == 0, run.stderr
    words = run.report["pruning"]["words"]
    assert words == "4 pruning masks applied; masked from 0.800 to 0.900 without fine-tuning"


@pytest.mark.slow
def test_finetuning_recovers_accuracy_under_the_masks(model_files, digits_npz, tmp_path):
    options = ["--sparsity", 0.95, "--int8", "--data", digits_npz, "--max-accuracy-drop", 1, "--json", "--quiet"]
    masked = run_cli(
        "export", model_files["keras3.keras"], *options, "--finetune-epochs", 0, "--out", tmp_path / "a"
    ).report
    tuned = run_cli(
        "export", model_files["keras3.keras"], *options, "--finetune-epochs", 6, "--out", tmp_path / "b"
    ).report
    assert tuned["pruning"]["after"] == pytest.approx(masked["pruning"]["after"], abs=1e-6)
    assert tuned["models"]["sparse_int8"]["accuracy"] > masked["models"]["sparse_int8"]["accuracy"]
    assert tuned["pruning"]["words"] == "pruned while training from 0.000 to 0.950, in 6 epochs"


def test_float32_without_data(model_files, tmp_path):
    out = tmp_path / "out"
    run = run_cli("export", model_files["keras3.keras"], "--sparsity", 0.75, "--out", out, "--json", "--quiet")
    assert run.code == 0, run.stderr
    assert {path.name for path in out.iterdir()} == ALL_FILES - {"dense-int8.tflite"}
    report = run.report
    assert report["models"]["dense_int8"] is None
    assert report["models"]["sparse_int8"] is None
    assert report["models"]["sparse_float32"]["file_bytes"] < 0.6 * report["models"]["dense_float32"]["file_bytes"]
    assert report["accuracy"] is None
    assert report["verification"]["outputs_bit_exact"]
    assert Interpreter(str(out / "model.tflite")).get_input_details()[0]["dtype"] == np.float32


def test_float_io_around_an_int8_core(model_files, tmp_path):
    out = tmp_path / "out"
    run = run_cli(
        "export", model_files["keras3.keras"], "--sparsity", 0.75, "--finetune-epochs", 0,
        "--int8", "--io", "float32", "--data", "digits",
        "--max-accuracy-drop", 1, "--out", out, "--json", "--quiet",
    )  # fmt: skip
    assert run.code == 0, run.stderr
    interpreter = Interpreter(str(out / "model.tflite"))
    assert interpreter.get_input_details()[0]["dtype"] == np.float32
    assert interpreter.get_output_details()[0]["dtype"] == np.float32


def test_unlabelled_data_measure_agreement(model_files, digits, tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, x=digits.x_test)
    run = run_cli(
        "export", model_files["keras3.keras"], "--sparsity", 0.5, "--finetune-epochs", 0,
        "--int8", "--data", path, "--max-accuracy-drop", 1,
        "--out", tmp_path / "out", "--json", "--quiet",
    )  # fmt: skip
    assert run.code == 0, run.stderr
    assert run.report["accuracy"]["metric"] == "top1_agreement_with_dense_float32"
    assert run.report["models"]["dense_float32"]["accuracy"] == 1.0


@pytest.mark.slow
def test_gate_fails_with_1_and_keeps_the_files(model_files, tmp_path):
    out = tmp_path / "out"
    run = run_cli(
        "export", model_files["keras3.keras"], "--sparsity", 0.98, "--finetune-epochs", 0,
        "--int8", "--data", "digits", "--out", out,
        "--json", "--quiet",
    )  # fmt: skip
    assert run.code == 1
    assert {path.name for path in out.iterdir()} == ALL_FILES
    assert not run.report["gates"]["passed"]
    assert "--max-accuracy-drop" in run.report["gates"]["failures"][0]
    assert run.stderr.startswith("failed: accuracy: top1 dropped by ")


def _check_files(out, report):
    sparse, dense = out / "model.tflite", out / "dense-int8.tflite"
    assert report["version"] == 1
    assert set(report["models"]) >= {"dense_float32", "dense_int8", "sparse_int8"}
    for entry in report["models"].values():
        if entry is not None:
            assert set(entry) >= {"path", "file_bytes", "gzip_bytes", "accuracy", "sparsity"}
            assert (out / entry["path"]).stat().st_size == entry["file_bytes"]
    sizes = {key: report["models"][key]["file_bytes"] for key in ("dense_float32", "dense_int8", "sparse_int8")}
    assert report["ratios"] == {
        "vs_dense_float32": pytest.approx(sizes["dense_float32"] / sizes["sparse_int8"]),
        "vs_dense_int8": pytest.approx(sizes["dense_int8"] / sizes["sparse_int8"]),
    }
    accuracy = report["accuracy"]
    drop = report["models"]["dense_float32"]["accuracy"] - report["models"]["sparse_int8"]["accuracy"]
    assert accuracy["drop"] == pytest.approx(drop)
    assert accuracy["metric"] == "top1"
    assert accuracy["samples"] == 359
    fields = {
        "name",
        "layer",
        "operator",
        "shape",
        "sparsity",
        "layout",
        "dense_bytes",
        "encoded_bytes",
        "entropy_bytes",
        "reason",
    }
    assert all(set(tensor) == fields for tensor in report["tensors"])
    assert len(report["tensors"]) == 4
    assert sum("CSR" in tensor["layout"] for tensor in report["tensors"]) >= 2
    assert report["verification"]["weights_bit_exact"]
    assert report["verification"]["outputs_bit_exact"]
    assert len(report["verification"]["runtimes"]) == 3
    # These tests check the report again by other means.
    assert check_weights(sparse, dense) == sum(np.prod(tensor["shape"]) for tensor in report["tensors"])
    _check_interface(sparse, dense)


def _check_interface(sparse, dense):
    """Signature, names and dynamic batch are those of the dense file, and any batch gives the same outputs."""
    one, other = (Interpreter(str(path)) for path in (sparse, dense))
    assert one.get_signature_list() == other.get_signature_list()
    details = [interpreter.get_input_details() + interpreter.get_output_details() for interpreter in (one, other)]
    for a, b in zip(*details, strict=True):
        assert (a["name"], a["dtype"], a["quantization"]) == (b["name"], b["dtype"], b["quantization"])
        assert list(a["shape_signature"]) == list(b["shape_signature"])
        assert a["shape_signature"][0] == -1
    samples = (
        np.random.default_rng(0).integers(-128, 128, (7, *one.get_input_details()[0]["shape"][1:])).astype(np.int8)
    )
    outputs = []
    for interpreter in (one, other):
        index = interpreter.get_input_details()[0]["index"]
        interpreter.resize_tensor_input(index, samples.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(index, samples)
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    assert outputs[0].shape == (7, 10)
    assert np.array_equal(*outputs)
    assert len(np.unique(outputs[0])) > 3
    compared = litert.run(sparse, samples, "builtin").arrays[0]
    assert compared.shape == (7, 10)
    metadata = [[entry.name for entry in serde.read(path).metadata] for path in (sparse, dense)]
    assert metadata[0] == [*metadata[1], b"labels", b"input_range"]  # digits has names of classes
