"""Fashion-MNIST as sequences, a row of 28 pixels at each of 28 steps; and the LSTM that `sweep.py` trains on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tflite_sparse.sources import dataset

STEPS, PIXELS, CLASSES = 28, 28, 10
TRAIN, TEST = 12_000, 2_000
_UNITS = 192


def write(path: Path) -> None:
    """The data as an ``.npz``: the first 12,000 training and 2,000 test images, ``(n, 28, 28)``, and their classes."""
    found = dataset.load("fashion-mnist")
    parts = {"train": (found.x_train, found.y_train, TRAIN), "test": (found.x_test, found.y_test, TEST)}
    arrays = {}
    for part, (x, y, count) in parts.items():
        arrays[f"x_{part}"] = np.reshape(x[:count], (count, STEPS, PIXELS))
        arrays[f"y_{part}"] = y[:count]
    np.savez(path, **arrays)


def lstm(width: float) -> Any:
    """An LSTM of ``192 * width`` units and the classes."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((STEPS, PIXELS), name="rows"),
            layers.LSTM(round(_UNITS * width), name="lstm"),
            layers.Dense(CLASSES, name="classes"),
        ]
    )
