"""Measure how much each kernel matters: mask one at a time and evaluate on samples held out of training."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tflite_sparse.base.progress import Step, ignore_steps
from tflite_sparse.errors import DataError, ModelError, SettingsError
from tflite_sparse.pruning import masks
from tflite_sparse.pruning.structure import UNSTRUCTURED, Structure
from tflite_sparse.results.scan import KernelScan, Point, Scan
from tflite_sparse.sources.arrays import Arrays, take
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.source_model import Kernel, SourceModel

SPARSITIES = (0.5, 0.75, 0.875, 0.95)
"""Sparsities of a scan that people read."""


@dataclass(frozen=True, slots=True)
class Score:
    """Quality of a model: ``metric``, 1 if it is perfect, and the mean ``loss`` of a sample."""

    metric: float
    loss: float


def scan(
    source: SourceModel,
    kernels: Sequence[Kernel],
    evaluate: Callable[[], Score],
    sparsities: Sequence[float] = SPARSITIES,
    *,
    structure: Structure | Sequence[Structure] = UNSTRUCTURED,
    on_step: Step = ignore_steps,
) -> Scan:
    """Mask one kernel at a time by magnitude, at every sparsity, and evaluate the model.

    All weights have their original bits when this returns or raises.

    Args:
        source: the model of the kernels.
        kernels: to scan.
        evaluate: returns the score of the model in its present state, on samples that belong neither to the training
            nor to the test data.
        sparsities: shares of zeros, in (0, 1), ascending.
        structure: the weights that become zero together, for all kernels or for each.
        on_step: receives (evaluations done, all evaluations), see :func:`estimated_evaluations`.

    Raises:
        SettingsError: the sparsities are out of range or order, or there is no kernel.
        ModelError: the loss of the model, unmasked or with a kernel masked, is NaN or infinite.
    """
    _check(kernels, sparsities)
    structures = [structure] * len(kernels) if isinstance(structure, Structure) else structure
    total = estimated_evaluations(kernels, sparsities)
    baseline = finite(evaluate(), f"{source.name} as it is")
    on_step(1, total)
    found: list[KernelScan] = []
    for number, (kernel, shape) in enumerate(zip(kernels, structures, strict=True)):
        before = kernel.read().copy()
        points = []
        for place, asked in enumerate(sparsities):
            mask = masks.magnitude_mask(before, asked, shape, kernel.axes)
            with _masked(kernel, before, mask):
                share = masks.sparsity_of([kernel]).share
                score = finite(evaluate(), f"{source.name} with {kernel.name} masked to {asked:g}")
            points.append(Point(asked=asked, sparsity=share, metric=score.metric, loss=score.loss))
            on_step(2 + number * len(sparsities) + place, total)
        found.append(
            KernelScan(
                name=kernel.name,
                type=kernel.owner,
                shape=kernel.shape,
                weights=kernel.size,
                block=str(shape),
                held=float(np.mean(before == 0)),
                points=tuple(points),
            )
        )
    return Scan(
        model=source.name,
        baseline_metric=baseline.metric,
        baseline_loss=baseline.loss,
        kernels=tuple(found),
    )


def estimated_evaluations(kernels: Sequence[Kernel], sparsities: Sequence[float] = SPARSITIES) -> int:
    """Return how often :func:`scan` evaluates the model: once unmasked, and once for each kernel and sparsity."""
    return 1 + len(kernels) * len(sparsities)


def held_out(
    data: Dataset, share: float = 0.1, most: int = 2000, *, seed: int
) -> tuple[Arrays, Arrays | None, Arrays, Arrays | None]:
    """Split the training part; the test part is not used.

    Args:
        data: with or without labels.
        share: of the training samples that are held out, in (0, 1).
        most: maximum number of these.
        seed: of the choice.

    Returns:
        ``x`` and ``y`` to train on, ``x`` and ``y`` held out; at least one sample each, ``y`` None without labels.

    Raises:
        SettingsError: ``share`` or ``most`` is out of range.
        DataError: there is only one training sample.
    """
    if not 0 < share < 1 or most < 1:
        raise SettingsError(f"share = {share:g}, most = {most}: a share between 0 and 1, and one sample or more.")
    count = data.train_samples
    if count < 2:
        raise DataError(f"{data.name}: one training sample cannot be split; a scan holds some out.")
    held = min(max(1, round(count * share)), most, count - 1)
    order = np.random.default_rng(seed).permutation(count)
    fit, rest = np.sort(order[held:]), np.sort(order[:held])
    x, y = data.x_train, data.y_train
    if y is None:
        return take(x, fit), None, take(x, rest), None
    return take(x, fit), take(y, fit), take(x, rest), take(y, rest)


@contextlib.contextmanager
def _masked(kernel: Kernel, before: np.ndarray, mask: np.ndarray) -> Iterator[None]:
    try:
        masks.apply_mask(kernel, mask)
        yield
    finally:
        kernel.write(before)


def _check(kernels: Sequence[Kernel], sparsities: Sequence[float]) -> None:
    if not kernels:
        raise SettingsError("nothing to scan: the model has no kernel that is pruned.")
    ordered = all(first < second for first, second in itertools.pairwise(sparsities))
    if not sparsities or not ordered or not 0 < sparsities[0] <= sparsities[-1] < 1:
        raise SettingsError(f"sparsities = {list(sparsities)}: expected rising shares between 0 and 1.")


def finite(score: Score, what: str) -> Score:
    """Return a score.

    Raises:
        ModelError: it is NaN or infinite; ``what`` names the model.
    """
    if not (math.isfinite(score.loss) and math.isfinite(score.metric)):
        raise ModelError(f"{what} has a loss of {score.loss} on held-out samples; check the range of the data.")
    return score
