"""Choose one option for each item with the least loss within a capacity, by integer programming."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_SECONDS = 60.0


def solve(losses: Sequence[np.ndarray], weights: Sequence[np.ndarray], capacity: float) -> list[int] | None:
    """Return the option of each item such that the total weight is within ``capacity`` and the loss is least.

    The multiple-choice knapsack problem (Kellerer, Pferschy and Pisinger 2004, chapter 11):

        minimise    sum_k sum_c loss[k, c] x[k, c]
        subject to  sum_k sum_c weight[k, c] x[k, c] <= capacity
                    sum_c x[k, c] = 1 for every k,    x[k, c] in {0, 1}

    solved by branch and cut (HiGHS, :func:`scipy.optimize.milp`) to the optimum.

    Args:
        losses: for each item those of its options, of any sign.
        weights: for each item those of its options, in the same order; not negative.
        capacity: limit of the total weight.

    Returns:
        For each item the index of its option; None if even the lightest options are too heavy.
    """
    if not losses:
        return [] if capacity >= 0 else None
    least = sum(float(np.min(each)) for each in weights)
    if least > capacity:
        return None
    limit = float(capacity)
    while limit >= least:
        chosen = _solved(losses, weights, limit)
        excess = sum(float(each[place]) for each, place in zip(weights, chosen, strict=True)) - capacity
        if excess <= 0:
            return chosen
        limit -= max(excess, 1.0)  # the solver's tolerance: a millionth of the heaviest option
    return [int(np.lexsort(each)[0]) for each in zip(losses, weights, strict=True)]


def _solved(losses: Sequence[np.ndarray], weights: Sequence[np.ndarray], capacity: float) -> list[int]:
    """Solve it with HiGHS, which respects the capacity within its tolerance."""
    from scipy import optimize, sparse

    items = np.repeat(np.arange(len(losses)), [len(each) for each in losses])
    loss, weight = np.concatenate(losses), np.concatenate(weights)
    one_each = sparse.csr_array((np.ones(items.size), (items, np.arange(items.size))))
    # Scaled, so that the solver's tolerances mean the same for every model.
    scale = max(float(np.abs(loss).max()), np.finfo(float).tiny)
    heaviest = max(float(weight.max()), 1.0)
    found = optimize.milp(
        loss / scale,
        integrality=np.ones(items.size),
        bounds=optimize.Bounds(0, 1),
        constraints=[
            optimize.LinearConstraint(weight[None, :] / heaviest, ub=capacity / heaviest),
            optimize.LinearConstraint(one_each, 1, 1),
        ],
        options={"mip_rel_gap": 0.0, "time_limit": _SECONDS},
    )
    if found.x is None:
        raise AssertionError(f"the integer programme of {items.size} options was not solved: {found.message}")
    return [int(np.argmax(found.x[items == item])) for item in range(len(losses))]
