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
    model = keras.Model([left, right], [layers.Dense(2, name="first")(both), layers.Dense(1, name="second")(left)])
    rng = np.random.default_rng(0)
    x = {"left": rng.random((samples, 3), np.float32), "right": rng.random((samples, 2), np.float32)}
    source = keras_model.from_memory(model)
    found = keras_score.predicted(source, x)
    expected = model.predict([x["left"], x["right"]], batch_size=samples, verbose=0)
    assert [each.shape for each in found.values()] == [(samples, 2), (samples, 1)]
    for one, other in zip(found.values(), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
