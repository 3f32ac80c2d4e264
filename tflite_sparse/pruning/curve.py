"""Compute sparsity and learning rate over a training, for reports."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tflite_sparse.pruning import learning_rate
from tflite_sparse.pruning.plan import Plan
from tflite_sparse.results.prune import Curve
from tflite_sparse.sources.keras_types import Optimizer

_POINTS = 200


def of(plan: Plan, optimizer: Optimizer, steps: int) -> Curve:
    """Return the sparsity of a plan and the learning rate of an optimizer over ``steps`` steps."""
    at, rates = learning_rate.rates(optimizer, steps)
    chosen = np.unique(np.linspace(0, at.size - 1, min(at.size, _POINTS)).astype(int))
    return Curve(
        steps=[int(step) for step in at[chosen]],
        sparsity=[plan.sparsity_at(int(step)) for step in at[chosen]],
        learning_rate=[float(rate) for rate in rates[chosen]],
    )


def joined(curves: Sequence[Curve]) -> Curve | None:
    """Join successive trainings into one curve; None if there are none."""
    if not curves:
        return None
    steps: list[int] = []
    for curve in curves:
        start = steps[-1] + 1 if steps else 0
        steps += [start + step - curve.steps[0] for step in curve.steps]
    return Curve(
        steps=steps,
        sparsity=[share for curve in curves for share in curve.sparsity],
        learning_rate=[rate for curve in curves for rate in curve.learning_rate],
    )
