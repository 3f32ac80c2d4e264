"""Test that inputs and outputs have the order of the model, and that the report tells their indices."""

import itertools

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

import tflite_sparse
from tflite_sparse.flatbuffer import serde, signature
from tflite_sparse.report.text import io_order as words
from tflite_sparse.rewrites import io_order
from tflite_sparse.sources import keras_model, tensorflow_import

OUTPUTS = tuple("zambycxdwevf")
X = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    """Return twelve outputs of one shape, which the converter lists in another order."""
    keras = tensorflow_import.keras3()
    keras.utils.set_random_seed(0)
    inputs = [keras.layers.Input((4,), name="second"), keras.layers.Input((4,), name="in")]
    added = keras.layers.Subtract()(inputs)
    return keras.Model(inputs, [keras.layers.Dense(3, name=name)(added) for name in OUTPUTS])


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    data = {"second": X, "arg_in": np.zeros_like(X)}  # a keyword of Python is no name of an argument
    return out, tflite_sparse.export(model, data, int8=True, out=out, max_accuracy_drop=1)


def by_index(path):
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    for details, value in zip(interpreter.get_input_details(), (X[:1], np.zeros_like(X[:1])), strict=True):
        scale, zero_point = details["quantization"]
        if scale:
            value = np.clip(np.round(value / scale) + zero_point, -128, 127).astype(np.int8)
        interpreter.set_tensor(details["index"], value)
    interpreter.invoke()
    found = []
    for details in interpreter.get_output_details():
        scale, zero_point = details["quantization"]
        value = interpreter.get_tensor(details["index"])
        found.append((value.astype(np.float32) - zero_point) * scale if scale else value)
    return found


@pytest.mark.parametrize(("file", "error"), [("dense-float32", 1e-5), ("dense-int8", 0.15), ("model", 0.15)])
def test_index_is_that_of_the_model(file, error, exported, model):
    expected = [output.numpy() for output in model([X[:1], np.zeros_like(X[:1])])]
    distances = [np.abs(a - b).max() for a, b in zip(by_index(exported[0] / f"{file}.tflite"), expected, strict=True)]
    assert max(distances) < error
    assert min(np.abs(a - b).max() for a, b in itertools.pairwise(expected)) > error  # no two are alike


def test_the_report_shows_both_orders(exported):
    order = exported[1].io_order
    assert order.file_outputs == order.model_outputs == OUTPUTS
    assert order.file_inputs == order.model_inputs == ("second", "arg_in")
    assert words.lines(order) == [
        "Inputs by index, in the model's order: 0 second, 1 arg_in.",
        "Outputs by index, in the model's order: 0 z, 1 a, 2 m, 3 b, 4 y, 5 c, 6 x, 7 d, 8 w, 9 e, 10 v, 11 f.",
    ]
    other = order.model_copy(update={"file_outputs": ("a", "z"), "model_outputs": ("z", "a"), "file_inputs": ("x",)})
    assert words.lines(other) == ["WARNING: outputs by index: 0 a, 1 z; the model has them in the order z, a."]


def test_other_names_leave_the_order_as_it_is(exported):
    model = serde.read(exported[0] / "dense-float32.tflite")
    before = signature.names_in(model)
    assert not io_order.restore(model, before.inputs, before.outputs)
    assert not io_order.restore(model, before.inputs[:1], (*before.outputs[1:], "another"))
    assert signature.names_in(model) == before
    assert io_order.restore(model, before.inputs[::-1], before.outputs[::-1])
    back = serde.parse(serde.serialize(model))
    assert signature.names_in(back) == signature.Names(before.inputs[::-1], before.outputs[::-1])


def test_numbered_outputs_of_a_saved_model(tmp_path):
    keras = tensorflow_import.keras3()
    inputs = keras.layers.Input((4,))
    model = keras.Model(inputs, [keras.layers.Dense(3)(inputs) for _ in range(11)])
    model.export(tmp_path / "model", verbose=False)
    source = keras_model.open_model(tmp_path / "model")
    assert [spec.name for spec in source.outputs()] == [f"output_{number}" for number in range(11)]
