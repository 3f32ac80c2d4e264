"""The stages of an export, in order."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tflite_sparse import (
    accuracy_pipeline,
    android,
    delivery,
    description,
    encoder,
    ethos_u_pipeline,
    micro_code,
    micro_pipeline,
    planner,
    tuning,
    verification,
)
from tflite_sparse.accuracy_pipeline import Evaluation
from tflite_sparse.config import DEMO_DATA, METRICS, ExportSettings, PruningSettings
from tflite_sparse.conversion import traces
from tflite_sparse.conversion_pipeline import Converter
from tflite_sparse.delivery import C_HEADER, C_SOURCE, COMPILED, DENSE_FLOAT32, DENSE_INT8, SPARSE
from tflite_sparse.errors import ConversionError, DataError, ExecutionError, ModelError, SettingsError
from tflite_sparse.evaluation import exactness, latency, scoring, size, user_metric
from tflite_sparse.evaluation.accuracy import Name, choose_metric
from tflite_sparse.evaluation.layer_errors import LayerErrors
from tflite_sparse.evaluation.scoring import Scored
from tflite_sparse.evaluation.user_metric import UserMetric
from tflite_sparse.flatbuffer import signature
from tflite_sparse.progress import Progress, Silent, Timed
from tflite_sparse.pruning import masks, plan, recipe, training
from tflite_sparse.pruning.recipe import Recipe
from tflite_sparse.pruning.strip import strip
from tflite_sparse.report import accuracy_words
from tflite_sparse.report import layers as layer_report
from tflite_sparse.report import model as report_model
from tflite_sparse.report.alternatives import Alternative, advice
from tflite_sparse.report.choices import tensor_of
from tflite_sparse.report.latency import BenchReport
from tflite_sparse.report.layers import LayerError
from tflite_sparse.report.micro import EthosUReport, MicroReport
from tflite_sparse.report.pruning import Curve, report_beside
from tflite_sparse.report.time_step import TimeStepReport, TimeStepState
from tflite_sparse.runtime import over_time
from tflite_sparse.sources import arrays, dataset, demo, keras_model, tensorflow_import
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.labels import any_outputs, check_labels
from tflite_sparse.sources.named_arrays import Signature
from tflite_sparse.sources.source_model import SourceModel, check_finite
from tflite_sparse.sources.time_step import INPUT, OUTPUT, TimeStep

_BASELINE_INT8 = "baseline-int8.tflite"
_ROUNDS = 50  # of the measurement, as ``bench`` has by default


def export(
    model: Any = None,
    data: Any = None,
    *,
    progress: Progress | None = None,
    **settings: Any,
) -> report_model.Report:
    """Write a model as dense float32, dense int8 and sparse ``.tflite`` files and report what the sparse one cost.

    Args:
        model: a path (``.keras``, ``.h5``, ``.hdf5``, SavedModel folder), a Keras model of either generation (its
            weights are as before when this returns), or None: the demo network is trained on ``data``.
        data: a specification (:data:`tflite_sparse.sources.dataset.FORMS`), a ``Dataset``, arrays ``x`` or ``(x, y)``,
            or None: float32 without accuracy (with the demo network: ``mnist-5k``).
        progress: who listens.
        **settings: the fields of :class:`tflite_sparse.config.ExportSettings`: ``sparsity=0.875, int8=True, out=...``.

    Returns:
        The report. ``report.gates.passed`` says whether accuracy, size and verification are as they must be; if the
        sparse file could not be verified, it was not delivered.

    Raises:
        InputError: model, data, settings or output folder cannot be used; nothing was written.
        ConversionError: the converter failed; nothing was written.
        ExecutionError: a runtime refused a dense file; nothing was written.
    """
    checked = ExportSettings(**settings)
    if checked.metric != "auto" and model is not None and data is None:
        raise SettingsError(f"metric = {checked.metric} needs data to measure it on: --data takes {dataset.FORMS}.")
    metric: Any = checked.metric if checked.metric in METRICS else user_metric.load(checked.metric)
    run = _Export(checked.for_demo() if model is None else checked, metric, Timed(progress or Silent()))
    return run.run(model, data)


def export_pruned(
    dense: SourceModel,
    pruned: SourceModel,
    converted: Path,
    samples: Dataset,
    words: str,
    *,
    epochs: int = 0,
    progress: Progress | None = None,
    **settings: Any,
) -> report_model.Report:
    """As :func:`export`, of a model that was pruned before, beside the dense one that it was made of.

    Args:
        dense: the baseline that size and accuracy are compared with.
        pruned: what is written sparse.
        converted: the dense int8 file of ``pruned``.
        samples: fitted to both models.
        words: what was done to ``pruned``, for the report.
        epochs: how many it was trained for since.
        progress: who listens.
        **settings: as for :func:`export`; those that speak of pruning or of a file to open do not matter.
    """
    run = _Export(ExportSettings(**settings), "auto", Timed(progress or Silent()))
    return run.of_pruned(dense, pruned, converted, samples, words, epochs)


@dataclass(frozen=True)
class _Made:
    """The file for the target: how its constants are stored, what the check found, and what comes with it."""

    choices: list[planner.Choice]
    verification: report_model.Verification
    failures: list[str]
    micro: MicroReport | None = None
    ethos_u: EthosUReport | None = None
    files: Mapping[str, bytes | Path] = field(default_factory=dict)


@dataclass(frozen=True)
class _Pruned:
    """The model as it goes on, what was done to it, and where its dense float32 file computes something else.

    ``converter`` writes its files; ``trained`` says whether its weights were trained since that file was written, or
    apart from it; ``curve`` is how ``prune`` made it sparse, where that is known.
    """

    source: SourceModel
    converter: Converter
    pruning: report_model.Pruning
    failures: list[str]
    trained: bool
    curve: Curve | None = None


@dataclass(frozen=True)
class _Evaluated:
    """Size and accuracy of the files; ``scorer`` and the scores of the dense float32 file, ``best``, need data."""

    models: report_model.Models
    accuracy: report_model.Accuracy | None
    scorer: scoring.Scorer | None
    best: Scored | None


@dataclass(frozen=True)
class _Export:
    settings: ExportSettings
    metric: Name | UserMetric
    progress: Timed

    def run(self, model: Any, data: Any) -> report_model.Report:
        with self._work() as work, _restored(model):
            settings = self.settings
            rules = _rules(settings)
            source, samples = self._sources(model, data)
            if settings.int8 and settings.activations != "float32" and samples is None:
                raise DataError(f"--int8 needs data to calibrate with: --data takes {dataset.FORMS}.")
            if settings.layer_errors and samples is None:
                raise DataError(f"--layer-errors needs data to compare on: --data takes {dataset.FORMS}.")
            converter = Converter(settings, samples, self.progress)
            if source is None:
                assert samples is not None
                pruned = self._demo(samples, converter, work / DENSE_FLOAT32)
            else:
                pruned = self._prune(source, samples, converter, rules, work / DENSE_FLOAT32)
            if not pruned.trained and not pruned.source.loops().any:  # recurrent layers may take another form in int8
                pruned = replace(pruned, converter=replace(pruned.converter, original=work / DENSE_FLOAT32))
            pruned = replace(pruned, curve=_curve_of(model))
            dense = self._convert_pruned(pruned.source, pruned.converter, work / DENSE_INT8)
            return self._finish(pruned, dense, work)

    def of_pruned(
        self, dense: SourceModel, pruned: SourceModel, converted: Path, samples: Dataset, words: str, epochs: int
    ) -> report_model.Report:
        with self._work() as work:
            converter = Converter(self.settings, samples, self.progress)
            failures = self._convert_dense(dense, converter, work / DENSE_FLOAT32)
            before = masks.sparsity_of(masks.prunable(dense)).share
            about = _pruning(masks.prunable(pruned), 0, before, epochs, words)
            shutil.copyfile(converted, work / DENSE_INT8)
            done = _Pruned(pruned, converter, about, failures, trained=True)
            return self._finish(done, work / DENSE_INT8, work)

    @contextmanager
    def _work(self) -> Iterator[Path]:
        """A folder for the files until they are delivered."""
        delivery.check_folder(self.settings.out)
        if self.settings.android_assets is not None:
            delivery.check_folder(self.settings.android_assets, "--android-assets", android.FILES)
        with tempfile.TemporaryDirectory(prefix="tflite-sparse-") as folder:
            try:
                yield Path(folder)
            except ExecutionError as error:
                raise ExecutionError(_without(folder, str(error))) from error

    def _finish(self, pruned: _Pruned, dense: Path, work: Path) -> report_model.Report:
        """Encode ``dense``, check, evaluate and deliver it; the baseline's dense float32 file lies in ``work``."""
        settings, converter = self.settings, pruned.converter
        samples = converter.samples
        paths = {name: work / name for name in (DENSE_FLOAT32, DENSE_INT8, SPARSE)}
        made = self._encode(dense, paths[SPARSE], converter.probes(pruned.source), samples)
        evaluated = self._evaluate(paths, converter, delivered=not made.failures)
        measured = self._measure([paths[name] for name in delivery.delivered(evaluated.models)])
        found = self._alternatives(pruned.source, converter, evaluated, work)
        inside = self._layers(pruned, converter, evaluated, paths)
        layers = layer_report.of(inside.layers)
        failures = [*pruned.failures, *made.failures, *_gate_failures(evaluated, settings, found, layers)]
        failures = [_without(str(work), failure) for failure in failures]

        report = report_model.Report(
            tool=f"tflite-sparse {importlib.metadata.version('tflite-sparse')}",
            model=pruned.source.name,
            data=None if samples is None else samples.name,
            settings=settings.model_dump(mode="json"),
            models=evaluated.models,
            ratios=_ratios(evaluated.models),
            accuracy=evaluated.accuracy,
            pruning=pruned.pruning,
            tensors=[tensor_of(choice) for choice in made.choices],
            verification=made.verification,
            gates=report_model.Gates(passed=not failures, failures=failures),
            float_layers=[name for names in converter.float_layers.values() for name in names],
            alternatives=found,
            layers=layers,
            layer_tensors=inside.tensors,
            micro=made.micro,
            ethos_u=made.ethos_u,
            measured=measured,
            training=pruned.curve,
            time_step=_time_step(converter.time_step, dense),
            seconds=self.progress.seconds,
        )
        is_verified = SPARSE in delivery.delivered(report.models)
        elsewhere = self._android_assets(paths, samples) if is_verified else {}
        delivery.deliver(report, paths, made.files if is_verified else {}, settings.out, elsewhere)
        return report

    def _sources(self, model: Any, data: Any) -> tuple[SourceModel | None, Dataset | None]:
        with self.progress.stage("load"):
            settings = self.settings
            if model is None:
                samples = dataset.of_any(
                    DEMO_DATA if data is None else data, seed=settings.seed, image_shape=(None, 28, 28, 1)
                )
                return None, _check_demo_data(samples)
            path = Path(model) if isinstance(model, str | os.PathLike) else None
            if path is None and (settings.builder is not None or settings.signature is not None):
                raise SettingsError("builder and signature speak of a file or folder, not of a model in memory.")
            source = (
                keras_model.from_memory(model)
                if path is None
                else keras_model.open_model(path, settings.custom_objects, settings.builder, settings.signature)
            )
            named = Signature(source.inputs(), source.outputs())
            if settings.android_assets is not None:
                android.check(named, data)
            if data is None:
                return source, None
            samples = dataset.of_model(data, named, seed=settings.seed)
            _check_labels(named, samples, self.metric)
            return source, samples

    def _demo(self, samples: Dataset, converter: Converter, dense_float32: Path) -> _Pruned:
        """Train the demo network twice from the same start, plainly and pruning it; convert the plain one."""
        keras, seed = tensorflow_import.keras3(), self.settings.seed
        sparsity = self.settings.sparsity
        assert sparsity is not None  # for_demo() sets it
        plain, pruned = (keras_model.KerasSource(demo.build(keras, seed), keras, "demo CNN") for _ in range(2))
        with self.progress.stage("train dense baseline") as on_step:
            training.train_from_scratch(plain, samples, 0.0, seed=seed, on_step=on_step)
        with self.progress.stage("train and prune") as on_step:
            training.train_from_scratch(pruned, samples, sparsity, seed=seed, on_step=on_step)
        failures = self._convert_dense(plain, converter, dense_float32)
        kernels = masks.prunable(pruned)
        words = f"pruned while training to {sparsity:g}, in {training.SCRATCH_EPOCHS} epochs"
        done = _pruning(kernels, 0, 0.0, training.SCRATCH_EPOCHS, words)
        return _Pruned(pruned, converter, done, failures, trained=True)

    def _prune(
        self,
        source: SourceModel,
        samples: Dataset | None,
        converter: Converter,
        rules: Recipe | None,
        dense_float32: Path,
    ) -> _Pruned:
        """Strip the model, convert it as the baseline, and mask what is missing to the sparsity asked for."""
        settings = self.settings
        with self.progress.stage("strip"):
            check_finite(source)
            stripped, applied = strip(source)
            if settings.finetune_epochs and isinstance(stripped, keras_model.KerasSource):
                stripped = stripped.copied()  # training compiles a model; a caller's own stays as it is
            float_layers = {} if rules is None else recipe.float_layers(rules, stripped.layers())
            by_rules = _planned(rules, settings, stripped) if rules is not None and rules.prunes else None
            kernels = masks.prunable(stripped) if by_rules is None else [each.kernel for each in by_rules.kernels]
            before = masks.sparsity_of(kernels).share
        trains = settings.finetune_epochs > 0
        if trains and not isinstance(stripped, keras_model.KerasSource):
            raise ModelError(f"{source.name} is a SavedModel without its Keras model: --finetune-epochs needs that.")
        if trains and samples is None:
            raise DataError(f"--finetune-epochs needs labelled data: --data takes {dataset.FORMS}.")
        converter = self._in_its_form(stripped, converter)
        failures = self._convert_dense(stripped, converter, dense_float32)
        with self.progress.stage("mask"):
            if by_rules is None:
                masks.mask_to(kernels, settings.sparsity or 0.0)
            else:
                plan.mask_at_once(by_rules)
            after = masks.sparsity_of(kernels).share
        words = _masking_words(before, after, applied, settings.finetune_epochs)
        if not kernels:
            words = _nothing_to_prune(stripped)
        if isinstance(source, keras_model.KerasSource) and source.was_mixed:
            words = f"built again in float32 from mixed precision; {words}"
        if trains:
            assert samples is not None
            assert isinstance(stripped, keras_model.KerasSource)
            with self.progress.stage("fine-tune under the masks") as on_step:
                training.finetune(
                    stripped, samples, settings.finetune_epochs, kernels, seed=settings.seed, on_step=on_step
                )
            check_finite(stripped)
        self.progress.note(words)
        done = _pruning(kernels, applied, before, settings.finetune_epochs, words)
        return _Pruned(stripped, replace(converter, float_layers=float_layers), done, failures, trains)

    def _in_its_form(self, source: SourceModel, converter: Converter) -> Converter:
        """The same, writing one time step where sequences are too long for other forms, or where that was asked for."""
        settings, samples = self.settings, converter.samples
        like = None if samples is None else samples.x_train
        calibrated = settings.int8 and settings.activations != "float32"
        try:
            time_step = traces.as_time_step(source, like, settings.recurrent, calibrated=calibrated)
        except ModelError as error:
            if settings.recurrent == "step":
                raise
            self.progress.note(str(error))  # the other forms remain
            return converter
        if time_step is None:
            return converter
        self.progress.note(f"recurrent layers: one time step, {time_step.words}")
        return replace(converter, time_step=time_step)

    def _convert_dense(self, source: SourceModel, converter: Converter, path: Path) -> list[str]:
        """The files of the model before it is masked; where the float32 one computes something else."""
        converter.float32(source, path)
        if self.settings.target == "ethos-u":  # the baseline of its report
            converter.int8(source, path.with_name(_BASELINE_INT8), "convert dense int8")
        return converter.differences_from(source, path)

    def _convert_pruned(self, source: SourceModel, converter: Converter, int8_path: Path) -> Path:
        """The dense file of the pruned model in the precision asked for: what the sparse one must equal."""
        if self.settings.int8:
            converter.int8(source, int8_path)
            return int8_path
        path = int8_path.with_name("pruned-float32.tflite")
        converter.float32(source, path, "convert pruned float32")
        return path

    def _encode(self, dense: Path, sparse: Path, x: arrays.Arrays | None, samples: Dataset | None) -> _Made:
        """The file for the target, checked against the dense one, on test samples ``x`` where there are any."""
        settings = self.settings
        if settings.target == "micro":
            return self._encode_for_micro(dense, sparse)
        with self.progress.stage("encode") as on_step:
            if settings.target == "ethos-u":
                choices = ethos_u_pipeline.write_dense(dense, sparse)
            else:
                choices = encoder.encode_file(dense, sparse, tuning.target_for(settings.optimize), on_step=on_step)
                description.describe(sparse, dense, samples)
        verified, failures = self._verify(sparse, dense, x, tuning.allowed_difference(choices))
        if settings.target != "ethos-u":
            return _Made(choices, verified, failures)
        compiled = sparse.with_name(COMPILED)
        baseline = dense.with_name(_BASELINE_INT8)
        found = ethos_u_pipeline.compile_beside(
            sparse, compiled, settings.accelerator_config, self.progress, baseline=baseline
        )
        return _Made(choices, verified, failures, ethos_u=found, files={COMPILED: compiled})

    def _encode_for_micro(self, dense: Path, sparse: Path) -> _Made:
        settings = self.settings
        choices, verified, found = micro_pipeline.encode(
            dense,
            sparse,
            array_name=Path(C_HEADER).stem,
            codec=settings.micro_codec,
            least_saving_bytes=settings.micro_min_saving,
            samples=settings.verification_samples,
            seed=settings.seed,
            timed=self.progress,
        )
        written: dict[str, bytes | Path] = {}
        if settings.c_array:
            header, code = micro_code.c_array(sparse.read_bytes(), Path(C_HEADER).stem)
            written = {C_HEADER: header.encode(), C_SOURCE: code.encode()}
        failures = [f"verification: {failure}" for failure in verified.failures]
        return _Made(choices, micro_pipeline.summary(verified), failures, micro=found, files=written)

    def _verify(
        self, sparse: Path, dense: Path, x: arrays.Arrays | None, share_of_range: float
    ) -> tuple[report_model.Verification, list[str]]:
        settings = self.settings
        failures = verification.verify_weights(sparse, dense, self.progress.stage)
        ordered = None if x is None else arrays.ordered(x, signature.names_of(dense).inputs)
        probes = exactness.probe_inputs(dense, ordered, settings.verification_samples, settings.seed)
        compared, wrong = verification.verify_outputs(sparse, dense, probes, self.progress.stage, share_of_range)
        return verification.summary(not failures, len(probes[0]), compared, wrong), failures + wrong

    def _evaluate(self, paths: dict[str, Path], converter: Converter, *, delivered: bool) -> _Evaluated:
        samples = converter.samples
        names = {DENSE_FLOAT32: "dense_float32"}
        if self.settings.int8:
            names[DENSE_INT8] = "dense_int8"
        if delivered:
            names[SPARSE] = "sparse_int8" if self.settings.int8 else "sparse_float32"
        scorer: scoring.Scorer | None = None
        scores: dict[str, Scored | None] = dict.fromkeys(names.values())
        if samples is not None:
            runs_on = {SPARSE: self.settings.target}
            baseline, *others = names
            scorer, each = self._evaluation(converter).scores(
                paths[baseline], [(paths[name], runs_on.get(name, "litert")) for name in others]
            )
            scores = dict(zip(names.values(), each, strict=True))
        models = report_model.Models(
            **{entry: self._model_file(paths[name], scores[entry]) for name, entry in names.items()}
        )
        accuracy = None
        if samples is not None and scorer is not None:
            accuracy = accuracy_pipeline.summary(scorer, scores, names.get(SPARSE, ""), samples, self.settings)
        return _Evaluated(models, accuracy, scorer, scores["dense_float32"])

    def _evaluation(self, converter: Converter) -> Evaluation:
        assert converter.samples is not None  # what is scored
        return Evaluation(converter.samples, self.metric, self.progress, converter.time_step)

    def _model_file(self, path: Path, scored: Scored | None) -> report_model.ModelFile:
        measured = size.measure(path)
        return report_model.ModelFile(
            path=path.name,
            file_bytes=measured.file_bytes,
            gzip_bytes=measured.gzip_bytes,
            accuracy=None if scored is None else scored.mean,
            interval=None if scored is None else accuracy_pipeline.interval(scored, self.settings.seed),
            sparsity=measured.sparsity,
        )

    def _measure(self, paths: Sequence[Path]) -> BenchReport | None:
        if not self.settings.measure:
            return None
        with self.progress.stage("measure") as on_step:
            found = latency.compare(paths, threads=1, rounds=_ROUNDS, on_step=on_step)
        named = [replace(each, path=Path(each.path.name)) for each in found]
        return BenchReport.of(named, threads=1, rounds=_ROUNDS, kernels="default")

    def _android_assets(self, paths: Mapping[str, Path], samples: Dataset | None) -> dict[Path, bytes | Path]:
        folder = self.settings.android_assets
        if folder is None:
            return {}
        assert samples is not None  # android.check()
        with self.progress.stage("run samples for the app"):
            return {folder / name: content for name, content in android.contents(paths, samples).items()}

    def _alternatives(
        self, pruned: SourceModel, converter: Converter, evaluated: _Evaluated, folder: Path
    ) -> list[Alternative]:
        """The ways out of int8 activations, measured where their drop passes the gate."""
        settings, accuracy, best = self.settings, evaluated.accuracy, evaluated.best
        leaves_choices = settings.int8 and settings.target == "litert" and settings.activations == "int8"
        if not leaves_choices or accuracy is None or accuracy.drop <= settings.max_accuracy_drop:
            return []
        assert converter.samples is not None  # what was scored
        assert evaluated.scorer is not None
        assert best is not None
        evaluation = self._evaluation(converter)
        found = accuracy_pipeline.alternatives(
            pruned, converter, evaluation, evaluated.scorer, best, settings.optimize, folder
        )
        return [each.model_copy(update={"words": _without(str(folder), each.words)}) for each in found]

    def _layers(
        self, pruned: _Pruned, converter: Converter, evaluated: _Evaluated, paths: dict[str, Path]
    ) -> LayerErrors:
        """What is inside the int8 file beside float32, where that was asked for or the accuracy gate fails."""
        accuracy = evaluated.accuracy
        fails = accuracy is not None and not accuracy.drop <= self.settings.max_accuracy_drop
        if not (self.settings.layer_errors or (fails and self.settings.int8)):
            return LayerErrors((), 0)
        reference, folder = paths[DENSE_FLOAT32], paths[DENSE_INT8].parent
        is_masked = pruned.pruning.after > pruned.pruning.before
        try:
            if pruned.trained or is_masked or pruned.source.loops().any:
                reference = folder / "pruned-float32.tflite"
                converter.float32_beside_int8(pruned.source, reference)
            x = converter.probes(pruned.source)
            assert x is not None  # checked before the work
            return accuracy_pipeline.layer_errors(x, reference, paths[DENSE_INT8], self.progress)
        except (ConversionError, ExecutionError) as error:
            if self.settings.layer_errors:
                raise
            self.progress.note(f"layers are not compared: {_without(str(folder), str(error))}")
            return LayerErrors((), 0)


