"""The demo network: a small CNN for the 28x28 images of ``mnist-5k``."""

from __future__ import annotations

from types import ModuleType

from tflite_sparse.sources.keras_types import KerasModel


def build(keras: ModuleType, seed: int) -> KerasModel:
    """Build a CNN of 257,594 parameters, 255,488 of them in two prunable kernels; ``seed`` sets its weights."""
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    model: KerasModel = keras.Sequential(
        [
            keras.Input((28, 28, 1), name="image"),
            layers.Conv2D(16, 3, padding="same", use_bias=False, name="conv1"),
            layers.BatchNormalization(name="norm1"),
            layers.ReLU(name="relu1"),
            layers.MaxPooling2D(name="pool1"),
            layers.Conv2D(32, 3, padding="same", use_bias=False, name="conv2"),
            layers.BatchNormalization(name="norm2"),
            layers.ReLU(name="relu2"),
            layers.MaxPooling2D(name="pool2"),
            layers.Flatten(name="flatten"),
            layers.Dropout(0.3, name="drop1"),
            layers.Dense(160, activation="relu", name="dense"),
            layers.Dropout(0.3, name="drop2"),
            layers.Dense(10, activation="softmax", name="classes"),
        ],
        name="mnist_cnn",
    )
    return model
