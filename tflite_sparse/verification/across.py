"""One file in two runtimes: a fault that a file shares with the one that it is compared with shows here alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tflite_sparse.base.progress import Progress
from tflite_sparse.results.verification import AcrossRuntimes
from tflite_sparse.runtime.litert import SeparateOutputs
from tflite_sparse.verification import each_operator, in_report
from tflite_sparse.verification.observation import graph_of
from tflite_sparse.verification.outputs import OutputDifference, differences
from tflite_sparse.verification.probes import Sample
from tflite_sparse.verification.runtimes import Runtime, Subject


@dataclass(frozen=True, slots=True)
class Yielded:
    """What a file yields in a runtime, for samples that were run one by one."""

    runtime: Runtime
    outputs: SeparateOutputs


def compare(
    file: Subject, samples: Sequence[Sample], found: Yielded, expected: Yielded, progress: Progress, *, gate: bool
) -> AcrossRuntimes:
    """Compare what the first graph of a file yields in two runtimes.

    Differences of one rounding pass. Of larger ones, the sample of the largest is run operator by operator.

    Args:
        file: the file; its ``plain`` form is what operators are run of.
        samples: what was run, at least one.
        found: in the runtime in question.
        expected: in the other one; as many outputs.
        progress: receives a stage where operators are run.
        gate: whether a difference that rounding does not explain is a failure.

    Raises:
        FlatbufferError: the file cannot be read.
    """
    parted = differences(found.outputs, expected.outputs)
    sizes = [each.largest for each in parted]
    known = [size for size in sizes if size is not None]
    result = AcrossRuntimes(
        runtime=found.runtime.name,
        beside=expected.runtime.name,
        gate=gate,
        samples=len(samples),
        largest_difference=max(known, default=0.0) if len(known) == len(sizes) else None,
        explained=True,
        differences=[in_report.difference(each) for each in parted],
    )
    larger = _beyond_rounding(file, parted, expected.outputs)
    if not larger:
        return result
    worst = max(larger, key=lambda each: float("inf") if each.largest is None else each.largest).worst_sample
    with progress.stage("run operators one by one"):
        place = each_operator.first_unexplained(
            file.plain, samples[worst], found.outputs.rows[worst], found.runtime, expected.runtime
        )
    if place is None:
        return result
    is_unknown = place.tensor is None and not gate
    first = in_report.first(place, worst)
    return result.model_copy(update={"explained": None if is_unknown else False, "first_difference": first})


def _beyond_rounding(
    file: Subject, parted: Sequence[OutputDifference], expected: SeparateOutputs
) -> list[OutputDifference]:
    """The differences of outputs that are larger than one rounding."""
    graph = graph_of(file.model)
    return [
        each
        for each in parted
        if not each_operator.is_rounding(
            graph, expected.indices[each.index], each.largest, expected.rows[each.worst_sample][each.index]
        )
    ]
