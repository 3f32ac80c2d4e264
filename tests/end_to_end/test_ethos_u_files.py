"""Test ``--target ethos-u`` on the command line: the dense int8 file, and the same compiled by Vela."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import odd_models, tiny_models
from helpers.tools import run_cli
from tflite_sparse.commands import encode as encode_command
from tflite_sparse.errors import ExecutionError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.results.export import Report
from tflite_sparse.runtime import vela
from tflite_sparse.stages.deliver import (
    DENSE_FLOAT32,
    DENSE_INT8,
    REPORT_HTML,
    REPORT_JSON,
    REPORT_MARKDOWN,
    SPARSE,
)

ACCELERATORS = ("ethos-u55-128", "ethos-u65-256", "ethos-u85-256")


@pytest.fixture(scope="module", autouse=True)
def installed():
    assert vela.is_available(), "pip install '.[ethos-u]'"


@pytest.fixture
def source(tmp_path):
    def write(model):
        (tmp_path / "model.tflite").write_bytes(tiny_models.to_bytes(model))
        return tmp_path / "model.tflite"

    return write


def encode(source, *options):
    out = source.with_name("out.tflite")
    run = run_cli("encode", source, "-o", out, "--target", "ethos-u", "--quiet", "--json", *options)
    return run, out


def custom_operators(path):
    codes = serde.read(path).operatorCodes
    return [code.customCode for code in codes if code.builtinCode == schema.BuiltinOperator.CUSTOM]


@pytest.mark.parametrize("accelerator", ACCELERATORS)
def test_encode_writes_the_dense_file_and_the_compiled_one(accelerator, source, tmp_path):
    given = source(tiny_models.conv2d())
    run, out = encode(given, "--accelerator-config", accelerator)
    assert run.code == 0, run.stderr
    found = run.report["ethos_u"]
    compiled = tmp_path / "out_vela.tflite"
    assert (found["accelerator"], found["compiled"]) == (accelerator, compiled.name)
    assert (found["warnings"], found["file"]["left_to_cpu"], found["baseline"]) == ([], [], None)
    assert 0 < found["file"]["encoded_weight_bytes"] < 16 * 3 * 3 * 64
    assert custom_operators(compiled) == [b"ethos-u"]
    alone = vela.compile_file(out, folder=tmp_path / "..", accelerator=accelerator)
    alone.path.unlink()
    assert found["file"]["encoded_weight_bytes"] == alone.encoded_weight_bytes
    assert found["file"]["estimated_cycles"] == alone.estimated_cycles
    assert run.report["verification"]["passed"]
    assert run.report["verification"]["not_compared"] == "nothing here runs what Vela compiles"
    assert {tensor["layout"] for tensor in run.report["tensors"]} == {"dense"}
    assert not any(tensor.sparsity for graph in serde.read(out).subgraphs for tensor in graph.tensors)


def test_a_sparse_source_becomes_dense(source, tmp_path):
    given = source(tiny_models.conv2d())
    sparse = tmp_path / "sparse.tflite"
    assert run_cli("encode", given, "-o", sparse, "--quiet").code == 0
    run, out = encode(sparse)
    assert run.code == 0, run.stderr
    assert run_cli("decode", given, "-o", tmp_path / "dense.tflite", "--quiet").code == 0
    assert out.read_bytes() == (tmp_path / "dense.tflite").read_bytes()


def test_operators_left_to_the_cpu_are_reported(source):
    run, _ = encode(source(tiny_models.conv2d(dtype="float32")))
    assert run.code == 0, run.stderr
    (warning,) = run.report["ethos_u"]["warnings"]
    assert warning == "CONV_2D that yields 'y0' stays on the CPU: it has float32 tensors; the NPU needs int8"
    assert run.report["ethos_u"]["file"]["left_to_cpu"]
    assert run.report["ethos_u"]["file"]["inferences_per_second"] is None


def test_text(source):
    given = source(tiny_models.conv2d())
    run = run_cli("encode", given, "-o", given.with_name("out.tflite"), "--target", "ethos-u", "--quiet")
    words = " ".join(run.stdout.split())
    assert run.code == 0
    assert "ethos-u55-128, as Vela estimates:" in words
    assert "Compiled: out_vela.tflite." in words


def test_an_accelerator_that_vela_does_not_know(source, tmp_path):
    given = source(tiny_models.conv2d())
    run, _ = encode(given, "--accelerator-config", "ethos-u1")
    assert run.code == 2
    assert run.stdout == ""
    assert len(run.stderr.splitlines()) <= 2
    assert "ethos-u1" in run.stderr
    assert [path.name for path in tmp_path.iterdir()] == [given.name]


@pytest.fixture(scope="module")
def wide(keras3, tmp_path_factory):
    """Kernels large enough that Vela's own tables do not count."""
    keras3.utils.set_random_seed(2)
    layers = keras3.layers
    model = keras3.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    path = tmp_path_factory.mktemp("ethos_u") / "wide.keras"
    model.save(path)
    return path


