"""The stages of an export, in order."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tflite_sparse import (
    decoder,
    encoder,
    ethos_u_pipeline,
    files,
    micro_code,
    micro_pipeline,
    planner,
    tuning,
    verification,
)
from tflite_sparse.config import DEMO_DATA, Activations, ExportSettings
from tflite_sparse.conversion import convert
from tflite_sparse.errors import ConversionError, DataError, ExecutionError, ModelError, OutputError, SettingsError
from tflite_sparse.evaluation import exactness, scoring, size
from tflite_sparse.flatbuffer import serde, signature
from tflite_sparse.progress import Progress, Silent, Step, Timed
from tflite_sparse.pruning import masks, training
from tflite_sparse.pruning.strip import strip
from tflite_sparse.report import markdown
from tflite_sparse.report import model as report_model
from tflite_sparse.report.alternatives import Alternative, advice
from tflite_sparse.report.choices import tensor_of
from tflite_sparse.report.micro import EthosUReport, MicroReport
from tflite_sparse.rewrites import lstm_cell_clip, weight_only
from tflite_sparse.runtime import litert as runtime
from tflite_sparse.runtime import micro
from tflite_sparse.sources import arrays, dataset, demo, keras_model, tensorflow_import
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.labels import check_labels
from tflite_sparse.sources.named_arrays import Signature
from tflite_sparse.sources.source_model import SourceModel, check_finite

DENSE_FLOAT32 = "dense-float32.tflite"
DENSE_INT8 = "dense-int8.tflite"
SPARSE = "model.tflite"
REPORT_JSON = "report.json"
REPORT_MARKDOWN = "report.md"
C_HEADER, C_SOURCE = "model.h", "model.cc"
COMPILED = "model_vela.tflite"
ALL_FILES = (DENSE_FLOAT32, DENSE_INT8, SPARSE, REPORT_JSON, REPORT_MARKDOWN, C_HEADER, C_SOURCE, COMPILED)

_FINER = {
    "int16": "many times slower: built-in kernels only",
    "float32": "the time and memory of a float32 model",
}
_BASELINE_INT8 = "baseline-int8.tflite"
_COMPARED_WITH_SOURCE = 8
_SHARE_FROM_SOURCE = 0.01  # of an output's range; float32 kernels add up in other orders


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
    return _Export(checked.for_demo() if model is None else checked, Timed(progress or Silent())).run(model, data)


@dataclass(frozen=True)
class _Made:
    """The file for the target: how its constants are stored, what the check found, and what comes with it."""

    choices: list[planner.Choice]
    verification: report_model.Verification
    failures: list[str]
    micro: MicroReport | None = None
    ethos_u: EthosUReport | None = None
    files: Mapping[str, bytes | Path] = field(default_factory=dict)


@dataclass
class _Export:
    settings: ExportSettings
    progress: Timed
    wrong_conversions: list[str] = field(default_factory=list)

    def run(self, model: Any, data: Any) -> report_model.Report:
        _check_out(self.settings.out)
        with tempfile.TemporaryDirectory(prefix="tflite-sparse-") as folder, _restored(model):
            try:
                return self._run(model, data, Path(folder))
            except ExecutionError as error:
                raise ExecutionError(_without(folder, str(error))) from error

    def _run(self, model: Any, data: Any, work: Path) -> report_model.Report:
        settings = self.settings
        source, samples = self._sources(model, data)
        if settings.int8 and settings.activations != "float32" and samples is None:
            raise DataError(f"--int8 needs data to calibrate with: --data takes {dataset.FORMS}.")
        paths = {name: work / name for name in (DENSE_FLOAT32, DENSE_INT8, SPARSE)}

        if source is None:
            assert samples is not None
            pruned, pruning = self._demo(samples, paths[DENSE_FLOAT32])
        else:
            pruned, pruning = self._prune(source, samples, paths[DENSE_FLOAT32])
        dense = self._convert_pruned(pruned, samples, paths[DENSE_INT8])
        made = self._encode(dense, paths[SPARSE], samples)
        choices, failures = made.choices, [_without(str(work), failure) for failure in made.failures]
        models, accuracy = self._evaluate(paths, samples, delivered=not failures)
        found = self._alternatives(pruned, samples, paths[DENSE_FLOAT32], accuracy)
        failures = [*self.wrong_conversions, *failures, *_gate_failures(models, accuracy, settings, found)]

        report = report_model.Report(
            tool=f"tflite-sparse {importlib.metadata.version('tflite-sparse')}",
            model=pruned.name,
            data=None if samples is None else samples.name,
            settings=settings.model_dump(mode="json"),
            models=models,
            ratios=_ratios(models),
            accuracy=accuracy,
            pruning=pruning,
            tensors=[tensor_of(choice) for choice in choices],
            verification=made.verification,
            gates=report_model.Gates(passed=not failures, failures=failures),
            alternatives=found,
            micro=made.micro,
            ethos_u=made.ethos_u,
            seconds=self.progress.seconds,
        )
        _deliver(report, paths, made.files if paths[SPARSE].name in _paths(report.models) else {}, settings.out)
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
            if data is None:
                return source, None
            named = Signature(source.inputs(), source.outputs())
            shape = named.inputs[0].shape if len(named.inputs) == 1 else None
            samples = dataset.of_any(data, seed=settings.seed, image_shape=shape, signature=named)
            samples = samples.fitted_to_model(named)
            _check_labels(named, samples)
            return source, samples

    def _demo(self, samples: Dataset, dense_float32: Path) -> tuple[SourceModel, report_model.Pruning]:
        """Train the demo network twice from the same start, plainly and pruning it; convert the plain one."""
        keras, seed = tensorflow_import.keras3(), self.settings.seed
        sparsity = self.settings.sparsity
        assert sparsity is not None  # for_demo() sets it
        plain, pruned = (keras_model.KerasSource(demo.build(keras, seed), keras, "demo CNN") for _ in range(2))
        with self.progress.stage("train dense baseline") as on_step:
            training.train_from_scratch(plain, samples, 0.0, seed=seed, on_step=on_step)
        with self.progress.stage("train and prune") as on_step:
            training.train_from_scratch(pruned, samples, sparsity, seed=seed, on_step=on_step)
        self._convert_dense(plain, samples, dense_float32)
        kernels = masks.prunable(pruned)
        words = f"pruned while training to {sparsity:g}, in {training.SCRATCH_EPOCHS} epochs"
        return pruned, _pruning(kernels, 0, 0.0, training.SCRATCH_EPOCHS, words)

    def _prune(
        self, source: SourceModel, samples: Dataset | None, dense_float32: Path
    ) -> tuple[SourceModel, report_model.Pruning]:
        """Strip the model, convert it as the baseline, and mask what is missing to the sparsity asked for."""
        settings = self.settings
        with self.progress.stage("strip"):
            check_finite(source)
            stripped, applied = strip(source)
            if settings.finetune_epochs and isinstance(stripped, keras_model.KerasSource):
                stripped = stripped.copied()  # training compiles a model; a caller's own stays as it is
            kernels = masks.prunable(stripped)
            before = masks.sparsity_of(kernels).share
        trains = settings.finetune_epochs > 0
        if trains and not isinstance(stripped, keras_model.KerasSource):
            raise ModelError(f"{source.name} is a SavedModel without its Keras model: --finetune-epochs needs that.")
        if trains and samples is None:
            raise DataError(f"--finetune-epochs needs labelled data: --data takes {dataset.FORMS}.")
        self._convert_dense(stripped, samples, dense_float32)
        with self.progress.stage("mask"):
            masks.mask_to(kernels, settings.sparsity or 0.0)
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
                training.finetune(stripped, samples, settings.finetune_epochs, seed=settings.seed, on_step=on_step)
            check_finite(stripped)
        self.progress.note(words)
        return stripped, _pruning(kernels, applied, before, settings.finetune_epochs, words)

    def _convert_dense(self, source: SourceModel, samples: Dataset | None, path: Path) -> None:
        with self.progress.stage("convert dense float32"):
            self._write_dense(path, convert.to_float32(source, recurrent=self.settings.recurrent))
        if samples is not None:
            with self.progress.stage("compare with the source model"):
                self.wrong_conversions += _differences_from_source(source, samples, path)
        if self.settings.target == "ethos-u":  # the baseline of its report
            assert samples is not None  # int8 needs them
            chosen = _calibration_samples(samples, self.settings)
            with self.progress.stage("convert dense int8") as on_step:
                self._write_dense(path.with_name(_BASELINE_INT8), self._to_int8(source, chosen, on_step))

    def _convert_pruned(self, source: SourceModel, samples: Dataset | None, int8_path: Path) -> Path:
        """The dense file of the pruned model in the precision asked for: what the sparse one must equal."""
        if not self.settings.int8:
            path = int8_path.with_name("pruned-float32.tflite")
            with self.progress.stage("convert pruned float32"):
                self._write_dense(path, convert.to_float32(source, recurrent=self.settings.recurrent))
            return path
        if self.settings.activations == "float32":
            with self.progress.stage("convert with int8 weights"):
                self._write_dense(int8_path, convert.to_float32(source, recurrent=self.settings.recurrent))
                converted = serde.read(int8_path)
                weight_only.apply(converted)
                serde.write(converted, int8_path)
            return int8_path
        assert samples is not None
        chosen = _calibration_samples(samples, self.settings)
        with self.progress.stage("calibrate and convert int8") as on_step:
            self._write_dense(int8_path, self._to_int8(source, chosen, on_step, self.settings.activations))
        return int8_path

    def _to_int8(
        self, source: SourceModel, chosen: arrays.Arrays, on_step: Step, activations: Activations = "int8"
    ) -> bytes:
        settings = self.settings
        return convert.to_int8(
            source,
            chosen,
            settings.io_or_default,
            activations=activations,
            recurrent=settings.recurrent,
            on_step=on_step,
        )

    @staticmethod
    def _write_dense(path: Path, converted: bytes) -> None:
        path.write_bytes(converted)
        lstm_cell_clip.drop(path)

    def _encode(self, dense: Path, sparse: Path, samples: Dataset | None) -> _Made:
        """The file for the target, checked against the dense one."""
        settings = self.settings
        if settings.target == "micro":
            return self._encode_for_micro(dense, sparse)
        with self.progress.stage("encode") as on_step:
            if settings.target == "ethos-u":
                choices = ethos_u_pipeline.write_dense(dense, sparse)
            else:
                choices = encoder.encode_file(dense, sparse, tuning.target_for(settings.optimize), on_step=on_step)
        verified, failures = self._verify(sparse, dense, samples, tuning.allowed_difference(choices))
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
        self, sparse: Path, dense: Path, samples: Dataset | None, share_of_range: float
    ) -> tuple[report_model.Verification, list[str]]:
        settings = self.settings
        failures = verification.verify_weights(sparse, dense, self.progress.stage)
        x = None if samples is None else _in_order(dense, samples.x_test)
        probes = exactness.probe_inputs(dense, x, settings.verification_samples, settings.seed)
        compared, wrong = verification.verify_outputs(sparse, dense, probes, self.progress.stage, share_of_range)
        return verification.summary(not failures, len(probes[0]), compared, wrong), failures + wrong

    def _evaluate(
        self, paths: dict[str, Path], samples: Dataset | None, *, delivered: bool
    ) -> tuple[report_model.Models, report_model.Accuracy | None]:
        names = {DENSE_FLOAT32: "dense_float32"}
        if self.settings.int8:
            names[DENSE_INT8] = "dense_int8"
        if delivered:
            names[SPARSE] = "sparse_int8" if self.settings.int8 else "sparse_float32"
        scores: dict[str, float | None] = dict.fromkeys(names)
        each: list[dict[str, float] | None] = []
        if samples is not None:
            scorer, each = self._scores([paths[name] for name in names], samples)
            scores = {
                name: None if found is None else scoring.mean(found) for name, found in zip(names, each, strict=True)
            }
        entries = {}
        for name, entry in names.items():
            measured = size.measure(paths[name])
            entries[entry] = report_model.ModelFile(
                path=name,
                file_bytes=measured.file_bytes,
                gzip_bytes=measured.gzip_bytes,
                accuracy=scores[name],
                sparsity=measured.sparsity,
            )
        models = report_model.Models(**entries)
        best = models.dense_float32.accuracy
        reached = None if models.sparse is None else models.sparse.accuracy
        if samples is None or best is None or reached is None:
            return models, None
        return models, report_model.Accuracy(
            metric=scorer.metric,
            samples=samples.test_samples,
            drop=best - reached,
            max_drop=self.settings.max_accuracy_drop,
            outputs=_scores_of_outputs(scorer, each),
        )

    def _alternatives(
        self,
        pruned: SourceModel,
        samples: Dataset | None,
        dense_float32: Path,
        accuracy: report_model.Accuracy | None,
    ) -> list[Alternative]:
        """The ways out of int8 activations, measured where their drop passes the gate."""
        settings = self.settings
        within = accuracy is None or accuracy.drop <= settings.max_accuracy_drop
        if (
            within
            or samples is None
            or not settings.int8
            or settings.target != "litert"
            or settings.activations != "int8"
        ):
            return []
        found = []
        for activations, words in _FINER.items():
            option = f"--activations {activations}"
            changes = {"activations": activations, "io": "float32" if settings.io == "float32" else None}
            other = _Export(settings.model_copy(update=changes), self.progress)
            dense = dense_float32.with_name(f"{activations}-dense.tflite")
            sparse = dense_float32.with_name(f"{activations}-sparse.tflite")
            try:
                other._convert_pruned(pruned, samples, dense)
                encoder.encode_file(dense, sparse, tuning.target_for(settings.optimize))
                _, scores = self._scores([dense_float32, sparse], samples)
                best, reached = (None if each is None else scoring.mean(each) for each in scores)
            except (ConversionError, ExecutionError) as error:
                found.append(Alternative(option=option, words=_without(str(dense.parent), str(error))))
                continue
            drop = None if best is None or reached is None else best - reached
            measured = sparse.stat().st_size
            found.append(Alternative(option=option, accuracy=reached, drop=drop, file_bytes=measured, words=words))
        return found

    def _scores(self, paths: Sequence[Path], samples: Dataset) -> tuple[scoring.Scorer, list[dict[str, float] | None]]:
        """How outputs are scored, and for each file the scores by output; None if one of them is NaN."""
        count = samples.test_samples
        with self.progress.stage("evaluate") as on_step:

            def outputs_of(position: int) -> dict[str, np.ndarray]:
                path = paths[position]
                run: Callable[..., runtime.Outputs] = runtime.run
                if path.name == SPARSE and self.settings.target == "micro":
                    if micro.is_available():
                        run = micro.run
                    else:  # the weights are the same; kernels may round in another way
                        path = path.with_name("decoded.tflite")
                        decoder.decode_file(paths[position], path)
                        self.progress.note(f"{micro.NAME} is not installed: accuracy is that of LiteRT, decoded")
                outputs = run(
                    path,
                    _in_order(path, samples.x_test),
                    on_step=lambda done, _: on_step(position * count + done, len(paths) * count),
                )
                return {name: outputs.real(index) for index, name in enumerate(signature.names_of(path).outputs)}

            baseline = outputs_of(0)
            broken = _samples_with_nan(baseline)
            if broken:
                raise ModelError(f"the dense float32 model yields NaN or infinity on {broken} of {count} test samples.")
            scorer = scoring.scorer(baseline, samples.y_test)
            scores: list[dict[str, float] | None] = [scorer.scores(baseline)]
            for position in range(1, len(paths)):
                outputs = outputs_of(position)
                scores.append(None if _samples_with_nan(outputs) else scorer.scores(outputs))
        return scorer, scores


def _check_demo_data(samples: Dataset) -> Dataset:
    fitted = samples.fitted_to((None, 28, 28, 1), np.dtype(np.float32))
    labels = fitted.y_train
    if labels is None or not fitted.has_labels or labels.ndim != 1 or labels.min() < 0 or labels.max() > 9:
        raise DataError(f"{samples.name}: the demo network needs class numbers from 0 to 9 as labels; or give a MODEL.")
    return fitted


def _check_labels(named: Signature, samples: Dataset) -> None:
    """Find out before the work whether the labels, all of them, fit the model."""
    if samples.y_train is None or samples.y_test is None:
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
        except DataError as error:
            where = f"{samples.name}, output {output.name!r}: " if len(named.outputs) > 1 else ""
            raise DataError(f"{where}{error}") from error


def _differences_from_source(source: SourceModel, samples: Dataset, path: Path) -> list[str]:
    """Where the dense float32 file at ``path`` does not compute what its source does: converters have defects."""
    x = arrays.take(samples.x_test, slice(0, _COMPARED_WITH_SOURCE))
    outputs = runtime.run(path, _in_order(path, x))
    failures = []
    for name, wanted in source.compute(x).items():
        index = signature.names_of(path).outputs.index(name)
        found = outputs.real(index)
        if found.shape != wanted.shape or not np.isfinite(wanted).all():  # NaN is told where accuracy is measured
            continue
        distance = float(np.max(np.abs(found - wanted), initial=0.0))
        if not distance <= _SHARE_FROM_SOURCE * exactness.range_of(wanted):
            failures.append(
                f"conversion: output {name!r} of the float32 file differs from the model's by up to {distance:g}, of a "
                f"range of {exactness.range_of(wanted):g}: a defect of the converter. If the model is recurrent, try "
                "the other --recurrent."
            )
    return failures


def _in_order(path: Path, x: arrays.Arrays) -> Sequence[np.ndarray]:
    """Samples in the order of a file's inputs; converters order them in their own way."""
    return arrays.ordered(x, signature.names_of(path).inputs if isinstance(x, Mapping) else ())