def _rules(settings: ExportSettings) -> Recipe | None:
    """The recipe, read before the work."""
    if settings.recipe is None:
        return None
    rules = recipe.find(settings.recipe)
    in_int8 = settings.int8 and settings.activations == "int8" and settings.target != "ethos-u"
    if rules.chooses_precision and not in_int8:
        raise SettingsError(
            f"{rules.name}: precision = 'float32' speaks of int8 files for LiteRT and TensorFlow Lite Micro: export "
            "with --int8, and leave --activations out."
        )
    return rules


def _planned(rules: Recipe, settings: ExportSettings, source: SourceModel) -> plan.Plan:
    """What the recipe makes of each kernel; however long the training is that its schedules speak of."""
    given = {} if settings.sparsity is None else {"sparsity": settings.sparsity}
    return recipe.planner(rules, PruningSettings(**given))(source.kernels(), plan.Span(sys.maxsize, 1))


def _check_demo_data(samples: Dataset) -> Dataset:
    fitted = samples.fitted_to((None, 28, 28, 1), np.dtype(np.float32))
    labels = fitted.y_train
    if labels is None or not fitted.has_labels or labels.ndim != 1 or labels.min() < 0 or labels.max() > 9:
        raise DataError(f"{samples.name}: the demo network needs class numbers from 0 to 9 as labels; or give a MODEL.")
    return fitted


