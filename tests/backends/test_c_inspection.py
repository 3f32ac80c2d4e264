"""Test whether C can be made of a file, as ``inspect`` tells it."""

from pathlib import Path

import pytest

from helpers import tiny_models
from helpers.int8_nets import Net
from tflite_sparse.backends import c_inspection, standalone_c
from tflite_sparse.backends.protocol import InspectedFile
from tflite_sparse.flatbuffer import serde
from tflite_sparse.measurement import contract
from tflite_sparse.planning import encoder
from tflite_sparse.targets import litert, sparse_micro


def inspected(model):
    found = c_inspection.inspect(InspectedFile(Path("m.tflite"), model, 0, None))
    (answer,) = found.answers
    return answer.loads, answer.reason, found.takes_file


def model_of(dtype="int8"):
    return serde.parse(tiny_models.to_bytes(tiny_models.fully_connected((64, 640), dtype=dtype)))


def test_an_int8_file_becomes_calls():
    assert inspected(model_of()) == (True, "as one call of a function", True)


def test_calls_are_those_that_are_made():
    """A pool that is joined with its convolution has none of its own."""
    model = serde.parse(tiny_models.to_bytes(Net((12, 12, 1)).conv(8, (3, 3)).max_pool().dense(10).finished()))
    assert inspected(model) == (True, "as 2 calls of functions", True)


def test_weights_of_the_sparse_kernels_too():
    model = model_of()
    encoder.encode_model(model, sparse_micro.SparseMicro("cortex-m4", "size"))
    assert inspected(model) == (True, "as one call of a function", True)


def test_a_file_that_is_sparse_for_litert_is_decoded_first():
    model = model_of()
    encoder.encode_model(model, litert.answer)
    loads, reason, takes_file = inspected(model)
    assert (loads, takes_file) == (False, True)
    assert reason.startswith("its weights are sparse for LiteRT: encode with `target='c'`, or decode")


def test_float_files_are_refused():
    loads, reason, takes_file = inspected(model_of("float32"))
    assert (loads, takes_file) == (False, False)
    assert "float" in reason


def test_the_inspected_model_is_not_changed():
    model = model_of()
    encoder.encode_model(model, litert.answer)
    before = serde.serialize(model)
    inspected(model)
    assert serde.serialize(model) == before


@pytest.mark.parametrize(
    ("made", "header"),
    [((), "net.h"), (("model",), "model.h"), (("model", "net"), "net.h"), (("model", "other"), "net.h")],
)
def test_code_calls_the_c_files_that_lie_beside_the_file(made, header, tmp_path):
    for name in made:
        for suffix in (".h", ".c"):
            (tmp_path / f"{name}{suffix}").write_text("/* A neural network in C99, made by tflite-sparse from x. */\n")
    (tmp_path / "mine.h").write_text("#include <stdint.h>\n")
    (tmp_path / "mine.c").write_text("int mine;\n")
    model = model_of()
    file = InspectedFile(tmp_path / "net.tflite", model, 0, None)
    (code,) = standalone_c.BACKEND.snippets(file, contract.of_model(model)).values()
    assert f'#include "{header}"' in code
