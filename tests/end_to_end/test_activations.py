"""``--activations``: int8 weights with int16 or float computation, sparse and exact."""

import numpy as np
import pytest

import tflite_sparse
from tflite_sparse.evaluation import exactness
from tflite_sparse.flatbuffer import serde
from tflite_sparse.runtime import litert


@pytest.mark.parametrize(("activations", "io"), [("int16", None), ("int16", "float32"), ("float32", None)])
def test_sparse_equals_dense(activations, io, model3, digits, tmp_path):
    report = tflite_sparse.export(
        model3, digits, sparsity=0.85, int8=True, activations=activations, io=io, max_accuracy_drop=1, out=tmp_path
    )
    assert report.verification.weights_bit_exact
    assert report.verification.outputs_bit_exact
    assert report.models.sparse_int8.file_bytes < report.models.dense_int8.file_bytes
    assert abs(report.models.sparse_int8.accuracy - report.models.dense_int8.accuracy) == 0
    path = tmp_path / report.models.sparse_int8.path
    (given,) = litert.inputs(path)
    assert given.dtype == (io or activations)
    large = [w for w in exactness.weights_of(serde.read(path)).values() if w.size >= 512]
    assert {weights.dtype for weights in large} == {np.dtype(np.int8)}


def test_float_activations_need_no_data(model3, tmp_path):
    report = tflite_sparse.export(model3, sparsity=0.85, int8=True, activations="float32", out=tmp_path)
    assert report.gates.passed
    assert report.models.sparse_int8.file_bytes < report.models.dense_float32.file_bytes / 4
