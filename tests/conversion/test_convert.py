"""Convert tiny Keras models to files that compute the same."""

import numpy as np
import pytest

from tflite_sparse.conversion import convert
from tflite_sparse.errors import ConversionError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs
from tflite_sparse.runtime import litert
from tflite_sparse.sources import keras_model, tensorflow_import
from tflite_sparse.verification.weights import weights_of

COUNT = 40


@pytest.fixture(scope="module", params=["keras3", "keras2"])
def keras(request):
    return getattr(tensorflow_import, request.param)()


@pytest.fixture(scope="module")
def model(keras):
    keras.utils.set_random_seed(4)
    layers = keras.layers
    x = layers.Input((6, 6, 2))
    y = layers.Conv2D(4, 3, activation="relu")(x)
    y = layers.BatchNormalization()(y)
    y = layers.Dense(3)(layers.Flatten()(y))
    return keras.Model(x, y, name="tiny")


@pytest.fixture(scope="module")
def samples():
    return np.random.default_rng(0).uniform(-1, 1, (COUNT, 6, 6, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def expected(model, samples):
    return model.predict(samples, verbose=0)


@pytest.fixture
def write(tmp_path):
    def to_file(content):
        (tmp_path / "model.tflite").write_bytes(content)
        return tmp_path / "model.tflite"

    return to_file


def test_float32(model, samples, expected, write):
    path = write(convert.to_float32(keras_model.from_memory(model)))
    (found,) = litert.inputs(path)
    assert (found.signature, found.dtype) == ((-1, 6, 6, 2), np.float32)
    outputs = litert.run(path, samples)
    np.testing.assert_allclose(outputs.arrays[0], expected, atol=1e-5)
    assert {values.dtype for values in weights_of(serde.read(path)).values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("io", ["int8", "float32"])
def test_int8(io, model, samples, expected, write):
    seen = []
    source = keras_model.from_memory(model)
    path = write(convert.to_int8(source, samples, io, on_step=lambda *step: seen.append(step)))
    (found,) = litert.inputs(path)
    assert found.dtype == io
    outputs = litert.run(path, samples)
    assert outputs.arrays[0].dtype == io
    assert (outputs.scales[0] > 0) == (io == "int8")
    assert np.abs(outputs.real() - expected).max() < 0.05 * np.ptp(expected)
    assert np.corrcoef(outputs.real().ravel(), expected.ravel())[0, 1] > 0.995
    assert {values.dtype for values in weights_of(serde.read(path)).values()} == {np.dtype(np.int8)}
    assert seen == [(done, COUNT) for done in range(1, COUNT + 1)]


@pytest.mark.parametrize("calibration", ["min-max", "mse"])
def test_the_float32_file_that_was_quantised_is_the_one_that_is_converted(calibration, model, samples, tmp_path):
    source, quantised, converted = keras_model.from_memory(model), tmp_path / "quantised", tmp_path / "converted"
    convert.to_int8(source, samples, "int8", calibration=calibration, float32=quantised)
    converted.write_bytes(convert.to_float32(source, as_int8=True))
    (found,), (wanted,) = (list(graphs(serde.read(path))) for path in (quantised, converted))
    assert list(map(found.operator_name, found.operators)) == list(map(wanted.operator_name, wanted.operators))
    names = [[tensor.name for tensor in graph.subgraph.tensors] for graph in (found, wanted)]
    assert names[0] == names[1]
    constants = [(found.constant(index), wanted.constant(index)) for index in range(len(names[0]))]
    assert sum(one is not None for one, _ in constants) >= 4
    for one, other in constants:
        np.testing.assert_array_equal(one, other)
    outputs = [litert.run(path, samples).arrays[0] for path in (quantised, converted)]
    np.testing.assert_array_equal(*outputs)


def test_int8_weights_are_per_channel_and_keep_zeros(keras, samples, write):
    keras.utils.set_random_seed(5)
    layers = keras.layers
    model = keras.Sequential([layers.Input((6, 6, 2)), layers.Conv2D(8, 3), layers.Flatten(), layers.Dense(3)])
    kernel, bias = model.layers[0].get_weights()
    zeros = np.random.default_rng(1).random(kernel.shape) < 0.6
    kernel[zeros] = 0
    kernel *= 4.0 ** np.arange(-4, 4)  # channels of very different ranges
    model.layers[0].set_weights([kernel, bias])
    content = convert.to_int8(keras_model.from_memory(model), samples, "int8")
    weights = weights_of(serde.parse(content))
    (found,) = (values for values in weights.values() if values.shape == (8, 3, 3, 2))
    assert (found[zeros.transpose(3, 0, 1, 2)] == 0).all()
    assert (np.abs(found.reshape(8, -1)).max(1) == 127).all()


def test_several_outputs(keras, write):
    keras.utils.set_random_seed(6)
    layers = keras.layers
    x = layers.Input((5,))
    model = keras.Model(x, [layers.Dense(2, name="z_first")(x), layers.Dense(3, name="a_second")(x)])
    path = write(convert.to_float32(keras_model.from_memory(model)))
    values = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    wanted = {array.shape: array for array in model.predict(values, verbose=0)}
    for kernels in litert.ALL_KERNELS:
        found = litert.run(path, values, kernels).arrays
        assert {array.shape for array in found} == set(wanted)
        for array in found:
            np.testing.assert_allclose(array, wanted[array.shape], atol=1e-5)


def test_the_model_is_left_as_it_was(model, samples):
    before = [weight.copy() for weight in model.get_weights()]
    convert.to_float32(keras_model.from_memory(model))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_nothing_is_left_behind(model, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    convert.to_float32(keras_model.from_memory(model))
    assert list(tmp_path.iterdir()) == []


def test_operator_without_int8_kernel(keras):
    """The message is the converter's in one line, with advice."""
    tf = tensorflow_import.tensorflow()

    class Erf(keras.layers.Layer):
        def call(self, inputs):
            return tf.math.erfinv(inputs)

    x = keras.layers.Input((4,))
    source = keras_model.from_memory(keras.Model(x, Erf()(x), name="with_erfinv"))
    values = np.random.default_rng(0).uniform(-0.9, 0.9, (5, 4)).astype(np.float32)
    with pytest.raises(ConversionError, match="with_erfinv") as caught:
        convert.to_int8(source, values, "int8")
    assert "\n" not in str(caught.value)
    assert "Try without `int8`" in str(caught.value)


def test_model_that_cannot_be_traced(keras):
    class Fails(keras.layers.Layer):
        armed = False

        def call(self, inputs):
            if self.armed:
                raise ValueError("not twice")
            return inputs + 1

    layer = Fails()
    x = keras.layers.Input((4,))
    source = keras_model.from_memory(keras.Model(x, layer(x), name="moody"))
    layer.armed = True
    with pytest.raises(ConversionError, match=r"moody cannot be traced for conversion: .*not twice") as caught:
        convert.to_float32(source)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_fixed_batch_takes_one_sample_and_computes_the_same(precision, model, samples, expected, tmp_path):
    source = keras_model.from_memory(model)
    signatures = {}
    for fixed in (False, True):
        path = tmp_path / f"{fixed}.tflite"
        path.write_bytes(
            convert.to_float32(source, fixed_batch=fixed)
            if precision == "float32"
            else convert.to_int8(source, samples, "float32", fixed_batch=fixed)
        )
        (signatures[fixed],) = [each.signature for each in litert.inputs(path)]
        found = litert.run(path, samples).real()
        np.testing.assert_allclose(found, expected, atol=1e-5 if precision == "float32" else 0.1)
    assert signatures == {False: (-1, 6, 6, 2), True: (1, 6, 6, 2)}
