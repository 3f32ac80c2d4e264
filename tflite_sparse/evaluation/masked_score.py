"""How good a Keras model is while kernels of it are masked, on samples held out of training."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from tflite_sparse.evaluation.accuracy import choose_metric
from tflite_sparse.pruning.sensitivity import Score

if TYPE_CHECKING:
    from tflite_sparse.sources.keras_model import KerasSource

_BATCH_SIZE = 256


def evaluator(source: KerasSource, x: np.ndarray, y: np.ndarray) -> Callable[[], Score]:
    """What :func:`tflite_sparse.pruning.sensitivity.scan` calls: the score of a compiled model on held-out samples.

    Args:
        source: the compiled model.
        x: ``(n, *input shape)``.
        y: labels, one for each.

    The metric is chosen by the model's outputs now, so that it is the same for every mask.

    Raises:
        DataError: the labels do not fit the outputs.
    """

    def outputs() -> np.ndarray:
        return np.asarray(source.model.predict(x, batch_size=_BATCH_SIZE, verbose=0))

    metric = choose_metric(outputs(), y)

    def evaluate() -> Score:
        predicted = outputs()
        return Score(metric.score(predicted, y), float(source.model.loss(y, predicted)))

    return evaluate
