"""Scores of a model with any number of outputs: one for each that there is a reference for, and their mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tflite_sparse.evaluation.accuracy import Metric, choose_metric, joint_name
from tflite_sparse.sources.arrays import Arrays


@dataclass(frozen=True, eq=False, slots=True)
class Scorer:
    """How outputs are scored; the same for every file that is compared.

    Attributes:
        metrics: of each output that is scored, by its name.
        references: labels, or the dense float32 model's outputs.
    """

    metrics: Mapping[str, Metric]
    references: Mapping[str, np.ndarray]

    @property
    def metric(self) -> str:
        """What reports call the mean."""
        return joint_name(list(self.metrics.values()))

    def scores(self, outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
        """The score of each output ``(n, ...)`` that there is a reference for."""
        return {name: metric.score(outputs[name], self.references[name]) for name, metric in self.metrics.items()}


def scorer(outputs: Mapping[str, np.ndarray], labels: Arrays | None) -> Scorer:
    """What suits the dense float32 model's outputs by name, and the labels, if there are any.

    Args:
        outputs: each ``(n, ...)``.
        labels: of the only output, or by the names of those that have some.

    Raises:
        DataError: see :func:`tflite_sparse.sources.labels.kind_of`.
    """
    if labels is None:
        return Scorer({name: choose_metric(output, None) for name, output in outputs.items()}, outputs)
    by_name = labels if isinstance(labels, Mapping) else dict.fromkeys(outputs, labels)
    metrics = {name: choose_metric(output, by_name[name]) for name, output in outputs.items() if name in by_name}
    return Scorer(metrics, by_name)


def mean(scores: Mapping[str, float]) -> float:
    """Of all outputs that are scored."""
    return sum(scores.values()) / len(scores)
