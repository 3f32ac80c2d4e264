"""How accurate the files of an export are on the test samples, and what other files would reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tflite_sparse import decoder, encoder, tuning
from tflite_sparse.config import Optimize, Target
from tflite_sparse.conversion_pipeline import Converter
from tflite_sparse.errors import ConversionError, ExecutionError, ModelError
from tflite_sparse.evaluation import scoring
from tflite_sparse.flatbuffer import signature
from tflite_sparse.progress import Step, Timed
from tflite_sparse.report.alternatives import Alternative
from tflite_sparse.runtime import litert, micro
from tflite_sparse.sources import arrays
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.source_model import SourceModel

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
    _Way("--calibration min-max", _USUAL, "as fast"),
    _Way("--calibration percentile", {"calibration": "percentile"}, "as fast"),
    _Way("--calibration mse", {"calibration": "mse"}, "as fast"),
    _Way("--activations int16", _USUAL | {"activations": "int16"}, "many times slower: built-in kernels only"),
    _Way("--activations float32", _USUAL | {"activations": "float32"}, "the time and memory of a float32 model"),
)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Runs files on the test samples.

    Attributes:
        samples: whose test part is run.
        progress: who listens.
    """

    samples: Dataset
    progress: Timed

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
        names = signature.names_of(path)
        outputs = run(path, arrays.ordered(self.samples.x_test, names.inputs), on_step=on_step)
        return {name: outputs.real(index) for index, name in enumerate(names.outputs)}


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
    tried = [way for way in _WAYS if any(getattr(converter.settings, name) != to for name, to in way.changes.items())]
    for number, way in enumerate(tried):
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


def _score(scorer: scoring.Scorer, outputs: Mapping[str, np.ndarray]) -> Scores | None:
    return None if _samples_with_nan(outputs) else scorer.scores(outputs)


def _samples_with_nan(outputs: Mapping[str, np.ndarray]) -> int:
    bad = [~np.isfinite(output).reshape(len(output), -1).all(axis=1) for output in outputs.values()]
    return int(np.logical_or.reduce(bad).sum())
