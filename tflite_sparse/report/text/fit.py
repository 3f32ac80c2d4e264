"""Make the tables and sentences of ``fit``."""

from __future__ import annotations

from tflite_sparse.report.text import accuracy as accuracy_words
from tflite_sparse.report.text import baseline as baseline_words
from tflite_sparse.report.text.export import gates as gate_lines
from tflite_sparse.report.text.names import shortened
from tflite_sparse.report.text.table import Table
from tflite_sparse.results.export import Interval
from tflite_sparse.results.fit import FitReport

_VALUES = "values"  # that kept weights share


def kernels(report: FitReport) -> Table:
    """Return a row for each kernel that could be pruned: the option chosen for it, and its bytes."""
    rows = tuple(
        (
            shortened(kernel.name),
            kernel.type,
            "x".join(map(str, kernel.shape)),
            kernel.block or "as it was",
            f"{kernel.sparsity:.4f}",
            "all" if kernel.values is None else str(kernel.values),
            f"{kernel.untouched_bytes:,}",
            f"{kernel.predicted_bytes:,}",
            "unknown" if kernel.file_bytes is None else f"{kernel.file_bytes:,}",
            f"{kernel.predicted_rise:.4g}",
        )
        for kernel in report.kernels
    )
    sizes = ("untouched B", "predicted B", "stored B")
    found = Table(
        ("kernel", "type", "shape", "block", "zeros", _VALUES, *sizes, "loss alone"),
        rows,
        frozenset({"kernel", "type", "shape", "block"}),
        frozenset({"kernel"}),
        ("type", "predicted B", "shape"),
    )
    return found if any(kernel.values is not None for kernel in report.kernels) else found.without(_VALUES)


def rounds(report: FitReport) -> Table:
    """Return a row for each plan that was carried out."""
    rows = tuple(
        (
            str(each.number),
            str(each.epochs),
            f"{each.predicted_bytes:,}",
            f"{each.file_bytes:,}",
            "" if each.held_out_drop is None else f"{each.held_out_drop:.4f}",
            "yes" if each.passed else "no",
        )
        for each in report.rounds
    )
    found = Table(
        ("round", "epochs", "predicted B", "stored B", "held-out drop", "within"), rows, frozenset({"within"})
    )
    return found if report.mode == "gate" else found.without("held-out drop")


def fixed(report: FitReport) -> Table:
    """Return a row for each constant that no plan changes."""
    rows = tuple((shortened(each.name), f"{each.bytes:,}") for each in report.fixed)
    return Table(("constant", "stored B"), rows, frozenset({"constant"}), frozenset({"constant"}))


def outcome(report: FitReport) -> tuple[str, ...]:
    """Return sentences on the aim and the result."""
    beyond_plans = report.rest_bytes + sum(constant.bytes for constant in report.fixed)
    aim = "" if report.budget_bytes is None else f", of {report.budget_bytes:,} allowed"
    return (
        f"Size: {report.file_bytes:,} bytes{aim}; {report.predicted_bytes:,} were predicted "
        f"({report.prediction_error:+.2%}), in {len(report.rounds)} round{'s' * (len(report.rounds) > 1)}.",
        f"This model fits into {report.floor_bytes:,} to {report.untouched_bytes:,} bytes; {beyond_plans:,} of them "
        "are fixed.",
        _accuracy(report),
    )


def sentences(report: FitReport) -> list[str]:
    """Return sentences on the aim, the result, and whether it passes."""
    return [
        *outcome(report),
        *_paired(report),
        *(f"Warning: {sentence}" for sentence in report.warnings),
        *gate_lines(report.gates),
        f"Written to {report.settings['out']}: model.tflite, fit.json, recipe.toml, fitted.keras, report.html and what "
        "else export writes.",
    ]


def _paired(report: FitReport) -> list[str]:
    compared = report.compared
    return (
        [] if compared is None else [accuracy_words.paired(each, compared, report.baseline) for each in compared.paired]
    )


def _accuracy(report: FitReport) -> str:
    if report.accuracy is None or report.dense_accuracy is None:
        return "Accuracy: unknown; no file was delivered, or it yields NaN."
    found = _with_interval(report.accuracy, report.interval)
    before = _with_interval(report.dense_accuracy, report.dense_interval)
    name = baseline_words.in_sentence("dense_float32", report.baseline)
    return (
        f"Accuracy: {report.metric} {found}, {name} {before}, on {report.samples} test samples."
        f"{_further_training(report)}"
    )


def _with_interval(score: float, found: Interval | None) -> str:
    return f"{score:.4f}" + ("" if found is None else f" {accuracy_words.interval(found, None)}")


def _further_training(report: FitReport) -> str:
    """Note that a dense model trained for as many more epochs might be better than the one in the comparison."""
    # Rounds of a gate all start again from the source model.
    rounds = report.rounds if report.mode == "budget" else report.rounds[-1:]
    epochs = sum(each.epochs for each in rounds)
    if not epochs:
        return ""
    return f" The sparse model was trained for {epochs} epoch{'s' * (epochs > 1)} more than the dense one."
