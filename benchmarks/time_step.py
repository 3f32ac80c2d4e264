"""Export a long sequence model in int8: a GRU that finds a digit among 560 rows of pixels, as one time step.

Each sequence holds the 28 rows of one image of mnist-5k somewhere, and rows of zeros elsewhere. The output after the
last row is the digit. The network is trained and pruned on shorter sequences.

    python benchmarks/time_step.py OUT
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

import tflite_sparse
from tflite_sparse.report.text import export as tables
from tflite_sparse.sources import dataset, tensorflow_import

STEPS, SPARSITY = 560, 0.7
_TRAINED = ((28, 4, 0.0), (64, 3, 0.0), (128, 4, SPARSITY))  # steps, epochs, zeros at the end
_TRAIN, _CALIBRATE, _TEST = 5000, 200, 400


def hidden_digits(x: Any, y: Any, count: int, steps: int, generator: np.random.Generator) -> tuple[Any, Any]:
    """Return ``(count, steps, 28)`` and the digits that are hidden in them."""
    chosen = generator.integers(0, len(x), count)
    found = np.zeros((count, steps, 28), np.float32)
    for sequence, digit in zip(found, chosen, strict=True):
        begin = generator.integers(0, steps - 27)
        sequence[begin : begin + 28] = x[digit].reshape(28, 28)
    return found, y[chosen]


def main(out: Path) -> None:
    """Train, export, and print the sentences of the report."""
    keras, generator = tensorflow_import.keras3(), np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    data, layers = dataset.load("mnist-5k"), keras.layers
    hidden = layers.Dense(32, activation="relu", name="rows")
    model = keras.Sequential([keras.Input((None, 28)), hidden, layers.GRU(64, name="memory"), layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3, clipnorm=1.0), loss)
    for steps, epochs, sparsity in _TRAINED:
        callbacks = [tflite_sparse.pruning.MagnitudePruning(sparsity)] if sparsity else []
        x, y = hidden_digits(data.x_train, data.y_train, _TRAIN, steps, generator)
        model.fit(x, y, batch_size=64, epochs=epochs, verbose=2, callbacks=callbacks)
    train = hidden_digits(data.x_train, data.y_train, _CALIBRATE, STEPS, generator)
    test = hidden_digits(data.x_test, data.y_test, _TEST, STEPS, generator)
    report = tflite_sparse.export(model, (train, test), int8=True, out=out)
    print("\n".join(tables.verdicts(report)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
