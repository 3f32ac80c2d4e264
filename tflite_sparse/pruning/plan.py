"""Plan which kernels are pruned and how, from settings and rules, a model, and the length of its training."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from tflite_sparse.errors import SettingsError
from tflite_sparse.pruning import masks, structure
from tflite_sparse.pruning.schedule import ConstantSchedule, Frozen, PolynomialSchedule, Schedule
from tflite_sparse.pruning.structure import Structure
from tflite_sparse.settings import PruningSettings
from tflite_sparse.sources.source_model import Kernel

# Pruning starts once the weights are meaningful and ends while the rest can still recover (Zhu and Gupta 2017).
_BEGIN, _END = 0.1, 0.65


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
class Plan:
    """All kernels that are pruned.

    ``scope`` tells whether a sparsity applies to each kernel (``"layer"``) or to all together (``"global"``). With
    ``"global"`` all schedules are the same.
    """

    kernels: tuple[KernelPlan, ...]
    scope: Literal["layer", "global"] = "layer"

    @property
    def end(self) -> int:
        """The step after which no mask changes."""
        return max((each.schedule.end for each in self.kernels), default=0)

    @property
    def weights(self) -> int:
        """Number of weights of all kernels."""
        return sum(each.kernel.size for each in self.kernels)

    def sparsity_at(self, step: int) -> float:
        """Return the share of zeros that the schedules demand over all kernels."""
        zeros = sum(each.schedule.sparsity_at(step) * each.kernel.size for each in self.kernels)
        return zeros / self.weights if self.weights else 0.0


Planner = Callable[[Sequence[Kernel], Span], Plan]
"""Plans a pruning, given the kernels of the model and the length of the training."""


def of_settings(settings: PruningSettings) -> Planner:
    """Return a planner that prunes every prunable kernel by the same settings.

    Raises:
        SettingsError: when called: nothing is prunable, the steps are out of order, or a block is larger than a kernel.
    """

    def plan(kernels: Sequence[Kernel], span: Span) -> Plan:
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


def schedule_of(settings: PruningSettings, shape: Structure, span: Span) -> Schedule:
    """Return the schedule of the settings for a training of this length.

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
    begin = round(span.steps * _BEGIN) if settings.begin is None else settings.begin
    latest = span.steps - span.steps_per_epoch if span.steps > span.steps_per_epoch else span.steps
    end = min(round(span.steps * _END), latest) if settings.end is None else settings.end
    if end > span.steps:
        raise SettingsError(f"end = {end}: the training has only {span.steps} steps.")
    frequency = min(settings.frequency, max(end - begin, 1))
    if settings.schedule == "constant":
        return ConstantSchedule(final, begin, end, frequency)
    return PolynomialSchedule(settings.initial_sparsity, final, begin, end, frequency)


def mask_at_once(plan: Plan) -> None:
    """Mask the kernels as at the end of the plan; zeros stay zero.

    Raises:
        ModelError: a kernel holds NaN or infinity.
    """
    found = [(masks.finite(each.kernel), each.structure, each.kernel.axes) for each in plan.kernels]
    if plan.scope == "global":
        chosen = masks.global_masks(found, plan.sparsity_at(plan.end))
    else:
        finals = [each.schedule.final for each in plan.kernels]
        chosen = [
            masks.magnitude_mask(values, final, shape, axes)
            for (values, shape, axes), final in zip(found, finals, strict=True)
        ]
    masks.apply_masks([each.kernel for each in plan.kernels], chosen)


def frozen(kernels: Sequence[Kernel], span: Span) -> Plan:
    """Plan to keep the zeros of ``kernels``, without new masks. A :data:`Planner`."""
    del span
    return Plan(tuple(KernelPlan(kernel, Frozen()) for kernel in kernels))
