"""How accurate the files of an export are on the test samples."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from tflite_sparse.backends.protocol import Run
from tflite_sparse.base import child
from tflite_sparse.base.progress import Step, Timed
from tflite_sparse.errors import ModelError
from tflite_sparse.flatbuffer import signature
from tflite_sparse.measurement import layer_errors as layer_comparison
from tflite_sparse.results.export import Accuracy, Confusion, Interval, OutputAccuracy, Paired
from tflite_sparse.runtime import litert
from tflite_sparse.scoring import uncertainty
from tflite_sparse.scoring.evidence import Evidence
from tflite_sparse.scoring.metrics import Metric, Name
from tflite_sparse.scoring.scorer import Scored, Scorer, make_scorer
from tflite_sparse.scoring.user_metric import UserMetric
from tflite_sparse.settings import ExportSettings
from tflite_sparse.sources import arrays
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.time_step import TimeStep
from tflite_sparse.stages import wrong_samples
from tflite_sparse.stages.convert import outputs_of

_COMPARED_SAMPLES = 16

_Baseline = Literal["dense_float32", "dense_int8"]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Runs files on the test samples.

    Attributes:
        samples: whose test part is run.
        metric: how outputs are scored.
        progress: receives stages and notes.
        time_step: where the files compute one time step of the samples, which are sequences.
    """

    samples: Dataset
    metric: Name | UserMetric
    progress: Timed
    time_step: TimeStep | None = None

    def scores(self, baseline: Path, others: Sequence[tuple[Path, Run]]) -> tuple[Scorer, list[Scored | None]]:
        """How outputs are scored, and for each file, the dense float32 one first, its scores; None if one is NaN.

        Args:
            baseline: the dense float32 file.
            others: the other files, each with what runs it.

        Raises:
            ModelError: the baseline yields NaN or infinity.
            ExecutionError: a runtime refuses a file.
            DataError: the metric does not suit the outputs, or a function of the user failed.
        """
        count, parts = self.samples.test_samples, 1 + len(others)
        with self.progress.stage("evaluate") as on_step, child.kept():

            def part(number: int) -> Step:
                return lambda done, _: on_step(number * count + done, parts * count)

            outputs = self._outputs(baseline, litert.run, part(0))
            broken = _samples_with_nan(outputs)
            if broken:
                raise ModelError(f"the dense float32 model yields NaN or infinity on {broken} of {count} test samples.")
            scorer = make_scorer(outputs, self.samples.y_test, self.metric)
            found: list[Scored | None] = [scorer.scored(outputs)]
            for number, (path, run) in enumerate(others, start=1):
                found.append(_score(scorer, _named_like(outputs, self._outputs(path, run, part(number)))))
        return scorer, found

    def score(self, path: Path, scorer: Scorer) -> Scored | None:
        """The scores of one more file for LiteRT; None if an output is NaN.

        Raises:
            ExecutionError: the runtime refuses it.
        """
        with self.progress.stage("evaluate") as on_step:
            return _score(scorer, _named_like(scorer.metrics, self._outputs(path, litert.run, on_step)))

    def _outputs(self, path: Path, run: Run, on_step: Step) -> dict[str, np.ndarray]:
        """Each output by its name, ``(n, ...)`` real numbers, float32."""
        return outputs_of(path, self.samples.x_test, self.time_step, run, on_step)


def layer_errors(x: arrays.Arrays, reference: Path, dense_int8: Path, progress: Timed) -> layer_comparison.LayerErrors:
    """The tensors inside an int8 file beside those of a float32 file of the same weights, on samples.

    Args:
        x: samples of the files' inputs; some are taken, spread over all.
        reference: the float32 file.
        dense_int8: the int8 file.
        progress: receives stages and notes.

    Raises:
        ExecutionError: LiteRT refuses a file that yields its intermediate tensors.
    """
    spread = arrays.spread(x, _COMPARED_SAMPLES)
    chosen = arrays.ordered(spread, signature.names_of(reference).inputs)
    with progress.stage("compare layers") as on_step:
        return layer_comparison.measure(reference, dense_int8, chosen, on_step=on_step)


def interval(scored: Scored, seed: int) -> Interval | None:
    """The interval of the mean score of a file."""
    return _in_report(uncertainty.interval(list(scored.evidence.values()), seed))


