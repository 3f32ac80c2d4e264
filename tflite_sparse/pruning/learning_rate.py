"""What the learning rate says about a pruning: masks that change once it is tiny are not compensated.

Zhu and Gupta (2017), section 3: prune while the rate is high enough for the network to recover, and stop before the
end.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tflite_sparse.pruning.plan import Plan, Span

LOW = 0.1
"""A rate below this share of its peak is too low to recover."""

_POINTS = 1000


def rates(optimizer: Any, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps and the learning rate at each, at most a thousand of them, from 0 to ``steps``.

    Callbacks that change the rate are not seen.
    """
    at = np.unique(np.linspace(0, steps, min(steps, _POINTS) + 1).astype(int))
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    schedule = getattr(inner, "_learning_rate", None)
    if not hasattr(schedule, "get_config") or not callable(schedule):
        return at, np.full(at.size, float(np.asarray(inner.learning_rate)))
    return at, np.array([float(np.asarray(schedule(step))) for step in at])


def advice(optimizer: Any, plan: Plan, span: Span) -> list[str]:
    """Sentences on what speaks against the end of the schedule; none where all is well."""
    if plan.end == 0:
        return []
    at, found = rates(optimizer, span.steps)
    peak = int(np.argmax(found))
    low = np.flatnonzero((found < LOW * found[peak]) & (at > at[peak]))
    if low.size and at[low[0]] < plan.end:
        step = int(at[low[0]])
        return [
            f"masks change until step {plan.end}, but from step {step} on the learning rate is below a tenth of its "
            f"peak: what is pruned then is not compensated. Try --end {step} (end={step})."
        ]
    if plan.end > span.steps - span.steps_per_epoch:
        step = round(0.65 * span.steps)
        return [
            f"masks change until step {plan.end} of {span.steps}, in the last epoch: what is pruned then is not "
            f"compensated. Try --end {step} (end={step})."
        ]
    return []
