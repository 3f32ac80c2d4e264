"""What ``bench`` measured: typed, versioned. Times are milliseconds, memory and sizes bytes."""

from __future__ import annotations

from typing import Literal

from tflite_sparse.results.part import Part


class Ratios(Part):
    """This file over the first one, so that less than 1 is less. ``latency`` is the median of the rounds' ratios."""

    file_bytes: float
    load: float
    resident: float | None
    latency: float


class BenchedFile(Part):
    """One file.

    Attributes:
        load_ms: loading and the first run, median over fresh processes.
        resident_bytes: by how much the file made the resident memory of a fresh process grow, median likewise.
        latency_ms_median: of a single run.
        latency_ms_p90: which 90 % of the rounds were faster than.
    """

    path: str
    file_bytes: int
    load_ms: float
    resident_bytes: int
    latency_ms_median: float
    latency_ms_p90: float
    ratios: Ratios


class BenchReport(Part):
    """All of it, the file that the ratios refer to first."""

    version: Literal[1] = 1
    threads: int
    rounds: int
    kernels: str
    files: list[BenchedFile]
