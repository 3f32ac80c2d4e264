"""Call ``tflite_sparse.export`` with models and arrays in memory."""

import subprocess
import sys

import numpy as np
import pytest

import tflite_sparse
from tflite_sparse.errors import ConversionError, DataError, ModelError, SettingsError


@pytest.mark.parametrize("kind", ["model3", "model2", "wrapped2"])
def test_live_model_is_left_as_it_was(kind, request, digits, tmp_path):
    model = request.getfixturevalue(kind)
    before = model.get_weights()
    report = tflite_sparse.export(
        model,
        (digits.x_train, digits.y_train),
        sparsity=0.85,
        finetune_epochs=0,
        int8=True,
        max_accuracy_drop=1,
        out=tmp_path / "out",
    )
    assert report.pruning.after == pytest.approx(0.85, abs=0.001)
    assert report.models.sparse_int8 is not None
    assert report.verification.outputs_bit_exact
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.slow
def test_finetuning_leaves_a_live_model_and_its_optimizer_alone(model3, digits, tmp_path):
    before, optimizer = model3.get_weights(), model3.optimizer
    arrays = ((digits.x_train, digits.y_train), (digits.x_test, digits.y_test))
    report = tflite_sparse.export(
        model3, arrays, sparsity=0.9, int8=True, finetune_epochs=2, max_accuracy_drop=1, out=tmp_path / "out"
    )
    assert report.pruning.epochs == 2
    assert report.pruning.after == pytest.approx(0.9, abs=0.001)
    assert model3.optimizer is optimizer
    assert all(np.array_equal(a, b) for a, b in zip(before, model3.get_weights(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("generation", ["keras3", "keras2"])
def test_subclassed_model(generation, request, digits, tmp_path):
    keras = request.getfixturevalue(generation)

    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.flatten = keras.layers.Flatten()
            self.hidden = keras.layers.Dense(64, activation="relu")
            self.classes = keras.layers.Dense(10)

        def call(self, inputs):
            return self.classes(self.hidden(self.flatten(inputs)))

    model = Subclassed()
    with pytest.raises(ModelError, match="never called"):
        tflite_sparse.export(model, out=tmp_path / "out")
    model(digits.x_train[:2])
    report = tflite_sparse.export(
        model, digits, sparsity=0.8, finetune_epochs=0, int8=True, max_accuracy_drop=1, out=tmp_path / "out"
    )
    assert report.pruning.prunable_weights == 64 * 64
    assert report.pruning.after == pytest.approx(0.8, abs=0.001)


def test_unknown_and_wrong_arguments(model3, tmp_path):
    with pytest.raises(SettingsError, match="sparcity"):
        tflite_sparse.export(model3, sparcity=0.5, out=tmp_path / "out")
    with pytest.raises(ModelError, match="not an object of type dict"):
        tflite_sparse.export({}, out=tmp_path / "out")
    with pytest.raises(DataError, match="`int8` needs data"):
        tflite_sparse.export(model3, int8=True, out=tmp_path / "out")


def test_model_with_two_inputs(keras3, tmp_path):
    a, b = keras3.Input((64,), name="left"), keras3.Input((64,), name="right")
    joined = keras3.layers.Concatenate()([a, b])
    model = keras3.Model([a, b], keras3.layers.Dense(40)(joined))
    with pytest.raises(DataError, match="has 2 inputs"):
        tflite_sparse.export(model, np.zeros((4, 64)), int8=True, out=tmp_path / "out")
    report = tflite_sparse.export(model, sparsity=0.8, out=tmp_path / "out")
    assert report.verification.outputs_bit_exact


def test_converter_that_dies_is_an_error_with_a_cure(keras3, tmp_path):
    """Calibrating an LSTM that is no fused one crashes TensorFlow's converter process."""
    model = keras3.Sequential(
        [keras3.Input((12, 8)), keras3.layers.LSTM(24, recurrent_activation="hard_sigmoid"), keras3.layers.Dense(4)]
    )
    samples = np.random.default_rng(0).standard_normal((20, 12, 8)).astype(np.float32)
    with pytest.raises(ConversionError, match=r"crashed.*LSTM.*`recurrent='unroll'`") as caught:
        tflite_sparse.export(model, samples, sparsity=0.5, int8=True, recurrent="loop", out=tmp_path / "out")
    assert len(str(caught.value).splitlines()) <= 2
    assert not (tmp_path / "out").exists()


def test_light_parts_import_neither_tensorflow_nor_keras():
    code = """
import sys
import tflite_sparse, tflite_sparse.planning.encoder, tflite_sparse.targets.litert, tflite_sparse.runtime.litert
import tflite_sparse.verification.weights, tflite_sparse.measurement.size, tflite_sparse_cli.main
heavy = {"tensorflow", "keras", "tf_keras", "tensorflow_model_optimization"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)
