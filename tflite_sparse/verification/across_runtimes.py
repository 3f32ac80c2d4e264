"""One file in two runtimes: a fault that a file shares with the one that it is compared with shows here alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tflite_sparse.base.progress import Progress
from tflite_sparse.flatbuffer import serde
from tflite_sparse.runtime.litert import SeparateOutputs
from tflite_sparse.verification import each_operator
from tflite_sparse.verification.exactness import OutputDifference, differences
from tflite_sparse.verification.localise import FirstDifference, Run
from tflite_sparse.verification.observation import graph_of
from tflite_sparse.verification.probes import Sample


@dataclass(frozen=True, slots=True)
class Parting:
    """How the outputs of one file part in two runtimes.

    Attributes:
        outputs: those that differ.
        unexplained: the first operator that differs by more than rounding, or what else is wrong; None where rounding
            explains all.
        sample: on which that was looked for.
    """

    outputs: tuple[OutputDifference, ...]
    unexplained: FirstDifference | None = None
    sample: int = 0


def compare(
    path: Path,
    samples: Sequence[Sample],
    found: SeparateOutputs,
    expected: SeparateOutputs,
    run: Run,
    beside: Run,
    progress: Progress,
) -> Parting:
    """Compare what a file yields in two runtimes.

    Differences of one rounding pass. Of larger ones, the sample of the largest is run operator by operator.

    Args:
        path: the file.
        samples: what was run, at least one.
        found: what the runtime in question yields for it.
        expected: what the other one does; it has as many outputs.
        run: the runtime in question.
        beside: the other one.
        progress: receives a stage where operators are run.

    Raises:
        FlatbufferError: the file cannot be read.
    """
    parted = differences(found, expected)
    graph = graph_of(serde.read(path))
    larger = [
        each
        for each in parted
        if not each_operator.is_rounding(
            graph, expected.indices[each.index], each.largest, expected.rows[each.worst_sample][each.index]
        )
    ]
    if not larger:
        return Parting(parted)
    worst = max(larger, key=lambda each: float("inf") if each.largest is None else each.largest).worst_sample
    with progress.stage("run operators one by one"):
        unexplained = each_operator.first_unexplained(path, samples[worst], found.rows[worst], run, beside)
    return Parting(parted, unexplained, worst)
