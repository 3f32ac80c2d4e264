"""Read models of tfmot's quantize_model in every form; their int8 files keep the trained ranges."""

import h5py
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

import tflite_sparse
from tflite_sparse.conversion import convert
from tflite_sparse.errors import SettingsError
from tflite_sparse.sources import keras_model, optimization_wrappers, tensorflow_import

X = np.random.default_rng(0).normal(size=(200, 8, 8, 2)).astype(np.float32)
FORMS = (".keras", ".h5", "saved")


@pytest.fixture(scope="module")
def aware():
    """One training step gives it ranges, so narrow that calibration would find others."""
    keras = tensorflow_import.keras2()
    layers = keras.layers
    keras.utils.set_random_seed(0)
    plain = keras.Sequential(
        [
            layers.Input((8, 8, 2)),
            layers.Conv2D(16, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.SeparableConv2D(24, 3),
            layers.Flatten(),
            layers.Dense(4, name="dense"),
        ]
    )
    made = tensorflow_import.model_optimization().quantization.keras.quantize_model(plain)
    made.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    made.fit(X / 3, np.arange(200) % 4, batch_size=50, epochs=8, verbose=0)
    return made


@pytest.fixture(scope="module")
def files(aware, tmp_path_factory):
    folder = tmp_path_factory.mktemp("aware")
    for form in FORMS:
        path = folder / f"model{'' if form == 'saved' else form}"
        aware.save(path, **({"save_format": "tf"} if form == "saved" else {}))
    return {form: folder / f"model{'' if form == 'saved' else form}" for form in FORMS}


@pytest.mark.parametrize("form", FORMS)
def test_read_from_every_form(form, aware, files):
    source = keras_model.open_model(files[form])
    np.testing.assert_allclose(next(iter(source.compute(X).values())), aware(X).numpy(), atol=1e-5)


def test_int8_file_has_the_ranges_of_the_training(aware, tmp_path):
    """Calibration alone would find ranges three times as wide; the outputs are on the steps chosen by training."""
    expected = aware(X).numpy()
    ranges = {variable.name.partition(":")[0]: variable.numpy() for variable in aware.layers[-1].weights}
    step = (ranges["quant_dense/post_activation_max"] - ranges["quant_dense/post_activation_min"]) / 255
    float32 = tmp_path / "float32.tflite"
    converted = convert.to_int8(keras_model.from_memory(aware), X, "float32", float32=float32)
    assert not float32.exists()  # nothing was calibrated
    interpreter = Interpreter(model_content=converted)
    (given,), (yielded,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(given["index"], X.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], X)
    interpreter.invoke()
    found = interpreter.get_tensor(yielded["index"])
    np.testing.assert_allclose(found / step, np.round(found / step), atol=1e-3)
    assert np.mean(found.argmax(-1) == expected.argmax(-1)) >= 0.99
    assert np.abs(found - expected).max() < 1.01 * step


def test_kernels_belong_to_the_layers_inside(aware):
    """So depthwise kernels and the first convolution are recognised; a trainable copy has the same kernels."""
    source = keras_model.from_memory(aware)
    found = {kernel.shape: kernel.owner for kernel in source.kernels()}
    assert found == {
        (3, 3, 2, 16): "Conv2D",
        (3, 3, 16, 1): "DepthwiseConv2D",  # what tfmot makes of a separable convolution
        (1, 1, 16, 24): "Conv2D",
        (384, 4): "Dense",
    }
    copy = source.copied()
    np.testing.assert_array_equal(copy.model(X).numpy(), aware(X).numpy())


@pytest.mark.parametrize("activations", ["int16", "float32"])
def test_other_activations_are_refused(activations, aware, tmp_path):
    with pytest.raises(SettingsError, match="trained quantisation-aware, for int8 activations: leave it out"):
        tflite_sparse.export(aware, X, int8=True, activations=activations, out=tmp_path / "out")


def test_variables_that_do_not_fit_are_an_error(aware, tmp_path):
    wrapper = next(layer for layer in aware.layers if "Wrapper" in type(layer).__name__ and len(layer.weights) > 3)
    with h5py.File(tmp_path / "few.h5", "w") as store:
        store["0"] = np.zeros(3)
        with pytest.raises(ValueError, match="stored 1 variables, it has"):
            optimization_wrappers._load_last_variables(wrapper, store)
