"""Provide Fashion-MNIST as sequences of 28 rows of 28 pixels, and the LSTM that `sweep.py` trains on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import lstm
from tflite_sparse.sources import dataset

STEPS, PIXELS, CLASSES = 28, 28, 10
TEST = 5_000  # each takes 28 invocations


def write(path: Path) -> None:
    """Write an ``.npz`` with all training and the first 5,000 test images, ``(n, 28, 28)``, and classes."""
    found = dataset.load("fashion-mnist")
    arrays = {}
    for part, x, y in (("train", found.x_train, found.y_train), ("test", found.x_test[:TEST], found.y_test[:TEST])):
        arrays[f"x_{part}"] = np.reshape(x, (len(x), STEPS, PIXELS))
        arrays[f"y_{part}"] = y
    np.savez(path, **arrays)


def network(width: float) -> Any:
    """Build the LSTM of a width, for the classes."""
    return lstm.build(width, STEPS, PIXELS, CLASSES)