def _samples_with_nan(outputs: Mapping[str, np.ndarray]) -> int:
    bad = [~np.isfinite(output).reshape(len(output), -1).all(axis=1) for output in outputs.values()]
    return int(np.logical_or.reduce(bad).sum())


def _scores_of_outputs(
    scorer: scoring.Scorer, files: Sequence[dict[str, float] | None]
) -> list[report_model.OutputAccuracy]:
    """Of several outputs the scores of each in every file: dense float32, dense int8 if there is one, sparse."""
    dense, sparse = files[0], files[-1]
    if len(scorer.metrics) == 1 or dense is None or sparse is None:
        return []
    int8 = (files[1] or {}) if len(files) > 2 else {}
    return [
        report_model.OutputAccuracy(
            name=name,
            metric=metric.name,
            dense_float32=dense[name],
            dense_int8=int8.get(name),
            sparse=sparse[name],
        )
        for name, metric in scorer.metrics.items()
    ]


def _calibration_samples(samples: Dataset, settings: ExportSettings) -> arrays.Arrays:
    count = min(settings.calibration_samples, samples.train_samples)
    chosen = np.random.default_rng(settings.seed).choice(samples.train_samples, count, replace=False)
    return arrays.take(samples.x_train, np.sort(chosen))  # type: ignore[no-any-return]


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


