"""Write a plan as a recipe for ``prune --recipe``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tflite_sparse.fitting.candidates import Choice
from tflite_sparse.pruning import masks, recipe
from tflite_sparse.pruning.channel_groups import ChannelGroup
from tflite_sparse.sources.source_model import Kernel


@dataclass(frozen=True, slots=True)
class ChannelRules:
    """The channels that a plan masks.

    Attributes:
        shares: of masked channels, by the name of the kernel that makes them.
        multiple: of the numbers that are kept.
        uneven: kernels of which another number is kept, as of a model whose channels were pruned before.
    """

    shares: Mapping[str, float] = field(default_factory=dict)
    multiple: int = 1
    uneven: frozenset[str] = frozenset()

    def multiple_of(self, name: str) -> int:
        """Return the multiple that the channels of a kernel are rounded up to: 1 keeps any number as it is."""
        return 1 if name in self.uneven else self.multiple

    @classmethod
    def of(cls, groups: Iterable[ChannelGroup], counts: Mapping[str, int], multiple: int) -> ChannelRules:
        """Return the rules by which groups keep so many channels, by the names of groups."""
        masked = [group for group in groups if counts.get(group.name, group.channels) < group.channels]
        shares = {part.name: 1 - counts[group.name] / group.channels for group in masked for part in group.filters}
        uneven = (part.name for group in masked if counts[group.name] % multiple for part in group.filters)
        return cls(shares, multiple, frozenset(uneven))


def text(
    choice: Choice,
    kernels: Sequence[Kernel],
    schedule: Mapping[str, int] | None = None,
    channels: ChannelRules | None = None,
) -> str:
    """Return the TOML text.

    A rule for ``dense/kernel`` also matches ``encoder/dense/kernel``, so deeper kernels come later, and each undoes
    what the rule of another one would do to it. Kernels without a plan get a rule that skips them if the rule of
    another one matches them; otherwise ``prune`` would prune them.

    Args:
        choice: the plan.
        kernels: all kernels of the model.
        schedule: ``begin``, ``end`` and ``frequency`` of the masks, in steps. None: they are left open.
        channels: those that are masked; None: none.
    """
    rules = ChannelRules() if channels is None else channels
    planned = choice.keys() | rules.shares.keys()
    sharing = {name for name, option in choice.items() if option.values is not None}
    lines = ["version = 1"]
    if schedule is not None:
        lines += ["", "[defaults]", *(f"{name} = {steps}" for name, steps in schedule.items())]
    pruned_anyway = {kernel.name for kernel in masks.prunable_while_training(kernels)}
    for kernel in sorted(kernels, key=lambda each: each.name.count("/")):
        option = choice.get(kernel.name)
        is_left_alone = kernel.name not in pruned_anyway and planned.isdisjoint(recipe.names_of(kernel))
        if kernel.name not in planned and is_left_alone:
            continue
        begin = ["", "[[rule]]", f"layers = {json.dumps(re.escape(kernel.name))}"]
        share = rules.shares.get(kernel.name)
        if share is None and not rules.shares.keys().isdisjoint(recipe.names_of(kernel)):
            share = 0.0  # the rule of another kernel matches this one
        if share is not None:
            of_channels = [
                f"sparsity = {share!r}",
                'block = "channel"',
                f"channel_multiple = {rules.multiple_of(kernel.name)}",
            ]
            lines += [*begin, *of_channels, "skip = false"]
        if option is not None and option.sparsity is not None:
            lines += [*begin, f"sparsity = {option.sparsity:g}", f'block = "{option.block}"', "skip = false"]
        elif share is None:
            lines += [*begin, "skip = true"]
        if option is not None and option.values is not None:
            lines.append(f"shared_values = {option.values}")
        elif not sharing.isdisjoint(recipe.names_of(kernel)):
            lines.append('shared_values = "all"')
    return "\n".join(lines) + "\n"
