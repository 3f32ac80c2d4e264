"""What the files of an export cost: bytes, accuracy, time; and why, where the accuracy gate fails."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tflite_sparse.backends.registry import backend
from tflite_sparse.base.progress import Timed
from tflite_sparse.errors import ConversionError, ExecutionError
from tflite_sparse.measurement import latency as latency_of
from tflite_sparse.measurement import size
from tflite_sparse.measurement.layer_errors import LayerErrors
from tflite_sparse.report.text import accuracy as accuracy_words
from tflite_sparse.report.text import alternatives as alternatives_words
from tflite_sparse.report.text import baseline as baseline_words
from tflite_sparse.report.text import layers as layer_report
from tflite_sparse.report.text.alternatives import Remedies
from tflite_sparse.results.alternatives import Alternative
from tflite_sparse.results.baseline import Baseline
from tflite_sparse.results.export import Accuracy, Interval, ModelFile, Models
from tflite_sparse.results.latency import BenchReport
from tflite_sparse.results.layers import LayerError
from tflite_sparse.results.shared_values import SharedValues
from tflite_sparse.runtime import litert
from tflite_sparse.scoring.metrics import Name
from tflite_sparse.scoring.scorer import DECIMALS, Scored, Scorer
from tflite_sparse.scoring.user_metric import UserMetric
from tflite_sparse.settings import ExportSettings
from tflite_sparse.sources.keras_model import KerasSource
from tflite_sparse.sources.source_model import SourceModel
from tflite_sparse.stages import alternatives as other_files
from tflite_sparse.stages import score
from tflite_sparse.stages.convert import PRUNED_FLOAT32, Converter
from tflite_sparse.stages.deliver import DENSE_FLOAT32, DENSE_INT8, SPARSE
from tflite_sparse.stages.mask import Pruned
from tflite_sparse.stages.score import Evaluation
from tflite_sparse.stages.share_values import UNSHARED

_ROUNDS = 50  # of the measurement, as ``bench`` has by default


@dataclass(frozen=True)
class Evaluated:
    """Size and accuracy of the files.

    ``scorer`` and the scores of the dense float32 file, ``best``, need data; those of the sparse file, ``reached``, are
    None as well if it is not delivered or yields NaN.
    """

    models: Models
    accuracy: Accuracy | None
    scorer: Scorer | None
    best: Scored | None
    reached: Scored | None = None

    def with_shares(self, **shares: float | Interval | None) -> Evaluated:
        """The same with the parts of the drop, by the names of fields of ``Accuracy``."""
        assert self.accuracy is not None  # there is a drop
        return replace(self, accuracy=self.accuracy.model_copy(update=shares))


@dataclass(frozen=True, slots=True)
class Measuring:
    """Measures the files of an export.

    Attributes:
        settings: of the export.
        metric: how outputs are scored.
        progress: receives stages and notes.
    """

    settings: ExportSettings
    metric: Name | UserMetric
    progress: Timed

    def files(self, paths: dict[str, Path], converter: Converter, *, delivered: bool) -> Evaluated:
        """Size and scores of each file, in ``paths`` by its name; the sparse one only if it is ``delivered``.

        Raises:
            ModelError: the dense float32 file yields NaN or infinity.
            ExecutionError: a runtime refuses a file.
        """
        samples = converter.samples
        names = {DENSE_FLOAT32: "dense_float32"}
        if self.settings.int8:
            names[DENSE_INT8] = "dense_int8"
        if delivered:
            names[SPARSE] = "sparse_int8" if self.settings.int8 else "sparse_float32"
        scorer: Scorer | None = None
        scores: dict[str, Scored | None] = dict.fromkeys(names.values())
        if samples is not None:
            runs = {SPARSE: backend(self.settings.target).runner(self.progress)}
            baseline, *others = names
            scorer, each = self._evaluation(converter).scores(
                paths[baseline], [(paths[name], runs.get(name, litert.run)) for name in others]
            )
            scores = dict(zip(names.values(), each, strict=True))
        models = Models(**{entry: self._model_file(paths[name], scores[entry]) for name, entry in names.items()})
        accuracy = None
        if samples is not None and scorer is not None:
            accuracy = score.summary(scorer, scores, names.get(SPARSE, ""), samples, self.settings)
        return Evaluated(models, accuracy, scorer, scores["dense_float32"], scores.get(names.get(SPARSE, "")))

    def _evaluation(self, converter: Converter) -> Evaluation:
        assert converter.samples is not None  # what is scored
        return Evaluation(converter.samples, self.metric, self.progress, converter.time_step)

    def _model_file(self, path: Path, scored: Scored | None) -> ModelFile:
        measured = size.measure(path)
        return ModelFile(
            path=path.name,
            file_bytes=measured.file_bytes,
            gzip_bytes=measured.gzip_bytes,
            accuracy=None if scored is None else scored.mean,
            interval=None if scored is None else score.interval(scored, self.settings.seed),
            sparsity=measured.sparsity,
        )

    def latency(self, paths: Sequence[Path]) -> BenchReport | None:
        """Load time, latency and memory of files side by side, where that was asked for."""
        if not self.settings.measure:
            return None
        with self.progress.stage("measure") as on_step:
            found = latency_of.compare(paths, threads=1, rounds=_ROUNDS, on_step=on_step)
        named = [replace(each, path=Path(each.path.name)) for each in found]
        return latency_of.in_report(named, threads=1, rounds=_ROUNDS, kernels="default")

    def attributed(self, pruned: Pruned, converter: Converter, evaluated: Evaluated, folder: Path) -> Evaluated:
        """The same with what pruning, int8 and shared values cost each.

        Where zeros were made, the pruned float32 file tells; where values are shared, the int8 file before that.

        Args:
            pruned: the model.
            converter: what made its files.
            evaluated: these files.
            folder: for the pruned float32 file.
        """
        accuracy, best, reached = evaluated.accuracy, evaluated.best, evaluated.reached
        if accuracy is None or best is None or reached is None:
            return evaluated
        seed = self.settings.seed
        whole = score.drop_interval(best, reached, seed)
        if not self.settings.int8:
            return evaluated.with_shares(drop_by_pruning=accuracy.drop, interval_by_pruning=whole)
        evaluation, scorer = self._evaluation(converter), evaluated.scorer
        assert scorer is not None
        steps: list[tuple[str, Scored | None]] = []  # each part of the drop, and the file that has it last
        try:
            if _makes_zeros(pruned):
                steps.append(("pruning", evaluation.score(self._pruned_float32(pruned, converter, folder), scorer)))
            if (folder / UNSHARED).exists():
                steps.append(("int8", evaluation.score(folder / UNSHARED, scorer)))
        except (ConversionError, ExecutionError) as error:
            self.progress.warn(f"the loss is not attributed to pruning and int8: {without(folder, str(error))}")
            return evaluated
        steps.append(("sharing" if (folder / UNSHARED).exists() else "int8", reached))
        shares: dict[str, float | Interval | None] = {"drop_by_pruning": 0.0}
        former, lost = best, 0.0
        for part, scored in steps:
            if scored is None:  # NaN or infinity
                return evaluated
            drop = round(scored.drop_from(best) - lost, DECIMALS)
            shares |= {f"drop_by_{part}": drop, f"interval_by_{part}": score.drop_interval(former, scored, seed)}
            former, lost = scored, lost + drop
        return evaluated.with_shares(**shares)

    def alternatives(
        self,
        pruned: SourceModel,
        converter: Converter,
        evaluated: Evaluated,
        folder: Path,
        shared: SharedValues | None = None,
    ) -> list[Alternative]:
        """Other int8 files, measured where the accuracy gate fails and one of them may pass it.

        Args:
            pruned: the model.
            converter: of its files.
            evaluated: the files.
            folder: for the other files.
            shared: the shared values of the int8 file, which the other files get as well.
        """
        settings, accuracy, best = self.settings, evaluated.accuracy, evaluated.best
        if accuracy is None or accuracy.passes:
            return []
        if not other_files.may_help(settings, accuracy.drop_by_pruning):
            return []
        assert evaluated.scorer is not None
        assert best is not None
        seconds = None if settings.alternatives == "all" else sum(self.progress.seconds.values())
        limit = "" if seconds is None else f", for about {seconds:.0f} s at most"
        self.progress.note(f"accuracy fell too far: trying other int8 files{limit} (`alternatives='none'` tries none)")
        trials = other_files.Trials(
            pruned,
            converter,
            self._evaluation(converter),
            evaluated.scorer,
            best,
            folder,
            self.progress,
            seconds,
            shared,
        )
        return [each.model_copy(update={"words": without(folder, each.words)}) for each in trials.run()]

    def layers(self, pruned: Pruned, converter: Converter, evaluated: Evaluated, paths: dict[str, Path]) -> LayerErrors:
        """What is inside the int8 file beside float32, where that was asked for or the accuracy gate fails."""
        accuracy = evaluated.accuracy
        fails = accuracy is not None and not accuracy.passes
        if not (self.settings.layer_errors or (fails and self.settings.int8)):
            return LayerErrors((), 0)
        folder = paths[DENSE_INT8].parent
        try:
            reference = paths[DENSE_FLOAT32]
            if _makes_zeros(pruned) or pruned.source.loops().any:  # the int8 file may have other operators for loops
                reference = self._pruned_float32(pruned, converter, folder)
            x = converter.probes(pruned.source)
            assert x is not None  # checked before the work
            return score.layer_errors(x, reference, paths[DENSE_INT8], self.progress)
        except (ConversionError, ExecutionError) as error:
            if self.settings.layer_errors:
                raise
            self.progress.note(f"layers are not compared: {without(folder, str(error))}")
            return LayerErrors((), 0)

    def _pruned_float32(self, pruned: Pruned, converter: Converter, folder: Path) -> Path:
        """The float32 file of the model as it is now, with the operators of the int8 file.

        Raises:
            ConversionError: the converter refused the model or crashed.
        """
        path = folder / PRUNED_FLOAT32
        if not path.exists():
            converter.float32_beside_int8(pruned.source, path)
        return path


def _makes_zeros(pruned: Pruned) -> bool:
    """Return whether the model is another one than that of the dense float32 file."""
    return pruned.trained or pruned.pruning.after > pruned.pruning.before


def remedies(pruned: Pruned, converter: Converter) -> Remedies:
    """What is left to be done about a drop of accuracy."""
    settings, samples = converter.settings, converter.samples
    if samples is None:
        return Remedies()
    makes_zeros = pruned.pruning.after > pruned.pruning.before
    trainable = makes_zeros and samples.y_train is not None and isinstance(pruned.source, KerasSource)
    calibrated = settings.int8 and settings.activations != "float32"
    return Remedies(
        training=("more --finetune-epochs" if pruned.pruning.epochs else "--finetune-epochs 5") if trainable else "",
        longer_prune=pruned.baseline.origin == "prune",
        lower_sparsity=makes_zeros,
        calibration=calibrated and samples.train_samples > settings.calibration_samples,
    )


def gate_failures(
    evaluated: Evaluated,
    settings: ExportSettings,
    found: Sequence[Alternative],
    layers: Sequence[LayerError],
    open_to: Remedies,
    baseline: Baseline | None = None,
) -> list[str]:
    """Why the run is no success, by accuracy and size.

    Args:
        evaluated: the files.
        settings: of the export.
        found: the other int8 files that were measured.
        layers: the worst ones of the int8 file, if they were compared.
        open_to: what is left to be done about the drop.
        baseline: what accuracy is compared with.
    """
    models, accuracy = evaluated.models, evaluated.accuracy
    failures = []
    sparse = models.sparse
    if models.dense_float32.accuracy is not None and sparse is not None and sparse.accuracy is None:
        failures.append("accuracy: the sparse file yields NaN or infinity on test samples")
    if accuracy is not None and not accuracy.passes:
        shares = alternatives_words.shares(accuracy, baseline)
        sentences = [
            f"accuracy: {accuracy_words.drop(accuracy)}, more than --max-accuracy-drop {settings.max_accuracy_drop:g}"
            + (f": {shares}." if shares else "."),
            ""
            if alternatives_words.passes(found, settings.max_accuracy_drop)
            else alternatives_words.cures(accuracy, open_to),
            alternatives_words.against_sharing(accuracy),
            alternatives_words.advice(found, accuracy.drop, settings.max_accuracy_drop) if found else "",
            accuracy_words.chance(accuracy),
            f"int8 loses most at {layer_report.blame(layers)}."
            if layers and alternatives_words.matters(accuracy.drop_by_int8, accuracy)
            else "",
        ]
        failures.append(" ".join(filter(None, sentences)))
    if accuracy is not None and accuracy.dense_answers_alike is not None and accuracy_words.is_gated(accuracy):
        failures.append(
            f"accuracy: the dense float32 model {accuracy.dense_answers_alike}: no loss could show. Is it trained, and "
            "are the data as it expects them?"
        )
    dense = models.dense_int8
    if dense is not None and sparse is not None and sparse.file_bytes > dense.file_bytes:
        failures.append(f"size: {sparse.file_bytes:,} bytes, more than the dense int8 file's {dense.file_bytes:,}")
    return failures


def unjudged(accuracy: Accuracy | None, baseline: Baseline) -> list[str]:
    """Return the gates that cannot be judged: that of accuracy, where the model before pruning is unknown."""
    if accuracy is None or baseline.is_unpruned or not accuracy_words.is_gated(accuracy):
        return []
    return [baseline_words.not_judged(baseline)]


def without(folder: Path, message: str) -> str:
    """A message that names files of a temporary folder by their names alone."""
    return message.replace(f"{folder}{os.sep}", "")
