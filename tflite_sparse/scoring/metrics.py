"""Score a model's outputs against labels or, without labels, against the outputs of another model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tflite_sparse.errors import DataError
from tflite_sparse.scoring.evidence import Evidence, explained, mean
from tflite_sparse.scoring.user_metric import UserMetric
from tflite_sparse.sources.labels import Kind, kind_of, looks_like_probability

Name = Literal["auto", "top1", "top5", "mse", "psnr", "auc"]

_AGREEMENT = "_agreement_with_dense_float32"
_FIVE = 5
_FINEST_STEP = 2.0**-24  # half a float32 unit in the last place, relative to the peak
_MOST_CLASSES_WITHOUT_TOP5 = 20


def is_agreement(name: str) -> bool:
    """Return whether a metric of this name compares outputs with those of the dense model, for lack of labels."""
    return name.endswith(_AGREEMENT)


@dataclass(frozen=True, slots=True)
class Metric:
    """A score of outputs. For all but ``mse`` higher is better.

    Attributes:
        kind: ``top1`` (``top5``): share of samples for which the largest output over the last axis (one of the five
            largest) is the right class; ``binary``: share on the right side of 0.5 (of 0 for logits); ``r2``:
            coefficient of determination ``1 - SSE / SST``, for outputs that are no classes; ``mse``: mean squared
            error; ``psnr``: peak signal-to-noise ratio in dB, ``10 log10(peak^2 / MSE)``; ``auc``: area under the
            receiver operating characteristic; ``user``: the result of ``function``.
        against_labels: whether the reference is labels, else the outputs of the dense float32 model.
        threshold: between no and yes, in units of the outputs; the same for every file that is compared.
        function: of the kind ``user``.
    """

    kind: Kind | Literal["top5", "mse", "psnr", "auc", "user"]
    against_labels: bool
    threshold: float = 0.5
    function: UserMetric | None = None

    @property
    def name(self) -> str:
        """Its name in reports."""
        name = self.kind if self.function is None else self.function.name
        return name if self.against_labels else name + _AGREEMENT

    @property
    def lower_is_better(self) -> bool:
        """Whether a smaller score is better."""
        return self.kind == "mse"

    @property
    def is_gated_by_r2(self) -> bool:
        """Whether the accuracy gate compares the dimensionless ``1 - SSE / SST`` instead of the score."""
        return self.kind in ("mse", "psnr")

    def score(self, outputs: np.ndarray, reference: np.ndarray) -> float:
        """Return the score of ``outputs`` ``(n, ...)`` against labels or the other model's outputs."""
        return self.evidence(outputs, reference).score()

    def evidence(self, outputs: np.ndarray, reference: np.ndarray) -> Evidence:
        """Return the evidence of the score of ``outputs`` ``(n, ...)``.

        Raises:
            DataError: the user's function raised or returned no numbers.
        """
        if self.function is not None:
            return self.function.evidence(outputs, reference)
        if self.kind in ("top1", "top5"):
            wanted = _classes(reference, outputs.shape)
            if self.kind == "top1":
                return _shares(outputs.argmax(-1) == wanted)
            return _shares(_places(outputs, wanted) < _FIVE)
        if self.kind == "binary":
            yes = outputs > self.threshold
            return _shares(yes == self._is_yes(reference).reshape(outputs.shape))
        if self.kind == "auc":
            if outputs.shape[1:] == (2,):
                return Evidence((outputs[:, 1] - outputs[:, 0], _classes(reference, outputs.shape) == 1), _area)
            return Evidence((outputs.reshape(-1), self._is_yes(reference).reshape(-1)), _area)
        return self._of_errors(outputs, reference.reshape(outputs.shape).astype(np.float64))

    def decisions(self, outputs: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray, int] | None:
        """Return the right and the chosen classes, each ``(m,)``, and the number of classes.

        Return None if there are no labels or they name no classes.
        """
        if not self.against_labels:
            return None
        if self.kind in ("top1", "top5"):
            return _classes(reference, outputs.shape).reshape(-1), outputs.argmax(-1).reshape(-1), outputs.shape[-1]
        if self.kind == "binary":
            wanted = self._is_yes(reference).reshape(-1)
            return wanted.astype(np.int64), (outputs.reshape(-1) > self.threshold).astype(np.int64), 2
        return None

    def _is_yes(self, reference: np.ndarray) -> np.ndarray:
        return reference > (0.5 if self.against_labels else self.threshold)

    def _of_errors(self, outputs: np.ndarray, wanted: np.ndarray) -> Evidence:
        """Return evidence for kinds that compare numbers. The gate always compares shares of explained variance."""
        errors = _sum_of_each((outputs - wanted) ** 2)
        spreads = _sum_of_each((wanted - wanted.mean(0)) ** 2)
        values = wanted[0].size

        def mean_squared_error(errors: np.ndarray, _: np.ndarray) -> float:
            return float(mean(errors) / values)

        if self.kind == "r2":
            return Evidence((errors, spreads), explained)
        if self.kind == "mse":
            return Evidence((errors, spreads), mean_squared_error, merit=explained)
        peak = _peak(wanted)
        least = (peak * _FINEST_STEP) ** 2

        def ratio(errors: np.ndarray, spreads: np.ndarray) -> float:
            return float(10 * np.log10(peak**2 / max(mean_squared_error(errors, spreads), least)))

        return Evidence((errors, spreads), ratio, merit=explained)


