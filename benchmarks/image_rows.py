"""Fashion-MNIST as sequences, a row of 28 pixels at each of 28 steps; and the LSTM that `sweep.py` trains on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import lstm
from tflite_sparse.sources import dataset

STEPS, PIXELS, CLASSES = 28, 28, 10
TRAIN, TEST = 12_000, 2_000


def write(path: Path) -> None:
    """The data as an ``.npz``: the first 12,000 training and 2,000 test images, ``(n, 28, 28)``, and their classes."""
    found = dataset.load("fashion-mnist")
    parts = {"train": (found.x_train, found.y_train, TRAIN), "test": (found.x_test, found.y_test, TEST)}
    arrays = {}
    for part, (x, y, count) in parts.items():
        arrays[f"x_{part}"] = np.reshape(x[:count], (count, STEPS, PIXELS))
        arrays[f"y_{part}"] = y[:count]
    np.savez(path, **arrays)


def network(width: float) -> Any:
    """The LSTM of a width, for the classes."""
    return lstm.build(width, STEPS, PIXELS, CLASSES)
