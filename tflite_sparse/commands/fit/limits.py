"""The limits of ``fit`` on multiply-adds, arena and latency: whole channels go until the file is within them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydantic

from tflite_sparse.base import scratch
from tflite_sparse.base.atomic_files import write_bytes
from tflite_sparse.base.progress import Step, Timed
from tflite_sparse.commands.fit.dense import MULTIPLE, Dense
from tflite_sparse.commands.fit.meter import Meter
from tflite_sparse.commands.scan import evaluating
from tflite_sparse.conversion.layer_of import LayerNames
from tflite_sparse.errors import BudgetError
from tflite_sparse.fitting import candidates, channel_choice
from tflite_sparse.fitting.channel_choice import Chosen, Counts, GroupCandidate, Used
from tflite_sparse.fitting.channel_file import ChannelFile
from tflite_sparse.fitting.workspace import Workspace
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.types import Model
from tflite_sparse.measurement import operators
from tflite_sparse.pruning import allocation, channel_groups, channel_masks, channel_scan
from tflite_sparse.pruning.channel_groups import ChannelGroup, ChannelGroups
from tflite_sparse.pruning.channel_masks import Remaining
from tflite_sparse.report.text.fit import RESOURCES, amount, number
from tflite_sparse.report.text.names import shortened
from tflite_sparse.results.fit import FitChannels, FitLimit, Resource
from tflite_sparse.results.scan import Scan
from tflite_sparse.settings import FitSettings
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.keras_model import KerasSource
from tflite_sparse.sources.kernels import kernels_and_variables

_NAMED = 3  # operators in an error
_SCAN, _REACH = "scan-channel.json", "channel-limits.json"


class _Reach(pydantic.BaseModel):
    """What can be reached, as it lies in the workspace: latencies are other ones each time."""

    whole_ms: float
    untouched: dict[Resource, float]
    least: dict[Resource, float]


class _Taken(pydantic.BaseModel):
    """What the file of a round takes, for the same reason."""

    used: dict[Resource, float]


class _Kept(pydantic.BaseModel):
    """A choice, for the same reason."""

    counts: dict[str, int]
    used: dict[Resource, float]
    loss: float


@dataclass
class ChannelLimits:
    """Chooses the channels that a file keeps to be within limits.

    Attributes:
        whole: the model with all channels.
        file: its dense file.
        candidates: its groups.
        untouched: what the file takes with all channels.
        least: what it takes with the fewest.
        meter: what measures that.
        now: the present choice; None: none was made.
    """

    whole: Dense
    file: ChannelFile
    candidates: list[GroupCandidate]
    untouched: Used
    least: Used
    meter: Meter
    work: Workspace
    progress: Timed
    now: Chosen | None = None
    made: int = 0

    @classmethod
    def of(cls, whole: Dense, settings: FitSettings, work: Workspace, progress: Timed) -> ChannelLimits:
        """Scan the groups of channels of a model, and measure what can be reached.

        Raises:
            BudgetError: no file of the model is within the limits.
        """
        source, dense = whole.source, whole.costs.dense
        groups = channel_groups.find(source.model, kernels_and_variables(source.model))
        file = ChannelFile.of(dense, source.kernels(), groups.groups)
        path = work.path(_REACH)
        known = _Reach.model_validate_json(path.read_bytes()) if path.exists() else None
        with progress.stage("measure") as on_step:
            meter = Meter.of(settings, dense, on_step) if known is None else Meter(settings, dense, known.whole_ms)
            untouched = meter.untouched() if known is None else known.untouched
        _warn_of_operators(dense, settings, progress)
        if file.left:
            progress.warn(f"not recognised in the file, and left as they are: {', '.join(file.left)}")
        wide = [group for group in file.groups if group.channels > MULTIPLE]
        is_needed = may_need_fewer(untouched, settings.limits)
        chosen = _candidates(whole, wide, settings, work, progress) if is_needed else []
        found = cls(whole, file, chosen, untouched, untouched, meter, work, progress)
        if known is not None:
            found.least = known.least
        elif chosen:
            (found.least,) = found.measured([channel_choice.fewest(chosen)])
        if not channel_choice.is_within(found.least, settings.limits):
            raise BudgetError(_beyond_words(found, groups))
        reach = _Reach(whole_ms=meter.whole_ms, untouched=dict(untouched), least=dict(found.least))
        write_bytes(path, (reach.model_dump_json(indent=2) + "\n").encode())
        return found

    def within(self, allowed: Used) -> Dense:
        """Return the model without the channels that are too many for ``allowed``.

        With fewer allowed than before no channel comes back. What cannot be reached is come as near to as can be.
        """
        if self.now is not None:
            left = [each.up_to(self.now.counts[each.group.name]) for each in self.candidates]
        else:
            left = self.candidates
        self.made += 1
        path = self.work.path(f"channels-{self.made}.json")
        if path.exists():
            self.now = Chosen(**_Kept.model_validate_json(path.read_bytes()).model_dump())
        else:
            with self.progress.stage("choose channels") as on_step:
                self.now = self._chosen(left, allowed, on_step)
            kept = _Kept(counts=dict(self.now.counts), used=dict(self.now.used), loss=self.now.loss)
            write_bytes(path, (kept.model_dump_json(indent=2) + "\n").encode())
        return self._applied(self.now)

    def tightened(self, used: Used) -> Dense | None:
        """Return the model with fewer channels where a file took more than predicted; None if there are no fewer."""
        assert self.now is not None  # a file was made
        if all(self.now.counts[each.group.name] == each.counts[0] for each in self.candidates):
            return None
        limits = self.meter.settings.limits
        return self.within({name: limit - max(used[name] - self.now.used[name], 0) for name, limit in limits.items()})

    def used_by_round(self, file: Path) -> Used:
        """Return what the file of a round takes; done once, it is read from disk, so that the same rounds follow.

        Raises:
            ExecutionError: the runtime refuses the file.
        """
        path = self.work.path(f"{file.stem}-takes.json")
        if not path.exists():
            (used,) = self.meter.used([file])
            write_bytes(path, (_Taken(used=dict(used)).model_dump_json(indent=2) + "\n").encode())
        return _Taken.model_validate_json(path.read_bytes()).used

    def measured(self, choices: Sequence[Counts]) -> list[Used]:
        """Return what the dense files take in which groups keep so many channels."""
        with scratch.folder(self.work.folder) as folder:
            models = (self.file.without(self.kept(counts)).model for counts in choices)
            return self.meter.used_by(models, folder)

    def kept(self, counts: Counts) -> dict[ChannelGroup, np.ndarray]:
        """Return the channels, bool, that groups keep, of those that lose some."""
        groups = [each.group for each in self.candidates if counts[each.group.name] < each.group.channels]
        return {group: channel_choice.kept(group, counts[group.name]) for group in groups}

    def limits_in_report(self, used: Used) -> list[FitLimit]:
        """Return the limits; ``used`` is what the written file takes."""
        assert self.now is not None  # a file was made
        return [
            FitLimit(
                resource=name,
                limit=limit,
                untouched=self.untouched[name],
                least=self.least[name],
                predicted=self.now.used[name],
                used=used[name],
            )
            for name, limit in self.meter.settings.limits.items()
        ]

    def channels_in_report(self, source: KerasSource) -> list[FitChannels]:
        """Return the groups; ``source`` is the pruned model."""
        assert self.now is not None  # a file was made
        counts = self.now.counts
        groups = channel_groups.find(source.model, kernels_and_variables(source.model)).groups
        alive = {group.name: int(np.count_nonzero(~channel_masks.dead(group))) for group in groups}
        return [
            FitChannels(
                kernels=tuple(part.name for part in each.group.filters),
                channels=each.group.channels,
                planned=counts[each.group.name],
                kept=alive[each.group.name],
                predicted_rise=each.rise(counts[each.group.name]),
            )
            for each in self.candidates
        ]

    def _chosen(self, left: Sequence[GroupCandidate], allowed: Used, on_step: Step) -> Chosen:
        whole, least = self.measured([channel_choice.untouched(left), channel_choice.fewest(left)])
        if channel_choice.is_within(whole, allowed):
            return channel_choice.chosen(left, channel_choice.untouched(left), whole)
        if not channel_choice.is_within(least, allowed):
            return channel_choice.chosen(left, channel_choice.fewest(left), least)
        return channel_choice.within(left, allowed, self.measured, least, on_step)

    def _applied(self, chosen: Chosen) -> Dense:
        kept, whole = self.kept(chosen.counts), self.whole
        trimmed = self.file.without(kept)
        path = self.work.path(f"channels-{self.made}.tflite")
        serde.write(trimmed.model, path)
        constants = {name: trimmed.constant(each) for name, each in whole.costs.constants.items()}
        costs = replace(whole.costs, dense=path, constants=constants)
        with self.progress.stage("price") as on_step:
            priced = candidates.candidates(
                whole.kernels, whole.scans, costs, whole.shared, Remaining(kept), on_step=on_step
            )
        groups = tuple(each.group for each in self.candidates)
        return replace(whole, costs=costs, candidates=priced, groups=groups, counts=chosen.counts)


def may_need_fewer(untouched: Used, limits: Used) -> bool:
    """Return whether channels may have to go, given what the dense file with all of them takes.

    Sparse weights that a runtime decodes need memory and time, so these may grow beyond their limits later.
    """
    return limits.keys() != {"multiply_adds"} or not channel_choice.is_within(untouched, limits)


def _warn_of_operators(dense: Path, settings: FitSettings, progress: Timed) -> None:
    """Tell what a limit on multiply-adds does not see."""
    if "multiply_adds" not in settings.limits:
        return
    missing = operators.not_counted(serde.read(dense))
    if missing:
        progress.warn(
            f"`max_macs` does not count the multiply-adds of {', '.join(missing)} in full: kinds without a formula "
            "count 0, and what a WHILE repeats counts once."
        )


def _candidates(
    whole: Dense,
    groups: Sequence[ChannelGroup],
    settings: FitSettings,
    work: Workspace,
    progress: Timed,
) -> list[GroupCandidate]:
    """Scan groups of which something is left; done once, the scan is read from disk."""
    alive = {group: int(np.count_nonzero(~channel_masks.dead(group))) for group in groups}
    groups = [group for group, count in alive.items() if count]
    path = work.path(_SCAN)
    if path.exists():
        scan = Scan.model_validate_json(path.read_bytes())
    else:
        scan = _scan(whole.source, whole.samples, groups, settings.seed, progress)
        write_bytes(path, (scan.model_dump_json(indent=2) + "\n").encode())
    by_name = {each.name: each for each in scan.kernels}
    return [
        GroupCandidate.of(
            group,
            allocation.curve_of(by_name[group.name], scan.baseline_loss),
            MULTIPLE,
            alive[group],
        )
        for group in groups
    ]


def _scan(source: KerasSource, samples: Dataset, groups: Sequence[ChannelGroup], seed: int, progress: Timed) -> Scan:
    count = channel_scan.estimated_evaluations(groups, MULTIPLE)
    with evaluating(source, samples, seed, progress, "scan channels", count) as (evaluate, on_step):
        return channel_scan.scan(source, groups, evaluate, MULTIPLE, on_step=on_step)


def _beyond_words(found: ChannelLimits, groups: ChannelGroups) -> str:
    settings, least = found.meter.settings, found.least
    name, limit = next((name, limit) for name, limit in settings.limits.items() if least[name] > limit)
    resource = RESOURCES[name]
    kept = sum(each.counts[0] for each in found.candidates)
    all_ = sum(each.group.channels for each in found.candidates)
    takes = f"{found.whole.source.name} takes {amount(name, least[name])}"
    if found.candidates:
        reached = f"with the fewest channels, {kept:,} of {all_:,} in {len(found.candidates)} groups, {takes}"
        reached += f", with all of them {number(name, found.untouched[name])}"
    else:
        reason = next(iter(groups.left.values()), f"no group has more than {MULTIPLE} channels")
        reached = f"no channels can go ({reason}), and {takes}"
    model = found.file.without(found.kept(channel_choice.fewest(found.candidates))).model
    return (
        f"`{resource.option}` of {amount(name, limit)} cannot be met: {reached}; "
        f"{_largest(model, LayerNames(found.whole.source.layers(), {}))}.\n"
        f"Give a larger `{resource.option}`, or a model of fewer or narrower layers."
    )


def _largest(model: Model, layer_of: Callable[[str], str]) -> str:
    """Name the layers of most multiply-adds; of an operator of no known layer the tensor."""
    counted = sorted(operators.of_model(model), key=lambda each: -(each.multiply_adds or 0))[:_NAMED]
    named = [
        f"{layer_of(name) or shortened(name)} {each.multiply_adds or 0:,}"
        for each in counted
        for name in [each.weight or each.output]
    ]
    return f"most multiply-adds are those of {', '.join(named)}"
