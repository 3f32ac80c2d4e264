"""The dense int8 file with weights that share values, and how many values accuracy bears."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tflite_sparse.base.progress import Silent, Timed
from tflite_sparse.conversion.layer_of import LayerNames
from tflite_sparse.fitting import kernels_in_file
from tflite_sparse.flatbuffer import serde, signature
from tflite_sparse.flatbuffer.graph import shape_of
from tflite_sparse.flatbuffer.types import Model
from tflite_sparse.planning import sharing
from tflite_sparse.planning.sharing import COUNTS, Counts
from tflite_sparse.results.shared_values import SharedValues
from tflite_sparse.rewrites import shared_values
from tflite_sparse.scoring.metrics import Name
from tflite_sparse.scoring.user_metric import UserMetric
from tflite_sparse.settings import ExportSettings
from tflite_sparse.settings.kinds import SharedCountOrAll
from tflite_sparse.sources import arrays
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.source_model import SourceModel
from tflite_sparse.stages import correct_biases
from tflite_sparse.stages.convert import Converter
from tflite_sparse.stages.deliver import DENSE_INT8
from tflite_sparse.stages.score import Evaluation

_BEFORE = "unshared-"  # begins the name of the file as it was
UNSHARED = f"{_BEFORE}{DENSE_INT8}"
"""The dense int8 file of an export before its weights share values, beside it."""

BY_KERNEL = "by kernel"
"""What was asked for where only single kernels share values."""

_MOST_SAMPLES = 2000  # of training, that the choice is measured on
_MOST_TENSORS = 8  # that get a choice of their own


@dataclass(frozen=True, slots=True)
class SharedFile:
    """What sharing values did to a file.

    Attributes:
        unshared: the file as it was.
        report: the tensors.
    """

    unshared: Path
    report: SharedValues


@dataclass(frozen=True, slots=True)
class Sharing:
    """Lets the weights of the dense int8 file of an export share values.

    Attributes:
        settings: of the export.
        metric: how outputs are scored.
        progress: receives stages and notes.
        of_kernels: values of single kernels, by name; ``shared_values`` of the settings applies to all others.
    """

    settings: ExportSettings
    metric: Name | UserMetric
    progress: Timed
    of_kernels: Mapping[str, SharedCountOrAll] = field(default_factory=dict)

    @property
    def is_asked_for(self) -> bool:
        """Whether any weights share values."""
        return self.settings.shared_values is not None or any(count != "all" for count in self.of_kernels.values())

    def run(self, dense: Path, baseline: Path | None, converter: Converter, source: SourceModel) -> SharedFile:
        """Rewrite ``dense``; keep what it was beside it, as :data:`UNSHARED` for the file of an export.

        Biases make up for the shift of mean outputs, as far as outputs on the calibration samples come nearer.

        Args:
            dense: the dense int8 file.
            baseline: the dense float32 file that accuracy is compared with, for ``auto``.
            converter: what made the files.
            source: the pruned model.

        Raises:
            ExecutionError: a runtime refuses a file.
        """
        asked = self.settings.shared_values or BY_KERNEL
        unshared = dense.with_name(f"{_BEFORE}{dense.name}")
        shutil.copyfile(dense, unshared)

        def made(found: list[shared_values.Shared], names: LayerNames | None = None, corrected: int = 0) -> SharedFile:
            return SharedFile(unshared, sharing.in_report(asked, found, names, corrected))

        model = serde.read(unshared)
        fixed = self._of_kernels(model, source)
        counts = {key: count for key, count in fixed.items() if count is not None}
        if asked == "auto":
            assert baseline is not None  # asked for together
            counts = self._chosen(unshared, baseline, converter, fixed)
        elif isinstance(asked, int):
            counts |= dict.fromkeys(_shareable(model) - fixed.keys(), asked)
        with self.progress.stage("share values") as on_step:
            found = sharing.write(unshared, dense, counts)
            if not found:
                if not _shareable(model):
                    self.progress.note(f"no values are shared: there is no weight that can, {shared_values.WHICH}")
                return made(found)
            corrected = correct_biases.correct(dense, unshared, converter.calibration_samples(source), on_step=on_step)
        names = LayerNames(source.layers(), signature.by_tensor(serde.read(dense)))
        return made(found, names, corrected.layers)

    def _of_kernels(self, model: Model, source: SourceModel) -> dict[tuple[int, int], int | None]:
        """Return what is fixed for tensors of the file; None: they keep their values."""
        if not self.of_kernels:
            return {}
        places = kernels_in_file.find(source.kernels(), model)
        able = _shareable(model)
        found: dict[tuple[int, int], int | None] = {}
        without = []
        for name, count in self.of_kernels.items():
            place = places.get(name)
            key = None if place is None else (place.graph, place.tensor)
            if key in able:
                found[key] = None if count == "all" else count
            elif count != "all":
                without.append(name)
        if without:
            self.progress.warn(f"{', '.join(without)}: no values are shared, for that takes {shared_values.WHICH}.")
        return found

    def _chosen(
        self, unshared: Path, baseline: Path, converter: Converter, fixed: Mapping[tuple[int, int], int | None]
    ) -> dict[tuple[int, int], int]:
        """The fewest values within the gate, first for all tensors, then for single ones, the largest first.

        Those that are ``fixed`` stay so.
        """
        told = {key: count for key, count in fixed.items() if count is not None}
        with self.progress.stage("choose the number of shared values") as on_step:
            trial = _Trial(self, unshared, baseline, converter)
            found = [
                (math.prod(shape_of(graph.tensor(index))), (graph.number, index))
                for graph, index in shared_values.shareable(serde.read(unshared))
                if (graph.number, index) not in fixed
            ]
            tensors = [key for _, key in sorted(found, key=lambda each: (-each[0], each[1]))]
            steps = len(COUNTS) + min(len(tensors), _MOST_TENSORS)
            chosen = None
            for number, count in enumerate(COUNTS, 1):
                on_step(number, steps)
                if trial.passes(told | dict.fromkeys(tensors, count)):
                    chosen = count
                    break
            counts = told | dict.fromkeys(tensors, chosen or COUNTS[-1])
            if chosen in (None, COUNTS[0]):
                return counts
            fewer = COUNTS[COUNTS.index(chosen) - 1]
            for number, key in enumerate(tensors[:_MOST_TENSORS], len(COUNTS) + 1):
                on_step(number, steps)
                fitted = counts | {key: fewer}
                if trial.passes(fitted):
                    counts = fitted
        return counts


class _Trial:
    """Measures files with shared values on training samples."""

    def __init__(self, run: Sharing, unshared: Path, baseline: Path, converter: Converter) -> None:
        assert converter.samples is not None  # int8 needs data
        self._unshared = unshared
        self._path = unshared.with_name("shared-trial.tflite")
        self._allowed = run.settings.max_accuracy_drop
        samples = _training_part(converter.samples)
        quiet = Timed(Silent())  # these runs are a part of the stage that chooses
        self._evaluation = Evaluation(samples, run.metric, quiet, converter.time_step)
        self._scorer, (best,) = self._evaluation.scores(baseline, [])
        assert best is not None
        self._best = best

    def passes(self, counts: Counts) -> bool:
        """Whether accuracy on the training samples is within the gate."""
        sharing.write(self._unshared, self._path, counts)
        reached = self._evaluation.score(self._path, self._scorer)
        return reached is not None and reached.drop_from(self._best) <= self._allowed


def _shareable(model: Model) -> set[tuple[int, int]]:
    return {(graph.number, index) for graph, index in shared_values.shareable(model)}


def _training_part(samples: Dataset) -> Dataset:
    """Samples of training in the place of the test samples, which must not choose."""
    labels = None if samples.y_train is None else arrays.spread(samples.y_train, _MOST_SAMPLES)
    return replace(samples, x_test=arrays.spread(samples.x_train, _MOST_SAMPLES), y_test=labels)
