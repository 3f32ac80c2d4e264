"""Test what a file tells of its inputs and outputs."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import tiny_models
from helpers.tiny_models import INPUT_SCALE, INPUT_ZERO_POINT, fully_connected
from tflite_sparse.flatbuffer import metadata
from tflite_sparse.measurement import contract


def behind(builtin, shape=(1, 10), then=()):
    """A model whose output comes from an operator, and from others that follow it."""
    tiny = tiny_models.Tiny()
    x = last = tiny.tensor("x", shape, "float32")
    for code in (builtin, *then):
        made = tiny.tensor(f"t{last}", shape, "float32")
        tiny.operator(code, 1, [last], [made])
        last = made
    return tiny.finished([x], [last])


def test_types_shapes_and_quantisation():
    found = contract.of_model(tiny_models.conv2d())
    (x,), (y,) = found.inputs, found.outputs
    assert (x.index, x.name, x.shape, x.dtype) == (0, "in_0", (1, 8, 8, 64), "int8")
    assert x.scale == pytest.approx(INPUT_SCALE)
    assert x.zero_point == INPUT_ZERO_POINT
    assert x.representable.low == pytest.approx(INPUT_SCALE * (-128 - INPUT_ZERO_POINT))
    assert x.representable.high == pytest.approx(INPUT_SCALE * (127 - INPUT_ZERO_POINT))
    assert (x.data, x.meaning, y.meaning) == (None, "numbers", "numbers")
    assert found.signature == "serving_default"


def test_float_is_not_quantised():
    (x,) = contract.of_model(behind(schema.BuiltinOperator.RELU)).inputs
    assert (x.scale, x.zero_point, x.representable) == (None, None, None)


def test_places_in_the_signature_may_differ_from_indices():
    model = fully_connected((4, 16), readers=2)
    model.signatureDefs[0].outputs.reverse()
    found = contract.of_model(model)
    assert [(each.index, each.place, each.name) for each in found.outputs] == [(0, 1, "out_0"), (1, 0, "out_1")]


def test_without_a_signature_tensors_give_the_names():
    model = behind(schema.BuiltinOperator.RELU)
    model.signatureDefs = []
    found = contract.of_model(model)
    assert (found.signature, found.inputs[0].name) == (None, "x")


OPERATORS = schema.BuiltinOperator


@pytest.mark.parametrize(
    ("model", "meaning"),
    [
        (behind(OPERATORS.SOFTMAX), "probabilities of classes, 0..1"),
        (behind(OPERATORS.SOFTMAX, then=[OPERATORS.RESHAPE, OPERATORS.DEQUANTIZE]), "probabilities of classes, 0..1"),
        (behind(OPERATORS.LOGISTIC), "probabilities of yes, 0..1"),
        (behind(OPERATORS.SOFTMAX, then=[OPERATORS.RELU]), "scores of classes, the largest is the answer"),
    ],
)
def test_the_last_operator_tells_what_an_output_holds(model, meaning):
    assert contract.of_model(model, labels=tuple("0123456789")).outputs[0].meaning == meaning


def test_the_data_tell_ranges_and_what_they_are():
    data = np.linspace(0, 1, 640).reshape(1, 8, 8, 10)
    (x,) = contract.of_model(tiny_models.conv2d(), data, pixels="0..1").inputs
    assert (x.data.low, x.data.high, x.meaning) == (0, 1, "pixels, 0..1")


def test_the_file_tells_what_was_written_into_it():
    model = behind(OPERATORS.SOFTMAX, (1, 2))
    metadata.put(model, metadata.LABELS, b"cat\ndog")
    metadata.put(model, metadata.INPUT_RANGE, np.array([-1, 1], "<f4").tobytes())
    found = contract.of_model(model)
    assert found.labels == ["cat", "dog"]
    assert (found.inputs[0].data.low, found.inputs[0].data.high) == (-1, 1)


@pytest.mark.parametrize("stored", [b"", b"123"])
def test_damaged_ranges_are_not_told(stored):
    model = tiny_models.conv2d()
    metadata.put(model, metadata.INPUT_RANGE, stored)
    assert contract.of_model(model).inputs[0].data is None


def test_labels_of_another_number_are_not_told():
    assert contract.of_model(behind(OPERATORS.SOFTMAX), labels=("cat", "dog")).labels == []
