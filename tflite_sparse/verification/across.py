"""Files in one runtime beside another: what a comparison of two files in one runtime cannot show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tflite_sparse.base.progress import Progress
from tflite_sparse.errors import ExecutionError
from tflite_sparse.results.verification import AcrossRuntimes
from tflite_sparse.runtime import litert, micro
from tflite_sparse.verification import across_runtimes, in_report
from tflite_sparse.verification.localise import Run
from tflite_sparse.verification.probes import Sample

_BESIDE_MICRO: tuple[litert.Kernels, ...] = ("reference", "builtin", "default")
"""The reference kernels first: TensorFlow Lite Micro's are made of them. They lack some operators, such as ELU."""

_BESIDE_BUILTIN: tuple[litert.Kernels, ...] = ("default", "compiled_model")


@dataclass(frozen=True, slots=True)
class _Runtime:
    """A runtime: its name, and how it runs samples."""

    name: str
    run: Run


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
    for kernels in _BESIDE_MICRO:
        other = _litert(kernels)
        try:
            with progress.stage("compare outputs: LiteRT"):
                expected = other.run(path, samples)
        except ExecutionError as error:
            refused = str(error)
            continue
        one = _Runtime(micro.NAME, micro.run_separately)
        return _compared(path, samples, (one, found), (other, expected), progress, gate=True)
    return AcrossRuntimes(runtime=micro.NAME, beside="LiteRT", gate=True, samples=0, unavailable=refused)


def among_litert(
    path: Path,
    samples: Sequence[Sample],
    found: Mapping[litert.Kernels, litert.SeparateOutputs],
    progress: Progress,
) -> list[AcrossRuntimes]:
    """A file in LiteRT's built-in kernels beside the runtimes of LiteRT that compute otherwise.

    Args:
        path: the file.
        samples: what was run, at least one.
        found: what each runtime yields for it; the built-in kernels must be among them for anything to be compared.
        progress: receives a stage where operators are run.
    """
    if "builtin" not in found:
        return []
    one = _litert("builtin")
    return [
        _compared(path, samples, (one, found["builtin"]), (_litert(kernels), found[kernels]), progress, gate=False)
        for kernels in _BESIDE_BUILTIN
        if kernels in found
    ]


def _litert(kernels: litert.Kernels) -> _Runtime:
    return _Runtime(litert.NAMES[kernels], partial(litert.run_separately, kernels=kernels, threads=1))


def _compared(
    path: Path,
    samples: Sequence[Sample],
    found: tuple[_Runtime, litert.SeparateOutputs],
    expected: tuple[_Runtime, litert.SeparateOutputs],
    progress: Progress,
    *,
    gate: bool,
) -> AcrossRuntimes:
    (one, yielded), (other, wanted) = found, expected
    parting = across_runtimes.compare(path, samples, yielded, wanted, one.run, other.run, progress)
    sizes = [each.largest for each in parting.outputs]
    known = [size for size in sizes if size is not None]
    place = parting.unexplained
    is_unknown = place is not None and place.tensor is None and not gate
    return AcrossRuntimes(
        runtime=one.name,
        beside=other.name,
        gate=gate,
        samples=len(samples),
        largest_difference=max(known, default=0.0) if len(known) == len(sizes) else None,
        explained=None if is_unknown else place is None,
        differences=[in_report.difference(each) for each in parting.outputs],
        first_difference=None if place is None else in_report.first(place, parting.sample),
    )