def _check_labels(named: Signature, samples: Dataset, metric: Name | UserMetric) -> None:
    """Find out before the work whether the labels, all of them, fit the model and the metric."""
    if samples.y_train is None or samples.y_test is None:
        if isinstance(metric, UserMetric) or metric == "auc":
            choose_metric(np.zeros((samples.test_samples, 1)), None, metric)  # says that it needs labels
        return
    for output in named.outputs:
        train, test = (y.get(output.name) if isinstance(y, Mapping) else y for y in (samples.y_train, samples.y_test))
        if train is None and test is None:
            continue
        if train is None or test is None:
            raise DataError(f"{samples.name}: only one part has labels of the output {output.name!r}; give both.")
        if train.shape[1:] != test.shape[1:]:
            raise DataError(f"{samples.name}: y_train and y_test have labels of different shapes.")
        try:
            check_labels(output.shape, np.concatenate([train, test]))
            outputs = any_outputs(output.shape, len(test))
            if outputs is not None:
                choose_metric(outputs, test, metric)
        except DataError as error:
            where = f"{samples.name}, output {output.name!r}: " if len(named.outputs) > 1 else ""
            raise DataError(f"{where}{error}") from error


def _pruning(kernels: Sequence[Any], applied: int, before: float, epochs: int, words: str) -> report_model.Pruning:
    now = masks.sparsity_of(kernels)
    return report_model.Pruning(
        prunable_kernels=len(kernels),
        prunable_weights=now.weights,
        masks_applied=applied,
        before=before,
        after=now.share,
        epochs=epochs,
        words=words,
    )


