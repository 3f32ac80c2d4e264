"""The report of ``bench``: typed, versioned. Times are milliseconds, memory and sizes bytes."""

from __future__ import annotations

from typing import Literal

from tflite_sparse.results.part import Part


class Ratios(Part):
    """This file over the first one: less than 1 is less. ``latency`` is the median of the rounds' ratios."""

    file_bytes: float
    load: float
    resident: float | None
    latency: float


class BenchedFile(Part):
    """One file.

    Attributes:
        load_ms: loading and the first run, median over fresh processes.
        resident_bytes: growth of the resident memory of a fresh process, also the median.
        latency_ms_median: of a single run.
        latency_ms_p90: 90th percentile over the rounds.
    """

    path: str
    file_bytes: int
    load_ms: float
    resident_bytes: int
    latency_ms_median: float
    latency_ms_p90: float
    ratios: Ratios


class BenchReport(Part):
    """The report; ratios refer to the first file."""

    version: Literal[1] = 1
    threads: int
    rounds: int
    kernels: str
    files: list[BenchedFile]
