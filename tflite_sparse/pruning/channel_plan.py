"""Apply a plan's demands on kernels to the groups of channels of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tflite_sparse.errors import SettingsError
from tflite_sparse.pruning import channel_groups, channel_masks
from tflite_sparse.pruning.channel_groups import ChannelGroup
from tflite_sparse.pruning.plan import ChannelPlan, GroupPlan, Plan
from tflite_sparse.pruning.schedule import Frozen
from tflite_sparse.results.channels import MaskedChannels
from tflite_sparse.sources.keras_types import KerasModel, Variable
from tflite_sparse.sources.source_model import Kernel


def bound(plan: Plan, model: KerasModel, found: Sequence[tuple[Variable, Kernel]]) -> Plan:
    """Return a plan with the groups of a model in the place of ``plan.channels``.

    A group is pruned where the plan names all of its kernels; of several demands the least sparsity counts. Other
    groups keep the channels that are zero, as kernels keep their zeros.

    Args:
        plan: a plan that has groups is returned as it is.
        model: a built model of either generation.
        found: its kernels, as ``kernels_and_variables`` lists them.

    Raises:
        SettingsError: the plan names kernels, and no channels can be pruned.
    """
    if plan.groups:
        return plan
    of_model = channel_groups.find(model, found)
    asked = {each.kernel.name: each for each in plan.channels}
    left = {name: reason for name, reason in of_model.left.items() if name in asked}
    groups = []
    for group in of_model.groups:
        missing = next((part.name for part in group.filters if part.name not in asked), None)
        if missing is None:
            groups.append(_demanded(group, [asked[part.name] for part in group.filters]))
            continue
        for part in group.filters:
            if part.name in asked:
                left[part.name] = f"channels are tied to those of {missing}, which is not pruned"
        if channel_masks.dead(group).any():
            groups.append(GroupPlan(group, Frozen()))
    if plan.channels and not any(each.schedule.final for each in groups):
        why = f" ({next(iter(left.values()))})" if left else ""
        raise SettingsError(f"nothing to prune: block = 'channel' finds no channels that can be masked{why}.")
    return replace(plan, channels=(), groups=tuple(groups), left=left)


def results(plan: Plan, kept: Mapping[ChannelGroup, np.ndarray]) -> tuple[MaskedChannels, ...]:
    """Return for each group of a bound plan how many channels are kept, as reports have it; ``kept`` is bool."""
    return tuple(
        MaskedChannels(
            kernels=tuple(kernel.name for kernel in each.kernels),
            channels=each.group.channels,
            kept=int(np.count_nonzero(kept[each.group])),
            asked=each.schedule.final or None,
        )
        for each in plan.groups
    )


def _demanded(group: ChannelGroup, demands: Sequence[ChannelPlan]) -> GroupPlan:
    least = min(demands, key=lambda each: each.schedule.final)
    return GroupPlan(group, least.schedule, max(each.multiple for each in demands))
