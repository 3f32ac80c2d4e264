"""Test bytes on disk, bytes of a download, and zeros."""

import gzip
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from zlib_ng import gzip_ng

from helpers import tiny_models
from tflite_sparse.errors import FlatbufferError
from tflite_sparse.measurement import size

HEADER_SLACK = 16


@given(st.binary(max_size=3000) | st.builds(bytes, st.integers(0, 5000)))
def test_gzip_bytes_of_small_files(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_bytes(content)
        assert abs(size.gzip_bytes(path) - len(gzip_ng.compress(content, 9))) <= HEADER_SLACK


@pytest.mark.slow
@pytest.mark.parametrize("count", [1 << 20, (1 << 20) + 1, 2_500_000])
def test_gzip_bytes_of_files_read_in_parts(count, tmp_path):
    generator = np.random.default_rng(0)
    content = (generator.integers(0, 256, count) * (generator.random(count) < 0.1)).astype(np.uint8).tobytes()
    path = tmp_path / "x"
    path.write_bytes(content)
    expected = len(gzip_ng.compress(content, 9))
    assert expected > 50_000
    assert abs(size.gzip_bytes(path) - expected) <= HEADER_SLACK


def test_measure(tmp_path):
    """Rank 2 or more counts; the bias, 64 zeros here, does not."""
    model = tiny_models.fully_connected((64, 600), density=0.25)
    bias = next(tensor for tensor in model.subgraphs[0].tensors if tensor.name == "bias")
    model.buffers[bias.buffer].data = np.zeros(64 * 4, np.uint8)
    path = tmp_path / "m.tflite"
    path.write_bytes(tiny_models.to_bytes(model))
    found = size.measure(path)
    assert found.file_bytes == path.stat().st_size
    assert found.gzip_bytes == pytest.approx(len(gzip.compress(path.read_bytes(), 9)), rel=0.02)
    assert found.sparsity == 0.75


def test_negative_zero_is_a_zero(tmp_path):
    weights = np.array([[0.0, -0.0, 1.0], [2.0, 3.0, 4.0]], np.float32)
    path = tmp_path / "m.tflite"
    path.write_bytes(tiny_models.to_bytes(tiny_models.fully_connected((2, 3), dtype="float32", weights=weights)))
    assert size.measure(path).sparsity == pytest.approx(1 / 3)


def test_sparsity_is_the_same_after_encoding(encode):
    pair = encode(tiny_models.fully_connected((64, 600)))
    dense, sparse = size.measure(pair.dense), size.measure(pair.sparse)
    assert dense.sparsity == sparse.sparsity == 0.875
    assert sparse.file_bytes < dense.file_bytes


def test_a_model_without_weights(tmp_path):
    tiny = tiny_models.Tiny()
    x, y, z = (tiny.tensor(name, (1, 4), "float32") for name in "xyz")
    tiny.operator(tiny_models.schema.BuiltinOperator.ADD, 1, [x, y], [z])
    path = tmp_path / "m.tflite"
    path.write_bytes(tiny_models.to_bytes(tiny.finished([x, y], [z])))
    assert size.measure(path).sparsity == 0


def test_garbage(tmp_path):
    (tmp_path / "x").write_bytes(b"garbage" * 10)
    with pytest.raises(FlatbufferError, match="x"):
        size.measure(tmp_path / "x")
