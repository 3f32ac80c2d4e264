"""What follows a failed accuracy gate: what pruning and int8 cost each, and the int8 files that lose less."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tflite_sparse.backends.registry import backend
from tflite_sparse.base.progress import Timed
from tflite_sparse.errors import ConversionError, ExecutionError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.planning import encoder, sharing
from tflite_sparse.pruning import recipe_file, recipe_planner
from tflite_sparse.report.text.alternatives import line
from tflite_sparse.results.alternatives import Alternative
from tflite_sparse.results.shared_values import SharedValues
from tflite_sparse.scoring.scorer import Scored, Scorer
from tflite_sparse.settings import ExportSettings
from tflite_sparse.sources.source_model import SourceModel
from tflite_sparse.stages.convert import Converter
from tflite_sparse.stages.score import Evaluation


@dataclass(frozen=True, slots=True)
class _Way:
    """Another int8 file of the same model.

    Attributes:
        option: that makes it.
        changes: of the settings of the export.
        words: what it costs when it runs.
        recipe: a preset that keeps layers in float32; offered where the model has such layers.
    """

    option: str
    changes: Mapping[str, object]
    words: str
    recipe: str | None = None


_USUAL: dict[str, object] = {"calibration": "min-max"}
_WAYS = (
    _Way(
        "--recipe float-normalization --io float32",
        {"recipe": Path("float-normalization"), "io": "float32"},
        "as fast but for the normalisation, which takes float32 inputs",
        recipe="float-normalization",
    ),
    _Way("--bias-correction", {"bias_correction": True}, "nothing when it runs, and at most 4 bytes an output channel"),
    _Way("--dense-scales per-channel", {"dense_scales": "per-channel"}, "as fast, up to 16 bytes an output"),
    _Way("--calibration min-max", _USUAL, "as fast"),
    _Way("--calibration percentile", {"calibration": "percentile"}, "as fast"),
    _Way("--calibration mse", {"calibration": "mse"}, "as fast"),
    _Way(
        "--activations float32",
        _USUAL | {"activations": "float32", "bias_correction": False, "dense_scales": "per-channel"},
        "the time and memory of a float32 model",
    ),
    _Way("--activations int16", _USUAL | {"activations": "int16"}, "many times slower: built-in kernels only"),
)
"""The cheap ones when they run come first, and of the others the one that is converted faster."""


@dataclass(frozen=True, slots=True)
class Trials:
    """Makes and scores the other int8 files of a model, as sparse files, in LiteRT.

    Attributes:
        source: the model, pruned.
        converter: what made the int8 file that lost too much.
        evaluation: runs files.
        scorer: of the export.
        best: the scores of the dense float32 file.
        folder: for the files; they are left there.
        progress: receives stages, and each result when it is there.
        seconds: after which no other trial is begun; None: all are.
        shared: the shared values of the int8 file, which each file gets; None: none.
    """

    source: SourceModel
    converter: Converter
    evaluation: Evaluation
    scorer: Scorer
    best: Scored
    folder: Path
    progress: Timed
    seconds: float | None
    shared: SharedValues | None = None

    def run(self) -> list[Alternative]:
        """One entry for each way that the export did not take."""
        found: list[Alternative] = []
        started, longest = time.monotonic(), 0.0
        for number, (way, converter) in enumerate(self._untried()):
            began = time.monotonic()
            if self.seconds is not None and began - started + longest > self.seconds:
                words = "not tried, for it would take longer than the export: --alternatives all"
                found.append(Alternative(option=way.option, words=words))
                continue
            found.append(self._try(way, converter, number))
            longest = max(longest, time.monotonic() - began)
            self.progress.note(line(found[-1]))
        return found

    def _untried(self) -> list[tuple[_Way, Converter]]:
        settings = self.converter.settings
        taken = settings.model_dump()
        ways = []
        for way in _WAYS:
            converter = self.converter.changed(way.changes)
            if way.recipe is not None:
                rules, layers = recipe_file.preset(way.recipe), self.source.layers()
                if settings.recipe is not None or not any(
                    rule.matches(layer) for rule in rules.rules for layer in layers
                ):
                    continue
                converter = replace(converter, float_layers=recipe_planner.float_layers(rules, layers))
            if self.shared is not None and way.changes.get("activations") == "float32":
                continue  # values are shared in files of integers
            if not way.changes.items() <= taken.items():
                ways.append((way, converter))
        return ways

    def _try(self, way: _Way, converter: Converter, number: int) -> Alternative:
        dense, sparse = (self.folder / f"way{number}-{kind}.tflite" for kind in ("dense", "sparse"))
        try:
            converter.int8(self.source, dense, f"try {way.option}")
            settings = self.converter.settings
            if self.shared is not None:
                sharing.write(dense, dense, sharing.alike(serde.read(dense), self.shared.tensors))
            encoder.encode_file(dense, sparse, backend(settings.target).planned(settings))
            reached = self.evaluation.score(sparse, self.scorer)
        except (ConversionError, ExecutionError) as error:  # shown in the place of the result
            return Alternative(option=way.option, words=str(error))
        size = sparse.stat().st_size
        if reached is None:
            words = f"{way.words}; it yields NaN or infinity"
            return Alternative(option=way.option, file_bytes=size, words=words)
        return Alternative(
            option=way.option,
            accuracy=reached.mean,
            drop=reached.drop_from(self.best),
            file_bytes=size,
            words=way.words,
        )


def may_help(settings: ExportSettings, drop_by_pruning: float | None) -> bool:
    """Whether another int8 file could pass the gate, as far as what pruning alone costs tells.

    Args:
        settings: of the export.
        drop_by_pruning: of the pruned float32 file; None: unknown.
    """
    if settings.alternatives == "none" or not settings.int8:
        return False
    if not settings.traits.tries_alternatives or settings.activations != "int8":
        return False
    if settings.alternatives == "all" or drop_by_pruning is None:
        return True
    return drop_by_pruning <= settings.max_accuracy_drop
