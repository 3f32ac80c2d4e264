"""The stages of ``prune``: a Keras model in, the same model trained to be sparse out."""

from __future__ import annotations

import importlib.metadata
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tflite_sparse.base import extras
from tflite_sparse.base.atomic_files import publish, temporary_name_beside, write_bytes
from tflite_sparse.base.progress import Progress, Silent, Step, Timed, ignore_steps
from tflite_sparse.errors import DataError, ModelError, OutputError
from tflite_sparse.pruning import (
    allocation,
    checkpoint,
    left_dense,
    masks,
    recipe,
    repeatable,
    sensitivity,
    training,
)
from tflite_sparse.pruning import curve as training_curve
from tflite_sparse.pruning.callback import MagnitudePruning
from tflite_sparse.pruning.checkpoint import Checkpoint
from tflite_sparse.pruning.plan import Planner, Span, of_settings
from tflite_sparse.pruning.strip import strip
from tflite_sparse.pruning.structure import Structure
from tflite_sparse.report.page import plots
from tflite_sparse.report.text import left_dense as left_dense_words
from tflite_sparse.report.text.sensitivity import Scan
from tflite_sparse.results.left_dense import LeftDense
from tflite_sparse.results.prune import OutputScores, PrunedKernel, PruneReport, report_path
from tflite_sparse.scoring import keras_score as masked_score
from tflite_sparse.scoring import scorer as scoring
from tflite_sparse.settings import PruneSettings
from tflite_sparse.sources import dataset, keras_model
from tflite_sparse.sources.arrays import checksum, columns
from tflite_sparse.sources.arrays import count as count_samples
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.keras_model import KerasSource
from tflite_sparse.sources.named_arrays import Signature
from tflite_sparse.sources.source_model import Kernel, SourceModel, check_finite

_ANY_SPARSITY = 0.5  # a scan masks to its own


def prune(
    model: str | os.PathLike[str],
    data: Any,
    output: str | os.PathLike[str],
    *,
    progress: Progress | None = None,
    **settings: Any,
) -> PruneReport:
    """Train a Keras model while its kernels become sparse, after Zhu and Gupta (2017), and write it.

    Beside ``output`` (``NAME.keras``) the report is written as ``NAME.prune.json`` and the schedule as
    ``NAME.prune.svg``. While the training runs, its state after the last epoch lies in ``NAME.keras.checkpoint``.

    Args:
        model: a ``.keras``, ``.h5`` or ``.hdf5`` file or a SavedModel of Keras, with or without pruning wrappers, of
            either generation; the output is of the same.
        data: as for :func:`tflite_sparse.export`, with labels. The test part is used for the report only.
        output: the ``.keras`` file to write, all or nothing.
        progress: receives stages and notes.
        **settings: the fields of :class:`tflite_sparse.settings.PruneSettings`.

    Raises:
        MissingPackageError: a package of the extra ``keras`` is not installed.
        InputError: model, data, settings or output cannot be used, or the loss became NaN; no model was written. What
            the last full epoch yielded is in the checkpoint.
    """
    extras.require_keras("prune")
    run = _Prune(PruneSettings(**settings), Timed(progress or Silent()), Path(output))
    return run.run(Path(model), data)


