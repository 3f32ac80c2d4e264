"""The rounds of ``fit``: a plan, the training that prunes to it, and what the file then weighs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tflite_sparse.backends import check_outputs
from tflite_sparse.backends.dead_channels import Trimming
from tflite_sparse.backends.registry import backend
from tflite_sparse.base import scratch
from tflite_sparse.base.atomic_files import publish, write_bytes
from tflite_sparse.base.progress import Timed
from tflite_sparse.commands import prune
from tflite_sparse.commands.fit import sharing
from tflite_sparse.commands.fit.dense import Dense
from tflite_sparse.commands.fit.limits import ChannelLimits
from tflite_sparse.fitting import channel_choice, choosing, kernels_in_file, plan_file
from tflite_sparse.fitting.candidates import Candidate, Choice
from tflite_sparse.fitting.channel_choice import Used
from tflite_sparse.fitting.costs import Sizes, sizes_of
from tflite_sparse.fitting.workspace import Workspace
from tflite_sparse.flatbuffer import serde
from tflite_sparse.planning import encoder
from tflite_sparse.planning.planner import Target
from tflite_sparse.pruning import (
    channel_plan,
    planned_masks,
    recipe_file,
    recipe_planner,
    repeatable,
    sensitivity,
)
from tflite_sparse.pruning import curve as training_curve
from tflite_sparse.pruning.plan import Span
from tflite_sparse.report.text import fit as fit_words
from tflite_sparse.results.fit import FitRound
from tflite_sparse.results.prune import Curve
from tflite_sparse.scoring.metrics import Name
from tflite_sparse.scoring.user_metric import UserMetric
from tflite_sparse.settings import ANY_DROP, FitSettings, PruningSettings
from tflite_sparse.sources import keras_model
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.keras_model import KerasSource
from tflite_sparse.sources.kernels import kernels_and_variables
from tflite_sparse.stages import load
from tflite_sparse.stages.convert import Converter
from tflite_sparse.stages.score import Evaluation
from tflite_sparse.stages.share_values import SharedFile

_AT_ONCE = Span(steps=1, steps_per_epoch=1)  # without training
_UPDATES = 60  # of the masks in a training
_PRUNING_END = 0.4  # of its steps
_LATER_ROUNDS = 4  # divides the epochs: little is left to prune
_TRIES = 8  # to bring the predicted file, in which constants share vectors, under the budget
_CLOSE_ENOUGH = 0.01  # of the bytes: where the search for the smallest file within a gate ends


@dataclass(frozen=True)
class Carried:
    """A plan that was carried out, and its file.

    Attributes:
        choice: the plan.
        predicted: the file that it predicted.
        source: the pruned model.
        path: where that lies.
        converted: its dense int8 file.
        shared: what sharing values did to it; None: nothing was asked for.
        file: the same, encoded.
        sizes: of it.
        epochs: of training.
        curve: of that, and of what led there; None where nothing was trained.
        dense: the model that the plan is for, with the channels that it masks.
        used: what the file takes of what is limited beside its bytes.
    """

    choice: Choice
    predicted: Sizes
    source: KerasSource
    path: Path
    converted: Path
    shared: SharedFile | None
    file: Path
    sizes: Sizes
    epochs: int
    curve: Curve | None
    dense: Dense
    used: Used = field(default_factory=dict)


@dataclass
class Rounds:
    """Carries plans out, one after the other, and keeps the result of each."""

    settings: FitSettings
    work: Workspace
    progress: Timed
    metric: Name | UserMetric
    converter: Converter
    limits: ChannelLimits | None = None
    done: list[FitRound] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def under_budget(self, dense: Dense) -> Carried:
        """Plan, prune, weigh; where the file came out too large or too slow, tighten the plan and go on from there.

        The plan is tightened by as much as the file had beyond its prediction; zeros are kept.
        """
        settings, budget = self.settings, self.settings.budget
        left, epochs, start, excess = dense.candidates, settings.epochs, dense.path, 0
        curves: list[Curve] = []
        while True:
            choice, predicted = _least(dense, left, budget, excess)
            carried = self._carry_out(choice, predicted, dense, start, epochs, dense.samples)
            passed = self.is_within(carried)
            self._tell(carried, passed=passed)
            curves += [] if carried.curve is None else [carried.curve]
            if passed or len(self.done) == settings.rounds:
                return replace(carried, curve=training_curve.joined(curves))
            if budget is not None and carried.sizes.file_bytes > budget:
                excess += carried.sizes.file_bytes - predicted.file_bytes
            if self.limits is not None and not channel_choice.is_within(carried.used, settings.limits):
                dense = self.limits.tightened(carried.used) or dense
            left = [each.from_here(choice[each.kernel.name]) for each in dense.candidates]
            epochs, start = min(settings.epochs, max(settings.epochs // _LATER_ROUNDS, 1)), carried.path

    def is_within(self, carried: Carried) -> bool:
        """Whether a file is within the budget and the limits, as far as there are some."""
        settings = self.settings
        fits = settings.budget is None or carried.sizes.file_bytes <= settings.budget
        return fits and channel_choice.is_within(carried.used, settings.limits)

    def within_gate(self, dense: Dense) -> Carried:
        """The smallest file within the gate on samples that are not trained on.

        The way back from the smallest file (:func:`tflite_sparse.fitting.choosing.way_back`) is halved until its first
        plan within the gate is found, or the two ends differ by 1 % of the bytes; each plan is carried out from the
        dense model.
        """
        held = held_out(dense.samples, self.settings.seed)
        baseline = self.work.path("dense-float32.tflite")
        replace(self.converter, samples=held).float32(dense.unpruned.source or dense.source, baseline)
        way = choosing.way_back(dense.candidates)
        low, high = 0, len(way) - 1
        within: list[Carried] = []
        while low < high and not self._are_close(dense, way[low], way[high]):
            middle = (low + high) // 2
            carried, passed = self._try(way[middle], dense, held, baseline)
            if passed:
                high = middle
                within.append(carried)
            else:
                low = middle + 1
        if not within:
            return self._try(way[high], dense, held, baseline)[0]
        return min(within, key=lambda each: each.sizes.file_bytes)  # how many weights round to zero is not foreseen

    def _try(self, choice: Choice, dense: Dense, held: Dataset, baseline: Path) -> tuple[Carried, bool]:
        carried = self._carry_out(choice, dense.sizes(choice), dense, dense.path, self.settings.epochs, held)
        files = [(carried.file, backend(self.settings.target).runner(self.progress))]
        _, (best, reached) = Evaluation(held, self.metric, self.progress, self.converter.time_step).scores(
            baseline, files
        )
        assert best is not None  # the baseline is refused where it yields NaN
        drop = None if reached is None else reached.drop_from(best)
        passed = drop is not None and drop <= self.settings.allowed_drop and self.is_within(carried)
        self._tell(carried, passed=passed, drop=drop)
        return carried, passed

    @staticmethod
    def _are_close(dense: Dense, one: Choice, other: Choice) -> bool:
        smaller, larger = dense.sizes(one).file_bytes, dense.sizes(other).file_bytes
        return larger - smaller <= _CLOSE_ENOUGH * larger

    def _carry_out(
        self, choice: Choice, predicted: Sizes, dense: Dense, start: Path, epochs: int, samples: Dataset
    ) -> Carried:
        """Prune the model at ``start`` to the plan, write its file, and measure the size of each kernel in it."""
        name = f"round-{len(self.done) + 1}"
        path, converted, file = (self.work.path(f"{name}{suffix}") for suffix in (".keras", "-dense.tflite", ".tflite"))
        if all(option.sparsity is None for option in choice.values()) and not dense.channels.shares:
            epochs = 0
        if not path.exists():
            if epochs:
                self._prune(choice, dense, start, epochs, samples, path)
            else:
                self._mask(choice, dense, start, path)
        source = opened(path, dense.source.name, self.settings.custom_objects)
        self.convert(source, samples, converted)
        shared = sharing.share(
            choice, source, converted, replace(self.converter, samples=samples), self.settings, self.metric
        )
        with scratch.folder(self.work.folder) as folder:
            trimmed = self._without_dead_channels(source, converted, dense.samples, folder)
            with self.progress.stage("encode") as on_step:
                choices = encoder.encode_file(trimmed, file, self.target(), on_step=on_step)
                self.finish(file, trimmed, dense.samples)
        unshared = converted if shared is None else shared.unshared
        constants = kernels_in_file.find(source.kernels(), serde.read(unshared))
        sizes = sizes_of(file.stat().st_size, choices, constants)
        used = {} if self.limits is None else self.limits.used_by_round(file)
        curve = load.curve_of(path)
        return Carried(choice, predicted, source, path, converted, shared, file, sizes, epochs, curve, dense, used)

    def _without_dead_channels(self, source: KerasSource, converted: Path, samples: Dataset, folder: Path) -> Path:
        """The dense file that an export stores: without dead channels, where it would take them out."""
        settings = self.converter.settings
        probes = replace(self.converter, samples=samples).probes(source)
        drawn = check_outputs.samples_for(converted, probes, settings)
        return Trimming(settings, drawn, None, folder, self.progress).run(converted).file

    def _prune(
        self, choice: Choice, dense: Dense, start: Path, epochs: int, samples: Dataset, destination: Path
    ) -> None:
        settings = self.settings
        steps = epochs * repeatable.steps(len(samples.x_train), settings.batch_size)
        recipe = destination.with_suffix(".toml")
        text = plan_file.text(choice, dense.source.kernels(), schedule_of(steps), dense.channels)
        write_bytes(recipe, text.encode())
        found = prune.undrawn(
            start,
            samples,
            destination,
            self.progress,
            recipe=recipe,
            epochs=epochs,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            seed=settings.seed,
            pixels=samples.pixels,  # they are fitted to the model already
            custom_objects=settings.custom_objects,
            resume=self.work.has_checkpoint(destination),
        )
        self.warnings += [sentence for sentence in found.warnings if sentence not in self.warnings]

    def _mask(self, choice: Choice, dense: Dense, start: Path, destination: Path) -> None:
        source = opened(start, str(start), self.settings.custom_objects)
        found = kernels_and_variables(source.model)
        recipe = destination.with_suffix(".toml")
        text = plan_file.text(choice, dense.source.kernels(), schedule_of(_AT_ONCE.steps), dense.channels)
        write_bytes(recipe, text.encode())
        if dense.channels.shares or any(option.sparsity is not None for option in choice.values()):
            planner = recipe_planner.planner(recipe_file.read(recipe), PruningSettings())
            plan = planner([kernel for _, kernel in found], _AT_ONCE)
            planned_masks.mask_at_once(channel_plan.bound(plan, source.model, found))
        save(source, destination)

    def _tell(self, carried: Carried, *, passed: bool, drop: float | None = None) -> None:
        number = len(self.done) + 1
        self.done.append(
            FitRound(
                number=number,
                epochs=carried.epochs,
                predicted_bytes=carried.predicted.file_bytes,
                file_bytes=carried.sizes.file_bytes,
                held_out_drop=drop,
                passed=passed,
                used=dict(carried.used),
            )
        )
        lost = "" if drop is None else f", {drop:.4f} lost on held-out samples"
        used = "".join(f", {fit_words.amount(name, value)}" for name, value in carried.used.items())
        self.progress.note(
            f"round {number}: {carried.sizes.file_bytes:,} bytes, {carried.predicted.file_bytes:,} predicted{used}"
            f"{lost}: {'' if passed else 'not '}within {fit_words.aim(self.settings)}"
        )

    def convert(self, source: KerasSource, samples: Dataset, path: Path) -> None:
        """The dense int8 file of a model."""
        with scratch.folder(path.parent) as folder:
            temporary = folder / path.name
            replace(self.converter, samples=samples).int8(source, temporary)
            publish(temporary, path)

    def finish(self, file: Path, dense: Path, samples: Dataset) -> None:
        """Write into the encoded form of a dense file what an export writes there, so that it counts."""
        backend(self.settings.target).finish(file, dense, samples)

    def target(self) -> Target:
        """What the runtime of the file accepts."""
        settings = self.converter.settings
        return backend(settings.target).planned(settings)


def schedule_of(steps: int) -> dict[str, int]:
    """``begin``, ``end`` and ``frequency`` of the masks in a training of so many steps.

    The model is trained already: masks need not wait, and what is kept has the longer to make up for them. On
    Fashion-MNIST (``benchmarks/results.md``) that was worth 0.2 points beside the usual tenth to 65 % of the steps.
    """
    end = max(round(steps * _PRUNING_END), 1)
    return {"begin": 0, "end": end, "frequency": max(end // _UPDATES, 1)}


def export_settings(settings: FitSettings) -> dict[str, Any]:
    """What :func:`tflite_sparse.export` is told."""
    return {
        "int8": True,
        "io": settings.io,
        "recurrent": settings.recurrent,
        "dense_scales": settings.dense_scales,
        "shared_values": settings.shared_values,
        "target": settings.target,
        "micro_kernels": settings.micro_kernels,
        "micro_cpu": settings.micro_cpu,
        "calibration_samples": settings.calibration_samples,
        "metric": settings.metric,
        "pixels": settings.pixels,
        "baseline": settings.baseline,
        "custom_objects": settings.custom_objects,
        "max_accuracy_drop": ANY_DROP,  # the gate is fit's own: other options are the way out
        "seed": settings.seed,
        "out": settings.out,
    }


def held_out(samples: Dataset, seed: int) -> Dataset:
    """The training samples alone: those that are trained on, and as the test part those that are held out for plans."""
    x, y, x_held, y_held = sensitivity.held_out(samples, seed=seed)
    return replace(samples, x_train=x, y_train=y, x_test=x_held, y_test=y_held, is_split=False)


def _least(dense: Dense, left: Sequence[Candidate], budget: int | None, excess: int) -> tuple[Choice, Sizes]:
    """The choice of least predicted loss; without a budget no kernel is pruned but by whole channels."""
    if budget is None:
        return dense.untouched, dense.sizes(dense.untouched)
    return plan(dense, left, budget - excess)


def plan(dense: Dense, left: Sequence[Candidate], budget: int) -> tuple[Choice, Sizes]:
    """The choice of least predicted loss whose predicted file is within the budget, or the smallest where none is.

    It is made twice, the second time with finer steps around the first.
    """
    coarse, _ = _plan(dense, left, budget)
    return _plan(dense, [each.refined(coarse[each.kernel.name], dense.costs) for each in left], budget)


def _plan(dense: Dense, left: Sequence[Candidate], budget: int) -> tuple[Choice, Sizes]:
    lightest = choosing.lightest(left)
    rest = dense.beside_candidates(dense.sizes(lightest))
    for _ in range(_TRIES):
        choice = choosing.under_budget(left, budget - rest)
        if choice is None:
            break
        sizes = dense.sizes(choice)
        if sizes.file_bytes <= budget:
            return choice, sizes
        # Less is shared than in the file that the rest was measured in. The same plan is not made again.
        rest = sizes.file_bytes - sum(option.nbytes for option in choice.values())
    return lightest, dense.sizes(lightest)


def opened(path: Path, name: str, custom_objects: Path | None) -> KerasSource:
    """A model that this run wrote, under the name of the one that it was made of."""
    source = keras_model.open_model(path, custom_objects)
    assert isinstance(source, KerasSource)  # it was one when it was written
    source.name = name
    return source


def save(source: KerasSource, path: Path) -> None:
    """Write a model, all or nothing."""
    with scratch.folder(path.parent) as folder:
        temporary = folder / path.name
        source.model.save(temporary)
        publish(temporary, path)