def drop_interval(best: Scored, scored: Scored, seed: int) -> Interval | None:
    """The interval of the drop of a file against another one, ``best``, on the same samples."""
    return _in_report(uncertainty.drop(list(best.evidence.values()), list(scored.evidence.values()), seed))


def summary(
    scorer: Scorer,
    files: Mapping[str, Scored | None],
    sparse: str,
    samples: Dataset,
    settings: ExportSettings,
) -> Accuracy | None:
    """What the report says of the scores.

    Args:
        scorer: of all files.
        files: the scores of each by its name in the report, the dense float32 file first; None if one is NaN.
        sparse: the name of the file that the run was for.
        samples: whose test part was run.
        settings: of the run: ``seed`` and ``max_accuracy_drop`` matter.

    Returns:
        None where the sparse file has no scores.
    """
    best, reached = files["dense_float32"], files.get(sparse)
    assert best is not None  # a baseline with NaN is refused
    if reached is None:
        return None
    int8 = files.get("dense_int8")
    pairs: dict[_Baseline, Scored] = {"dense_float32": best}
    if int8 is not None:
        pairs["dense_int8"] = int8
    metrics = list(scorer.metrics.values())
    return Accuracy(
        metric=scorer.metric,
        samples=samples.test_samples,
        drop=reached.drop_from(best),
        max_drop=settings.max_accuracy_drop,
        dense_answers_alike=scorer.alike,
        drop_of="r2" if any(metric.is_gated_by_r2 for metric in metrics) else "score",
        lower_is_better=metrics[0].lower_is_better,
        outputs=_each_output(scorer.metrics, best.evidence, None if int8 is None else int8.evidence, reached.evidence)
        if len(metrics) > 1
        else [],
        also=_each_output(scorer.top5, best.top5, None if int8 is None else int8.top5, reached.top5),
        paired=[_paired(reached, other, key, settings.seed) for key, other in pairs.items()],
        confusion=[
            Confusion(output=name, labels=_class_names(samples, len(counts)), counts=counts.tolist())
            for name, counts in reached.confusion.items()
        ],
        wrong=wrong_samples.chosen(best, reached, samples),
    )


def _each_output(
    metrics: Mapping[str, Metric],
    float32: Mapping[str, Evidence],
    int8: Mapping[str, Evidence] | None,
    sparse: Mapping[str, Evidence],
) -> list[OutputAccuracy]:
    return [
        OutputAccuracy(
            name=name,
            metric=metric.name,
            dense_float32=float32[name].score(),
            dense_int8=int8[name].score() if int8 is not None else None,
            sparse=sparse[name].score(),
        )
        for name, metric in metrics.items()
    ]


def _paired(scored: Scored, other: Scored, against: _Baseline, seed: int) -> Paired:
    mine, theirs = list(scored.evidence.values()), list(other.evidence.values())
    found = Paired(
        against=against,
        difference=scored.mean - other.mean,
        interval=_in_report(uncertainty.difference(mine, theirs, seed)),
    )
    test = uncertainty.mcnemar(mine, theirs)
    if test is None:
        return found
    return found.model_copy(update={"lost": test.lost, "gained": test.gained, "p_value": test.p_value})


def _in_report(found: uncertainty.Interval | None) -> Interval | None:
    return None if found is None else Interval(low=found.low, high=found.high, method=found.method)


def _class_names(samples: Dataset, classes: int) -> list[str]:
    return list(samples.labels) if len(samples.labels) == classes else [str(number) for number in range(classes)]


def _named_like(names: Collection[str], outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return a single output under the name that the baseline, another model, has for it."""
    if len(names) == len(outputs) == 1:
        return dict(zip(names, outputs.values(), strict=True))
    return outputs


def _score(scorer: Scorer, outputs: Mapping[str, np.ndarray]) -> Scored | None:
    return None if _samples_with_nan(outputs) else scorer.scored(outputs)


def _samples_with_nan(outputs: Mapping[str, np.ndarray]) -> int:
    bad = [~np.isfinite(output).reshape(len(output), -1).all(axis=1) for output in outputs.values()]
    return int(np.logical_or.reduce(bad).sum())
