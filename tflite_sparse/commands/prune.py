"""The stages of ``prune``: a Keras model in, the same model trained to be sparse out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from typing_extensions import Unpack

from tflite_sparse.base import extras, scratch
from tflite_sparse.base.atomic_files import check_place, publish, write_bytes
from tflite_sparse.base.notebook_progress import chosen
from tflite_sparse.base.progress import Progress, Timed
from tflite_sparse.commands.prunable import fingerprints, load, path_of, planner_of
from tflite_sparse.commands.prune_report import Scores, kernels_of
from tflite_sparse.commands.scan import scan_kernels
from tflite_sparse.errors import ModelError, OutputError
from tflite_sparse.pruning import (
    allocation,
    channel_plan,
    checkpoint,
    left_dense,
    masks,
    training,
)
from tflite_sparse.pruning import curve as training_curve
from tflite_sparse.pruning.callback import MagnitudePruning
from tflite_sparse.pruning.checkpoint import Checkpoint
from tflite_sparse.pruning.plan import Plan, Planner, Span
from tflite_sparse.report.page import plots
from tflite_sparse.report.text import left_dense as left_dense_words
from tflite_sparse.results.baseline import BaselineFile
from tflite_sparse.results.left_dense import LeftDense
from tflite_sparse.results.prune import PruneReport, report_path
from tflite_sparse.scoring import keras_score
from tflite_sparse.scoring.scorer import Scored, Scorer, make_scorer
from tflite_sparse.settings import AnyPath, PruneOptions, PruneSettings
from tflite_sparse.settings.keywords import takes
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.keras_model import KerasSource
from tflite_sparse.sources.keras_types import KerasModel
from tflite_sparse.sources.kernels import kernels_and_variables
from tflite_sparse.stages import baseline
from tflite_sparse.stages.load import split_words
from tflite_sparse.version import TOOL


@takes(PruneSettings, PruneOptions)
def prune(
    model: AnyPath,
    data: object,
    output: AnyPath,
    *,
    progress: Progress | None = None,
    **settings: Unpack[PruneOptions],
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
        **settings: see below.

    Raises:
        MissingPackageError: a package of the extra ``keras`` is not installed.
        InputError: model, data, settings or output cannot be used, or the loss became NaN; no model was written. What
            the last full epoch yielded is in the checkpoint.
    """
    extras.require_keras("prune")
    return _Prune(PruneSettings(**settings), Timed(chosen(progress)), Path(output)).run(path_of(model), data)


def undrawn(
    model: Path, data: object, output: Path, progress: Progress, **settings: Unpack[PruneOptions]
) -> PruneReport:
    """Do the same as :func:`prune`, but for ``NAME.prune.svg``: for a round of several, of which nobody sees it."""
    return _Prune(PruneSettings(**settings), Timed(progress), output, is_drawn=False).run(model, data)


