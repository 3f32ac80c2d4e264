"""What is said of files that generated C does not take, and whether TensorFlow Lite Micro does."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import odd_models, tiny_models
from helpers.int8_graphs import Int8Graph
from tflite_sparse.backends import in_c
from tflite_sparse.errors import ExecutionError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.planning import encoder
from tflite_sparse.runtime import micro, micro_refusals
from tflite_sparse.standalone_c.header import Naming
from tflite_sparse.targets import litert

IN_INT8 = "convert it in int8, inputs and outputs as well, as export --int8 does"
needs_micro = pytest.mark.skipif(not micro.is_available(), reason="tflite-micro is not installed")


def gelu():
    graph = Int8Graph((1, 8))
    out = graph._value("odd/Gelu", (1, 8))
    return graph.tiny.finished([graph.start], [graph._add_operator("GELU", [graph.start], [out], "GeluOptions")])


def filled():
    """Zeros of a size that the file works out, as recurrent layers begin with where the batch is open."""
    graph = Int8Graph((1, 8))
    size, zeros = graph._value("size", (2,), "int32"), graph._like("net/gru/zeros", (1, 8))
    graph._add_operator("SHAPE", [graph.start], [size], "ShapeOptions", outType=schema.TensorType.INT32)
    zero = graph.tiny.constant("zero", np.array(0, np.int8), graph.tiny.graph.tensors[zeros].quantization)
    graph._add_operator("FILL", [size, zero], [zeros], "FillOptions")
    return graph.tiny.finished([graph.start], [zeros])


def with_other_port(dtype):
    """An int8 graph whose output is of another type."""
    graph = Int8Graph((1, 8))
    out = graph.tiny.tensor("y", (1, 8), dtype, tiny_models.quantization(0.1))
    graph.grow("RELU")
    graph._add_operator("QUANTIZE", [graph.end], [out], "QuantizeOptions")
    return graph.finished([out])


def without_scales():
    model = odd_models.addition("int8")
    for tensor in model.subgraphs[0].tensors:
        tensor.quantization = None
    return model


def refusal(model, folder):
    path = folder / "model.tflite"
    path.write_bytes(tiny_models.to_bytes(model))
    with pytest.raises(ExecutionError) as caught:
        in_c.generated(path, Naming("model", "tflite-sparse", path.name), "generic")
    return str(caught.value).removeprefix(f"{path}: ")


@needs_micro
@pytest.mark.parametrize(
    ("model", "words"),
    [
        (odd_models.addition("int16"), f"float32 and int32 are supported; {IN_INT8}; `target='micro'` takes it."),
        (tiny_models.conv2d(dtype="float32"), f"float, int8 is supported; {IN_INT8}; `target='micro'` takes it."),
        (
            with_other_port("int16"),
            f"'y': its output is int16; int8, float32 and int32 are supported; {IN_INT8}; `target='micro'` takes it.",
        ),
        (without_scales(), "is int8 without a scale."),
        (odd_models.addition("uint8"), f"is uint8; int8, float32 and int32 are supported; {IN_INT8}."),
    ],
    ids=["int16", "float32", "int16 port", "no scale", "uint8"],
)
def test_the_other_target_is_named_where_it_takes_the_file(model, words, tmp_path):
    assert refusal(model, tmp_path).endswith(words)


def test_an_operator_that_both_lack_has_a_remedy(tmp_path):
    assert refusal(gelu(), tmp_path) == (
        "GELU of 'odd/Gelu_1': generated C does not have GELU, and TensorFlow Lite Micro lacks it as well: "
        "use relu, silu or hard_silu in place of gelu."
    )


@needs_micro
def test_sizes_that_are_left_open_have_a_remedy(tmp_path):
    assert refusal(filled(), tmp_path).endswith(f"does not have FILL; {micro_refusals.OPEN_BATCH}.")


def test_nothing_is_promised_where_it_cannot_be_tried(tmp_path, monkeypatch):
    monkeypatch.setattr(micro, "is_available", lambda: False)
    assert refusal(odd_models.addition("int16"), tmp_path).endswith(f"are supported; {IN_INT8}.")


def test_a_file_that_is_sparse_for_litert_is_named_so(tmp_path):
    parsed = serde.parse(tiny_models.to_bytes(tiny_models.fully_connected((64, 640))))
    encoder.encode_model(parsed, litert.answer)
    path = tmp_path / "sparse.tflite"
    serde.write(parsed, path)
    with pytest.raises(
        ExecutionError, match="are sparse for LiteRT: encode with `target='c'`, or decode, makes a file"
    ):
        in_c.generated(path, Naming("model", "tflite-sparse", path.name), "generic")
