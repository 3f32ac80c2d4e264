"""Compare one file in two runtimes: this alone shows a fault that both compared files share."""

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
    """Outputs of a file in a runtime, for samples that were run one by one."""

    runtime: Runtime
    outputs: SeparateOutputs


def compare(
    file: Subject, samples: Sequence[Sample], found: Yielded, expected: Yielded, progress: Progress, *, gate: bool
) -> AcrossRuntimes:
    """Compare the outputs of a file's first graph in two runtimes.

    Differences of one rounding step pass. If one is larger, the sample with the largest is run operator by operator.

    Args:
        file: the file; operators are run from its ``plain`` form.
        samples: the samples of both outputs, at least one.
        found: outputs in the runtime under test.
        expected: outputs in the other one; as many.
        progress: receives a stage if operators are run.
        gate: whether a difference larger than rounding is a failure.

    Raises:
        FlatbufferError: the file cannot be read.
    """
    differing = differences(found.outputs, expected.outputs)
    sizes = [each.largest for each in differing]
    known = [size for size in sizes if size is not None]
    result = AcrossRuntimes(
        runtime=found.runtime.name,
        beside=expected.runtime.name,
        gate=gate,
        samples=len(samples),
        largest_difference=max(known, default=0.0) if len(known) == len(sizes) else None,
        explained=True,
        differences=[in_report.difference(each) for each in differing],
    )
    larger = _beyond_rounding(file, differing, expected.outputs)
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
    file: Subject, differing: Sequence[OutputDifference], expected: SeparateOutputs
) -> list[OutputDifference]:
    """Return the differences of outputs that are larger than one rounding step."""
    graph = graph_of(file.model)
    return [
        each
        for each in differing
        if not each_operator.is_rounding(
            graph, expected.indices[each.index], each.largest, expected.rows[each.worst_sample][each.index]
        )
    ]
