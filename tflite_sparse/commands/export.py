"""The stages of an export, in order."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from typing_extensions import Unpack

from tflite_sparse import target_registry
from tflite_sparse.backends.registry import backend
from tflite_sparse.base import child, cpu_clock, extras, scratch
from tflite_sparse.base.notebook_progress import chosen
from tflite_sparse.base.progress import Progress, Timed
from tflite_sparse.commands import report as pages
from tflite_sparse.conversion.layer_of import LayerNames, layer_of
from tflite_sparse.errors import ExecutionError, OperatorRefusedError, SettingsError
from tflite_sparse.flatbuffer import serde, signature
from tflite_sparse.measurement import contract, file_contents, layer_errors
from tflite_sparse.measurement.file_contents import FileContents
from tflite_sparse.planning.in_report import tensor_of
from tflite_sparse.pruning import masks
from tflite_sparse.results.contract import Contract, PixelCheck
from tflite_sparse.results.cpu import Cpu
from tflite_sparse.results.export import Gates, ModelFrom, Models, Ratios, Report
from tflite_sparse.results.io_order import IoOrder
from tflite_sparse.results.prune import Curve
from tflite_sparse.results.shared_values import SharedValues
from tflite_sparse.results.target_part import as_field
from tflite_sparse.results.time_step import TimeStepReport, TimeStepState
from tflite_sparse.runtime import over_time
from tflite_sparse.scoring import pixel_check, user_metric
from tflite_sparse.scoring.metrics import Name
from tflite_sparse.scoring.user_metric import UserMetric
from tflite_sparse.settings import ExportOptions, ExportSettings
from tflite_sparse.settings.keywords import takes
from tflite_sparse.sources import arrays, data_spec, tensorflow_import
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.source_model import SourceModel
from tflite_sparse.sources.time_step import INPUT, OUTPUT, TimeStep
from tflite_sparse.stages import android_assets as android
from tflite_sparse.stages import baseline as baselines
from tflite_sparse.stages import deliver, load, provenance
from tflite_sparse.stages.convert import Converter
from tflite_sparse.stages.deliver import DENSE_FLOAT32, DENSE_INT8, FIT_JSON, SPARSE, SWEEP_JSON
from tflite_sparse.stages.encode import Encoding
from tflite_sparse.stages.mask import Masking, Pruned, described, rules_of
from tflite_sparse.stages.measure import Measuring, gate_failures, remedies, unjudged, without
from tflite_sparse.stages.share_values import UNSHARED, SharedFile, Sharing
from tflite_sparse.version import TOOL


@dataclass(frozen=True)
class AlreadyPruned:
    """A model that another command pruned, for :func:`export_pruned`.

    Attributes:
        dense: what it was made of.
        origin: of ``dense``.
        unpruned: what is known of the model before any pruning: another one than ``dense`` if that was pruned too.
        source: the pruned model.
        converted: its dense int8 file.
        words: what was done to it, for the report.
        epochs: how many it was trained for since.
        curve: of that training; None where nothing was trained.
        shared: what sharing values did to ``converted``; None: nothing.
        only_channels: whether single weights were to stay as they are: no kernel is left dense by mistake then.
    """

    dense: SourceModel
    origin: ModelFrom
    unpruned: baselines.Found
    source: SourceModel
    converted: Path
    words: str
    epochs: int
    curve: Curve | None
    shared: SharedFile | None = None
    only_channels: bool = False


@takes(ExportSettings, ExportOptions)
def export(
    model: object = None,
    data: object = None,
    *,
    progress: Progress | None = None,
    **settings: Unpack[ExportOptions],
) -> Report:
    """Write a model as dense float32, dense int8 and sparse ``.tflite`` files and report what the sparse one cost.

    Args:
        model: a path (``.keras``, ``.h5``, ``.hdf5``, SavedModel folder), a Keras model of either generation (its
            weights are as before when this returns), or None: the demo network is trained on ``data``.
        data: a specification (:data:`tflite_sparse.sources.data_spec.FORMS`), a ``Dataset``, arrays ``x`` or
            ``(x, y)``, or None: float32 without accuracy (with the demo network: ``mnist-5k``).
        progress: receives stages and notes.
        **settings: see below; such as ``sparsity=0.875, int8=True``.

    Returns:
        The report. ``report.gates.passed`` says whether accuracy, size and verification are as they must be. If the
        sparse file could not be verified, it was not delivered. If the model was pruned before and what it was made of
        is unknown, accuracy is not judged: ``report.gates.unjudged`` says so.

    Raises:
        MissingPackageError: a package of the extra ``keras`` is not installed.
        InputError: model, data, settings or output folder cannot be used; nothing was written.
        ConversionError: the converter failed; nothing was written.
        ExecutionError: a runtime refused a dense file; nothing was written.
    """
    extras.require_keras("export")
    checked = ExportSettings(**settings)
    if checked.metric != "auto" and model is not None and data is None:
        raise SettingsError(f"`metric={checked.metric!r}` needs data to measure it on: `data` takes {data_spec.FORMS}.")
    with cpu_clock.started() as spent:
        return _export(checked.for_demo() if model is None else checked, progress, spent).run(model, data)


def export_pruned(
    pruned: AlreadyPruned,
    samples: Dataset,
    completed: Callable[[Report], Report],
    *,
    progress: Progress | None = None,
    **settings: Unpack[ExportOptions],
) -> Report:
    """As :func:`export`, of a model that was pruned before, beside the one that it was made of.

    Args:
        pruned: what is written sparse, and what it was made of.
        samples: fitted to the models.
        completed: returns the report with what the other command found, its gates above all; that is what is written.
        progress: receives stages and notes.
        **settings: as for :func:`export`; those of pruning and of files to open do not matter.
    """
    with cpu_clock.started() as spent:
        run = _export(ExportSettings(**settings), progress, spent)
        return run.of_pruned(pruned, samples, completed)


def _export(settings: ExportSettings, progress: Progress | None, spent: Callable[[], Cpu]) -> _Export:
    return _Export(settings, user_metric.named(settings.metric), Timed(chosen(progress)), spent)


@dataclass(frozen=True)
class _Export:
    settings: ExportSettings
    metric: Name | UserMetric
    progress: Timed
    spent: Callable[[], Cpu]

    def run(self, model: object, data: object) -> Report:
        settings = self.settings
        self._check_folders()
        deliver.check_no_result_of((FIT_JSON, SWEEP_JSON), settings.out)
        rules = rules_of(settings)
        load.check_paths(model, data)
        load.check_path(settings.baseline)
        tensorflow_import.start(self.progress)
        with self._work() as work, load.restored(model):
            source, samples, pixels = load.load(model, data, settings, self.metric, self.progress)
            load.check_needs(settings, samples)
            masking = Masking(settings, self.metric, self.progress)
            converter = Converter(settings, samples, self.progress)
            if source is None:
                assert samples is not None
                pruned = masking.demo(samples, converter, work / DENSE_FLOAT32)
            else:
                unpruned = baselines.find(model, source, settings, self.progress)
                pruned = masking.model(source, samples, converter, rules, work / DENSE_FLOAT32, unpruned)
            if not pruned.trained and not pruned.source.loops().any:  # recurrent layers may take another form in int8
                pruned = replace(pruned, converter=replace(pruned.converter, original=work / DENSE_FLOAT32))
            pruned = replace(pruned, curve=pruned.curve or load.curve_of(model))
            dense = pruned.converter.pruned(pruned.source, work / DENSE_INT8)
            sharing, shared = Sharing(settings, self.metric, self.progress, pruned.shared_values), None
            if sharing.is_asked_for:
                shared = sharing.run(dense, work / DENSE_FLOAT32, pruned.converter, pruned.source).report
            return self._finish(pruned, load.origin_of(model), dense, shared, work, pixels)

    def of_pruned(self, given: AlreadyPruned, samples: Dataset, completed: Callable[[Report], Report]) -> Report:
        self._check_folders()
        dense, source = given.dense, given.source
        with self._work() as work:
            converter = Converter(self.settings, samples, self.progress).in_form_of(dense)
            failures = converter.baseline(given.unpruned.source or dense, work / DENSE_FLOAT32)
            before = masks.sparsity_of(masks.prunable(dense)).share
            about = described(source, masks.prunable(source), 0, before, given.epochs, given.words)
            if given.only_channels:
                about = about.model_copy(update={"left_dense": None})
            shutil.copyfile(given.converted, work / DENSE_INT8)
            baseline = given.unpruned.described(dense, 0, before)
            done = Pruned(source, converter, about, failures, trained=True, baseline=baseline, curve=given.curve)
            compared = pixel_check.compare(dense, samples, told=self.settings.pixels is not None)
            pixels = None if compared is None else compared.check
            shared = None
            if given.shared is not None:
                shutil.copyfile(given.shared.unshared, work / UNSHARED)
                shared = given.shared.report
            return self._finish(done, given.origin, work / DENSE_INT8, shared, work, pixels, completed)

    def _check_folders(self) -> None:
        """Find out before the work whether the files can be written."""
        names = target_registry.extra_files(self.settings.target, Path(SPARSE).stem, dict(self.settings))
        deliver.check_folder(self.settings.out, names=(*deliver.ALL_FILES, *names))
        backend(self.settings.target).check_folder(self.settings.out, names)
        if self.settings.android_assets is not None:
            deliver.check_folder(self.settings.android_assets, "android_assets", android.FILES)

    @contextmanager
    def _work(self) -> Iterator[Path]:
        """A folder for the files until they are delivered."""
        with scratch.folder() as folder:
            try:
                yield folder
            except ExecutionError as error:
                raise ExecutionError(without(folder, str(error))) from error

    def _finish(
        self,
        pruned: Pruned,
        origin: ModelFrom,
        dense: Path,
        shared: SharedValues | None,
        work: Path,
        pixels: PixelCheck | None,
        completed: Callable[[Report], Report] | None = None,
    ) -> Report:
        """Encode ``dense``, check, evaluate and deliver it; the baseline's dense float32 file lies in ``work``."""
        settings, converter = self.settings, pruned.converter
        samples = converter.samples
        paths = {name: work / name for name in (DENSE_FLOAT32, DENSE_INT8, SPARSE)}
        try:
            probes, promised = converter.probes(pruned.source), _contract(dense, converter)
            made = Encoding(settings, self.progress).run(
                dense, paths[SPARSE], probes, samples, promised, pruned.source.layers()
            )
        except OperatorRefusedError as error:
            raise ExecutionError(f"{error}{_of_layers(error, pruned.source)}") from error
        measuring = Measuring(settings, self.metric, self.progress)
        with child.kept(() if samples is None else arrays.columns(samples.x_test)):
            evaluated = measuring.files(paths, converter, delivered=not made.failures)
            evaluated = measuring.attributed(pruned, converter, evaluated, work)
        measured = measuring.latency([paths[name] for name in deliver.delivered(evaluated.models)])
        found = measuring.alternatives(pruned.source, converter, evaluated, work, shared)
        inside = measuring.layers(pruned, converter, evaluated, paths)
        layer_names = LayerNames(pruned.source.layers(), signature.by_tensor(serde.read(dense)))
        layers = layer_errors.in_report(inside.layers, layer_names)
        failures = [
            *pruned.failures,
            *made.failures,
            *gate_failures(evaluated, settings, found, layers, remedies(pruned, converter), pruned.baseline),
        ]
        failures = [without(work, failure) for failure in failures]
        if made.failures:
            self._tell_of_earlier_assets()

        report = Report(
            tool=TOOL,
            model=pruned.source.name,
            model_from=origin,
            data=None if samples is None else samples.name,
            settings=settings.model_dump(mode="json"),
            models=evaluated.models,
            ratios=_ratios(evaluated.models),
            accuracy=evaluated.accuracy,
            pruning=pruned.pruning,
            shared_values=shared,
            tensors=[tensor_of(choice, layer_names) for choice in made.choices],
            verification=made.verification,
            baseline=pruned.baseline,
            gates=Gates.of(failures, unjudged(evaluated.accuracy, pruned.baseline)),
            float_layers=[name for names in converter.float_layers.values() for name in names],
            alternatives=found,
            layers=layers,
            layer_tensors=inside.tensors,
            channels=made.channels,
            **as_field(made.part),
            measured=measured,
            training=pruned.curve,
            time_step=_time_step(converter.time_step, dense),
            warnings=list(self.progress.warnings),
            io_order=None if converter.time_step is not None else _io_order(pruned.source, paths[SPARSE]),
            contract=made.contract,
            pixels=pixels,
            seconds=self.progress.seconds,
            cpu=self.spent(),
            provenance=provenance.of_files(paths[name] for name in deliver.delivered(evaluated.models)),
        )
        if completed is not None:
            report = completed(report)
        written = {name: paths[name] for name in deliver.delivered(report.models)}
        is_verified = SPARSE in written
        page = pages.of_export(report, file_contents.of_file(paths[SPARSE]) if is_verified else FileContents())
        elsewhere = self._android_assets(paths, samples) if is_verified else {}
        deliver.deliver(written | (dict(made.files) if is_verified else {}) | page, settings.out, elsewhere)
        return report

    def _tell_of_earlier_assets(self) -> None:
        """Warn that an app's folder, which belongs to the app, keeps what an earlier export put there."""
        folder = self.settings.android_assets
        if folder is not None and any((folder / name).exists() for name in android.FILES):
            self.progress.warn(f"{folder} still holds the files of an earlier export; this one gave the app none.")

    def _android_assets(self, paths: Mapping[str, Path], samples: Dataset | None) -> dict[Path, bytes | Path]:
        folder = self.settings.android_assets
        if folder is None:
            return {}
        assert samples is not None  # android.check()
        with self.progress.stage("run samples for the app"):
            return {folder / name: content for name, content in android.contents(paths, samples).items()}


