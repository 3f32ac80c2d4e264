"""Show how the weights of a file are stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tflite_sparse.report.text.names import shown
from tflite_sparse.report.text.table import Table

if TYPE_CHECKING:  # not imported by commands on files
    from tflite_sparse.results.export import Report
    from tflite_sparse.results.files import EncodingReport


def table(report: Report | EncodingReport) -> Table:
    """Return a row for each weight: bytes dense, bytes now, the entropy bound, and why."""
    rows = tuple(
        (
            name,
            tensor.operator,
            "x".join(map(str, tensor.shape)),
            f"{tensor.sparsity:.3f}",
            f"{tensor.dense_bytes:,}",
            f"{tensor.encoded_bytes:,}",
            f"{tensor.entropy_bytes:,}",
            ("dense: " if tensor.layout == "dense" else "") + tensor.reason,
        )
        for name, tensor in zip(shown(report.tensors), report.tensors, strict=True)
    )
    headings = ("weight", "operator", "shape", "zeros", "dense B", "stored B", "bound B", "how")
    text = frozenset({"weight", "operator", "how"})
    return Table(headings, rows, text | {"shape"}, text, ("bound B", "operator"))
