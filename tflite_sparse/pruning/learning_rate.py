"""Compare a pruning schedule with the learning rate: at a tiny rate, training no longer compensates new masks.

Zhu and Gupta (2017), section 3: prune while the rate is high enough for the network to recover, and stop before the
end.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tflite_sparse.pruning.plan import Plan, Span
from tflite_sparse.sources.keras_types import Optimizer

LOW = 0.1
"""Share of its peak below which the rate is too low to recover."""

_POINTS = 250
_ONE_EPOCH = 0.65


def rates(optimizer: Optimizer, steps: int, first: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return steps from 0 to ``steps``, in at most 250 intervals, and the learning rate at each.

    Changes of the rate by callbacks are not included.

    Args:
        optimizer: of either generation, also one that scales the loss.
        steps: of the training.
        first: number of steps that the optimizer had made before that training.
    """
    at = np.unique(np.linspace(0, steps, min(steps, _POINTS) + 1).astype(int))
    rate_at = _rate_of(optimizer)
    return at, np.array([rate_at(first + int(step)) for step in at])


def advice(optimizer: Optimizer, plan: Plan, span: Span, done: int = 0) -> list[str]:
    """Return warnings about the end of the schedule; none if the learning rate suits it.

    Args:
        optimizer: see :func:`rates`.
        plan: of the pruning.
        span: the length of the training.
        done: number of its steps done before.
    """
    if plan.end <= done:
        return []
    first = max(int(optimizer.iterations.numpy()) - done, 0)
    low = _first_low_step(optimizer, span.steps, first)
    epochs = span.steps // span.steps_per_epoch
    last = span.steps - span.steps_per_epoch if epochs > 1 else round(_ONE_EPOCH * span.steps)
    if low is not None and low < plan.end:
        reason = f"but from step {low} on the learning rate is below a tenth of its peak"
    elif plan.end > last:
        reason = f"of {span.steps}, in the last epoch" if epochs > 1 else f"of {span.steps}, towards the end"
    else:
        return []
    step = last if low is None else min(low, last)
    cure = f"Try --end {step} (end={step})." if step > plan.begin else "Train longer, or begin earlier."
    comma = ", " if reason.startswith("but") else " "
    return [f"masks change until step {plan.end}{comma}{reason}: what is pruned then is not compensated. {cure}"]


def _first_low_step(optimizer: Optimizer, steps: int, first: int) -> int | None:
    """Return the first step after the peak from which on the rate stays low; None if there is none."""
    at, found = rates(optimizer, steps, first)
    peak = int(np.argmax(found))
    limit = LOW * found[peak]
    places = np.flatnonzero((found < limit) & (at > at[peak]))
    if not places.size:
        return None
    above, below = int(at[places[0] - 1]), int(at[places[0]])
    rate_at = _rate_of(optimizer)
    while below - above > 1:
        middle = (above + below) // 2
        above, below = (above, middle) if rate_at(first + middle) < limit else (middle, below)
    return below


def _rate_of(optimizer: Optimizer) -> Callable[[int], float]:
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    legacy = getattr(inner, "_hyper", {})
    schedule = legacy.get("learning_rate", getattr(inner, "_learning_rate", None))
    if callable(schedule) and hasattr(schedule, "get_config"):
        return lambda step: float(np.asarray(schedule(step)))
    rate = inner.learning_rate
    constant = float(getattr(rate, "numpy", lambda: rate)())
    return lambda _: constant
