"""Make the tables and sentences of ``prune``."""

from __future__ import annotations

from tflite_sparse.report.text import channels, left_dense
from tflite_sparse.report.text.names import shortened
from tflite_sparse.report.text.sensitivity import Scan
from tflite_sparse.report.text.table import Table
from tflite_sparse.results.prune import PruneReport


def kernels(report: PruneReport) -> Table:
    """Return a row for each pruned kernel."""
    rows = tuple(
        (
            shortened(kernel.name),
            kernel.type,
            "x".join(map(str, kernel.shape)),
            kernel.block,
            "" if kernel.asked is None else f"{kernel.asked:.3f}",
            f"{kernel.sparsity:.3f}",
        )
        for kernel in report.kernels
    )
    headings = ("kernel", "type", "shape", "block", "asked", "zeros")
    return Table(headings, rows, frozenset({"kernel", "type", "shape", "block"}), frozenset({"kernel"}), ("type",))


def sentences(report: PruneReport) -> list[str]:
    """Return sentences on the pruning and its cost."""
    masks = f"; {report.masks_applied} pruning masks were applied first" if report.masks_applied else ""
    return [
        f"Sparsity: from {report.sparsity_before:.4f} to {report.sparsity:.4f} over {len(report.kernels)} "
        f"kernels{masks}.",
        f"Test samples: {report.metric} {report.before:.4f} before, {report.after:.4f} after, on "
        f"{report.samples} samples.",
        *(f"{each.name}: {each.metric} {each.before:.4f}, {each.after:.4f}." for each in report.outputs),
        *([channels.sentence(report.channels)] if report.channels else []),
        *left_dense.lines(report.left_dense),
        *(f"Warning: {sentence}" for sentence in report.warnings),
        f"Written: {report.output}.",
    ]


def scan_sentences(scan: Scan) -> list[str]:
    """Explain the numbers of a scan."""
    return [
        f"Unmasked: metric {scan.baseline_metric:.4f}, loss {scan.baseline_loss:.4f}. The columns are the metric on "
        "held-out training samples with that share of one kernel masked and the other kernels unmasked, without "
        "training afterwards.",
    ]
