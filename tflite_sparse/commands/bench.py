"""``bench``: files beside each other, in this machine's runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from typing_extensions import Unpack

from tflite_sparse.backends.registry import backend
from tflite_sparse.base.notebook_progress import chosen
from tflite_sparse.base.progress import Progress
from tflite_sparse.errors import SettingsError
from tflite_sparse.measurement import latency
from tflite_sparse.results.instructions import CountedFile, InstructionReport
from tflite_sparse.results.latency import BenchReport
from tflite_sparse.settings import AnyPath, BenchOptions, BenchSettings
from tflite_sparse.settings.keywords import takes
from tflite_sparse.target_registry import TARGETS


@takes(BenchSettings, BenchOptions)
def bench(
    files: Sequence[AnyPath], *, progress: Progress | None = None, **settings: Unpack[BenchOptions]
) -> BenchReport | InstructionReport:
    """Measure ``.tflite`` files beside each other; ratios refer to the first.

    Load is loading the file and running it once, in milliseconds, resident what that adds to the memory of a fresh
    process, in bytes: medians of five. Latency is that of one run on random inputs with a batch of 1, in milliseconds,
    all files taking turns in one process.

    For the target c: the instructions of one inference of the generated C by operator: counted in an emulator,
    or estimated where it is not installed or too small for the model.

    Args:
        files: one or more.
        progress: receives the stage ``measure`` and its steps.
        **settings: see below.

    Raises:
        SettingsError: a setting is unknown or out of range, an input shape does not fit, or there is no file.
        FlatbufferError: a file cannot be read or is damaged.
        ExecutionError: the runtime refuses a file, which the message names.
    """
    checked = BenchSettings(**settings)
    if not files:
        raise SettingsError("there is nothing to measure: give one or more `files`.")
    if TARGETS[checked.target].counts_instructions:
        return _counted([Path(file) for file in files], checked, chosen(progress))
    with chosen(progress).stage("measure") as on_step:
        measured = latency.compare(
            [Path(file) for file in files],
            threads=checked.threads,
            rounds=checked.rounds,
            kernels=checked.kernels,
            input_shapes=checked.input_shapes,
            on_step=on_step,
        )
    return latency.in_report(measured, threads=checked.threads, rounds=checked.rounds, kernels=checked.kernels)


def _counted(files: Sequence[Path], settings: BenchSettings, progress: Progress) -> InstructionReport:
    found: list[CountedFile] = []
    with progress.stage("count instructions") as on_step:
        for done, file in enumerate(files, start=1):
            counted = backend(settings.target).count(file, settings.micro_cpu)
            first = found[0].instructions if found else counted.instructions
            found.append(counted.model_copy(update={"ratio": counted.instructions / max(first, 1)}))
            on_step(done, len(files))
    return InstructionReport(cpu=settings.micro_cpu, files=found)