def choose_metric(outputs: np.ndarray, labels: np.ndarray | None, wanted: Name | UserMetric = "auto") -> Metric:
    """Return the metric that suits the dense float32 model's outputs ``(n, ...)`` and the labels, if there are any.

    Args:
        outputs: of the dense float32 model.
        labels: of the same samples, or None.
        wanted: ``auto``, or the user's choice.

    Raises:
        DataError: the user's choice does not suit them, or see :func:`tflite_sparse.sources.labels.kind_of`.
    """
    threshold = 0.5 if looks_like_probability(outputs) else 0.0
    if isinstance(wanted, UserMetric):
        if labels is None:
            raise DataError(f"`metric={wanted.spec!r}` needs labels (y), and the data have none for that output.")
        return Metric("user", True, threshold, wanted)
    if wanted in ("mse", "psnr"):
        reference = outputs if labels is None else labels
        if reference.size != outputs.size:
            raise DataError(
                f"`metric={wanted!r}` compares numbers: labels of shape {reference.shape} do not fit the "
                f"model's output of shape {outputs.shape}. Use auto."
            )
        if wanted == "psnr" and _peak(reference) == 0:
            raise DataError("`metric='psnr'` needs labels that differ: all are the same. Use mse.")
        return Metric(wanted, labels is not None, threshold)
    kind = kind_of(outputs, labels)
    if wanted in ("top1", "top5"):
        least = 2 if wanted == "top1" else _FIVE + 1
        if kind != "top1" or outputs.shape[-1] < least:
            raise DataError(
                f"`metric={wanted!r}` needs {least} classes or more, and the model's output of shape {outputs.shape} "
                "has none or fewer with these labels. Use auto."
            )
        return Metric(wanted, labels is not None, threshold)
    if wanted == "auc":
        _check_yes_or_no(outputs, labels, kind)
    return Metric("auc" if wanted == "auc" else kind, labels is not None, threshold)


def with_top5(metric: Metric, outputs: np.ndarray) -> Metric | None:
    """Return the top-5 metric beside top-1 if there are enough classes for it, else None."""
    if metric.kind != "top1" or outputs.shape[-1] <= _MOST_CLASSES_WITHOUT_TOP5:
        return None
    return Metric("top5", metric.against_labels, metric.threshold)


def joint_name(metrics: Sequence[Metric]) -> str:
    """Return the name of the mean score of several outputs in reports."""
    names = {metric.name for metric in metrics}
    if len(names) == 1:
        return names.pop()
    return "mean" if metrics[0].against_labels else "mean" + _AGREEMENT


def _check_yes_or_no(outputs: np.ndarray, labels: np.ndarray | None, kind: Kind) -> None:
    count = len(outputs)
    single = outputs.size == count or (kind == "top1" and outputs.shape == (count, 2))
    if labels is None or kind == "r2" or not single:
        raise DataError(
            "`metric='auc'` needs one yes or no for each sample: labels 0 and 1, and one output or two. Use auto."
        )
    if len(np.unique(labels)) < 2:
        raise DataError("`metric='auc'` needs labels of both kinds: those of the test samples are all the same.")


def _classes(reference: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if reference.shape == shape:
        return np.asarray(reference.argmax(-1))
    return reference.reshape(shape[:-1]).astype(np.int64)


def _places(outputs: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return how many classes rank before the right one; of equal outputs (common in int8) the first ranks first."""
    right = np.take_along_axis(outputs, wanted[..., None], axis=-1)
    is_before = np.arange(outputs.shape[-1]) < wanted[..., None]
    return np.asarray((outputs > right).sum(-1) + ((outputs == right) & is_before).sum(-1))


def _shares(right: np.ndarray) -> Evidence:
    """Return evidence for one decision for each sample, or for several, of which a share is right."""
    rows = right.reshape(len(right), -1)
    return Evidence((rows[:, 0] if rows.shape[1] == 1 else rows.mean(axis=1),), mean)


def _area(values: np.ndarray, is_yes: np.ndarray) -> float:
    """Return how often a yes outranks a no over all pairs; ties count half (Mann and Whitney's U)."""
    from scipy.stats import rankdata

    yes = int(is_yes.sum())
    no = is_yes.size - yes
    if yes == 0 or no == 0:
        return float("nan")
    return float((rankdata(values)[is_yes].sum() - yes * (yes + 1) / 2) / (yes * no))


def _sum_of_each(squares: np.ndarray) -> np.ndarray:
    return np.asarray(squares.reshape(len(squares), -1).sum(axis=1))


def _peak(wanted: np.ndarray) -> float:
    """Return 1 for values in [0, 1], else their range."""
    low, high = float(wanted.min()), float(wanted.max())
    return 1.0 if low >= 0 and high <= 1 else high - low
