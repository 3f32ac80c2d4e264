"""What becomes zero in the model of an export, and what becomes of the model on the way."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tflite_sparse.base.progress import Timed
from tflite_sparse.errors import DataError, ModelError, SettingsError
from tflite_sparse.pruning import (
    channel_plan,
    clusters,
    left_dense,
    masks,
    plan,
    planned_masks,
    recipe_file,
    recipe_planner,
    repeatable,
    training,
)
from tflite_sparse.pruning import curve as training_curve
from tflite_sparse.pruning.recipe import Recipe
from tflite_sparse.pruning.schedule import ConstantSchedule
from tflite_sparse.pruning.strip import strip
from tflite_sparse.report.text import channels as channel_words
from tflite_sparse.report.text import left_dense as left_dense_words
from tflite_sparse.results.baseline import Baseline
from tflite_sparse.results.export import Pruning
from tflite_sparse.results.prune import Curve
from tflite_sparse.scoring.metrics import Name
from tflite_sparse.scoring.user_metric import UserMetric
from tflite_sparse.settings import ExportSettings, PruningSettings
from tflite_sparse.settings.kinds import SharedCountOrAll
from tflite_sparse.sources import data_spec, demo, keras_model, tensorflow_import
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.kernels import kernels_and_variables
from tflite_sparse.sources.optimization_wrappers import is_quantisation_aware
from tflite_sparse.sources.saved_model import SavedModelSource
from tflite_sparse.sources.source_model import Kernel, SourceModel, check_finite
from tflite_sparse.stages.baseline import Found
from tflite_sparse.stages.convert import Converter
from tflite_sparse.stages.train import Trained, Training, asks_for_more


@dataclass(frozen=True)
class Pruned:
    """The model as it goes on, what was done to it, and where its dense float32 file computes something else.

    ``converter`` writes its files; ``trained`` says whether its weights were trained since that file was written, or
    apart from it; ``baseline`` is the model in that file; ``curve`` is how a training made it sparse, where that is
    known; ``shared_values`` is how many values the weights of single kernels share, by name.
    """

    source: SourceModel
    converter: Converter
    pruning: Pruning
    failures: list[str]
    trained: bool
    baseline: Baseline
    curve: Curve | None = None
    shared_values: Mapping[str, SharedCountOrAll] = field(default_factory=dict)


@dataclass(frozen=True)
class Masking:
    """Makes the model of an export sparse.

    Attributes:
        settings: of the export.
        metric: how outputs are scored.
        progress: receives stages and notes.
    """

    settings: ExportSettings
    metric: Name | UserMetric
    progress: Timed

    def demo(self, samples: Dataset, converter: Converter, dense_float32: Path) -> Pruned:
        """Train the demo network twice from the same start, plainly and pruning it; convert the plain one."""
        keras, seed = tensorflow_import.keras3(), self.settings.seed
        sparsity = self.settings.sparsity
        assert sparsity is not None  # for_demo() sets it
        plain, pruned = (keras_model.KerasSource(demo.build(keras, seed), keras, "demo CNN") for _ in range(2))
        with self.progress.stage("train dense baseline") as on_step:
            training.train_from_scratch(plain, samples, 0.0, seed=seed, on_step=on_step)
        with self.progress.stage("train and prune") as on_step:
            by = training.train_from_scratch(pruned, samples, sparsity, seed=seed, on_step=on_step)
        failures = converter.baseline(plain, dense_float32)
        kernels = masks.prunable(pruned)
        words = f"pruned while training to {sparsity:g}, in {training.SCRATCH_EPOCHS} epochs"
        done = described(pruned, kernels, 0, 0.0, training.SCRATCH_EPOCHS, words)
        curve = None
        if by is not None:
            curve = training_curve.of(by, pruned.model.optimizer, training.scratch_steps(samples))
        baseline = Baseline(model=plain.name, origin="trained", sparsity=0.0, is_unpruned=True)
        return Pruned(pruned, converter, done, failures, trained=True, baseline=baseline, curve=curve)

    def model(
        self,
        source: SourceModel,
        samples: Dataset | None,
        converter: Converter,
        rules: Recipe | None,
        dense_float32: Path,
        unpruned: Found,
    ) -> Pruned:
        """Strip the model, convert the baseline, and mask what is missing to the sparsity asked for."""
        settings = self.settings
        with self.progress.stage("strip"):
            check_finite(source)
            _check_quantisation(source, settings)
            stripped, applied = strip(source)
            stripped, can_train = self._to_train(stripped, samples, rules)
            float_layers = {} if rules is None else recipe_planner.float_layers(rules, stripped.layers())
            shared_values = {} if rules is None else recipe_planner.shared_values(rules, stripped.kernels())
            target = _planned(rules, settings, stripped)
            kernels = target.pruned
            before = masks.sparsity_of(kernels).share
            clustered = clusters.clustered(stripped.kernels())
            about_clusters = clusters.words(clustered, settings.target)
        trains = can_train and self._trains(stripped, samples, target, is_clustered=bool(clustered))
        converter = converter.in_form_of(stripped)
        failures = converter.baseline(unpruned.source or stripped, dense_float32)
        baseline = unpruned.described(stripped, applied, before)
        trained = None
        if trains:
            assert samples is not None
            assert isinstance(stripped, keras_model.KerasSource)
            trained = Training(settings, self.metric, self.progress).run(stripped, samples, target)
            check_finite(stripped)
        with self.progress.stage("mask"):
            kept = planned_masks.mask_at_once(target)  # of a finished training, these are its masks
            after = masks.sparsity_of(kernels).share
        words = _masking_words(before, after, applied, trained)
        if not kernels:
            words = _nothing_to_prune(stripped)
        if isinstance(source, keras_model.KerasSource) and source.was_mixed:
            words = f"built again in float32 from mixed precision; {words}"
        if is_quantisation_aware(source.layer_kinds()):
            how = "int8 files have the ranges of its training" if settings.int8 else "export it with --int8"
            words = f"trained quantisation-aware: {how}; {words}"
        if about_clusters is not None:
            words = f"{words}; {about_clusters}"
        self.progress.note(words)
        by_rules = rules is not None and rules.prunes
        epochs = 0 if trained is None else math.ceil(trained.epochs)
        done = described(stripped, kernels, applied, before, epochs, words, by_rules=by_rules, reasons=target.left)
        if kept:
            done = done.model_copy(update={"channels": channel_plan.results(target, kept)})
            self.progress.note(channel_words.sentence(done.channels).rstrip("."))
        if done.left_dense is not None and done.left_dense.is_loud:
            self.progress.note(f"warning: {left_dense_words.sentence(done.left_dense)}")
        return Pruned(
            stripped,
            replace(converter, float_layers=float_layers),
            done,
            failures,
            trained=trained is not None or unpruned.source is not None,
            baseline=baseline,
            curve=None if trained is None else trained.curve,
            shared_values=shared_values,
        )

    def _to_train(self, source: SourceModel, samples: Dataset | None, rules: Recipe | None) -> tuple[SourceModel, bool]:
        """Return the model, a copy if it may be trained, and whether it may be.

        Training compiles a model; the caller's own stays as it is. A model that cannot be copied is not trained unless
        a number of epochs was given.

        Raises:
            ModelError: a number of epochs was given, and the model cannot be copied.
        """
        is_auto = self.settings.finetune_epochs == "auto"
        asks = bool(self.settings.sparsity) or (rules is not None and rules.prunes)
        is_needed = asks and samples is not None and samples.has_labels if is_auto else self.settings.finetune_epochs
        if not is_needed or not isinstance(source, keras_model.KerasSource):
            return source, not is_auto
        try:
            with repeatable.seedable_layers(source.keras):
                return source.copied(), True
        except ModelError as error:
            if not is_auto:
                raise
            self.progress.warn(f"masked in one shot: {error}")
            return source, False

    def _trains(self, source: SourceModel, samples: Dataset | None, target: plan.Plan, *, is_clustered: bool) -> bool:
        """Return whether the model is to be trained.

        Raises:
            ModelError: a number of epochs was given, and the model is one that cannot be trained.
            DataError: a number of epochs was given, and there are no labels.
        """
        epochs = self.settings.finetune_epochs
        trainable = isinstance(source, keras_model.KerasSource)
        labelled = samples is not None and samples.y_train is not None
        if epochs == "auto":
            is_wanted = trainable and labelled and asks_for_more(target)
            if is_wanted and is_clustered:
                self.progress.warn(f"not trained: {clusters.NOT_TRAINED}")
            return is_wanted and not is_clustered
        if epochs and isinstance(source, SavedModelSource):
            raise ModelError(f"{source.name} {source.what}: `finetune_epochs` needs that.")
        if epochs and samples is None:
            raise DataError(f"`finetune_epochs` needs labelled data: `data` takes {data_spec.FORMS}.")
        if epochs and samples is not None and not samples.has_labels:
            raise DataError(f"{samples.name} has no labels: `finetune_epochs` needs some (y).")
        return epochs > 0


def rules_of(settings: ExportSettings) -> Recipe | None:
    """The recipe, read before the work."""
    if settings.recipe is None:
        return None
    rules = recipe_file.find(settings.recipe)
    in_int8 = settings.int8 and settings.activations == "int8" and settings.traits.keeps_layers_float
    if rules.chooses_precision and not in_int8:
        raise SettingsError(
            f"{rules.name}: precision = 'float32' applies to int8 files for LiteRT and TensorFlow Lite Micro: "
            "export with `int8=True`, and leave `activations` out."
        )
    if rules.shares_values and not settings.computes_in_integers:
        raise SettingsError(
            f"{rules.name}: shared_values applies to int8 weights: export with `int8=True`, without float32 "
            "activations."
        )
    return rules


def described(
    source: SourceModel,
    kernels: Sequence[Kernel],
    applied: int,
    before: float,
    epochs: int,
    words: str,
    *,
    by_rules: bool = False,
    reasons: Mapping[str, str] | None = None,
) -> Pruning:
    """What the report says of the prunable ``kernels`` of a model, which are masked now, and of its other ones.

    ``reasons`` say why a kernel is left dense, by name, where the plan does.
    """
    now, dense = masks.sparsity_of(kernels), None
    if now.zeros:
        dense = left_dense.of_masked(source.kernels(), kernels, by_rules=by_rules, reasons=reasons or {})
    return Pruning(
        prunable_kernels=len(kernels),
        prunable_weights=now.weights,
        masks_applied=applied,
        before=before,
        after=now.share,
        epochs=epochs,
        words=words,
        left_dense=dense,
        has_layers=isinstance(source, keras_model.KerasSource),
    )


def _check_quantisation(source: SourceModel, settings: ExportSettings) -> None:
    """A model that was trained for int8 activations has no other ones.

    Raises:
        SettingsError: others are asked for.
    """
    if settings.int8 and settings.activations != "int8" and is_quantisation_aware(source.layer_kinds()):
        raise SettingsError(
            f"`activations={settings.activations!r}`: {source.name} was trained quantisation-aware, for int8 "
            "activations: leave it out."
        )


def _planned(rules: Recipe | None, settings: ExportSettings, source: SourceModel) -> plan.Plan:
    """Return kernels, channels and the sparsity of each in the end, by the recipe if it has rules for that.

    Raises:
        ModelError: channels are to be pruned, and the model is one whose layers are not known.
    """
    target = _planned_kernels(rules, settings, source)
    if isinstance(source, keras_model.KerasSource):
        return channel_plan.bound(target, source.model, kernels_and_variables(source.model))
    if target.channels:
        raise ModelError(f"{source.name} is a SavedModel without its Keras model: block = 'channel' needs that.")
    return target


def _planned_kernels(rules: Recipe | None, settings: ExportSettings, source: SourceModel) -> plan.Plan:
    if rules is not None and rules.prunes:
        given = {} if settings.sparsity is None else {"sparsity": settings.sparsity}
        # Schedules of the recipe may name any step: those of the training that may follow are its own.
        return recipe_planner.planner(rules, PruningSettings(**given))(source.kernels(), plan.Span(sys.maxsize, 1))
    kernels = masks.prunable(source)
    if not settings.sparsity:
        return plan.frozen(kernels, plan.Span(1, 1))
    schedule = ConstantSchedule(settings.sparsity, 0, 1, 1)
    return plan.Plan(tuple(plan.KernelPlan(kernel, schedule) for kernel in kernels))


def _masking_words(before: float, after: float, applied: int, trained: Trained | None) -> str:
    parts = [f"{applied} pruning masks applied"] if applied else []
    epochs = "" if trained is None or not trained.epochs else f"{trained.epochs:.2g} epoch{'s' * (trained.epochs != 1)}"
    if after > before:
        change = f"from {before:.3f} to {after:.3f}"
        masked = f"masked {change} without fine-tuning"
        parts.append(f"pruned while training {change}, in {epochs}" if epochs else masked)
    else:
        parts.append(f"kept at sparsity {before:.3f}" + (f", {epochs} of fine-tuning" if epochs else ""))
    return "; ".join(parts)


def _nothing_to_prune(source: SourceModel) -> str:
    kernels = sorted(source.kernels(), key=lambda kernel: -kernel.size)
    if not kernels:
        return "nothing to prune: the model has no trainable weights of two axes or more"
    largest = kernels[0]
    return (
        f"nothing to prune: no kernel has {masks.LEAST_PRUNABLE_SIZE:,} weights or more of a kind that is pruned; the "
        f"largest is {largest.name} with {largest.size:,}"
    )
