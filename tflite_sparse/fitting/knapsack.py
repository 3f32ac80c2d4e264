"""Choose one option for each item with the least loss within one capacity or several, by integer programming."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_SECONDS = 60.0
_INFEASIBLE = 2  # status of scipy.optimize.milp


def solve(
    losses: Sequence[np.ndarray], weights: Sequence[np.ndarray], capacity: float | Sequence[float]
) -> list[int] | None:
    """Return the option of each item such that the total weights are within ``capacity`` and the loss is least.

    The multiple-choice knapsack problem (Kellerer, Pferschy and Pisinger 2004, chapter 11), with a row of weights for
    each resource r:

        minimise    sum_k sum_c loss[k, c] x[k, c]
        subject to  sum_k sum_c weight[k, r, c] x[k, c] <= capacity[r] for every r
                    sum_c x[k, c] = 1 for every k,    x[k, c] in {0, 1}

    solved by branch and cut (HiGHS, :func:`scipy.optimize.milp`) to the optimum.

    Args:
        losses: for each item those of its options, of any sign.
        weights: for each item those of its options, in the same order; not negative. With several resources
            ``(resources, options)``.
        capacity: limit of the total weight, in units of which 1 is little; with several resources one for each.

    Returns:
        For each item the index of its option; None if no choice is light enough.
    """
    limits = np.atleast_1d(np.asarray(capacity, np.float64))
    if not losses:
        return [] if np.all(limits >= 0) else None
    rows = [np.atleast_2d(each).astype(np.float64) for each in weights]
    least = np.sum([each.min(axis=1) for each in rows], axis=0)
    allowed = limits.copy()
    while np.all(allowed >= least):
        chosen = _solved(losses, rows, allowed)
        if chosen is None:
            return None
        excess = _total(rows, chosen) - limits
        if np.all(excess <= 0):
            return chosen
        # The solver's tolerance is a millionth of the heaviest option.
        allowed -= np.where(excess > 0, np.maximum(excess, 1.0), 0.0)
    lightest = [int(np.lexsort((loss, *each[::-1]))[0]) for loss, each in zip(losses, rows, strict=True)]
    return lightest if np.all(_total(rows, lightest) <= limits) else None


def _total(rows: Sequence[np.ndarray], chosen: Sequence[int]) -> np.ndarray:
    return np.asarray(np.sum([each[:, place] for each, place in zip(rows, chosen, strict=True)], axis=0))


def _solved(losses: Sequence[np.ndarray], rows: Sequence[np.ndarray], limits: np.ndarray) -> list[int] | None:
    """Solve it with HiGHS, which respects the limits within its tolerance; None if no choice is within them."""
    from scipy import optimize, sparse

    items = np.repeat(np.arange(len(losses)), [len(each) for each in losses])
    loss, weight = np.concatenate(losses), np.concatenate(rows, axis=1)
    one_each = sparse.csr_array((np.ones(items.size), (items, np.arange(items.size))))
    # Scaled, so that the solver's tolerances mean the same for every model.
    scale = max(float(np.abs(loss).max()), np.finfo(float).tiny)
    heaviest = np.maximum(weight.max(axis=1), 1.0)
    found = optimize.milp(
        loss / scale,
        integrality=np.ones(items.size),
        bounds=optimize.Bounds(0, 1),
        constraints=[
            optimize.LinearConstraint(weight / heaviest[:, None], ub=limits / heaviest),
            optimize.LinearConstraint(one_each, 1, 1),
        ],
        options={"mip_rel_gap": 0.0, "time_limit": _SECONDS},
    )
    if found.x is None and found.status == _INFEASIBLE:
        return None
    if found.x is None:
        raise AssertionError(f"the integer programme of {items.size} options was not solved: {found.message}")
    return [int(np.argmax(found.x[items == item])) for item in range(len(losses))]
