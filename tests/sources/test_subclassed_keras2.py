"""Compare subclassed models of Keras 2, in memory and from files, with pruning wrappers or without."""

import numpy as np
import pytest

from tflite_sparse.errors import ModelError
from tflite_sparse.pruning import masks
from tflite_sparse.pruning.strip import strip
from tflite_sparse.sources import keras_model, tensorflow_import
from tflite_sparse.sources.user_code import load_module

X = np.random.default_rng(0).normal(size=(8, 9, 9, 2)).astype(np.float32)
Y = np.arange(8) % 3


def net(wrapped):
    """After a training step masked weights have moved, as in a checkpoint."""
    keras = tensorflow_import.keras2()
    layers = keras.layers
    keras.utils.set_random_seed(0)

    def wrap(layer):
        if not wrapped:
            return layer
        sparsity = tensorflow_import.model_optimization().sparsity.keras
        return sparsity.prune_low_magnitude(layer, sparsity.ConstantSparsity(0.75, 0, frequency=1))

    class Net(keras.Model):
        def __init__(self):
            super().__init__(name="net")
            self.conv = wrap(layers.Conv2D(24, 3, activation="relu"))
            self.mixed = wrap(layers.SeparableConv2D(48, 3))
            self.flat = layers.Flatten()
            self.classes = layers.Dense(3)

        def call(self, x, training=False):
            return self.classes(self.flat(self.mixed(self.conv(x))))

    model = Net()
    model(X)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    callbacks = []
    if wrapped:
        callbacks.append(tensorflow_import.model_optimization().sparsity.keras.UpdatePruningStep())
    model.fit(X, Y, batch_size=4, epochs=1, verbose=0, callbacks=callbacks)
    return model


def opened(model, form, folder):
    """Return a source, from memory or from one of the two kinds of SavedModel."""
    if form == "live":
        return keras_model.from_memory(model)
    if form == "saved":
        model.save(folder / "net", save_format="tf")
    else:
        model.export(str(folder / "net"))
    return keras_model.open_model(folder / "net")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["live", "saved", "exported"])
@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "wrapped"])
def test_same_function_and_masks(wrapped, form, tmp_path):
    model = net(wrapped)
    if wrapped:
        for layer in (model.conv, model.mixed):
            for weight, _, _ in layer.pruning_vars:
                weight.assign_add(np.full(weight.shape, 1e-3, np.float32))
    source = opened(model, form, tmp_path)
    stripped, applied = strip(source)
    shapes = {kernel.shape: masks.sparsity_of([kernel]).share for kernel in stripped.kernels()}
    assert set(shapes) == {(3, 3, 2, 24), (3, 3, 24, 1), (1, 1, 24, 48), (1200, 3)}
    if wrapped:
        assert applied == 2
        assert shapes[(3, 3, 2, 24)] == shapes[(1, 1, 24, 48)] == 0.75
        for layer in (model.conv, model.mixed):  # the same, masked as they are during inference
            for weight, mask, _ in layer.pruning_vars:
                weight.assign(weight * mask)
    expected = model(X).numpy()
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(next(iter(stripped.compute(X).values())), expected, atol=1e-5)


def test_keras_file_is_called_on_the_shapes_that_it_was_built_with(tmp_path):
    (tmp_path / "net.py").write_text(
        "import tf_keras\n"
        "class Net(tf_keras.Model):\n"
        "    def __init__(self, **options):\n"
        "        super().__init__(**options)\n"
        "        self.classes = tf_keras.layers.Dense(3)\n"
        "    def call(self, x):\n"
        "        return self.classes(x)\n"
    )
    model = load_module(tmp_path / "net.py", ModelError).Net()
    expected = model(X).numpy()
    model.save(tmp_path / "net.keras")
    source = keras_model.open_model(tmp_path / "net.keras", tmp_path / "net.py")
    np.testing.assert_allclose(next(iter(source.compute(X).values())), expected, atol=1e-6)
