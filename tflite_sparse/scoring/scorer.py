"""Scores of a model with any number of outputs: one for each that there is a reference for, and their mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tflite_sparse.scoring import confusion, constant_outputs
from tflite_sparse.scoring.evidence import Evidence
from tflite_sparse.scoring.metrics import Metric, Name, choose_metric, joint_name, with_top5
from tflite_sparse.scoring.uncertainty import mean_score
from tflite_sparse.scoring.user_metric import UserMetric
from tflite_sparse.sources.arrays import Arrays

DECIMALS = 12
"""Of a drop: 0.99 - 0.98 is more than 0.01 in binary, and one sample of 100 must pass a gate of 0.01."""


@dataclass(frozen=True, eq=False, slots=True)
class Scored:
    """One file on the test samples.

    Attributes:
        evidence: of the score of each output.
        top5: of its top-5 score, where there are many classes.
        confusion: ``(classes, classes)``, how many samples of the class of the row were taken for that of the column.
    """

    evidence: Mapping[str, Evidence]
    top5: Mapping[str, Evidence]
    confusion: Mapping[str, np.ndarray]

    @property
    def mean(self) -> float:
        """Of the scores of all outputs."""
        return mean_score(list(self.evidence.values()))

    def drop_from(self, best: Scored) -> float:
        """What the accuracy gate compares with its limit, of all outputs: 0 or less where nothing was lost.

        Rounded to 12 digits: 10 of 1,000 samples lost are 0.01 and not a little more, as 0.97 - 0.96 is to a computer.
        """
        each = [best.evidence[name].gate_value() - mine.gate_value() for name, mine in self.evidence.items()]
        return round(sum(each) / len(each), DECIMALS)


@dataclass(frozen=True, eq=False, slots=True)
class Scorer:
    """How outputs are scored; the same for every file that is compared.

    Attributes:
        metrics: of each output that is scored, by its name.
        top5: of those with many classes the second metric.
        references: labels, or the dense float32 model's outputs.
        alike: what the dense float32 model answers to all samples alike, in words; None: its answers differ.
    """

    metrics: Mapping[str, Metric]
    top5: Mapping[str, Metric]
    references: Mapping[str, np.ndarray]
    alike: str | None = None

    @property
    def metric(self) -> str:
        """What reports call the mean."""
        return joint_name(list(self.metrics.values()))

    def scored(self, outputs: Mapping[str, np.ndarray]) -> Scored:
        """The scores of a file by its outputs, each ``(n, ...)``.

        Raises:
            DataError: a function of the user raised or returned something else than numbers.
        """
        found = {}
        for name, metric in self.metrics.items():
            decisions = metric.decisions(outputs[name], self.references[name])
            if decisions is not None and decisions[-1] <= confusion.MOST_CLASSES:
                found[name] = confusion.counts(*decisions)
        return Scored(self._evidence(self.metrics, outputs), self._evidence(self.top5, outputs), found)

    def _evidence(self, metrics: Mapping[str, Metric], outputs: Mapping[str, np.ndarray]) -> dict[str, Evidence]:
        return {name: metric.evidence(outputs[name], self.references[name]) for name, metric in metrics.items()}


def scorer(outputs: Mapping[str, np.ndarray], labels: Arrays | None, wanted: Name | UserMetric = "auto") -> Scorer:
    """What suits the dense float32 model's outputs by name, and the labels, if there are any.

    Args:
        outputs: each ``(n, ...)``.
        labels: of the only output, or by the names of those that have some.
        wanted: the metric that was asked for, of each of them.

    Raises:
        DataError: see :func:`tflite_sparse.scoring.metrics.choose_metric`.
    """
    references: Mapping[str, np.ndarray] = outputs
    if labels is not None:
        references = labels if isinstance(labels, Mapping) else dict.fromkeys(outputs, labels)
    metrics = {
        name: choose_metric(output, None if labels is None else references[name], wanted)
        for name, output in outputs.items()
        if name in references
    }
    alike = constant_outputs.found(outputs, metrics)
    second = {name: with_top5(metric, outputs[name]) for name, metric in metrics.items()}
    return Scorer(metrics, {name: metric for name, metric in second.items() if metric is not None}, references, alike)
