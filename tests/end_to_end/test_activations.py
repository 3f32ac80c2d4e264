"""Test ``--activations``: int8 weights with int16 or float computation, sparse and exact."""

import numpy as np
import pytest

import tflite_sparse
from tflite_sparse.flatbuffer import serde
from tflite_sparse.runtime import litert
from tflite_sparse.verification.weights import weights_of


@pytest.mark.slow
@pytest.mark.parametrize(("activations", "io"), [("int16", None), ("int16", "float32"), ("float32", None)])
def test_sparse_equals_dense(activations, io, model3, digits, tmp_path):
    report = tflite_sparse.export(
        model3,
        digits,
        sparsity=0.85,
        finetune_epochs=0,
        int8=True,
        activations=activations,
        io=io,
        max_accuracy_drop=1,
        out=tmp_path,
    )
    assert report.verification.weights_bit_exact
    assert report.verification.outputs_bit_exact
    assert report.models.sparse_int8.file_bytes < report.models.dense_int8.file_bytes
    assert abs(report.models.sparse_int8.accuracy - report.models.dense_int8.accuracy) == 0
    path = tmp_path / report.models.sparse_int8.path
    (given,) = litert.inputs(path)
    assert given.dtype == (io or activations)
    large = [w for w in weights_of(serde.read(path)).values() if w.size >= 512]
    assert {weights.dtype for weights in large} == {np.dtype(np.int8)}


def test_float_activations_need_no_data(model3, tmp_path):
    report = tflite_sparse.export(model3, sparsity=0.85, int8=True, activations="float32", out=tmp_path)
    assert report.gates.passed
    assert report.models.sparse_int8.file_bytes < report.models.dense_float32.file_bytes / 4


@pytest.mark.slow
def test_the_ways_out_are_measured_when_the_gate_fails(uneven3, digits, tmp_path):
    report = tflite_sparse.export(uneven3, digits, int8=True, alternatives="all", out=tmp_path)
    assert not report.gates.passed
    by_option = {each.option: each for each in report.alternatives}
    calibrations = {"--calibration percentile", "--calibration mse"}
    assert set(by_option) == {"--bias-correction", *calibrations, "--activations int16", "--activations float32"}
    assert report.accuracy.drop > 0.05
    assert by_option["--activations float32"].drop < report.accuracy.drop / 2
    assert all(each.file_bytes < report.models.dense_float32.file_bytes for each in by_option.values())
    (failure,) = report.gates.failures
    assert "--activations float32 comes nearest: " in failure
    assert "Instead, --activations int16" in (tmp_path / "report.md").read_text()
