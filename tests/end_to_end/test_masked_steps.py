"""Test that masked steps and token numbers keep their meaning in int8 files, or the export is refused."""

from __future__ import annotations

import numpy as np
import pytest

import tflite_sparse
from tflite_sparse.errors import ConversionError, SettingsError
from tflite_sparse.runtime import litert

STEPS, PADDING = 6, -1.0


@pytest.fixture(autouse=True)
def same_weights(keras3):
    """Seed before a test makes its layers: their initialisers draw seeds when they are made."""
    keras3.utils.set_random_seed(0)


def _masked(keras, *layers):
    kinds = keras.layers
    return keras.Sequential([keras.Input((STEPS, 4)), *layers, kinds.Dense(3, activation="softmax")])


@pytest.fixture(scope="module")
def sequences():
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, (120, STEPS, 4)).astype(np.float32)
    for sample in x:
        sample[rng.integers(2, STEPS) :] = PADDING
    return x


def _apart(path, model, x):
    return np.abs(litert.run(path, x).real() - np.asarray(model(x))).max()


@pytest.mark.slow
def test_the_mask_of_an_lstm_is_the_models(keras3, sequences, tmp_path):
    layers = keras3.layers
    model = _masked(keras3, layers.Masking(PADDING), layers.LSTM(8))
    report = tflite_sparse.export(model, sequences, int8=True, out=tmp_path, max_accuracy_drop=1)
    assert report.verification.outputs_bit_exact
    for name in ("dense-int8.tflite", "model.tflite"):
        (given,) = litert.inputs(tmp_path / name)
        assert given.dtype == np.float32
        assert _apart(tmp_path / name, model, sequences[:20]) < 0.02
    unmasked = sequences[:20].copy()
    unmasked[unmasked == PADDING] = 0.5
    assert np.abs(np.asarray(model(sequences[:20])) - np.asarray(model(unmasked))).max() > 0.05, "padding must matter"
    with pytest.raises(SettingsError, match=r"is compared with a value that masks steps.*Leave `io` out"):
        tflite_sparse.export(model, sequences, int8=True, io="int8", out=tmp_path / "int8")
    assert not (tmp_path / "int8").exists()


@pytest.mark.slow
def test_masks_that_int8_cannot_hold_are_refused(keras3, sequences, tmp_path):
    layers = keras3.layers
    masked_gru = _masked(keras3, layers.Masking(PADDING), layers.GRU(8))  # aborts LiteRT 2.3.0
    behind = _masked(keras3, layers.Dense(4), layers.Masking(PADDING), layers.LSTM(8))
    for model in (masked_gru, behind):
        with pytest.raises(ConversionError, match=r"mask.*`activations='float32'`"):
            tflite_sparse.export(model, sequences, int8=True, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_tokens_are_not_rounded(keras3, tmp_path):
    layers = keras3.layers
    keras3.utils.set_random_seed(0)
    model = keras3.Sequential(
        [keras3.Input((5,)), layers.Embedding(3000, 4), layers.Flatten(), layers.Dense(3, activation="softmax")]
    )
    x = np.random.default_rng(0).integers(0, 3000, (120, 5)).astype(np.float32)
    tflite_sparse.export(model, x, int8=True, out=tmp_path, max_accuracy_drop=1)
    assert _apart(tmp_path / "model.tflite", model, x) < 0.02
