"""Test the outputs of models for many samples: those of the graph that is converted."""

import numpy as np
import pytest

from tflite_sparse.sources import keras_model, tensorflow_import


@pytest.fixture(params=["keras2", "keras3"])
def keras(request):
    return getattr(tensorflow_import, request.param)()


def test_outputs_are_those_of_the_model_with_its_present_weights(keras):
    layers = keras.layers
    one, two = layers.Input((4,), name="one"), layers.Input((3,), name="two")
    joined = layers.Concatenate()([layers.Dense(5, activation="relu", name="dense")(one), two])
    model = keras.Model([one, two], [layers.Dense(2, name="left")(joined), layers.Dense(1, name="right")(joined)])
    source = keras_model.from_memory(model)
    generator = np.random.default_rng(0)
    x = {
        "two": generator.normal(size=(6, 3)).astype(np.float32),
        "one": generator.normal(size=(6, 4)).astype(np.float32),
    }
    for factor in (1, 2):
        model.set_weights([weight * factor for weight in model.get_weights()])
        found, wanted = source.compute_many(x), source.compute(x)
        assert found.keys() == wanted.keys()
        for name, values in wanted.items():
            assert np.ptp(values) > 0
            np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-6)


def test_a_model_is_traced_once_and_one_without_a_graph_is_called(keras):
    class Counted(keras.layers.Layer):
        calls, is_eager_only = 0, False

        def call(self, inputs):
            type(self).calls += 1
            if self.is_eager_only:
                inputs.numpy()
            return inputs + 1

    x = keras.layers.Input((4,))
    model = keras.Model(x, Counted()(x))
    samples, before = np.zeros((3, 4), np.float32), Counted.calls
    source = keras_model.from_memory(model)
    for _ in range(3):
        source.compute_many(samples)
    assert Counted.calls == before + 1
    Counted.is_eager_only = True
    (found,) = keras_model.from_memory(model).compute_many(samples).values()
    np.testing.assert_array_equal(found, samples + 1)


def test_a_model_with_a_batch_of_its_own_takes_any_number_of_samples(keras):
    """Its graph does not: it holds the size of the batch."""
    x = keras.layers.Input((4, 4), batch_size=1)
    source = keras_model.from_memory(keras.Model(x, keras.layers.Flatten()(x)))
    samples = np.random.default_rng(1).normal(size=(3, 4, 4)).astype(np.float32)
    (found,) = source.compute_many(samples).values()
    np.testing.assert_array_equal(found, samples.reshape(3, 16))
