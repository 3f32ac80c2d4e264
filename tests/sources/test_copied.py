"""Test that a copy of a model for training computes what the model does."""

import numpy as np
import pytest

from tflite_sparse.sources import keras_model, tensorflow_import


@pytest.mark.parametrize("generation", ["keras2", "keras3"])
@pytest.mark.parametrize("is_nested", [False, True])
def test_an_adapted_normalization_is_copied(generation, is_nested):
    keras = getattr(tensorflow_import, generation)()
    x = np.random.default_rng(0).normal(50, 9, (64, 5)).astype(np.float32)
    norm = keras.layers.Normalization()
    norm.adapt(x)
    first = keras.Sequential([keras.Input((5,)), norm]) if is_nested else norm
    model = keras.Sequential([keras.Input((5,)), first, keras.layers.Dense(3)])
    copy = keras_model.from_memory(model).copied().model
    np.testing.assert_allclose(copy(x), model(x), rtol=1e-5)
