"""The rows that every form of the report shows, as text."""

from __future__ import annotations

from dataclasses import dataclass

from tflite_sparse.report.model import ModelFile, Report


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text; columns whose heading is in ``left`` are aligned to the left, the others to the right."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: frozenset[str]


_FILE_NAMES = {
    "dense_float32": "dense float32",
    "dense_int8": "dense int8",
    "sparse_int8": "sparse int8",
    "sparse_float32": "sparse float32",
}


def files(report: Report) -> Table:
    """One row for each file: size, size against the dense float32 one, gzip, accuracy, sparsity."""
    base = report.models.dense_float32.file_bytes
    metric = report.accuracy.metric if report.accuracy else "accuracy"
    rows = []
    for key, entry in report.models:
        if isinstance(entry, ModelFile):
            rows.append(
                (
                    _FILE_NAMES[key],
                    entry.path,
                    f"{entry.file_bytes:,}",
                    f"{base / entry.file_bytes:.2f}x",
                    f"{entry.gzip_bytes:,}",
                    "-" if entry.accuracy is None else f"{entry.accuracy:.4f}",
                    f"{entry.sparsity:.3f}",
                )
            )
    headings = ("model", "file", "bytes", "smaller", "gzip bytes", metric, "sparsity")
    return Table(headings, tuple(rows), frozenset({"model", "file"}))


def tensors(report: Report) -> Table:
    """One row for each weight: what it took dense, what it takes now, what it would take at least, and why."""
    rows = tuple(
        (
            _shortened(tensor.name),
            tensor.operator,
            "x".join(map(str, tensor.shape)),
            f"{tensor.sparsity:.3f}",
            f"{tensor.dense_bytes:,}",
            f"{tensor.encoded_bytes:,}",
            f"{tensor.entropy_bytes:,}",
            ("dense: " if tensor.layout == "dense" else "") + tensor.reason,
        )
        for tensor in report.tensors
    )
    headings = ("weight", "operator", "shape", "sparsity", "dense bytes", "stored bytes", "entropy bytes", "how")
    return Table(headings, rows, frozenset({"weight", "operator", "shape", "how"}))


def verdicts(report: Report) -> list[str]:
    """Sentences: what was pruned, what it cost, what was checked, and whether all gates passed."""
    lines = [f"Pruning: {report.pruning.words}; {_kernels(report)}."]
    if report.ratios is not None:
        line = f"Size: {report.ratios.vs_dense_float32:.2f}x smaller than dense float32"
        if report.ratios.vs_dense_int8 is not None:
            line += f", {report.ratios.vs_dense_int8:.2f}x smaller than dense int8"
        lines.append(line + ".")
    if report.accuracy is not None:
        accuracy = report.accuracy
        lines.append(
            f"Accuracy: {accuracy.metric} changed by {-accuracy.drop:+.4f} against dense float32, on "
            f"{accuracy.samples} test samples (allowed drop: {accuracy.max_drop:g})."
        )
    else:
        lines.append("Accuracy: not measured; there were no data.")
    if report.verification is not None:
        lines.append(_verification(report))
    lines += [f"FAILED {failure}" for failure in report.gates.failures]
    return lines


def _kernels(report: Report) -> str:
    pruning = report.pruning
    share = f"{pruning.after:.4f} of them zeros"
    return f"{pruning.prunable_kernels} prunable kernels hold {pruning.prunable_weights:,} weights, {share}"


def _verification(report: Report) -> str:
    verification = report.verification
    assert verification is not None
    weights = "equal" if verification.weights_bit_exact else "NOT equal"
    good = [runtime.name for runtime in verification.runtimes if runtime.outputs_bit_exact]
    bad = [runtime.name for runtime in verification.runtimes if not runtime.outputs_bit_exact]
    line = f"Verification: decoded weights {weights} to the dense ones bit for bit"
    if good:
        line += f"; outputs equal bit for bit on {verification.samples} samples in {', '.join(good)}"
    if bad:
        line += f"; outputs NOT equal in {', '.join(bad)}"
    return line + "."


def _shortened(name: str) -> str:
    """A fused tensor carries the names of all that went into it; the first says enough in a table."""
    first = name.split(";")[0]
    return first if len(first) <= 48 else "..." + first[-45:]
