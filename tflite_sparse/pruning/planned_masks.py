"""Make the masks of a plan, at once or step by step: first whole channels, then weights of what remains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tflite_sparse.pruning import channel_masks, masks
from tflite_sparse.pruning.channel_groups import ChannelGroup
from tflite_sparse.pruning.channel_masks import Remaining
from tflite_sparse.pruning.plan import GroupPlan, KernelPlan, Plan
from tflite_sparse.sources.source_model import Kernel


@dataclass(frozen=True, eq=False)
class _Start:
    """A kernel when masks begin.

    Attributes:
        origin: the weights that are not zero, bool; the others stay zero, also within a block that is kept.
        held: the share of weights in units (blocks) that are zero; the sparsity never falls below it.
    """

    origin: np.ndarray
    held: float = 0.0


class PlannedMasks:
    """The masks of all weights that a plan makes zero. Weights are read when masks are chosen, and not written.

    Args:
        plan: bound to its model.
        found: masks of a run that is resumed, as :meth:`masks` returned them.
    """

    def __init__(self, plan: Plan, found: Mapping[str, np.ndarray]) -> None:
        self._plan = plan
        self._kept = {each.group: found.get(each.group.name, _kept_at_start(each)) for each in plan.groups}
        self._channels = Remaining(self._kept)
        self._remaining = self._without_demanded()
        self._started = {kernel.name: _Start(masks.trained_mask(masks.finite(kernel))) for kernel in plan.pruned}
        for each in plan.kernels:
            self._started[each.kernel.name] = self._with_held(each)
        self._own = {name: found.get(name, start.origin) for name, start in self._started.items()}
        self.weights: dict[str, Kernel] = {weight.name: weight for weight in plan.masked}
        """All weights that are masked, by name."""

    def mask(self, name: str) -> np.ndarray:
        """Return the present mask of a weight, bool, of its shape."""
        by_channel = self._channels.mask(name, self.weights[name].shape)
        return by_channel & self._own[name] if name in self._own else by_channel

    def kept(self) -> dict[ChannelGroup, np.ndarray]:
        """Return the channels of each group that are kept, bool."""
        return dict(self._kept)

    def masks(self) -> dict[str, np.ndarray]:
        """Return the masks of all weights, and the kept channels of each group, by name."""
        return {name: self.mask(name) for name in self.weights} | {g.name: kept for g, kept in self._kept.items()}

    def update(self, step: int, passed: Sequence[int]) -> list[str]:
        """Make the masks that schedules demand within the steps ``passed``, the last of which is ``step``.

        Returns:
            Names of the weights whose masks are new.

        Raises:
            ModelError: a weight is NaN or infinite, so that weights have no order.
        """

        def is_due(each: Any) -> bool:
            return any(map(each.schedule.updates_at, passed))

        return self._choose(step, list(filter(is_due, self._plan.groups)), list(filter(is_due, self._plan.kernels)))

    def finish(self) -> list[str]:
        """Make the masks of the plan's end at once; returns and raises as :meth:`update`."""
        groups = [each for each in self._plan.groups if each.schedule.final]
        kernels = [each for each in self._plan.kernels if each.schedule.final]
        return self._choose(self._plan.end, groups, kernels)

    def _choose(self, step: int, groups: Sequence[GroupPlan], kernels: Sequence[KernelPlan]) -> list[str]:
        if groups:
            self._kept |= self._chosen_channels(step, groups)
            self._channels, self._remaining = Remaining(self._kept), self._without_demanded()
        if kernels:
            self._own |= self._chosen_weights(step, kernels)
        changed = [part.name for each in groups for part in each.group.masked]
        return list(dict.fromkeys([*changed, *(each.kernel.name for each in kernels)]))

    def _chosen_channels(self, step: int, groups: Sequence[GroupPlan]) -> dict[ChannelGroup, np.ndarray]:
        scored = [channel_masks.scores(each.group) for each in groups]
        if self._plan.scope == "global":
            share = groups[0].schedule.sparsity_at(step)
            found = channel_masks.keep_largest_of_all(scored, share, [each.multiple for each in groups])
        else:
            found = [
                channel_masks.keep_largest(
                    scores, channel_masks.count_kept(scores.size, each.schedule.sparsity_at(step), each.multiple)
                )
                for each, scores in zip(groups, scored, strict=True)
            ]
        return {each.group: kept & self._kept[each.group] for each, kept in zip(groups, found, strict=True)}

    def _chosen_weights(self, step: int, kernels: Sequence[KernelPlan]) -> dict[str, np.ndarray]:
        left = [self._remaining.cut(each.kernel.name, masks.finite(each.kernel)) for each in kernels]
        if self._plan.scope == "global":
            total = sum(values.size for values in left)
            held = sum(self._held(each) * values.size for each, values in zip(kernels, left, strict=True)) / total
            share = max(kernels[0].schedule.sparsity_at(step), held)
            found = masks.global_masks(
                [(values, each.structure, each.kernel.axes) for each, values in zip(kernels, left, strict=True)], share
            )
        else:
            found = [
                masks.magnitude_mask(
                    values,
                    max(each.schedule.sparsity_at(step), self._held(each)),
                    each.structure,
                    each.kernel.axes,
                )
                for each, values in zip(kernels, left, strict=True)
            ]
        chosen = {}
        for each, mask in zip(kernels, found, strict=True):
            name = each.kernel.name
            whole = self._remaining.spread(name, mask, each.kernel.shape)
            chosen[name] = whole & self._started[name].origin if each.structure.block == (1, 1) else whole
        return chosen

    def _without_demanded(self) -> Remaining:
        """What the sparsity of weights is a share of: all but channels that the plan masks.

        Channels that were zero before stay so and count as zeros, for the plan did not ask for them.
        """
        return Remaining({each.group: self._kept[each.group] for each in self._plan.groups if each.schedule.final})

    def _held(self, each: KernelPlan) -> float:
        return self._started[each.kernel.name].held

    def _with_held(self, each: KernelPlan) -> _Start:
        origin = self._started[each.kernel.name].origin
        left = self._remaining.cut(each.kernel.name, origin)
        units = masks.unit_scores(left, each.structure, each.kernel.axes)
        return _Start(origin, float(units.sizes[units.scores == 0].sum() / left.size))


def mask_at_once(plan: Plan) -> dict[ChannelGroup, np.ndarray]:
    """Mask the weights as at the end of a bound plan; zeros stay zero.

    Returns:
        The channels of each group that are kept, bool.

    Raises:
        ModelError: a weight is NaN or infinite.
    """
    found = PlannedMasks(plan, {})
    for name in found.finish():
        masks.apply_mask(found.weights[name], found.mask(name))
    return found.kept()


def _kept_at_start(each: GroupPlan) -> np.ndarray:
    """Return the channels that are not zero when masks begin; all if every filter is zero, as of an initialiser."""
    demanded = each.schedule.final
    kept = channel_masks.scores(each.group) > 0 if demanded else ~channel_masks.dead(each.group)
    return kept if kept.any() else np.ones_like(kept)
