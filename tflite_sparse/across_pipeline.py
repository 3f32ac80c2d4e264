"""Files in one runtime beside another: what a comparison of two files in one runtime cannot show."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tflite_sparse import comparison
from tflite_sparse.errors import ExecutionError
from tflite_sparse.evaluation import across_runtimes
from tflite_sparse.evaluation.localise import Run
from tflite_sparse.evaluation.probes import Sample
from tflite_sparse.progress import Progress
from tflite_sparse.report.verification import AcrossRuntimes
from tflite_sparse.runtime import litert, micro

_BESIDE_MICRO: tuple[litert.Kernels, ...] = ("reference", "builtin", "default")
"""The reference kernels first: TensorFlow Lite Micro's are made of them. They lack some operators, such as ELU."""


def micro_beside_litert(
    path: Path, samples: Sequence[Sample], found: litert.SeparateOutputs, progress: Progress
) -> AcrossRuntimes:
    """A dense file in TensorFlow Lite Micro beside LiteRT.

    Args:
        path: the file.
        samples: what was run, at least one.
        found: what TensorFlow Lite Micro yields for it.
        progress: receives the stage.
    """
    with progress.stage("compare outputs: LiteRT"):
        for kernels in _BESIDE_MICRO:
            run = partial(litert.run_separately, kernels=kernels, threads=1)
            try:
                expected = run(path, samples)
            except ExecutionError as error:
                refused = str(error)
                continue
            return _compared(path, samples, found, expected, (micro.NAME, micro.run_separately), (kernels, run))
    return AcrossRuntimes(runtime=micro.NAME, beside="LiteRT", samples=0, unavailable=refused)


def _compared(
    path: Path,
    samples: Sequence[Sample],
    found: litert.SeparateOutputs,
    expected: litert.SeparateOutputs,
    one: tuple[str, Run],
    other: tuple[litert.Kernels, Run],
) -> AcrossRuntimes:
    parting = across_runtimes.compare(path, samples, found, expected, one[1], other[1])
    sizes = [each.largest for each in parting.outputs]
    known = [size for size in sizes if size is not None]
    place = parting.unexplained
    return AcrossRuntimes(
        runtime=one[0],
        beside=litert.NAMES[other[0]],
        samples=len(samples),
        largest_difference=max(known, default=0.0) if len(known) == len(sizes) else None,
        explained=place is None,
        differences=[comparison.difference_in_report(each) for each in parting.outputs],
        first_difference=None if place is None else comparison.place_in_report(place, parting.sample),
    )
