"""Outputs of Keras models, a batch at a time."""

import numpy as np
import pytest

from tflite_sparse.scoring import keras_score
from tflite_sparse.sources import keras_model


@pytest.mark.parametrize("samples", [1, 256, 301])
def test_outputs_are_those_of_predict(keras, samples):
    keras.utils.set_random_seed(0)
    layers = keras.layers
    left, right = layers.Input((3,), name="left"), layers.Input((2,), name="right")
    both = layers.Concatenate()([left, right])
    model = keras.Model([left, right], [layers.Dense(2, name="zed")(both), layers.Dense(1, name="alpha")(left)])
    rng = np.random.default_rng(0)
    x = {"left": rng.random((samples, 3), np.float32), "right": rng.random((samples, 2), np.float32)}
    source = keras_model.from_memory(model)
    found = keras_score.predicted(source, x)
    expected = model.predict([x["left"], x["right"]], batch_size=samples, verbose=0)
    assert {name: each.shape for name, each in found.items()} == {"zed": (samples, 2), "alpha": (samples, 1)}
    assert list(found) == ["zed", "alpha"]  # losses are in the order of the outputs
    for one, other in zip(found.values(), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_a_fixed_batch_is_no_limit(keras, monkeypatch):
    """The graph is traced for any number of samples: computed eagerly, a recurrent layer takes five times as long."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential([layers.Input(batch_shape=(1, 4, 3)), layers.LSTM(5), layers.Dense(2)])
    x = np.random.default_rng(0).random((300, 4, 3), np.float32)
    source = keras_model.from_memory(model)
    expected = source.compute(x)
    monkeypatch.delattr(keras_model.KerasSource, "compute")
    (found,), (wanted,) = keras_score.predicted(source, x).values(), expected.values()
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
