"""Score a Keras model with masked kernels on samples held out of training."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from tflite_sparse.pruning.sensitivity import Score
from tflite_sparse.scoring import scorer
from tflite_sparse.sources import arrays, tensorflow_import
from tflite_sparse.sources.arrays import Arrays

if TYPE_CHECKING:
    from tflite_sparse.sources.keras_model import KerasSource

_BATCH_SIZE = 256


def predicted(source: KerasSource, x: Arrays) -> dict[str, np.ndarray]:
    """Return a model's outputs for samples, each ``(n, ...)`` float32, by name.

    ``predict`` of Keras makes a pipeline for each call, which costs a small model eight times its computation.
    """
    batches = (arrays.take(x, slice(row, row + _BATCH_SIZE)) for row in range(0, arrays.count(x), _BATCH_SIZE))
    parts = [source.compute_many(batch) for batch in batches]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def evaluator(source: KerasSource, x: Arrays, y: Arrays) -> Callable[[], Score]:
    """Return a function for :func:`tflite_sparse.pruning.sensitivity.scan` that scores a compiled model.

    The metrics are chosen by the present outputs, so that they are the same for every mask. With several outputs the
    metric is the mean and the loss the sum, as in training.

    Args:
        source: the compiled model.
        x: held-out samples ``(n, *input shape)``, of several inputs by name.
        y: labels, of several outputs by name.

    Raises:
        DataError: the labels do not fit the outputs.
    """
    chosen = scorer.make_scorer(predicted(source, x), y)
    losses = tensorflow_import.tensorflow().nest.flatten(source.model.loss)  # in the order of the outputs

    def evaluate() -> Score:
        found = predicted(source, x)
        loss = sum(
            float(each(chosen.references[name], outputs))
            for each, (name, outputs) in zip(losses, found.items(), strict=True)
        )
        return Score(chosen.scored(found).mean, loss)

    return evaluate
