"""Plan which kernels are pruned and how, from settings and rules, a model, and the length of its training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tflite_sparse.errors import SettingsError
from tflite_sparse.pruning import masks, structure
from tflite_sparse.pruning.channel_groups import ChannelGroup
from tflite_sparse.pruning.schedule import ConstantSchedule, Frozen, PolynomialSchedule, Schedule
from tflite_sparse.pruning.structure import CHANNEL, Structure
from tflite_sparse.settings import PruningSettings
from tflite_sparse.sources.source_model import Kernel

# Pruning starts once the weights are meaningful and ends while the rest can still recover (Zhu and Gupta 2017).
_OF_WEIGHTS = 0.1, 0.65
# What is left of a network without channels is a smaller network: it needs most of the training, at a high rate
# (benchmarks/channel_accuracy.py).
_OF_CHANNELS = 0.05, 0.35


@dataclass(frozen=True, slots=True)
class Span:
    """The length of a training: number of steps in all, and of one epoch."""

    steps: int
    steps_per_epoch: int


@dataclass(frozen=True, eq=False)
class KernelPlan:
    """One kernel, the schedule of its sparsity, and the structure of its mask."""

    kernel: Kernel
    schedule: Schedule
    structure: Structure = structure.UNSTRUCTURED


@dataclass(frozen=True, eq=False)
class ChannelPlan:
    """One kernel whose output channels are pruned, the schedule of their share, the multiple that is kept."""

    kernel: Kernel
    schedule: Schedule
    multiple: int


@dataclass(frozen=True, eq=False)
class GroupPlan:
    """One group of channels, the schedule of the masked share, and the multiple that kept numbers are rounded up to."""

    group: ChannelGroup
    schedule: Schedule
    multiple: int = 1

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """The filter kernels."""
        return tuple(part.kernel for part in self.group.filters)


@dataclass(frozen=True, eq=False)
class Plan:
    """All that is pruned.

    Attributes:
        kernels: those of which weights are pruned; where channels are too, of what remains.
        scope: whether a sparsity applies to each kernel and group (``"layer"``) or to all kernels together and to all
            groups together (``"global"``). With ``"global"`` all schedules are the same.
        channels: kernels whose channels are to be pruned; ``channel_plan.bound`` makes groups of them.
        groups: groups of channels of one model.
        left: why no channels of a kernel are pruned that the plan named, by kernel name.
    """

    kernels: tuple[KernelPlan, ...]
    scope: Literal["layer", "global"] = "layer"
    channels: tuple[ChannelPlan, ...] = ()
    groups: tuple[GroupPlan, ...] = ()
    left: Mapping[str, str] = field(default_factory=dict)

    @property
    def end(self) -> int:
        """The step after which no mask changes."""
        return max((each.end for each in self._schedules()), default=0)

    @property
    def begin(self) -> int:
        """The latest step at which first masks are made."""
        return max((each.begin for each in self._schedules()), default=0)

    @property
    def pruned(self) -> tuple[Kernel, ...]:
        """The kernels that are pruned, in weights or in channels, each once."""
        found = {each.kernel.name: each.kernel for each in self.kernels}
        for group in self.groups:
            found |= {kernel.name: kernel for kernel in group.kernels}
        return tuple(found.values())

    @property
    def masked(self) -> tuple[Kernel, ...]:
        """The weights that may become zero, each once: also biases, normalisation and depthwise kernels of groups."""
        found = {kernel.name: kernel for kernel in self.pruned}
        for each in self.groups:
            found |= {part.name: part.kernel for part in each.group.masked}
        return tuple(found.values())

    @property
    def weights(self) -> int:
        """Number of weights of all kernels."""
        return sum(kernel.size for kernel in self.pruned)

    def sparsity_at(self, step: int) -> float:
        """Return the share of zeros that the schedules demand over all kernels, before numbers are rounded."""
        kept: dict[str, float] = {}
        for each in self.groups:
            kept |= dict.fromkeys((kernel.name for kernel in each.kernels), 1 - each.schedule.sparsity_at(step))
        of_weights = {each.kernel.name: each.schedule.sparsity_at(step) for each in self.kernels}
        zeros = 0.0
        for kernel in self.pruned:
            share = of_weights.get(kernel.name, 0.0)
            zeros += (1 - kept[kernel.name] * (1 - share) if kernel.name in kept else share) * kernel.size
        return zeros / self.weights if self.weights else 0.0

    def _schedules(self) -> list[Schedule]:
        return [*(each.schedule for each in self.kernels), *(each.schedule for each in self.groups)]


Planner = Callable[[Sequence[Kernel], Span], Plan]
"""Plans a pruning, given the kernels of the model and the length of the training."""


def of_settings(settings: PruningSettings) -> Planner:
    """Return a planner that prunes every prunable kernel by the same settings.

    Raises:
        SettingsError: when called: nothing is prunable, the steps are out of order, or a block is larger than a kernel.
    """

    def plan(kernels: Sequence[Kernel], span: Span) -> Plan:
        if settings.block == CHANNEL:
            named = (kernel for kernel in kernels if masks.why_never_pruned(kernel) is None)
            return Plan((), settings.scope, tuple(plan_channels(kernel, settings, span) for kernel in named))
        chosen = masks.prunable_while_training(kernels)
        if not chosen:
            raise SettingsError("nothing to prune: no kernel has 2,048 weights or more of a kind that is pruned.")
        return Plan(tuple(plan_kernel(kernel, settings, span) for kernel in chosen), settings.scope)

    return plan


def plan_kernel(kernel: Kernel, settings: PruningSettings, span: Span) -> KernelPlan:
    """Plan one kernel by the settings.

    Raises:
        SettingsError: the steps are out of order, or a block is larger than the kernel.
    """
    shape = structure.parse(settings.block)
    outputs, inputs = (kernel.shape[axis] for axis in kernel.axes)
    if not structure.fits(shape, outputs, inputs):
        raise SettingsError(f"block = {shape}: {kernel.name} has only {outputs} outputs and {inputs} inputs.")
    return KernelPlan(kernel, schedule_of(settings, shape, span), shape)


def plan_channels(kernel: Kernel, settings: PruningSettings, span: Span) -> ChannelPlan:
    """Plan the channels of one kernel by the settings.

    Raises:
        SettingsError: the steps are out of order.
    """
    schedule = schedule_of(settings, structure.UNSTRUCTURED, span, _OF_CHANNELS)
    return ChannelPlan(kernel, schedule, settings.channel_multiple)


def schedule_of(
    settings: PruningSettings, shape: Structure, span: Span, usual: tuple[float, float] = _OF_WEIGHTS
) -> Schedule:
    """Return the schedule of the settings for a training of this length.

    Args:
        settings: the settings.
        shape: the structure of masks.
        span: the length.
        usual: where masks begin and end if the settings do not say, as shares of the steps.

    Raises:
        SettingsError: the steps are out of order, or N:M implies another sparsity than the settings.
    """
    final = settings.sparsity
    if shape.sparsity is not None:
        if final is not None and not math.isclose(final, shape.sparsity, abs_tol=1e-9):
            raise SettingsError(f"sparsity = {final:g}: {shape} makes {shape.sparsity:g}. Leave one of them out.")
        final = shape.sparsity
    if final is None:
        raise SettingsError("no sparsity was given: say `sparsity=0.875`, or N:M as the block.")
    begin = round(span.steps * usual[0]) if settings.begin is None else settings.begin
    latest = span.steps - span.steps_per_epoch if span.steps > span.steps_per_epoch else span.steps
    end = min(round(span.steps * usual[1]), latest) if settings.end is None else settings.end
    if end > span.steps:
        raise SettingsError(f"end = {end}: the training has only {span.steps} steps.")
    frequency = min(settings.frequency, max(end - begin, 1))
    if settings.schedule == "constant":
        return ConstantSchedule(final, begin, end, frequency)
    return PolynomialSchedule(settings.initial_sparsity, final, begin, end, frequency)


def frozen(kernels: Sequence[Kernel], span: Span) -> Plan:
    """Plan to keep the zeros of ``kernels``, without new masks. A :data:`Planner`."""
    del span
    return Plan(tuple(KernelPlan(kernel, Frozen()) for kernel in kernels))
