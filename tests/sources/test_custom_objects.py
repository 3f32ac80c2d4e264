"""Test that tensorflow.keras in a user's file is the generation of Keras of the model."""

import sys

import numpy as np
import pytest

from tflite_sparse.errors import ModelError
from tflite_sparse.sources import custom_objects, keras_model, tensorflow_import

X = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)

LAYERS = """
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import backend
from tensorflow.keras.layers import Dense, Layer
import neighbour_of_layers

class Gate(tf.keras.layers.Layer):
    def __init__(self, units, **options):
        super().__init__(**options)
        self.units = units
        self.inner = tf.keras.layers.Dense(units)  # runs when the model is loaded
        assert isinstance(self.inner, Dense) and issubclass(Gate, Layer) and keras.layers.Layer is Layer
        assert keras.backend.floatx() == backend.floatx()

    def build(self, shape):
        self.inner.build(shape)
        self.built = True

    def call(self, x):
        return tf.math.sigmoid(neighbour_of_layers.made(self.inner(x)))

    def get_config(self):
        return {**super().get_config(), "units": self.units}
"""
NEIGHBOUR = """
import tensorflow as tf

def made(x):
    return tf.keras.layers.Activation("tanh")(x)
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "layers_of_mine.py"
    path.write_text(LAYERS)
    (tmp_path / "neighbour_of_layers.py").write_text(NEIGHBOUR)
    yield path
    for name in ("neighbour_of_layers", "tflite_sparse_user_layers_of_mine"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("generation", ["keras2", "keras3"])
def test_layers_are_of_the_generation_of_the_model(generation, suffix, file, tmp_path):
    import tensorflow as tf

    before = tf.keras, {name for name in sys.modules if name.startswith("tensorflow.keras")}
    keras = getattr(tensorflow_import, generation)()
    gate = custom_objects.of_file(file, keras)["Gate"]
    assert issubclass(gate, keras.layers.Layer)
    model = keras.Sequential([keras.layers.Input((6,)), gate(4, name="gate")])
    expected = model(X)
    model.save(tmp_path / f"model{suffix}")
    source = keras_model.open_model(tmp_path / f"model{suffix}", file)
    assert source.keras is keras
    (found,) = source.compute(X).values()
    np.testing.assert_allclose(found, np.asarray(expected), atol=1e-6)
    assert (tf.keras, {name for name in sys.modules if name.startswith("tensorflow.keras")}) == before


def test_what_the_file_raises_leaves_tensorflow_as_it_was(tmp_path):
    import tensorflow as tf

    before = tf.keras
    (tmp_path / "bad.py").write_text("import tensorflow.keras.layers\n1 / 0\n")
    with pytest.raises(ModelError, match="ZeroDivisionError"):
        custom_objects.of_file(tmp_path / "bad.py", tensorflow_import.keras2())
    assert tf.keras is before


@pytest.mark.parametrize(
    ("generation", "other", "name"), [("keras2", "keras", "tf_keras"), ("keras3", "tf_keras", "keras")]
)
def test_layers_of_the_other_generation_are_refused_by_name(generation, other, name, tmp_path):
    (tmp_path / "other.py").write_text(f"import {other}\nclass Own({other}.layers.Layer):\n    pass\n")
    words = rf"other\.py: Own derives from {other}, and the model is one of Keras .: import {name} there, or tensorflow"
    with pytest.raises(ModelError, match=words):
        custom_objects.of_file(tmp_path / "other.py", getattr(tensorflow_import, generation)())
