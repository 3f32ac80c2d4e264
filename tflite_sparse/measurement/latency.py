"""Measure load time, run time and memory of files so that they can be compared.

Loading is measured in fresh processes. Running is measured in one process that has all files loaded and runs each in
turn, so that a machine that slows down for a while slows all of them.
"""

from __future__ import annotations

import importlib
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tflite_sparse.base import child
from tflite_sparse.base.progress import Step, ignore_steps
from tflite_sparse.errors import ExecutionError, one_line
from tflite_sparse.flatbuffer import serde
from tflite_sparse.results.latency import BenchedFile, BenchReport, Ratios
from tflite_sparse.runtime import litert
from tflite_sparse.runtime.input_shapes import Shape, Shapes, needed
from tflite_sparse.runtime.litert_kernels import NAMES, Kernels
from tflite_sparse.runtime.litert_session import Session
from tflite_sparse.verification import probes

_SEED = 1
_WARM_UP_RUNS = 3
BLOCK_MS = 1.0
"""Approximate duration of a turn of a file.

Shorter than the time that a busy system gives a core to another process: most turns are not interrupted, and the median
is that of a free core. With 10 ms a network of 0.015 ms was measured as 0.025 to 0.058 ms, and as 0.92 to 1.19 times
itself, at a load of 7 on two cores; with 1 ms as 0.015 ms, and as 0.98 to 1.02 times itself.
"""

_MOST_RUNS_IN_BLOCK = 1000
_HIGH_PERCENTILE = 90


@dataclass(frozen=True, slots=True)
class Loading:
    """Loading a file and running it once in a fresh process.

    Attributes:
        load_ms: from the path to the first outputs, without making the inputs.
        resident_bytes: growth of the resident memory of a process that had imported the library.
    """

    load_ms: float
    resident_bytes: int


@dataclass(frozen=True, slots=True)
class FileLatency:
    """The measurements of one file, and its ratios to the first file: below 1 is less.

    Attributes:
        path: of the file.
        file_bytes: its size.
        loading: medians over fresh processes.
        latency_ms_median: of one run, over all rounds.
        latency_ms_p90: 90th percentile over the rounds.
        loading_ratio: of ``loading.load_ms``.
        resident_ratio: of ``loading.resident_bytes``; None if the first file added no memory.
        latency_ratio: median of the ratios in each round.
    """

    path: Path
    file_bytes: int
    loading: Loading
    latency_ms_median: float
    latency_ms_p90: float
    loading_ratio: float
    resident_ratio: float | None
    latency_ratio: float


def compare(
    paths: Sequence[Path],
    *,
    threads: int = 1,
    rounds: int = 50,
    kernels: Kernels = "default",
    processes: int = 5,
    input_shapes: Shapes | None = None,
    on_step: Step = ignore_steps,
) -> tuple[FileLatency, ...]:
    """Measure files and compare them with the first.

    Args:
        paths: the files; ratios refer to the first.
        threads: of the interpreter.
        rounds: of :func:`interleaved`.
        kernels: which runtime.
        processes: number of fresh processes that load each file.
        input_shapes: of inputs with open sizes, by name; sizes that run are searched for where none are given.
        on_step: receives (steps done, all steps).

    Returns:
        One entry for each file, in their order.

    Raises:
        ExecutionError: the runtime refuses a file, which the message names.
        InputShapeError: no size that runs was found for an open input.
        SettingsError: a shape does not fit.
    """
    steps = processes * len(paths) + rounds
    runs: list[list[Loading]] = [[] for _ in paths]
    for turn in range(processes):  # each file once before any twice, to find a refused file early
        for position, path in enumerate(paths):
            runs[position].append(first_invoke(path, threads=threads, kernels=kernels, input_shapes=input_shapes))
            on_step(turn * len(paths) + position + 1, steps)
    loadings = [_median(each) for each in runs]
    timings = interleaved(
        paths,
        threads=threads,
        rounds=rounds,
        kernels=kernels,
        input_shapes=input_shapes,
        on_step=lambda done, _: on_step(steps - rounds + done, steps),
    )
    base, base_timings = loadings[0], timings[0]
    return tuple(
        FileLatency(
            path=path,
            file_bytes=path.stat().st_size,
            loading=loading,
            latency_ms_median=float(np.median(timing)),
            latency_ms_p90=float(np.percentile(timing, _HIGH_PERCENTILE)),
            loading_ratio=loading.load_ms / base.load_ms,
            resident_ratio=loading.resident_bytes / base.resident_bytes if base.resident_bytes > 0 else None,
            latency_ratio=median_ratio(timing, base_timings),
        )
        for path, loading, timing in zip(paths, loadings, timings, strict=True)
    )


