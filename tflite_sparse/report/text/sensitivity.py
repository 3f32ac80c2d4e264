"""Make the table of a sensitivity scan."""

from __future__ import annotations

from tflite_sparse.report.text.names import shortened
from tflite_sparse.report.text.table import Table
from tflite_sparse.results.scan import KernelScan, Point, Scan

__all__ = ["KernelScan", "Point", "Scan", "table"]


def table(scan: Scan) -> Table:
    """Return a row for each kernel with the metric at each sparsity, the kernel that suffers most first."""
    asked = [point.asked for point in scan.kernels[0].points] if scan.kernels else []
    ordered = sorted(scan.kernels, key=lambda kernel: kernel.points[-1].loss, reverse=True)
    rows = tuple(
        (
            shortened(kernel.name),
            kernel.type,
            "x".join(map(str, kernel.shape)),
            f"{kernel.weights:,}",
            *(f"{point.metric:.4f}" for point in kernel.points),
        )
        for kernel in ordered
    )
    headings = ("kernel", "type", "shape", "weights", *(f"{share:.4g} zeros" for share in asked))
    return Table(headings, rows, frozenset({"kernel", "type", "shape"}), frozenset({"kernel"}), ("shape", "type"))
