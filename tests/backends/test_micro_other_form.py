"""The other form of the same weights in a report of a microcontroller."""

import pytest

from helpers import tiny_models
from tflite_sparse.backends import micro_kernels
from tflite_sparse.codecs.streams.names import SPARSE, TFLM
from tflite_sparse.planning.encoder import encode_file
from tflite_sparse.targets.micro import Micro
from tflite_sparse.targets.sparse_micro import SparseMicro

TARGETS = {TFLM: Micro("prune", 0), SPARSE: SparseMicro()}


@pytest.mark.parametrize(
    ("dtype", "kernels", "other"),
    [("int8", TFLM, SPARSE), ("int8", SPARSE, TFLM), ("float32", SPARSE, TFLM), ("float32", TFLM, None)],
)
def test_the_other_form_is_made_where_it_differs(dtype, kernels, other, tmp_path, monkeypatch):
    monkeypatch.setattr(micro_kernels.micro, "is_available", lambda: False)  # arenas are measured elsewhere
    dense, encoded = tmp_path / "dense.tflite", tmp_path / "encoded.tflite"
    dense.write_bytes(tiny_models.to_bytes(tiny_models.fully_connected((64, 600), dtype=dtype)))
    encode_file(dense, encoded, TARGETS[kernels])
    found = micro_kernels.report(encoded, dense, "cortex-m4", kernels, TARGETS[SPARSE if kernels == TFLM else TFLM])
    assert (found.other is None) == (other is None)
    if found.other is not None:
        assert found.other.kernels == other
        assert found.other.file_bytes < dense.stat().st_size
