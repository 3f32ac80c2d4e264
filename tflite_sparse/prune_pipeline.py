"""The stages of ``prune``: a Keras model in, the same model trained to be sparse out."""

from __future__ import annotations

import importlib.metadata
import math
import os
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tflite_sparse.config import PruneSettings
from tflite_sparse.errors import DataError, ModelError, OutputError
from tflite_sparse.evaluation import masked_score
from tflite_sparse.evaluation.accuracy import choose_metric
from tflite_sparse.files import publish, temporary_name_beside, write_bytes
from tflite_sparse.progress import Progress, Silent, Timed
from tflite_sparse.pruning import (
    allocation,
    checkpoint,
    learning_rate,
    masks,
    recipe,
    repeatable,
    sensitivity,
    training,
)
from tflite_sparse.pruning.callback import MagnitudePruning
from tflite_sparse.pruning.checkpoint import Checkpoint
from tflite_sparse.pruning.plan import Plan, Planner, Span, of_settings
from tflite_sparse.pruning.strip import strip
from tflite_sparse.report import plots
from tflite_sparse.report.pruning import Curve, PrunedKernel, PruneReport, report_path
from tflite_sparse.report.sensitivity import Scan
from tflite_sparse.sources import dataset, keras_model
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.keras_model import KerasSource
from tflite_sparse.sources.source_model import check_finite

_CURVE_POINTS = 200
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
        progress: who listens.
        **settings: the fields of :class:`tflite_sparse.config.PruneSettings`.

    Raises:
        InputError: model, data, settings or output cannot be used, or the loss became NaN; no model was written. What
            the last full epoch yielded is in the checkpoint.
    """
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
        progress: who listens.
        **settings: of :class:`tflite_sparse.config.PruneSettings`, ``block``, ``recipe``, ``seed``, ``batch_size`` and
            ``custom_objects`` matter.

    Raises:
        InputError: model, data or settings cannot be used.
    """
    checked = PruneSettings(**{"sparsity": _ANY_SPARSITY, **settings})
    run = _Prune(checked, Timed(progress or Silent()), Path(output or "unused.keras"))
    if output is not None:
        temporary_name_beside(run.output).unlink()  # find out before the work whether the result can be written
    source, samples, _ = run.load(Path(model), data)
    found = run.scan(source, samples, run.planner(), sensitivity.SPARSITIES)
    if output is not None:
        write_bytes(run.output.with_suffix(".scan.json"), (found.model_dump_json(indent=2) + "\n").encode())
        with tempfile.TemporaryDirectory(dir=run.output.parent, prefix=f".{run.output.name}.") as folder:
            drawing = Path(folder) / "scan.svg"
            plots.sensitivity(found, drawing)
            publish(drawing, run.output.with_suffix(".scan.svg"))
    return found