@pytest.mark.slow
def test_export_compares_with_the_baseline(wide, tmp_path):
    run = run_cli(
        "export", wide, "--sparsity", 0.875, "--finetune-epochs", 0,
        "--int8", "--data", "digits", "--calibration-samples", 20,
        "--max-accuracy-drop", 1, "--target", "ethos-u", "--accelerator-config", "ethos-u65-256",
        "--out", tmp_path, "--json", "--quiet",
    )  # fmt: skip
    assert run.code == 0, run.stderr
    assert {path.name for path in tmp_path.iterdir()} == {
        DENSE_FLOAT32, DENSE_INT8, SPARSE, "model_vela.tflite", REPORT_JSON, REPORT_MARKDOWN, REPORT_HTML,
    }  # fmt: skip
    report = Report.model_validate_json((tmp_path / REPORT_JSON).read_text("utf-8"))
    found = report.ethos_u
    assert found.accelerator == "ethos-u65-256"
    assert found.file.encoded_weight_bytes <= found.baseline.encoded_weight_bytes / 5
    assert found.file.flash_bytes + found.file.dram_bytes < found.baseline.flash_bytes + found.baseline.dram_bytes
    assert found.file.estimated_cycles <= found.baseline.estimated_cycles
    assert custom_operators(tmp_path / "model_vela.tflite") == [b"ethos-u"]
    weights = 64 * 9 + 64 * 64 * 9 + 64 * 64 * 64 + 640
    assert found.baseline.encoded_weight_bytes > 0.8 * weights
    assert np.isfinite(found.file.inferences_per_second)
    assert report.verification.outputs_bit_exact
    words = (tmp_path / REPORT_MARKDOWN).read_text("utf-8")
    assert f"{found.baseline.encoded_weight_bytes:,}" in words
    assert "model_vela.tflite" in words


def test_export_needs_int8(wide, tmp_path):
    run = run_cli("export", wide, "--sparsity", 0.875, "--target", "ethos-u", "--out", tmp_path / "out")
    assert run.code == 2
    assert "--int8" in run.stderr
    assert not (tmp_path / "out").exists()


def test_the_source_is_not_compiled_over(tmp_path):
    source = tmp_path / "net_vela.tflite"
    source.write_bytes(tiny_models.to_bytes(tiny_models.conv2d()))
    before = source.read_bytes()
    run = run_cli("encode", source, "-o", tmp_path / "net.tflite", "--target", "ethos-u", "--quiet")
    assert run.code == 2
    assert source.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["net_vela.tflite"]


def test_a_wrong_accelerator_is_told_without_temporary_names(source, tmp_path):
    run, out = encode(source(tiny_models.conv2d()), "--accelerator-config", "bogus")
    assert run.code == 2
    assert "bogus" in run.stderr
    assert "tflite-sparse-" not in run.stderr
    assert not out.exists()
    assert not (tmp_path / "out_vela.tflite").exists()


def test_a_file_whose_shapes_are_not_true_is_refused(tmp_path):
    """Vela plans memory from them."""
    source = tmp_path / "open.tflite"
    source.write_bytes(tiny_models.to_bytes(odd_models.dilated()))
    with pytest.raises(ExecutionError, match=r"open\.tflite is not for Arm Ethos-U: it leaves the batch open"):
        encode_command.encode(source, tmp_path / "out.tflite", target="ethos-u")
    assert list(tmp_path.iterdir()) == [source]
