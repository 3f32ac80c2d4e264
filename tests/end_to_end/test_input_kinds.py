"""Export inputs of other types than float32 and of free length, and subclassed models, to verified int8 files."""

import sys

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from helpers.tools import run_cli
from tflite_sparse.errors import ModelError
from tflite_sparse.sources.user_code import load_module


def images_of_bytes(keras):
    layers = keras.layers
    inputs = keras.Input((8, 8, 1), dtype="uint8", name="pixels")
    features = layers.Conv2D(32, 3, activation="relu")(layers.Rescaling(1 / 255)(inputs))
    features = layers.Conv2D(32, 3, activation="relu")(features)
    return keras.Model(inputs, layers.Dense(10)(layers.Flatten()(features)))


def sets_of_flags(keras):
    inputs = keras.Input((64,), dtype="bool", name="flags")
    features = keras.layers.Dense(128, activation="relu")(keras.ops.cast(inputs, "float32"))
    return keras.Model(inputs, keras.layers.Dense(10)(features))


@pytest.mark.slow
@pytest.mark.parametrize(("make", "most"), [(images_of_bytes, 255), (sets_of_flags, 1)])
@pytest.mark.parametrize("io", ["int8", "float32"])
def test_types_of_inputs_in_int8_files(make, most, io, keras3, tmp_path):
    keras3.utils.set_random_seed(0)
    model = make(keras3)
    dtype = np.dtype(model.inputs[0].dtype)
    model.save(tmp_path / "model.keras")
    samples = np.random.default_rng(0).integers(0, most, (64, *model.inputs[0].shape[1:]), endpoint=True).astype(dtype)
    np.savez(tmp_path / "x.npz", x=samples)
    run = run_cli(
        "export", tmp_path / "model.keras", "--int8", "--io", io, "--sparsity", 0.8, "--data", tmp_path / "x.npz",
        "--max-accuracy-drop", 1, "--out", tmp_path / "out", "--json", "--quiet",
    )  # fmt: skip
    assert run.code == 0, run.stderr
    assert run.report["verification"]["outputs_bit_exact"]
    sizes = {key: run.report["models"][key]["file_bytes"] for key in ("dense_int8", "sparse_int8")}
    assert sizes["sparse_int8"] < sizes["dense_int8"]
    found = Interpreter(str(tmp_path / "out" / "dense-int8.tflite")).get_input_details()[0]
    assert found["dtype"] == dtype  # there is nothing to quantise, whatever --io says
    error = _largest_error(tmp_path / "out" / "dense-float32.tflite", model, samples)
    assert error < 1e-4


@pytest.fixture(scope="module")
def free_length(keras3, tmp_path_factory):
    keras3.utils.set_random_seed(0)
    layers = keras3.layers
    inputs = keras3.Input((None, 16), name="steps")
    features = layers.Conv1D(64, 3, padding="same", activation="relu")(inputs)
    features = layers.Conv1D(64, 3, padding="same", activation="relu")(features)
    model = keras3.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling1D()(features)))
    path = tmp_path_factory.mktemp("free") / "free.keras"
    model.save(path)
    return path, model


@pytest.mark.parametrize("with_data", [False, True])
def test_free_number_of_time_steps(with_data, free_length, tmp_path):
    path, model = free_length
    options = []
    if with_data:
        samples = np.random.default_rng(0).normal(size=(32, 20, 16)).astype(np.float32)
        np.savez(tmp_path / "x.npz", x=samples)
        options = ["--int8", "--data", tmp_path / "x.npz", "--max-accuracy-drop", 1]
    out = tmp_path / "out"
    run = run_cli("export", path, "--sparsity", 0.8, *options, "--out", out, "--json", "--quiet")
    assert run.code == 0, run.stderr
    assert run.report["verification"]["outputs_bit_exact"]
    for steps in (7, 20, 33):
        samples = np.random.default_rng(steps).normal(size=(2, steps, 16)).astype(np.float32)
        assert _largest_error(out / "dense-float32.tflite", model, samples) < 1e-4
        if not with_data:
            assert _run(out / "model.tflite", samples).shape == (2, 10)


SUBCLASSED = """
import keras

class Gate(keras.layers.Layer):
    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones", name="scale")
    def call(self, x):
        return x * keras.ops.sigmoid(self.scale)

class Net(keras.Model):
    def __init__(self, units=128, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.hidden = keras.layers.Dense(units, activation="relu")
        self.gate = Gate()
        self.classes = keras.layers.Dense(10)
    def call(self, x):
        return self.classes(self.gate(self.hidden(x)))
    def get_config(self):
        return {**super().get_config(), "units": self.units}
"""


@pytest.mark.slow
def test_subclassed_keras_file_with_its_classes(tmp_path):
    (tmp_path / "net.py").write_text(SUBCLASSED)
    model = load_module(tmp_path / "net.py", ModelError).Net()
    samples = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    reference = np.asarray(model(samples))
    model.save(tmp_path / "net.keras")
    np.savez(tmp_path / "x.npz", x=samples)
    del sys.modules["tflite_sparse_user_net"]
    out = tmp_path / "out"
    refused = run_cli("export", tmp_path / "net.keras", "--out", out, "--quiet")
    assert refused.code == 2
    assert "--custom-objects FILE.py" in refused.stderr
    assert not out.exists()
    run = run_cli(
        "export", tmp_path / "net.keras", "--custom-objects", tmp_path / "net.py", "--int8", "--sparsity", 0.8,
        "--data", tmp_path / "x.npz", "--max-accuracy-drop", 1, "--out", out, "--json", "--quiet",
    )  # fmt: skip
    assert run.code == 0, run.stderr
    assert run.report["pruning"]["prunable_weights"] == 64 * 128
    assert run.report["verification"]["outputs_bit_exact"]
    np.testing.assert_allclose(_run(out / "dense-float32.tflite", samples), reference, atol=1e-5)


def _largest_error(path, model, samples):
    return float(np.max(np.abs(_run(path, samples) - model.predict(samples, verbose=0))))


def _run(path, samples):
    interpreter = Interpreter(str(path))
    index = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(index, samples.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(index, samples)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
