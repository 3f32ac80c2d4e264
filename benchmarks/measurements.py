"""Measure sizes and timings of the files of one model, side by side."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contenders import DENSE_INT8, Contender
from tflite_sparse.codecs.entropy import entropy_bytes
from tflite_sparse.errors import ExecutionError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.measurement import latency, size
from tflite_sparse.runtime.litert import Kernels
from tflite_sparse.verification.weights import weights_of

_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of a file, plain and compressed; number and zeroth-order bound of its weights of rank 2 or more."""

    file_bytes: int
    gzip_bytes: int
    weights: int
    entropy_bytes: int

    @property
    def bytes_per_weight(self) -> float:
        return self.file_bytes / self.weights


@dataclass(frozen=True, slots=True)
class Loading:
    """Medians over fresh processes that load a file and run it once.

    Attributes:
        kernels: ``default``, or ``builtin`` if the default interpreter refuses the file.
        refusal: message of the default interpreter in that case.
    """

    kernels: Kernels
    refusal: str | None
    first_ms: float
    resident_megabytes: float


@dataclass(frozen=True, slots=True)
class Latency:
    """One run of a loaded file: median in ms, and median over the rounds of its ratio to dense int8."""

    milliseconds: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Measured:
    """The measurements of one file; ``loading`` and ``latency`` are None if no kernels accept it."""

    contender: Contender
    sizes: Sizes
    loading: Loading | None
    latency: Latency | None

    @property
    def added_share(self) -> float | None:
        """Encoding and verification as a share of the conversion."""
        added = self.contender.added_seconds
        return None if added is None else added / self.contender.conversion_seconds

    @property
    def million_weights_per_second(self) -> float | None:
        """Speed of encoding and verification together."""
        added = self.contender.added_seconds
        return None if added is None else self.sizes.weights / added / 1e6


def measure(
    contenders: Sequence[Contender], *, processes: int, rounds: int, say: Callable[[str], None]
) -> list[Measured]:
    """Measure every file; the dense int8 one must be among them and load."""
    sizes = [_sizes(contender.path) for contender in contenders]
    loadings = []
    for contender in contenders:
        say(f"load and first invoke: {contender.label}")
        loadings.append(_loading(contender.path, processes))
    say(f"steady latency, {rounds} rounds")
    latencies = _latencies(contenders, loadings, rounds)
    return [Measured(*each) for each in zip(contenders, sizes, loadings, latencies, strict=True)]


def _sizes(path: Path) -> Sizes:
    weights = weights_of(serde.read(path)).values()
    return Sizes(
        path.stat().st_size,
        size.gzip_bytes(path),
        sum(values.size for values in weights),
        sum(entropy_bytes(values) for values in weights),
    )


def _loading(path: Path, processes: int) -> Loading | None:
    try:
        return _load_repeatedly(path, "default", None, processes)
    except ExecutionError as error:
        refusal = in_short(_without_path(str(error), path))
    try:
        return _load_repeatedly(path, "builtin", refusal, processes)
    except ExecutionError:
        return None


def _without_path(message: str, path: Path) -> str:
    """Return a message of the runtime without the words that name the two."""
    _, found, reason = message.partition(f"{path}: ")
    return reason if found else message.replace(f"{path.parent}/", "")


def _load_repeatedly(path: Path, kernels: Kernels, refusal: str | None, processes: int) -> Loading:
    runs = [latency.first_invoke(path, kernels=kernels) for _ in range(processes)]
    return Loading(
        kernels,
        refusal,
        statistics.median(run.load_ms for run in runs),
        statistics.median(run.resident_bytes for run in runs) / 1e6,
    )


def _latencies(
    contenders: Sequence[Contender], loadings: Sequence[Loading | None], rounds: int
) -> list[Latency | None]:
    files = {
        contender.label: (contender.path, loading.kernels)
        for contender, loading in zip(contenders, loadings, strict=True)
        if loading is not None
    }
    paths, kernels = zip(*files.values(), strict=True)
    timings = dict(zip(files, latency.interleaved(paths, rounds=rounds, kernels=kernels), strict=True))
    reference = timings[DENSE_INT8]
    return [
        _latency(timings[contender.label], reference) if contender.label in timings else None
        for contender in contenders
    ]


def _latency(timings: np.ndarray, reference: np.ndarray) -> Latency:
    return Latency(float(np.median(timings)), latency.median_ratio(timings, reference))


def in_short(message: str) -> str:
    """Return the start of a message of a runtime or converter, without node numbers."""
    start = message.partition(" node #")[0]
    return start if len(start) <= _SHOWN_CHARACTERS else start[:_SHOWN_CHARACTERS].rstrip() + " ..."