def _ratios(models: report_model.Models) -> report_model.Ratios | None:
    sparse = models.sparse
    if sparse is None:
        return None
    return report_model.Ratios(
        vs_dense_float32=models.dense_float32.file_bytes / sparse.file_bytes,
        vs_dense_int8=models.dense_int8.file_bytes / sparse.file_bytes if models.dense_int8 else None,
    )


def _gate_failures(
    models: report_model.Models,
    accuracy: report_model.Accuracy | None,
    settings: ExportSettings,
    found: Sequence[Alternative],
) -> list[str]:
    failures = []
    sparse = models.sparse
    if models.dense_float32.accuracy is not None and sparse is not None and sparse.accuracy is None:
        failures.append("accuracy: the sparse file yields NaN or infinity on test samples")
    if accuracy is not None and not accuracy.drop <= settings.max_accuracy_drop:
        failures.append(
            f"accuracy: {accuracy.metric} dropped by {accuracy.drop:.4f}, more than --max-accuracy-drop "
            f"{settings.max_accuracy_drop:g}. Try a lower --sparsity, --finetune-epochs, more --calibration-samples"
            + ("." if not found else f". {advice(found, accuracy.drop, settings.max_accuracy_drop)}")
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


def _check_out(out: Path) -> None:
    """Find out before the work whether the result can be written; leave nothing behind."""
    if out.is_symlink() and not out.exists():
        raise OutputError(f"{out} is a link that leads nowhere; --out takes a folder.")
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file; --out takes a folder.")
    for name in ALL_FILES:
        if (out / name).is_dir():
            raise OutputError(
                f"{out / name} is a folder where a file is to be written; move it or choose another --out."
            )
    nearest = next(parent for parent in (out, *out.absolute().parents) if parent.is_dir())
    try:
        files.temporary_name_beside(nearest / "probe").unlink()
    except OutputError as error:
        raise OutputError(f"cannot write to --out {out}: {error.__cause__}.") from error


def _deliver(report: report_model.Report, paths: dict[str, Path], more: Mapping[str, bytes | Path], out: Path) -> None:
    """Write every file beside its final name first, so that a full disk changes nothing; then rename them all."""
    contents: dict[str, bytes | Path] = {entry.path: paths[entry.path] for _, entry in _entries(report.models)}
    contents |= more
    contents[REPORT_JSON] = (report.model_dump_json(indent=2) + "\n").encode()
    contents[REPORT_MARKDOWN] = markdown.render(report).encode()
    made = _make_folder(out)
    left = _left_by_an_earlier_run(out)
    temporary: dict[str, Path] = {}
    try:
        for name, content in contents.items():
            temporary[name] = files.temporary_name_beside(out / name)
            try:
                if isinstance(content, Path):
                    shutil.copyfile(content, temporary[name])
                else:
                    temporary[name].write_bytes(content)
            except OSError as error:
                raise OutputError(f"cannot write {out / name}: {error.strerror or error}.") from error
        for name, path in temporary.items():
            files.publish(path, out / name)
        for name in left - set(contents):
            (out / name).unlink(missing_ok=True)
    finally:
        for path in temporary.values():
            path.unlink(missing_ok=True)
        for folder in made:
            if not any(folder.iterdir()):
                folder.rmdir()


def _left_by_an_earlier_run(out: Path) -> set[str]:
    """Files that would mislead beside a new report. Without a report of ours they are somebody else's."""
    try:
        content = (out / REPORT_JSON).read_bytes()
    except OSError:
        return set()
    names = {DENSE_FLOAT32, DENSE_INT8, SPARSE}
    try:
        settings = dict(json.loads(content)["settings"])
    except (ValueError, KeyError, TypeError):
        return names
    if settings.get("c_array"):
        names |= {C_HEADER, C_SOURCE}
    if settings.get("target") == "ethos-u":
        names.add(COMPILED)
    return names


def _without(folder: str, message: str) -> str:
    """A message that names files of a temporary folder by their names alone."""
    return message.replace(f"{folder}{os.sep}", "")


def _paths(models: report_model.Models) -> set[str]:
    return {entry.path for _, entry in _entries(models)}


def _entries(models: report_model.Models) -> list[tuple[str, report_model.ModelFile]]:
    return [(name, entry) for name, entry in models if entry is not None]


def _make_folder(out: Path) -> list[Path]:
    """Make the folder and its parents; return those that were made, innermost first."""
    missing = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make folder {out}: {error.strerror or error}.") from error
    return missing
