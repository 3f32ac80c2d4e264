"""How many zeros each kernel gets, so that all together are as many as were asked for and the loss rises least."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tflite_sparse.errors import SettingsError
from tflite_sparse.pruning.plan import KernelPlan, Plan, Planner, Span
from tflite_sparse.pruning.schedule import ConstantSchedule, PolynomialSchedule
from tflite_sparse.results.scan import KernelScan, Scan
from tflite_sparse.sources.source_model import Kernel

ALLOCATION_SPARSITIES = (0.5, 0.75, 0.875, 0.95, 0.98, 0.99)
"""What a scan for an allocation tries: it needs points beyond the total, where kernels that matter little end."""

DENSITY_RATIO = 4.0
"""How many times denser, or sparser, than under the uniform total a kernel gets at most.

Of 2, 4, 8 and no limit, 4 gave the least mean test loss on two small networks for mnist-5k pruned to 95 % (three seeds;
against 8 within their spread); every one of them was better than uniform.
"""

_HALVINGS, _PER_HALVING = 10, 4  # of density beyond the last measured point: the knots of the extrapolation


@dataclass(frozen=True, slots=True)
class Allocation:
    """Sparsities by kernel name, and the rise of the loss that is predicted for them and for the uniform total.

    The rise is the sum of what each kernel costs alone and without any training after it: it ranks allocations of one
    model and is no forecast of its loss.
    """

    sparsities: Mapping[str, float]
    loss: float
    uniform_loss: float


@dataclass(frozen=True, slots=True)
class Curve:
    """The predicted rise of the loss as one kernel becomes sparse: convex, non-decreasing, linear between its knots.

    Attributes:
        sparsity: of the knots, rising, from what the kernel holds anyway.
        rise: there; 0 at the first.
    """

    sparsity: np.ndarray
    rise: np.ndarray

    def at(self, sparsity: np.ndarray | float) -> np.ndarray:
        """The rise at ``sparsity``; beyond the last knot as at it."""
        return np.asarray(np.interp(sparsity, self.sparsity, self.rise))


def curve_of(kernel: KernelScan, baseline: float) -> Curve:
    """The curve through what was measured.

    The lower convex hull of the measured points, so that noise does not make a kernel look better the more of it is
    gone; a loss below the baseline counts as the baseline. Beyond the last point, at density ``d_L`` and with slope
    ``m``, it goes on as ``m d_L ln(d_L / d)``: without a bend, and so that each halving of the density costs the same.
    A line would underrate the end, for the last weights are the largest. The slope ``m d_L / d`` steepens without
    limit, so that no kernel is emptied while others have weights left.

    Args:
        kernel: with at least one point.
        baseline: loss of the model as it came.
    """
    sparsity = np.array([kernel.held, *(point.sparsity for point in kernel.points)])
    rise = np.maximum.accumulate([0.0, *(point.loss - baseline for point in kernel.points)])
    hull = _lower_hull(sparsity, rise)
    sparsity, rise = sparsity[hull], rise[hull]
    if sparsity.size < 2:  # nothing was measured beyond what the kernel holds
        return Curve(np.array([kernel.held, 1.0]), np.zeros(2))
    slope = (rise[-1] - rise[-2]) / (sparsity[-1] - sparsity[-2])
    last = 1 - sparsity[-1]
    halvings = np.arange(1, _HALVINGS * _PER_HALVING + 1) / _PER_HALVING
    return Curve(
        np.concatenate([sparsity, 1 - last * 2.0**-halvings]),
        np.concatenate([rise, rise[-1] + slope * last * np.log(2) * halvings]),
    )


def allocate(
    scan: Scan, total: float, least: float = 0.0, most: float = 0.995, density_ratio: float = DENSITY_RATIO
) -> Allocation:
    """Sparsities that come to ``total`` over all weights of the scanned kernels with the least predicted loss.

    What is minimised is the sum of the kernels' curves (:func:`curve_of`). They are convex, so taking the cheapest
    stretch of all curves next, until the total is reached, is exact. Where stretches cost the same, as where no loss
    was measured, the kernels get sparser side by side.

    A kernel masked alone and without training after it says little of the extremes. Its density therefore stays within
    ``1 / density_ratio`` and ``density_ratio`` times that of the uniform total.

    Args:
        scan: best with :data:`ALLOCATION_SPARSITIES`.
        total: share of zeros over all kernels together, in [0, 1).
        least: of any kernel.
        most: of any kernel.
        density_ratio: at least 1, which is uniform.

    Raises:
        SettingsError: a share is out of range, or the total cannot be met within these limits and what the kernels
            hold.
    """
    if not 0 <= total < 1 or not 0 <= least <= most < 1 or not density_ratio >= 1:
        raise SettingsError(
            f"total = {total:g}, least = {least:g}, most = {most:g}, density_ratio = {density_ratio:g}: "
            "expected shares in [0, 1), least no more than most, and a ratio of 1 or more."
        )
    if not scan.kernels:
        raise SettingsError("nothing to allocate: the scan has no kernel.")
    weights = np.array([kernel.weights for kernel in scan.kernels], np.float64)
    held = np.array([kernel.held for kernel in scan.kernels])
    floor = np.maximum(held, least)
    _check_reachable(total, weights @ floor, weights @ np.maximum(held, most), weights.sum())
    low = np.maximum(floor, min(most, 1 - density_ratio * (1 - total)))
    if weights @ low > total * weights.sum():  # some kernels came sparser than the total: the others make up for it
        low = floor
    high = np.maximum(low, min(most, 1 - (1 - total) / density_ratio))
    curves = [curve_of(kernel, scan.baseline_loss) for kernel in scan.kernels]
    chosen = _cheapest(curves, weights, low, high, total * weights.sum())
    return Allocation(
        {kernel.name: float(share) for kernel, share in zip(scan.kernels, chosen, strict=True)},
        _predicted(curves, chosen),
        _predicted(curves, np.maximum(total, held)),
    )


def planner(inner: Planner, sparsities: Mapping[str, float]) -> Planner:
    """As ``inner`` plans, but with these final sparsities, by kernel name.

    Raises:
        SettingsError: when called: the plan has a kernel without an entry, ranks all kernels together, or prunes one to
            N:M, which has a sparsity of its own.
    """

    def plan(kernels: Sequence[Kernel], span: Span) -> Plan:
        planned = inner(kernels, span)
        check(planned)
        return Plan(tuple(_with_final(each, sparsities) for each in planned.kernels))

    return plan


def check(plan: Plan) -> None:
    """Find out before a scan whether sparsities can be allocated to the kernels of ``plan``.

    Raises:
        SettingsError: it ranks all kernels together, or prunes one to N:M, which has a sparsity of its own.
    """
    if plan.scope == "global":
        raise SettingsError("scope = 'global' ranks all kernels together: leave it out to allocate sparsities.")
    for each in plan.kernels:
        if each.structure.sparsity is not None:
            raise SettingsError(
                f"{each.kernel.name}: {each.structure} makes {each.structure.sparsity:g} zeros, no more and no fewer: "
                "give it another block to allocate sparsities."
            )


def _with_final(each: KernelPlan, sparsities: Mapping[str, float]) -> KernelPlan:
    name, schedule = each.kernel.name, each.schedule
    if name not in sparsities:
        raise SettingsError(f"{name} was not scanned: its sparsity cannot be allocated.")
    final = sparsities[name]
    if isinstance(schedule, PolynomialSchedule):
        return replace(each, schedule=replace(schedule, initial=min(schedule.initial, final), final=final))
    if isinstance(schedule, ConstantSchedule):
        return replace(each, schedule=replace(schedule, final=final))
    raise SettingsError(f"{name} keeps the zeros that it has: its sparsity cannot be allocated.")


def _cheapest(
    curves: Sequence[Curve], weights: np.ndarray, low: np.ndarray, high: np.ndarray, zeros: float
) -> np.ndarray:
    """Sparsities between ``low`` and ``high`` of ``zeros`` weights together.

    All curves are cut at the same sparsities, so that stretches of equal cost can be taken side by side.
    """
    knots = np.unique(np.concatenate([low, high, *(curve.sparsity for curve in curves)]))
    starts, ends = knots[:-1], knots[1:]
    from_, to = np.clip(starts, low[:, None], high[:, None]), np.clip(ends, low[:, None], high[:, None])
    sizes = (to - from_) * weights[:, None]
    rises = np.stack([np.diff(curve.at(knots)) for curve in curves])
    costs = rises / (ends - starts) / weights[:, None]
    kernel, stretch = np.nonzero(sizes > 0)
    order = np.lexsort((starts[stretch], costs[kernel, stretch]))
    kernel, stretch = kernel[order], stretch[order]
    key = np.stack([costs[kernel, stretch], starts[stretch]])
    group = np.concatenate([[0], np.cumsum(np.any(key[:, 1:] != key[:, :-1], axis=0))]) if order.size else order
    of_group = np.bincount(group, sizes[kernel, stretch])
    before = np.concatenate([[0.0], np.cumsum(of_group)[:-1]]) if of_group.size else of_group
    taken = np.clip(zeros - low @ weights - before, 0, of_group) / of_group
    result = low * weights
    np.add.at(result, kernel, sizes[kernel, stretch] * taken[group])
    return np.asarray(np.clip(result / weights, low, high))


def _predicted(curves: Sequence[Curve], sparsity: np.ndarray) -> float:
    return float(sum(curve.at(share) for curve, share in zip(curves, sparsity, strict=True)))


def _lower_hull(x: np.ndarray, y: np.ndarray) -> list[int]:
    """Places of the points on the lower convex hull, of points by rising ``x``; of equal ``x`` the first."""
    hull: list[int] = []
    for i in range(x.size):
        if hull and x[i] == x[hull[-1]]:
            continue
        while len(hull) > 1 and _is_above(x, y, hull[-2], hull[-1], i):
            hull.pop()
        hull.append(i)
    return hull


def _is_above(x: np.ndarray, y: np.ndarray, first: int, middle: int, last: int) -> bool:
    """Whether the middle point is not below the line from the first to the last."""
    return bool((y[middle] - y[first]) * (x[last] - x[first]) >= (y[last] - y[first]) * (x[middle] - x[first]))


def _check_reachable(total: float, least: float, most: float, weights: float) -> None:
    tolerance = 1e-9
    if not least / weights - tolerance <= total <= most / weights + tolerance:
        raise SettingsError(
            f"total = {total:g} cannot be met: within the limits {least / weights:.4g} to {most / weights:.4g} can."
        )
