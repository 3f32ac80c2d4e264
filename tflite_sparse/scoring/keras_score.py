"""Score a Keras model with masked kernels on samples held out of training."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from tflite_sparse.pruning.sensitivity import Score
from tflite_sparse.scoring import scorer
from tflite_sparse.sources import arrays, tensorflow_import
from tflite_sparse.sources.arrays import Arrays
from tflite_sparse.sources.kernels import is_mirrored

if TYPE_CHECKING:
    from tflite_sparse.sources.keras_model import KerasSource

_BATCH_SIZE = 256


def predicted(source: KerasSource, x: Arrays) -> dict[str, np.ndarray]:
    """Return a model's outputs for samples, each ``(n, ...)``, by name."""
    flatten = tensorflow_import.tensorflow().nest.flatten
    if is_mirrored(source.model):  # each replica would be given the whole batch
        parts = [flatten(source.model.predict(source.fed(x), batch_size=_BATCH_SIZE, verbose=0))]
    else:  # `predict` makes a pipeline for each call, which costs a small model eight times its computation
        batches = (arrays.take(x, rows) for rows in _equal_batches(arrays.count(x)))
        parts = [flatten(source.model.predict_on_batch(source.fed(batch))) for batch in batches]
    samples = arrays.count(x)
    whole = (np.concatenate([np.asarray(part) for part in each])[:samples] for each in zip(*parts, strict=True))
    return {spec.name: array for spec, array in zip(source.outputs(), whole, strict=True)}


def _equal_batches(samples: int) -> np.ndarray:
    """Numbers of samples, a row for each batch; the last ones are repeated, because another size is traced anew."""
    batches = -(-samples // _BATCH_SIZE)
    size = -(-samples // batches)
    return np.minimum(np.arange(batches * size), samples - 1).reshape(batches, size)


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