@dataclass
class _Prune:
    settings: PruneSettings
    progress: Timed
    output: Path
    is_drawn: bool = True
    warnings: list[str] = field(default_factory=list)
    started_from: dict[str, str] = field(default_factory=dict)
    left_dense: LeftDense | None = None

    def run(self, path: Path, data: object) -> PruneReport:
        saved = self._check_output()
        source, samples, applied = load(path, data, self.settings, self.progress)
        self.started_from = fingerprints(source, samples)
        if samples.is_split:
            self._warn(split_words(samples))
        if saved is not None:
            checkpoint.check_settings(saved, self._identity(), checkpoint.path_beside(self.output))
        planner = planner_of(self.settings)
        planned = self._planned(source, samples, planner)  # what does not fit is told before the work
        by_rules = self.settings.recipe is not None
        self.left_dense = left_dense.while_training(
            source.kernels(), planned.masked, by_rules=by_rules, reasons=planned.left
        )
        if self.left_dense.is_loud or planned.left:
            warning = "warning: " if self.left_dense.is_loud else ""
            self.progress.note(f"{warning}{left_dense_words.sentence(self.left_dense)}")
        if self.settings.allocate:
            planner = self._allocated(source, samples, planner)
        scorer, before = self._scored(source, samples)
        started = masks.sparsity_of(planned.pruned).share
        unpruned = baseline.named_by_prune(  # before the training: the file may change meanwhile
            path, self.output, started, scorer.metric, before.mean, samples.test_samples, samples.name
        )
        pruning = self._train(source, samples, planner, saved)
        _, after = self._scored(source, samples)
        scores = Scores(scorer, before, after)
        report = self._report(path, source, samples, pruning, applied, scores, started, unpruned)
        self._deliver(source, report)
        return report

    def _planned(self, source: KerasSource, samples: Dataset, planner: Planner) -> Plan:
        found = kernels_and_variables(source.model)
        plan = planner([kernel for _, kernel in found], self._span(samples))
        return channel_plan.bound(plan, source.model, found)

    def _allocated(self, source: KerasSource, samples: Dataset, planner: Planner) -> Planner:
        """The same kernels, the sparsity over all of them spread so that the least is lost."""
        plan = planner(source.kernels(), self._span(samples))
        allocation.check(plan)
        total = sum(each.schedule.final * each.kernel.size for each in plan.kernels) / plan.weights
        shapes = {each.kernel: each.structure for each in plan.kernels}
        seed = self.settings.seed
        found = scan_kernels(source, samples, shapes, allocation.ALLOCATION_SPARSITIES, seed, self.progress)
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
                    f"{source.name}: the loss became NaN in epoch {epoch}; try a lower `learning_rate`. "
                    f"The state before it is in {path}."
                )
            checkpoint.write(self._state(model, pruning, epoch), path)

        try:
            with self.progress.stage("prune") as on_step:
                training.train_repeatably(
                    source, samples, self.settings, pruning, on_step=on_step, resume=resume, after_epoch=save
                )
        except (KeyboardInterrupt, SystemExit):
            if path.exists():
                self.progress.note(f"the state after the last whole epoch is in {path}: go on with `resume=True`")
            raise
        return pruning

    def _state(self, model: KerasModel, pruning: MagnitudePruning, epoch: int) -> Checkpoint:
        return Checkpoint(
            self._identity(),
            epoch,
            pruning.step,
            [np.asarray(values) for values in model.get_weights()],
            [np.asarray(variable.numpy()) for variable in checkpoint.variables(model.optimizer)],
            pruning.masks(),
        )

    def _identity(self) -> dict[str, object]:
        """What a resumed run must have in common with the interrupted one."""
        settings = self.settings.model_dump(mode="json").items()
        return {**self.started_from, **{name: value for name, value in settings if name != "resume"}}

    def _warn(self, sentence: str) -> None:
        if sentence not in self.warnings:
            self.warnings.append(sentence)
            self.progress.note(f"warning: {sentence}")

    def _scored(self, source: KerasSource, samples: Dataset) -> tuple[Scorer, Scored]:
        with self.progress.stage("evaluate"):
            outputs = keras_score.predicted(source, samples.x_test)
            scorer = make_scorer(outputs, samples.y_test)
            return scorer, scorer.scored(outputs)

    def _report(
        self,
        path: Path,
        source: KerasSource,
        samples: Dataset,
        pruning: MagnitudePruning,
        applied: int,
        scores: Scores,
        started: float,
        unpruned: BaselineFile | None,
    ) -> PruneReport:
        plan = pruning.plan
        return PruneReport(
            tool=TOOL,
            model=str(path),
            data=samples.name,
            output=str(self.output),
            settings=self.settings.model_dump(mode="json"),
            masks_applied=applied,
            kernels=kernels_of(plan),
            channels=channel_plan.results(plan, pruning.kept_channels),
            sparsity_before=started,
            sparsity=masks.sparsity_of(plan.pruned).share,
            metric=scores.scorer.metric,
            samples=samples.test_samples,
            before=scores.before.mean,
            after=scores.after.mean,
            outputs=scores.of_several_outputs(),
            baseline=unpruned,
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
        check_place(self.output)
        path = checkpoint.path_beside(self.output)
        if self.settings.resume:
            return checkpoint.read(path)
        if path.exists():
            raise OutputError(
                f"{path} is the state of an interrupted run: go on with `resume=True`, or delete it to start again."
            )
        return None

    def _deliver(self, source: KerasSource, report: PruneReport) -> None:
        with (
            self.progress.stage("write"),
            scratch.folder(self.output.parent, prefix=f".{self.output.name}.") as folder,
        ):
            temporary = folder / "model.keras"
            try:
                source.model.save(temporary)
            except OSError as error:
                raise OutputError(f"cannot write {self.output}: {error.strerror or error}.") from error
            drawing = folder / "schedule.svg"
            if self.is_drawn:
                _draw(report, drawing)
            write_bytes(report_path(self.output), (report.model_dump_json(indent=2) + "\n").encode())
            if self.is_drawn:
                publish(drawing, self.output.with_suffix(".prune.svg"))
            publish(temporary, self.output)
        checkpoint.path_beside(self.output).unlink(missing_ok=True)


def _draw(report: PruneReport, path: Path) -> None:
    curve = report.curve
    plots.schedule(
        np.array(curve.steps),
        np.array(curve.sparsity),
        np.array(curve.learning_rate),
        path,
        channels=report.channels,
    )
