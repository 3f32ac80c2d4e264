"""Make the table of ``bench``."""

from __future__ import annotations

from tflite_sparse.report.text.table import Table
from tflite_sparse.results.latency import BenchReport


def files(report: BenchReport) -> Table:
    """Return a row for each file, every figure with its ratio to that of the first."""
    headings = (
        *("file", "bytes", "bytes ratio", "load ms", "load ratio", "resident MB", "resident ratio"),
        *("median ms", "p90 ms", "median ratio"),
    )
    rows = tuple(
        (
            entry.path,
            f"{entry.file_bytes:,}",
            _ratio(entry.ratios.file_bytes),
            f"{entry.load_ms:.1f}",
            _ratio(entry.ratios.load),
            f"{entry.resident_bytes / 1e6:.1f}",
            _ratio(entry.ratios.resident),
            f"{entry.latency_ms_median:.3f}",
            f"{entry.latency_ms_p90:.3f}",
            _ratio(entry.ratios.latency),
        )
        for entry in report.files
    )
    return Table(headings, rows, frozenset({"file"}), frozenset({"file"}), ("p90 ms", "load ratio", "resident ratio"))


def title(report: BenchReport) -> str:
    """Describe how the files were run."""
    many = "s" if report.threads > 1 else ""
    return f"{report.threads} thread{many}, {report.rounds} rounds, {report.kernels} kernels"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}x"