def _of_layers(error: OperatorRefusedError, source: SourceModel) -> str:
    """The layers whose operators were refused, as far as they are known, as a sentence to follow the error's."""
    known = source.layers()
    found = [layer for tensors in error.tensors if (layer := layer_of(tensors, known)) is not None]
    if not found:
        return ""
    return f" In the model: {', '.join(dict.fromkeys(each.in_words for each in found))}."


def _contract(file: Path, converter: Converter) -> Contract:
    """Inputs and outputs of a file, with what the data tell of them."""
    samples = converter.samples
    if samples is None:
        return contract.of_model(serde.read(file))
    data = samples.x_train if converter.time_step is None else {INPUT: arrays.alone(samples.x_train)}
    return contract.of_model(serde.read(file), data, pixels=samples.pixels, labels=samples.labels)


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


def _io_order(source: SourceModel, file: Path) -> IoOrder | None:
    """How ``file`` and the model that it was made of order several inputs or outputs."""
    names = signature.names_of(file)
    order = IoOrder(
        file_inputs=names.inputs,
        model_inputs=tuple(spec.name for spec in source.inputs()),
        file_outputs=names.outputs,
        model_outputs=tuple(spec.name for spec in source.outputs()),
    )
    return None if order.is_plain else order


def _ratios(models: Models) -> Ratios | None:
    sparse = models.sparse
    if sparse is None:
        return None
    return Ratios(
        vs_dense_float32=models.dense_float32.file_bytes / sparse.file_bytes,
        vs_dense_int8=models.dense_int8.file_bytes / sparse.file_bytes if models.dense_int8 else None,
    )