def _masking_words(before: float, after: float, applied: int, epochs: int) -> str:
    parts = [f"{applied} pruning masks applied"] if applied else []
    if after > before:
        how = f"then {_epochs(epochs)} of fine-tuning under the masks" if epochs else "without fine-tuning"
        parts.append(f"masked from {before:.3f} to {after:.3f} {how}")
    else:
        parts.append(f"kept at sparsity {before:.3f}" + (f", {_epochs(epochs)} of fine-tuning" if epochs else ""))
    return "; ".join(parts)


def _epochs(count: int) -> str:
    return f"{count} epoch" + ("s" if count > 1 else "")


def _nothing_to_prune(source: SourceModel) -> str:
    kernels = sorted(source.kernels(), key=lambda kernel: -kernel.size)
    if not kernels:
        return "nothing to prune: the model has no trainable weights of two axes or more"
    largest = kernels[0]
    return (
        f"nothing to prune: no kernel has {masks.LEAST_PRUNABLE_SIZE:,} weights or more of a kind that is pruned; the "
        f"largest is {largest.name} with {largest.size:,}"
    )


def _curve_of(model: Any) -> Curve | None:
    """How the model was pruned, where ``prune`` wrote it and its report lies beside it."""
    found = report_beside(Path(model)) if isinstance(model, str | os.PathLike) else None
    return None if found is None else found.curve


