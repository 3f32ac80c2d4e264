"""Score a model with any number of outputs: each that has a reference, and their mean."""

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
"""Rounding of a drop: 0.99 - 0.98 exceeds 0.01 in binary, and one sample of 100 must pass a gate of 0.01."""


@dataclass(frozen=True, eq=False, slots=True)
class Decisions:
    """The classes of an output.

    Attributes:
        right: ``(m,)`` the right class of each sample, or of each place in each sample.
        chosen: ``(m,)`` the class that the file chooses.
        classes: their number.
    """

    right: np.ndarray
    chosen: np.ndarray
    classes: int


@dataclass(frozen=True, eq=False, slots=True)
class Scored:
    """The scores of one file on the test samples.

    Attributes:
        evidence: of the score of each output.
        top5: of its top-5 score, if there are many classes.
        decisions: of each output that is classes and has labels.
    """

    evidence: Mapping[str, Evidence]
    top5: Mapping[str, Evidence]
    decisions: Mapping[str, Decisions]

    @property
    def confusion(self) -> dict[str, np.ndarray]:
        """``(classes, classes)`` of each output with few of them; rows are right classes, columns chosen ones."""
        return {
            name: confusion.counts(each.right, each.chosen, each.classes)
            for name, each in self.decisions.items()
            if each.classes <= confusion.MOST_CLASSES
        }

    @property
    def mean(self) -> float:
        """Mean score of all outputs."""
        return mean_score(list(self.evidence.values()))

    def drop_from(self, best: Scored) -> float:
        """Return the drop that the accuracy gate compares with its limit, over all outputs; 0 or less without a loss.

        It is rounded to :data:`DECIMALS`.
        """
        each = [best.evidence[name].gate_value() - mine.gate_value() for name, mine in self.evidence.items()]
        return round(sum(each) / len(each), DECIMALS)


@dataclass(frozen=True, eq=False, slots=True)
class Scorer:
    """How outputs are scored; the same for every file that is compared.

    Attributes:
        metrics: of each scored output, by name.
        top5: the second metric of outputs with many classes.
        references: labels, or the dense float32 model's outputs.
        alike: the dense float32 model's common answer to all samples, in words; None: its answers differ.
    """

    metrics: Mapping[str, Metric]
    top5: Mapping[str, Metric]
    references: Mapping[str, np.ndarray]
    alike: str | None = None

    @property
    def metric(self) -> str:
        """Name of the mean in reports."""
        return joint_name(list(self.metrics.values()))

    def scored(self, outputs: Mapping[str, np.ndarray]) -> Scored:
        """Return the scores of a file from its outputs, each ``(n, ...)``.

        Raises:
            DataError: the user's function raised or returned no numbers.
        """
        found = {}
        for name, metric in self.metrics.items():
            decided = metric.decisions(outputs[name], self.references[name])
            if decided is not None:
                found[name] = Decisions(*decided)
        return Scored(self._evidence(self.metrics, outputs), self._evidence(self.top5, outputs), found)

    def _evidence(self, metrics: Mapping[str, Metric], outputs: Mapping[str, np.ndarray]) -> dict[str, Evidence]:
        return {name: metric.evidence(outputs[name], self.references[name]) for name, metric in metrics.items()}


def make_scorer(outputs: Mapping[str, np.ndarray], labels: Arrays | None, wanted: Name | UserMetric = "auto") -> Scorer:
    """Return a scorer that suits the dense float32 model's outputs and the labels, if there are any.

    Args:
        outputs: each ``(n, ...)``.
        labels: of the only output, or by output name; not every output needs some.
        wanted: the user's metric, for each output.

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