def interleaved(
    paths: Sequence[Path],
    *,
    threads: int = 1,
    rounds: int = 50,
    kernels: Kernels | Sequence[Kernels] = "default",
    input_shapes: Shapes | None = None,
    on_step: Step = ignore_steps,
) -> np.ndarray:
    """Time single runs of files that are all loaded in one fresh process, on random inputs of a batch of 1.

    In every round each file has its turn, another one first each time: one run to load its weights into the caches,
    then a block of runs, whose mean counts. Starting the process and importing the runtime takes about half a second,
    for any number of files.

    Args:
        paths: the files.
        threads: of the interpreter.
        rounds: number of turns of each file.
        kernels: which runtime, or one for each file.
        input_shapes: as :func:`compare`.
        on_step: receives (rounds done, all rounds).

    Returns:
        Milliseconds, float64, ``(files, rounds)``.

    Raises:
        ExecutionError: the runtime refuses a file, which the message names, or the process died.
        InputShapeError, SettingsError: as :func:`compare`.
    """
    each = [kernels] * len(paths) if isinstance(kernels, str) else list(kernels)
    files = [(str(path), kind) for path, kind in zip(paths, each, strict=True)]
    shapes = [needed(path, input_shapes) for path in paths]
    try:
        return np.asarray(
            child.call(
                f"{__name__}:interleaved_here",
                files=files,
                shapes=shapes,
                threads=threads,
                rounds=rounds,
                on_step=on_step,
            )
        )
    except child.ChildDiedError as death:
        raise ExecutionError(f"the process {death.how} that ran {', '.join(map(str, paths))}.") from death


def first_invoke(
    path: Path, *, threads: int = 1, kernels: Kernels = "default", input_shapes: Shapes | None = None
) -> Loading:
    """Load a file in a fresh process and run it once.

    Raises:
        ExecutionError: the runtime refuses the file, or the process died.
        InputShapeError, SettingsError: as :func:`compare`.
    """
    shapes = needed(path, input_shapes)
    try:
        return child.call(  # type: ignore[no-any-return]
            f"{__name__}:first_invoke_here",
            needs="fresh",
            path=str(path),
            threads=threads,
            kernels=kernels,
            shapes=shapes,
        )
    except child.ChildDiedError as death:
        raise ExecutionError(f"{NAMES[kernels]} {death.how} on {path}.") from death


def median_ratio(timings: np.ndarray, reference: np.ndarray) -> float:
    """Return the median over the rounds of one file's time divided by the other's in the same round."""
    return float(np.median(timings / reference))


def interleaved_here(
    files: Sequence[tuple[str, Kernels]],
    shapes: Sequence[Sequence[Shape] | None],
    threads: int,
    rounds: int,
    on_step: Step = ignore_steps,
) -> list[list[float]]:
    """Run :func:`interleaved` in this process."""
    sessions = [_ready(*file, threads, wanted) for file, wanted in zip(files, shapes, strict=True)]
    blocks = [_runs_in_block(session) for session in sessions]
    results: list[list[float]] = [[] for _ in files]
    for turn in range(rounds):
        for offset in range(len(sessions)):
            position = (turn + offset) % len(sessions)
            sessions[position].invoke()
            results[position].append(_mean_ms(sessions[position], blocks[position]))
        on_step(turn + 1, rounds)
    return results