def _time_step(found: TimeStep | None, file: Path) -> TimeStepReport | None:
    """How the app runs ``file`` over a sequence, where it computes one time step."""
    if found is None:
        return None
    rescaled = over_time.rescaled_states(file)
    return TimeStepReport(
        steps=found.steps,
        input=INPUT,
        output=OUTPUT,
        every_step=found.every_step,
        states=[
            TimeStepState(name=state.name, units=state.units, rescaled=state.name in rescaled) for state in found.states
        ],
        words=found.words,
    )


def _ratios(models: report_model.Models) -> report_model.Ratios | None:
    sparse = models.sparse
    if sparse is None:
        return None
    return report_model.Ratios(
        vs_dense_float32=models.dense_float32.file_bytes / sparse.file_bytes,
        vs_dense_int8=models.dense_int8.file_bytes / sparse.file_bytes if models.dense_int8 else None,
    )


def _gate_failures(
    evaluated: _Evaluated, settings: ExportSettings, found: Sequence[Alternative], layers: Sequence[LayerError]
) -> list[str]:
    models, accuracy = evaluated.models, evaluated.accuracy
    failures = []
    sparse = models.sparse
    if models.dense_float32.accuracy is not None and sparse is not None and sparse.accuracy is None:
        failures.append("accuracy: the sparse file yields NaN or infinity on test samples")
    if accuracy is not None and not accuracy.drop <= settings.max_accuracy_drop:
        failures.append(
            f"accuracy: {accuracy_words.drop(accuracy)}, more than --max-accuracy-drop "
            f"{settings.max_accuracy_drop:g}. Try a lower --sparsity, --finetune-epochs, more --calibration-samples"
            + ("." if not found else f". {advice(found, accuracy.drop, settings.max_accuracy_drop)}")
            + (f" int8 loses most at {layer_report.blame(layers)}." if layers else "")
        )
    dense = models.dense_int8
    if dense is not None and sparse is not None and sparse.file_bytes > dense.file_bytes:
        failures.append(f"size: {sparse.file_bytes:,} bytes, more than the dense int8 file's {dense.file_bytes:,}")
    return failures


@contextmanager
def _restored(model: Any) -> Iterator[None]:
    """A caller's live model gets its weights back, whatever happened to them here."""
    if not hasattr(model, "get_weights"):
        yield
        return
    before = model.get_weights()
    try:
        yield
    finally:
        model.set_weights(before)


def _without(folder: str, message: str) -> str:
    """A message that names files of a temporary folder by their names alone."""
    return message.replace(f"{folder}{os.sep}", "")
