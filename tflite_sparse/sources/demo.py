"""The demo network: a small CNN for the 28x28 images of ``mnist-5k``."""

from __future__ import annotations

from types import ModuleType
from typing import Any


def build(keras: ModuleType, seed: int) -> Any:
    """A CNN of 257,594 parameters, 255,488 of them in its two prunable kernels; the same initial weights for a seed."""
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1), name="image"),
            layers.Conv2D(16, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(160, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(10, activation="softmax"),
        ],
        name="mnist_cnn",
    )