def first_invoke_here(
    path: str,
    threads: int,
    kernels: Kernels,
    shapes: Sequence[Shape] | None = None,
    on_step: Step = ignore_steps,
) -> Loading:
    """Run :func:`first_invoke` in this process, which must be a fresh one."""
    del on_step
    import psutil

    _import_runtime(kernels)
    process = psutil.Process()
    before = process.memory_info().rss
    started = time.perf_counter()
    session = _open(path, kernels, threads)
    loaded = time.perf_counter()
    inputs = _inputs(session, path, shapes)
    prepared = time.perf_counter()
    _run_first(session, inputs, path, kernels)
    ended = time.perf_counter()
    after = process.memory_info().rss
    return Loading(1e3 * (loaded - started + ended - prepared), after - before)


def _import_runtime(kernels: Kernels) -> None:
    """Import everything that a session needs, so that only the file itself is measured."""
    importlib.import_module("ai_edge_litert.interpreter")
    if kernels == "compiled_model":
        importlib.import_module("ai_edge_litert.compiled_model")
    np.random.default_rng(_SEED).standard_normal(1, np.float32)


def _open(path: str, kernels: Kernels, threads: int) -> Session:
    try:
        return Session(path, kernels, threads)
    except RuntimeError as error:
        raise ExecutionError(f"{NAMES[kernels]} refuses {path}: {one_line(error)}") from error


def _inputs(session: Session, path: str, shapes: Sequence[Shape] | None) -> probes.Sample:
    """Return one sample of random values."""
    details = litert.with_counts(serde.read(Path(path)), session.inputs)
    if shapes is not None:
        details = tuple(replace(detail, shape=shape) for detail, shape in zip(details, shapes, strict=True))
    return probes.samples_for(details, 1, _SEED, file=path)[-1]


def _run_first(session: Session, inputs: probes.Sample, path: str, kernels: Kernels) -> None:
    try:
        session.feed(inputs)
        session.invoke()
    except (RuntimeError, ValueError) as error:
        raise ExecutionError(f"{NAMES[kernels]} does not run {path}: {one_line(error)}") from error


def _ready(path: str, kernels: Kernels, threads: int, shapes: Sequence[Shape] | None) -> Session:
    session = _open(path, kernels, threads)
    _run_first(session, _inputs(session, path, shapes), path, kernels)
    return session


def _runs_in_block(session: Session) -> int:
    for _ in range(_WARM_UP_RUNS):
        session.invoke()
    return min(max(round(BLOCK_MS / _mean_ms(session, 1)), 1), _MOST_RUNS_IN_BLOCK)


def _mean_ms(session: Session, runs: int) -> float:
    started = time.perf_counter()
    for _ in range(runs):
        session.invoke()
    return 1e3 * (time.perf_counter() - started) / runs


def _median(runs: Sequence[Loading]) -> Loading:
    return Loading(
        statistics.median(run.load_ms for run in runs), round(statistics.median(run.resident_bytes for run in runs))
    )


def in_report(measured: Sequence[FileLatency], *, threads: int, rounds: int, kernels: str) -> BenchReport:
    """Return the report of the results of :func:`compare` for these arguments."""
    base = measured[0].file_bytes
    files = [
        BenchedFile(
            path=str(each.path),
            file_bytes=each.file_bytes,
            load_ms=each.loading.load_ms,
            resident_bytes=each.loading.resident_bytes,
            latency_ms_median=each.latency_ms_median,
            latency_ms_p90=each.latency_ms_p90,
            ratios=Ratios(
                file_bytes=each.file_bytes / base,
                load=each.loading_ratio,
                resident=each.resident_ratio,
                latency=each.latency_ratio,
            ),
        )
        for each in measured
    ]
    return BenchReport(threads=threads, rounds=rounds, kernels=kernels, files=files)
