"""Compile for Ethos-U with Arm's Vela."""

import re

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import tiny_models
from tflite_sparse.base import extras
from tflite_sparse.errors import ExecutionError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.runtime import vela

_BUILTIN, _OPTIONS = schema.BuiltinOperator, schema.BuiltinOptions


def conv_and_fully_connected(density):
    """About 290 kB of int8 weights: CONV_2D 3x3x32x64, then FULLY_CONNECTED from 8x8x64 to 64."""
    kernel = tiny_models.sparse_weights((64, 3, 3, 32), density=density)
    matrix = tiny_models.sparse_weights((64, 8 * 8 * 64), density=density, seed=1)
    tiny = tiny_models.Tiny()
    x = tiny.activation("x", (1, 8, 8, 32), "int8")
    middle = tiny.activation("middle", (1, 8, 8, 64), "int8", tiny_models.output_scale(288 * density), 5)
    y = tiny.activation("y", (1, 64), "int8", tiny_models.output_scale(4096 * density), -20)
    inputs = [x, tiny.weight(kernel, name="kernel"), tiny.bias(64, kernel, name="kernel bias")]
    tiny.operator(_BUILTIN.CONV_2D, 3, inputs, [middle], _OPTIONS.Conv2DOptions, tiny_models.conv_options())
    inputs = [middle, tiny.weight(matrix, name="matrix"), tiny.bias(64, matrix, name="matrix bias")]
    options = schema.FullyConnectedOptionsT()
    tiny.operator(_BUILTIN.FULLY_CONNECTED, 12, inputs, [y], _OPTIONS.FullyConnectedOptions, options)
    return tiny.finished([x], [y])


@pytest.fixture
def write(tmp_path):
    def to_file(model, name="model.tflite"):
        (tmp_path / name).write_bytes(tiny_models.to_bytes(model))
        return tmp_path / name

    return to_file


@pytest.fixture(scope="module", autouse=True)
def installed():
    assert vela.is_available(), "pip install '.[ethos-u]'"


@pytest.mark.parametrize("accelerator", ["ethos-u55-128", "ethos-u65-256", "ethos-u85-256"])
def test_zeros_are_compressed_to_a_fifth(accelerator, write, tmp_path):
    results = {
        density: vela.compile_file(
            write(conv_and_fully_connected(density), f"d{density}.tflite"), folder=tmp_path, accelerator=accelerator
        )
        for density in (1.0, 0.125)
    }
    dense, pruned = results[1.0], results[0.125]
    assert dense.original_weight_bytes == pruned.original_weight_bytes == 64 * (288 + 4096)
    assert pruned.encoded_weight_bytes * 5 <= dense.encoded_weight_bytes
    assert pruned.flash_bytes + pruned.dram_bytes < dense.flash_bytes + dense.dram_bytes
    assert pruned.estimated_cycles < dense.estimated_cycles
    assert pruned.inferences_per_second > dense.inferences_per_second > 0
    for result in results.values():
        assert result.accelerator == accelerator
        assert result.system_config.upper().startswith(accelerator.upper().replace("-", "_")[:9])
        assert result.left_to_cpu == ()
        stored = result.encoded_weight_bytes
        assert stored < result.flash_bytes + result.dram_bytes < stored + 20_000
        model = serde.read(result.path)
        assert [code.customCode for code in model.operatorCodes] == [b"ethos-u"]


def test_memory_of_the_default_system(write, tmp_path):
    """Ethos-U55: weights in flash, all activations in SRAM (here both of 8 x 8 x 32 and 8 x 8 x 64 at once)."""
    found = vela.compile_file(write(conv_and_fully_connected(0.125)), folder=tmp_path)
    assert found.path == tmp_path / "model_vela.tflite"
    assert found.dram_bytes == 0
    assert 8 * 8 * (32 + 64) <= found.sram_bytes < 100_000


def test_vectors_may_be_shared(write, tmp_path):
    path = write(conv_and_fully_connected(0.125))
    canonical = tmp_path / "canonical.tflite"
    assert serde.write(serde.read(path), canonical) < path.stat().st_size
    plain, shared = (vela.compile_file(each, folder=tmp_path) for each in (path, canonical))
    assert shared.encoded_weight_bytes == plain.encoded_weight_bytes
    assert shared.estimated_cycles == plain.estimated_cycles


def test_operators_that_the_npu_does_not_run_are_reported(write, tmp_path):
    found = vela.compile_file(write(tiny_models.gather()), folder=tmp_path)
    assert found.left_to_cpu == ("GATHER 'y': Unsupported opType",)
    assert (found.encoded_weight_bytes, found.estimated_cycles, found.inferences_per_second) == (0, 0, None)
    (why,) = vela.compile_file(write(tiny_models.conv2d(dtype="float32")), folder=tmp_path).left_to_cpu
    assert why == "CONV_2D 'y0': Operation has tensor with unsupported DataType Float32 (x)"


# What goes wrong


def test_an_invalid_file(tmp_path):
    path = tmp_path / "bad.tflite"
    path.write_bytes(np.arange(100, dtype=np.uint8).tobytes())
    with pytest.raises(ExecutionError, match=r"Vela refuses .*bad\.tflite: RuntimeError: Compilation failed") as caught:
        vela.compile_file(path, folder=tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(ExecutionError, match=r"gone\.tflite: FileNotFoundError"):
        vela.compile_file(tmp_path / "gone.tflite", folder=tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def test_an_unknown_accelerator(write, tmp_path):
    with pytest.raises(ExecutionError, match="invalid choice: 'ethos-u99'"):
        vela.compile_file(write(tiny_models.conv2d()), folder=tmp_path, accelerator="ethos-u99")


def test_a_compilation_that_does_not_end(write, tmp_path):
    with pytest.raises(ExecutionError, match=r"did not finish .* within 0 s"):
        vela.compile_file(write(tiny_models.conv2d()), folder=tmp_path, timeout_seconds=0)


@pytest.mark.parametrize("change", ["sram_memory_used", "rows", "number"])
def test_a_summary_that_is_not_as_expected(change, write, tmp_path, monkeypatch):
    """Another version of Vela might write it."""

    def summary(path, scratch):
        found = real(path, scratch)
        if change == "number":
            return {**found, "cycles_total": "many"}
        if change == "rows":
            (file,) = scratch.glob("*.csv")
            file.write_text(file.read_text() + file.read_text().splitlines()[1] + "\n")
            return real(path, scratch)
        del found[change]
        return found

    real = vela._summary
    monkeypatch.setattr(vela, "_summary", summary)
    with pytest.raises(ExecutionError, match=r"summary of .* (is not as expected|has 2 rows)"):
        vela.compile_file(write(tiny_models.conv2d()), folder=tmp_path)


def test_without_the_package(write, tmp_path, monkeypatch):
    monkeypatch.setattr(vela, "is_available", lambda: False)
    with pytest.raises(ExecutionError, match=re.escape(extras.install_command("ethos-u"))):
        vela.compile_file(write(tiny_models.conv2d()), folder=tmp_path)