@dataclass
class _Prune:
    settings: PruneSettings
    progress: Timed
    output: Path
    warnings: list[str] = field(default_factory=list)
    started_from: dict[str, str] = field(default_factory=dict)

    def run(self, path: Path, data: Any) -> PruneReport:
        saved = self._check_output()
        source, samples, applied = self.load(path, data)
        self.started_from = _fingerprints(source, samples)
        if saved is not None:
            checkpoint.check_settings(saved, self._identity(), checkpoint.path_beside(self.output))
        planner = self.planner()
        span = self._span(samples)
        planner(source.kernels(), span)  # what does not fit is told before the work
        if self.settings.allocate:
            planner = self._allocated(source, samples, planner)
        before, metric = self._score(source, samples)
        started = masks.sparsity_of([each.kernel for each in planner(source.kernels(), span).kernels]).share
        pruning = self._train(source, samples, planner, saved)
        after, _ = self._score(source, samples)
        report = self._report(path, source, samples, pruning, applied, (metric, before, after, started))
        self._deliver(source, report)
        return report

    def load(self, path: Path, data: Any) -> tuple[KerasSource, Dataset, int]:
        """The model without wrappers, the data fitted to it, and how many masks were applied."""
        with self.progress.stage("load"):
            opened = keras_model.open_model(path, self.settings.custom_objects)
            check_finite(opened)
            source, applied = strip(opened)
            if not isinstance(source, KerasSource):
                raise ModelError(f"{path} is a SavedModel without its Keras model: prune needs a .keras or .h5 file.")
            with repeatable.seedable_layers(source.keras):
                source = source.copied()
            inputs = source.inputs()
            if len(inputs) != 1:
                raise DataError(f"{path} has {len(inputs)} inputs; prune trains models with one. Use MagnitudePruning.")
            outputs = source.outputs()
            if len(outputs) != 1:
                raise DataError(
                    f"{path} has {len(outputs)} outputs; prune trains models with one. Use MagnitudePruning."
                )
            samples = dataset.of_any(data, seed=self.settings.seed, image_shape=inputs[0].shape)
            samples = samples.fitted_to(inputs[0].shape, inputs[0].dtype)
        if not samples.has_labels:
            raise DataError(f"{samples.name} has no labels: prune needs some (y). --data takes {dataset.FORMS}.")
        return source, samples, applied

    def scan(self, source: KerasSource, samples: Dataset, planner: Planner, sparsities: Sequence[float]) -> Scan:
        """Mask one kernel of the plan at a time; the test part is not touched."""
        _, _, x, y = sensitivity.held_out(samples, seed=self.settings.seed)
        plan = planner(source.kernels(), self._span(samples))
        kernels = [each.kernel for each in plan.kernels]
        count = sensitivity.estimated_evaluations(kernels, sparsities)
        self.progress.note(f"scan: {count} evaluations of {len(x)} held-out training samples each")
        with self.progress.stage("scan") as on_step:
            assert y is not None  # has_labels
            training.compile_for(source, samples, "sgd")  # the scan asks for its loss; nothing is trained
            evaluate = masked_score.evaluator(source, x, y)
            shapes = [each.structure for each in plan.kernels]
            return sensitivity.scan(source, kernels, evaluate, sparsities, structure=shapes, on_step=on_step)

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
            _restore(model, pruning, saved, path)
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
            [np.asarray(variable.numpy()) for variable in _variables(model.optimizer)],
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

    def _score(self, source: KerasSource, samples: Dataset) -> tuple[float, str]:
        with self.progress.stage("evaluate"):
            outputs = np.asarray(source.model.predict(samples.x_test, batch_size=256, verbose=0))
            metric = choose_metric(outputs, samples.y_test)
            assert samples.y_test is not None  # has_labels
            return metric.score(outputs, samples.y_test), metric.name

    def _report(
        self,
        path: Path,
        source: KerasSource,
        samples: Dataset,
        pruning: MagnitudePruning,
        applied: int,
        scores: tuple[str, float, float, float],
    ) -> PruneReport:
        metric, before, after, started = scores
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
            metric=metric,
            samples=len(samples.x_test),
            before=before,
            after=after,
            warnings=self.warnings,
            curve=_curve(plan, source.model.optimizer, self._span(samples).steps),
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


def _restore(model: Any, pruning: MagnitudePruning, saved: Checkpoint, path: Path) -> None:
    variables = _variables(model.optimizer)
    shapes = [tuple(variable.shape) for variable in variables]
    if [values.shape for values in model.get_weights()] != [values.shape for values in saved.weights] or shapes != [
        values.shape for values in saved.optimizer
    ]:
        raise ModelError(f"{path} is of another model: delete it and start again.")
    model.set_weights(saved.weights)
    for variable, values in zip(variables, saved.optimizer, strict=True):
        variable.assign(values)
    pruning.restore(saved.step, saved.masks)


def _fingerprints(source: KerasSource, samples: Dataset) -> dict[str, str]:
    """Model and training data in short: a run that goes on with others ends as neither would."""

    def of(arrays: Sequence[Any]) -> str:
        found = 0
        for array in arrays:
            found = zlib.crc32(np.asarray(array).tobytes(), found)
        return f"crc32 {found:08x}"

    weights = [array for array in map(np.asarray, source.model.get_weights()) if array.dtype.kind == "f"]
    return {"model": of(weights), "training data": of([samples.x_train, samples.y_train])}


def _variables(optimizer: Any) -> list[Any]:
    found = optimizer.variables
    return list(found() if callable(found) else found)


def _curve(plan: Plan, optimizer: Any, steps: int) -> Curve:
    at, rates = learning_rate.rates(optimizer, steps)
    chosen = np.unique(np.linspace(0, at.size - 1, min(at.size, _CURVE_POINTS)).astype(int))
    return Curve(
        steps=[int(step) for step in at[chosen]],
        sparsity=[plan.sparsity_at(int(step)) for step in at[chosen]],
        learning_rate=[float(rate) for rate in rates[chosen]],
    )
