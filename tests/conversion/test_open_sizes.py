"""Convert networks for inputs of any size: open if that works, else with the sizes of the data, else with advice."""

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from tflite_sparse.conversion import convert, open_sizes
from tflite_sparse.conversion.traces import traces
from tflite_sparse.errors import ConversionError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.sources import keras_model, tensorflow_import
from tflite_sparse.sources.source_model import AS_IT_IS, InputSpec

X = np.random.default_rng(0).normal(size=(4, 10, 6, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def source():
    """Keras 3 cannot trace a bilinear UpSampling2D of open sizes."""
    layers = tensorflow_import.keras3().layers
    inputs = layers.Input((None, None, 2), name="image")
    doubled = layers.UpSampling2D(2, interpolation="bilinear")(inputs)
    model = tensorflow_import.keras3().Model(inputs, layers.Conv2D(1, 3)(doubled), name="upscaler")
    return keras_model.from_memory(model)


def test_sizes_of_the_data(source, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(convert.to_float32(source, like=X))
    interpreter = Interpreter(str(path))
    (given,), (yielded,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert given["shape_signature"].tolist() == [-1, 10, 6, 2]
    interpreter.resize_tensor_input(given["index"], X.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], X)
    interpreter.invoke()
    (expected,) = source.compute(X).values()
    np.testing.assert_allclose(interpreter.get_tensor(yielded["index"]), expected, atol=1e-4)
    told = open_sizes.fixed_in(source, serde.read(path))
    assert told is not None
    assert "'image' of any height and width" in told


def test_without_data_the_dimensions_are_named(source):
    words = (
        r"^upscaler cannot be traced for conversion: [^\x1b]* Its input 'image' is of any height and width: give "
        r"`data`, whose sizes are taken, or fix them: keras\.Input\(\(224, 224, 2\)\)\.$"
    )
    with pytest.raises(ConversionError, match=words):
        convert.to_float32(source)


def test_open_sizes_are_tried_first(source):
    forms = traces(source, X, "auto", int8=True)
    assert forms[0] == AS_IT_IS
    assert [form.shapes for form in forms[1:]] == [{"image": (None, 10, 6, 2)}]
    fixed = traces(source, X, "auto", int8=True, fixed_batch=True)
    assert [form.shapes for form in fixed] == [{"image": (1, None, None, 2)}, {"image": (1, 10, 6, 2)}]
    assert traces(source, None, "auto", int8=False) == [AS_IT_IS]


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((None, None, None, None, 3), "depth and height and width"),
        ((None, None, 8), "length"),
        ((None, 8, None), "number of channels"),
        ((None, None), "number of channels"),
        ((None, None, 2, 2, 2, 2), "size of axis 1"),
    ],
)
def test_in_words(shape, words):
    assert open_sizes.in_words(InputSpec("x", shape, np.dtype(np.float32))) == words
