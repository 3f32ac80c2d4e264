"""Allocate a total sparsity to the kernels of a model so that the loss rises least."""

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
"""Sparsities of a scan for allocation; it needs points beyond the total, which kernels that matter little reach."""

DENSITY_RATIO = 4.0
"""Largest factor between the density of a kernel and that of the uniform total.

Of 2, 4, 8 and no limit, 4 gave the least mean test loss on two small networks for mnist-5k pruned to 95 % (three seeds;
4 and 8 differ by less than their spread). All four were better than uniform.
"""

_HALVINGS, _PER_HALVING = 10, 4  # knots of the extrapolation, in density beyond the last measured point


@dataclass(frozen=True, slots=True)
class Allocation:
    """Sparsities by kernel name, and the predicted rise of the loss for them and for the uniform total.

    The rise is the sum of the costs of each kernel alone, without later training. It ranks allocations of one model and
    does not forecast its loss.
    """

    sparsities: Mapping[str, float]
    loss: float
    uniform_loss: float


@dataclass(frozen=True, slots=True)
class Curve:
    """The predicted rise of the loss as one kernel becomes sparse: convex, non-decreasing, linear between its knots.

    Attributes:
        sparsity: of the knots, ascending, from the kernel's present sparsity.
        rise: at the knots; 0 at the first.
    """

    sparsity: np.ndarray
    rise: np.ndarray

    def at(self, sparsity: np.ndarray | float) -> np.ndarray:
        """Return the rise at ``sparsity``; it is constant beyond the last knot."""
        return np.asarray(np.interp(sparsity, self.sparsity, self.rise))


def curve_of(kernel: KernelScan, baseline: float) -> Curve:
    """Return the curve of a kernel from its measured points.

    It is the lower convex hull of the points, so that noise does not make a kernel look better as it becomes sparser. A
    loss below the baseline counts as the baseline. Beyond the last point, at density ``d_L`` and with slope ``m``, it
    continues as ``m d_L ln(d_L / d)``: smoothly, and with the same cost for each halving of the density. A line would
    underrate the end, because the last weights are the largest. The slope ``m d_L / d`` grows without limit, so that no
    kernel is emptied while others have weights left.

    Args:
        kernel: with at least one point.
        baseline: loss of the unmasked model.
    """
    sparsity = np.array([kernel.held, *(point.sparsity for point in kernel.points)])
    rise = np.maximum.accumulate([0.0, *(point.loss - baseline for point in kernel.points)])
    hull = _lower_hull(sparsity, rise)
    sparsity, rise = sparsity[hull], rise[hull]
    if sparsity.size < 2:  # no point beyond the present sparsity
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
    """Return sparsities with the least predicted loss that add up to ``total`` over all weights of the scanned kernels.

    The sum of the kernels' curves (:func:`curve_of`) is minimised. They are convex, so taking the cheapest stretch of
    all curves next, until the total is reached, is exact. Where stretches cost the same, as where no loss was measured,
    the kernels become sparser side by side.

    A kernel masked alone and without later training says little about extreme sparsities. Its density therefore stays
    within ``1 / density_ratio`` and ``density_ratio`` times that of the uniform total.

    Args:
        scan: best with :data:`ALLOCATION_SPARSITIES`.
        total: share of zeros over all kernels together, in [0, 1).
        least: minimum sparsity of any kernel.
        most: maximum sparsity of any kernel.
        density_ratio: at least 1, which is uniform.

    Raises:
        SettingsError: a share is out of range, or the total cannot be met within these limits and the kernels' present
            sparsities.
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
    if weights @ low > total * weights.sum():  # the others compensate kernels that are sparser already
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
    """Return a planner like ``inner`` with these final sparsities, by kernel name.

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
    """Check, before a scan, that sparsities can be allocated to the kernels of ``plan``.

    Raises:
        SettingsError: it ranks all kernels together, prunes one to N:M, which has a sparsity of its own, or channels.
    """
    refuse_channels(plan)
    if plan.scope == "global":
        raise SettingsError("scope = 'global' ranks all kernels together: leave it out to allocate sparsities.")
    for each in plan.kernels:
        if each.structure.sparsity is not None:
            raise SettingsError(
                f"{each.kernel.name}: {each.structure} makes exactly {each.structure.sparsity:g} zeros: "
                "give it another block to allocate sparsities."
            )


def refuse_channels(plan: Plan) -> None:
    """Refuse a plan that prunes channels: a scan masks one kernel at a time, and channels are of several layers.

    Raises:
        SettingsError: it does.
    """
    if plan.channels:
        raise SettingsError(
            "block = 'channel' masks several layers at once: a scan of single kernels takes no channels."
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
    """Return sparsities between ``low`` and ``high`` with ``zeros`` zero weights in total.

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
    """Return indices of the points on the lower convex hull, for ascending ``x``; of equal ``x`` the first."""
    hull: list[int] = []
    for i in range(x.size):
        if hull and x[i] == x[hull[-1]]:
            continue
        while len(hull) > 1 and _is_above(x, y, hull[-2], hull[-1], i):
            hull.pop()
        hull.append(i)
    return hull


def _is_above(x: np.ndarray, y: np.ndarray, first: int, middle: int, last: int) -> bool:
    """Return whether the middle point is not below the line from the first to the last."""
    return bool((y[middle] - y[first]) * (x[last] - x[first]) >= (y[last] - y[first]) * (x[middle] - x[first]))


def _check_reachable(total: float, least: float, most: float, weights: float) -> None:
    tolerance = 1e-9
    if not least / weights - tolerance <= total <= most / weights + tolerance:
        raise SettingsError(
            f"total = {total:g} cannot be met: within the limits {least / weights:.4g} to {most / weights:.4g} can."
        )
