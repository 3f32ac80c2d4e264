"""How accurate the files of an export are on the test samples, and what other files would reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tflite_sparse import decoder, encoder, tuning
from tflite_sparse.config import Optimize, Target
from tflite_sparse.conversion_pipeline import Converter, outputs_of
from tflite_sparse.errors import ConversionError, ExecutionError, ModelError
from tflite_sparse.evaluation import layer_errors as layer_comparison
from tflite_sparse.evaluation import scoring
from tflite_sparse.flatbuffer import signature
from tflite_sparse.progress import Step, Timed
from tflite_sparse.report.alternatives import Alternative
from tflite_sparse.runtime import litert, micro
from tflite_sparse.sources import arrays
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.source_model import SourceModel
from tflite_sparse.sources.time_step import TimeStep

_COMPARED_SAMPLES = 16

Scores = dict[str, float]
"""By the names of the outputs that are scored; 1 is perfect."""


@dataclass(frozen=True, slots=True)
class _Way:
    """A way out of an int8 export that lost too much: the option, the settings that it changes, and what it costs."""

    option: str
    changes: Mapping[str, Any]
    words: str


_USUAL: dict[str, Any] = {"calibration": "min-max"}
_WAYS = (
    _Way("--bias-correction", {"bias_correction": True}, "nothing when it runs, and at most 4 bytes an output channel"),
    _Way("--calibration min-max", _USUAL, "as fast"),
    _Way("--calibration percentile", {"calibration": "percentile"}, "as fast"),
    _Way("--calibration mse", {"calibration": "mse"}, "as fast"),
    _Way("--activations int16", _USUAL | {"activations": "int16"}, "many times slower: built-in kernels only"),
    _Way(
        "--activations float32",
        _USUAL | {"activations": "float32", "bias_correction": False},
        "the time and memory of a float32 model",
    ),
)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Runs files on the test samples.

    Attributes:
        samples: whose test part is run.
        progress: who listens.
        time_step: where the files compute one time step of the samples, which are sequences.
    """

    samples: Dataset
    progress: Timed
    time_step: TimeStep | None = None

    def scores(
        self, baseline: Path, others: Sequence[tuple[Path, Target]]
    ) -> tuple[scoring.Scorer, list[Scores | None]]:
        """How outputs are scored, and for each file, the dense float32 one first, its scores; None if one is NaN.

        Args:
            baseline: the dense float32 file.
            others: the other files, each with the target whose runtime runs it.

        Raises:
            ModelError: the baseline yields NaN or infinity.
            ExecutionError: a runtime refuses a file.
        """
        count, parts = self.samples.test_samples, 1 + len(others)
        with self.progress.stage("evaluate") as on_step:

            def part(number: int) -> Step:
                return lambda done, _: on_step(number * count + done, parts * count)

            outputs = self._outputs(baseline, "litert", part(0))
            broken = _samples_with_nan(outputs)
            if broken:
                raise ModelError(f"the dense float32 model yields NaN or infinity on {broken} of {count} test samples.")
            scorer = scoring.scorer(outputs, self.samples.y_test)
            found: list[Scores | None] = [scorer.scores(outputs)]
            for number, (path, target) in enumerate(others, start=1):
                found.append(_score(scorer, self._outputs(path, target, part(number))))
        return scorer, found

    def score(self, path: Path, scorer: scoring.Scorer) -> float | None:
        """The mean score of one more file for LiteRT; None if an output is NaN.

        Raises:
            ExecutionError: the runtime refuses it.
        """
        with self.progress.stage("evaluate") as on_step:
            found = _score(scorer, self._outputs(path, "litert", on_step))
        return None if found is None else scoring.mean(found)

    def _outputs(self, path: Path, target: Target, on_step: Step) -> dict[str, np.ndarray]:
        """Each output by its name, ``(n, ...)`` real numbers, float32."""
        run: Callable[..., litert.Outputs] = litert.run
        if target == "micro":
            if micro.is_available():
                run = micro.run
            else:  # the weights are the same; kernels may round in another way
                packed, path = path, path.with_name("decoded.tflite")
                decoder.decode_file(packed, path)
                self.progress.note(f"{micro.NAME} is not installed: accuracy is that of LiteRT, decoded")
        return outputs_of(path, self.samples.x_test, self.time_step, run, on_step)


def alternatives(
    pruned: SourceModel,
    converter: Converter,
    evaluation: Evaluation,
    scorer: scoring.Scorer,
    best: float,
    optimize: Optimize,
    folder: Path,
) -> list[Alternative]:
    """The ways out of an int8 export that lost too much, measured on sparse files for LiteRT.

    Args:
        pruned: the model that lost too much in int8.
        converter: what made its int8 file.
        evaluation: runs the files.
        scorer: of the export.
        best: the mean score of the dense float32 file.
        optimize: of the export.
        folder: for the files; they are left there.
    """
    found = []
    untried = [way for way in _WAYS if not way.changes.items() <= converter.settings.model_dump().items()]
    for number, way in enumerate(untried):
        dense, sparse = (folder / f"way{number}-{kind}.tflite" for kind in ("dense", "sparse"))
        try:
            converter.changed(way.changes).int8(pruned, dense)
            encoder.encode_file(dense, sparse, tuning.target_for(optimize))
            reached = evaluation.score(sparse, scorer)
        except (ConversionError, ExecutionError) as error:  # told in its place
            found.append(Alternative(option=way.option, words=str(error)))
            continue
        drop = None if reached is None else best - reached
        size = sparse.stat().st_size
        found.append(Alternative(option=way.option, accuracy=reached, drop=drop, file_bytes=size, words=way.words))
    return found


def layer_errors(x: arrays.Arrays, reference: Path, dense_int8: Path, progress: Timed) -> layer_comparison.LayerErrors:
    """The tensors inside an int8 file beside those of a float32 file of the same weights, on samples.

    Args:
        x: samples of the files' inputs; some are taken, spread over all.
        reference: the float32 file.
        dense_int8: the int8 file.
        progress: who listens.

    Raises:
        ExecutionError: LiteRT refuses a file that yields its intermediate tensors.
    """
    count = arrays.count(x)
    rows = np.unique(np.linspace(0, count - 1, min(_COMPARED_SAMPLES, count)).round().astype(int))
    chosen = arrays.ordered(arrays.take(x, rows), signature.names_of(reference).inputs)
    with progress.stage("compare layers") as on_step:
        return layer_comparison.measure(reference, dense_int8, chosen, on_step=on_step)


def _score(scorer: scoring.Scorer, outputs: Mapping[str, np.ndarray]) -> Scores | None:
    return None if _samples_with_nan(outputs) else scorer.scores(outputs)


def _samples_with_nan(outputs: Mapping[str, np.ndarray]) -> int:
    bad = [~np.isfinite(output).reshape(len(output), -1).all(axis=1) for output in outputs.values()]
    return int(np.logical_or.reduce(bad).sum())
