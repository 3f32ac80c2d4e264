"""TensorFlow Lite Micro in the comparison of two files: its memories, decoded files, and where it is not installed."""

import numpy as np
import pytest

from helpers import tiny_models
from tflite_sparse.backends import in_micro
from tflite_sparse.backends.in_micro import MISSING, MicroRuntime, MicroRuntimes
from tflite_sparse.base.progress import Silent
from tflite_sparse.errors import ExecutionError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.planning.encoder import encode_file
from tflite_sparse.runtime import announced_shapes, litert, micro
from tflite_sparse.targets.micro import Micro
from tflite_sparse.verification.weights import weights_of


@pytest.fixture
def dense(tmp_path, monkeypatch):
    monkeypatch.setattr(announced_shapes, "refusal", lambda path: None)
    path = tmp_path / "dense.tflite"
    path.write_bytes(tiny_models.to_bytes(tiny_models.conv2d()))
    return path


@pytest.fixture
def encoded(dense):
    path = dense.with_name("encoded.tflite")
    encode_file(dense, path, Micro("prune", 0))
    return path


def test_a_file_without_decode_is_taken_as_it_is(dense, tmp_path):
    found = MicroRuntimes().open(dense, tmp_path / "none")
    assert (found.path, found.plain) == (dense, dense)
    (form,) = MicroRuntimes().forms(found)
    assert (form.runtime, form.reference) == (MicroRuntime(0, "nothing decoded"), MicroRuntime())
    assert form.gate
    assert form.required


def test_an_encoded_file_is_decoded_for_litert_and_run_in_each_memory(dense, encoded, tmp_path):
    found = MicroRuntimes().open(encoded, tmp_path)
    assert found.path == encoded
    assert found.plain.parent == tmp_path
    for model in (found.model, serde.read(found.plain)):
        (one,), (two,) = weights_of(model).values(), weights_of(serde.read(dense)).values()
        np.testing.assert_array_equal(one, two)
    weight_bytes = next(iter(weights_of(found.model).values())).nbytes
    forms = MicroRuntimes().forms(found)
    assert [form.runtime.alternate_memory_bytes for form in forms] == [0, -(-weight_bytes // 16) * 16]
    assert [form.runtime.name for form in forms] == [
        "TensorFlow Lite Micro, weights decoded into the arena",
        "TensorFlow Lite Micro, into a memory of their own",
    ]
    assert {form.reference for form in forms} == {MicroRuntime()}


@pytest.mark.parametrize(("sizes", "expected"), [([], 0), ([[16]], 16), ([[1, 17], [40]], 48), ([[1], [17, 1]], 48)])
def test_the_memory_has_room_for_all_that_one_operator_reads(sizes, expected):
    assert in_micro.alternate_bytes(sizes) == expected


def test_untrue_shapes_are_refused_unless_they_were_looked_at_before(encoded, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(announced_shapes, "refusal", lambda path: seen.append(path) or "its shapes are not true")
    with pytest.raises(ExecutionError, match=r"encoded\.tflite is not for TensorFlow Lite Micro: its shapes"):
        MicroRuntimes().open(encoded, tmp_path)
    assert seen == [tmp_path / "decoded.tflite"]
    MicroRuntimes(check_shapes=False).open(encoded, tmp_path)
    assert len(seen) == 1


def test_nothing_is_run_where_it_is_not_installed(dense, tmp_path, monkeypatch):
    found = MicroRuntimes().open(dense, tmp_path)
    for installed in (True, False):
        monkeypatch.setattr(micro, "is_available", lambda installed=installed: installed)
        assert MicroRuntimes().unavailable == (None if installed else MISSING)
        assert list(MicroRuntimes().signatures(found)) == [None] * installed


def test_the_reference_is_compared_with_the_reference_kernels_first():
    (beside,) = MicroRuntimes().beside
    assert (beside.runtime, beside.gate, beside.name) == (MicroRuntime(), True, "LiteRT")
    assert [each.name for each in beside.others] == [
        litert.NAMES[kernels] for kernels in ("reference", "builtin", "default")
    ]


def test_a_run_has_the_memory_of_its_form(monkeypatch, dense):
    runs = []
    monkeypatch.setattr(micro, "run_separately", lambda *arguments, **options: runs.append((*arguments, options)))
    MicroRuntime(48).run(dense, [])
    assert runs == [(dense, [], {"alternate_memory_bytes": 48})]
    (detail,) = MicroRuntimes().inputs(
        MicroRuntimes().open(dense, dense.parent), None, find_sizes=True, progress=Silent()
    )
    assert detail.signature == (1, 8, 8, 64)