def scan(
    model: str | os.PathLike[str],
    data: Any,
    *,
    output: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Scan:
    """Mask one kernel at a time and evaluate on held-out training samples. Nothing is trained.

    Args:
        model: as for :func:`prune`.
        data: as for :func:`prune`; the test part is not touched.
        output: a name ``NAME.keras``: the result is written as ``NAME.scan.json`` and ``NAME.scan.svg``. None: nothing
            is written.
        progress: receives stages and notes.
        **settings: of :class:`tflite_sparse.settings.PruneSettings`, ``block``, ``recipe``, ``seed``, ``batch_size``,
            ``custom_objects`` and ``builder`` matter.

    Raises:
        MissingPackageError: a package of the extra ``keras`` is not installed.
        InputError: model, data or settings cannot be used.
    """
    extras.require_keras("prune")
    checked = PruneSettings(**{"sparsity": _ANY_SPARSITY, **settings})
    run = _Prune(checked, Timed(progress or Silent()), Path(output or "unused.keras"))
    if output is not None:
        temporary_name_beside(run.output).unlink()  # find out before the work whether the result can be written
    source, samples, _ = load(Path(model), data, run.settings, run.progress)
    found = run.scan(source, samples, run.planner(), sensitivity.SPARSITIES)
    if output is not None:
        write_bytes(run.output.with_suffix(".scan.json"), (found.model_dump_json(indent=2) + "\n").encode())
        with tempfile.TemporaryDirectory(dir=run.output.parent, prefix=f".{run.output.name}.") as folder:
            drawing = Path(folder) / "scan.svg"
            plots.sensitivity(found, drawing)
            publish(drawing, run.output.with_suffix(".scan.svg"))
    return found


def scan_kernels(
    source: KerasSource,
    samples: Dataset,
    kernels: Mapping[Kernel, Structure],
    sparsities: Sequence[float],
    seed: int,
    progress: Timed,
    stage: str = "scan",
) -> Scan:
    """Mask one kernel at a time and evaluate on held-out training samples; the test part is not touched.

    Args:
        source: the model; it is compiled here, and has its weights back at the end.
        samples: with labels.
        kernels: those that are masked, each with the shape of its masks.
        sparsities: of the masks.
        seed: of the choice of held-out samples.
        progress: receives stages and notes.
        stage: how it is called.
    """
    _, _, x, y = sensitivity.held_out(samples, seed=seed)
    assert y is not None  # samples_for() asks for labels
    masked = list(kernels)
    count = sensitivity.estimated_evaluations(masked, sparsities)
    progress.note(f"{stage}: {count} evaluations of {count_samples(x)} held-out training samples each")
    with progress.stage(stage) as on_step:
        training.compile_for(source, samples, "sgd")  # the scan asks for its loss; nothing is trained
        evaluate = masked_score.evaluator(source, x, y)
        shapes = list(kernels.values())
        return sensitivity.scan(source, masked, evaluate, sparsities, structure=shapes, on_step=on_step)


def load(path: Path, data: Any, settings: PruneSettings, progress: Progress) -> tuple[KerasSource, Dataset, int]:
    """A model that can be trained, without wrappers, the data fitted to it, and how many masks were applied.

    Args:
        path: as for :func:`prune`.
        data: as for :func:`prune`.
        settings: ``seed``, ``custom_objects`` and ``builder`` matter.
        progress: receives stages and notes.

    Raises:
        InputError: model or data cannot be used for training.
    """
    with progress.stage("load") as on_step:
        source, applied = trainable(keras_model.open_model(path, settings.custom_objects, settings.builder))
        samples = samples_for(source, data, settings.seed, on_step)
        if samples.is_cut:
            progress.note(f"data: {samples.name}; it does not tell how many there are")
        return source, samples, applied


def trainable(opened: SourceModel) -> tuple[KerasSource, int]:
    """A copy of a model that can be trained, without wrappers, and how many masks were applied.

    Raises:
        ModelError: it holds NaN or infinity, or is a SavedModel without its Keras model.
    """
    check_finite(opened)
    source, applied = strip(opened)
    if not isinstance(source, KerasSource):
        raise ModelError(f"{opened.name} is a SavedModel without its Keras model: prune needs a .keras or .h5 file.")
    with repeatable.seedable_layers(source.keras):
        return source.copied(), applied


def samples_for(source: KerasSource, data: Any, seed: int, on_step: Step = ignore_steps) -> Dataset:
    """Labelled data, fitted to a model that is to be trained on them.

    Raises:
        DataError: they do not fit or have no labels.
    """
    samples = dataset.of_model(data, Signature(source.inputs(), source.outputs()), seed=seed, on_step=on_step)
    if not samples.has_labels:
        raise DataError(f"{samples.name} has no labels: prune needs some (y). --data takes {dataset.FORMS}.")
    return samples


@dataclass(frozen=True, slots=True)
class _Scores:
    """On the test samples, before the training and after it."""

    scorer: scoring.Scorer
    before: scoring.Scored
    after: scoring.Scored

    def of_several_outputs(self) -> list[OutputScores]:
        """One entry for each; none where there is one output only."""
        if len(self.scorer.metrics) == 1:
            return []
        before, after = self.before.evidence, self.after.evidence
        return [
            OutputScores(name=name, metric=metric.name, before=before[name].score(), after=after[name].score())
            for name, metric in self.scorer.metrics.items()
        ]


@dataclass
class _Prune:
    settings: PruneSettings
    progress: Timed
    output: Path
    warnings: list[str] = field(default_factory=list)
    started_from: dict[str, str] = field(default_factory=dict)
    left_dense: LeftDense | None = None

    def run(self, path: Path, data: Any) -> PruneReport:
        saved = self._check_output()
        source, samples, applied = load(path, data, self.settings, self.progress)
        self.started_from = fingerprints(source, samples)
        if saved is not None:
            checkpoint.check_settings(saved, self._identity(), checkpoint.path_beside(self.output))
        planner = self.planner()
        span = self._span(samples)
        kernels = source.kernels()
        planned = planner(kernels, span)  # what does not fit is told before the work
        by_rules = self.settings.recipe is not None
        self.left_dense = left_dense.while_training(
            kernels, [each.kernel for each in planned.kernels], by_rules=by_rules
        )
        if self.left_dense.is_loud:
            self.progress.note(f"warning: {left_dense_words.sentence(self.left_dense)}")
        if self.settings.allocate:
            planner = self._allocated(source, samples, planner)
        scorer, before = self._scored(source, samples)
        started = masks.sparsity_of([each.kernel for each in planner(source.kernels(), span).kernels]).share
        pruning = self._train(source, samples, planner, saved)
        _, after = self._scored(source, samples)
        scores = _Scores(scorer, before, after)
        report = self._report(path, source, samples, pruning, applied, scores, started)
        self._deliver(source, report)
        return report

    def scan(self, source: KerasSource, samples: Dataset, planner: Planner, sparsities: Sequence[float]) -> Scan:
        """Mask one kernel of the plan at a time; the test part is not touched."""
        plan = planner(source.kernels(), self._span(samples))
        shapes = {each.kernel: each.structure for each in plan.kernels}
        return scan_kernels(source, samples, shapes, sparsities, self.settings.seed, self.progress)

    def planner(self) -> Planner:
        """What becomes of which kernel, by the recipe if there is one."""
        if self.settings.recipe is None:
            return of_settings(self.settings)
        return recipe.planner(recipe.find(self.settings.recipe), self.settings)

    def _allocated(self, source: KerasSource, samples: Dataset, planner: Planner) -> Planner:
        """The same kernels, the sparsity over all of them spread so that the least is lost."""
        plan = planner(source.kernels(), self._span(samples))
        allocation.check(plan)
        total = sum(each.schedule.final * each.kernel.size for each in plan.kernels) / plan.weights
        found = self.scan(source, samples, planner, allocation.ALLOCATION_SPARSITIES)
        spread = allocation.allocate(found, total)
        self.progress.note(
            f"allocation: the loss is predicted to rise by {spread.loss:.3g}, uniform by {spread.uniform_loss:.3g}"
        )
        return allocation.planner(planner, spread.sparsities)

    def _span(self, samples: Dataset) -> Span:
        return training.span_of(self.settings, samples.train_samples)

    def _train(
        self, source: KerasSource, samples: Dataset, planner: Planner, saved: Checkpoint | None
    ) -> MagnitudePruning:
        model = source.model
        pruning = MagnitudePruning(planner=planner, warn=self._warn)
        path = checkpoint.path_beside(self.output)

        def resume() -> int:
            if saved is None:
                return 0
            checkpoint.restore(saved, model, path)
            pruning.restore(saved.step, saved.masks)
            return saved.epoch

        def save(epoch: int, loss: float) -> None:
            if not math.isfinite(loss):
                raise ModelError(
                    f"{source.name}: the loss became NaN in epoch {epoch}; try a lower --learning-rate. "
                    f"The state before it is in {path}."
                )
            checkpoint.write(self._state(model, pruning, epoch), path)

        with self.progress.stage("prune") as on_step:
            training.train_repeatably(
                source, samples, self.settings, pruning, on_step=on_step, resume=resume, after_epoch=save
            )
        return pruning

    def _state(self, model: Any, pruning: MagnitudePruning, epoch: int) -> Checkpoint:
        return Checkpoint(
            self._identity(),
            epoch,
            pruning.step,
            [np.asarray(values) for values in model.get_weights()],
            [np.asarray(variable.numpy()) for variable in checkpoint.variables(model.optimizer)],
            pruning.masks(),
        )

    def _identity(self) -> dict[str, Any]:
        """What a resumed run must have in common with the interrupted one."""
        settings = self.settings.model_dump(mode="json").items()
        return {**self.started_from, **{name: value for name, value in settings if name != "resume"}}

    def _warn(self, sentence: str) -> None:
        if sentence not in self.warnings:
            self.warnings.append(sentence)
            self.progress.note(f"warning: {sentence}")

    def _scored(self, source: KerasSource, samples: Dataset) -> tuple[scoring.Scorer, scoring.Scored]:
        with self.progress.stage("evaluate"):
            outputs = masked_score.predicted(source, samples.x_test)
            scorer = scoring.scorer(outputs, samples.y_test)
            return scorer, scorer.scored(outputs)

    def _report(
        self,
        path: Path,
        source: KerasSource,
        samples: Dataset,
        pruning: MagnitudePruning,
        applied: int,
        scores: _Scores,
        started: float,
    ) -> PruneReport:
        plan = pruning.plan
        return PruneReport(
            tool=f"tflite-sparse {importlib.metadata.version('tflite-sparse')}",
            model=str(path),
            data=samples.name,
            output=str(self.output),
            settings=self.settings.model_dump(mode="json"),
            masks_applied=applied,
            kernels=[
                PrunedKernel(
                    name=each.kernel.name,
                    type=each.kernel.owner,
                    shape=each.kernel.shape,
                    block=str(each.structure),
                    asked=each.schedule.final if plan.scope == "layer" else None,
                    sparsity=masks.sparsity_of([each.kernel]).share,
                )
                for each in plan.kernels
            ],
            sparsity_before=started,
            sparsity=masks.sparsity_of([each.kernel for each in plan.kernels]).share,
            metric=scores.scorer.metric,
            samples=samples.test_samples,
            before=scores.before.mean,
            after=scores.after.mean,
            outputs=scores.of_several_outputs(),
            left_dense=self.left_dense,
            warnings=self.warnings,
            curve=training_curve.of(plan, source.model.optimizer, self._span(samples).steps),
            seconds=self.progress.seconds,
        )

    def _check_output(self) -> Checkpoint | None:
        """Find out before the work whether the result can be written; return the checkpoint to go on from, if any."""
        if self.output.suffix != ".keras":
            raise OutputError(
                f"{self.output}: the output is a .keras file; call it {self.output.with_suffix('.keras')}."
            )
        temporary_name_beside(self.output).unlink()
        path = checkpoint.path_beside(self.output)
        if self.settings.resume:
            return checkpoint.read(path)
        if path.exists():
            raise OutputError(
                f"{path} is the state of an interrupted run: go on with --resume, or delete it to start again."
            )
        return None

    def _deliver(self, source: KerasSource, report: PruneReport) -> None:
        with (
            self.progress.stage("write"),
            tempfile.TemporaryDirectory(dir=self.output.parent, prefix=f".{self.output.name}.") as folder,
        ):
            temporary = Path(folder) / "model.keras"
            try:
                source.model.save(temporary)
            except OSError as error:
                raise OutputError(f"cannot write {self.output}: {error.strerror or error}.") from error
            drawing = Path(folder) / "schedule.svg"
            curve = report.curve
            plots.schedule(np.array(curve.steps), np.array(curve.sparsity), np.array(curve.learning_rate), drawing)
            write_bytes(report_path(self.output), (report.model_dump_json(indent=2) + "\n").encode())
            publish(drawing, self.output.with_suffix(".prune.svg"))
            publish(temporary, self.output)
        checkpoint.path_beside(self.output).unlink(missing_ok=True)


def fingerprints(source: KerasSource, samples: Dataset) -> dict[str, str]:
    """Model and training data in short: a run that goes on with others ends as neither would."""
    weights = [array for array in map(np.asarray, source.model.get_weights()) if array.dtype.kind == "f"]
    data = [*columns(samples.x_train), *columns(samples.y_train)]
    return {"model": f"crc32 {checksum(weights)}", "training data": f"crc32 {checksum(data)}"}
