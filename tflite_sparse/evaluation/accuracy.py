"""How good a model's outputs are: against labels, or where there are none, against those of another model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tflite_sparse.sources.labels import Kind, kind_of, looks_like_probability

_AGREEMENT = "_agreement_with_dense_float32"


@dataclass(frozen=True, slots=True)
class Metric:
    """A score of 1 for a perfect model.

    Attributes:
        kind: ``top1``: share of samples whose largest output is the right one, over the last axis; ``binary``: share on
            the right side of 0.5 (of 0 for logits); ``r2``: coefficient of determination ``1 - SSE / SST``, for
            outputs that are no classes.
        against_labels: whether the reference is labels, else the outputs of the dense float32 model.
        threshold: between no and yes, in units of the outputs; the same for every file that is compared.
    """

    kind: Kind
    against_labels: bool
    threshold: float = 0.5

    @property
    def name(self) -> str:
        """As reports call it."""
        return self.kind if self.against_labels else self.kind + _AGREEMENT

    def score(self, outputs: np.ndarray, reference: np.ndarray) -> float:
        """The score of ``outputs`` ``(n, ...)`` against labels or the other model's outputs."""
        if self.kind == "top1":
            return float(np.mean(outputs.argmax(-1) == _classes(reference, outputs.shape)))
        if self.kind == "binary":
            wanted = reference.reshape(-1) > (0.5 if self.against_labels else self.threshold)
            return float(np.mean((outputs.reshape(-1) > self.threshold) == wanted))
        wanted = reference.reshape(outputs.shape).astype(np.float64)
        error = float(np.sum((outputs - wanted) ** 2))
        spread = float(np.sum((wanted - wanted.mean(0)) ** 2))
        return 1 - error / spread if spread else float(error == 0)


def choose_metric(outputs: np.ndarray, labels: np.ndarray | None) -> Metric:
    """The metric that suits the dense float32 model's outputs ``(n, ...)`` and the labels, if there are any.

    Raises:
        DataError: see :func:`tflite_sparse.sources.labels.kind_of`.
    """
    threshold = 0.5 if looks_like_probability(outputs) else 0.0
    return Metric(kind_of(outputs, labels), labels is not None, threshold)


def joint_name(metrics: Sequence[Metric]) -> str:
    """What reports call the mean score of several outputs."""
    names = {metric.name for metric in metrics}
    if len(names) == 1:
        return names.pop()
    return "mean" if metrics[0].against_labels else "mean" + _AGREEMENT


def _classes(reference: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if reference.shape == shape:
        return np.asarray(reference.argmax(-1))
    return reference.reshape(shape[:-1]).astype(np.int64)
