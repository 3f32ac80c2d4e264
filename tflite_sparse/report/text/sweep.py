"""Make the tables and sentences of ``sweep``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tflite_sparse.report.text.markdown import table as as_markdown
from tflite_sparse.report.text.sweep_comparison import amount, by_configuration, has_channels, in_blocks
from tflite_sparse.report.text.table import Table
from tflite_sparse.results.sweep import Comparison, Measured, Point, SweepReport
from tflite_sparse.scoring.frontier import half_interval

_TITLES = {
    "file_bytes": "At equal file bytes",
    "gzip_bytes": "At equal gzip bytes",
    "nonzeros": "At equal non-zero weights",
    "multiply_adds": "At equal multiply-adds",
}


def points(report: SweepReport) -> Table:
    """Return a row for each configuration, means over the seeds, with a star on the Pareto front."""
    rows = []
    for name, entries in by_configuration(report.measured).items():
        point, values = entries[0][0], [measured for _, measured in entries]
        rows.append(
            (
                f"{point.width:g}",
                f"{point.sparsity:.4g}",
                point.block if point.sparsity else "",
                str(len(values)),
                _mean(values, lambda m: m.file_bytes),
                _mean(values, lambda m: m.gzip_bytes),
                _mean(values, lambda m: m.nonzeros),
                _multiply_adds(values),
                percent([m.accuracy for m in values]) + _of_samples(values),
                percent([m.float32_accuracy for m in values]),
                "*" if name in report.front else "",
            )
        )
    headings = (
        *("width", "zeros", "block", "seeds", "file B", "gzip B", "non-zeros", "multiply-adds"),
        *("int8 %", "float32 %", "front"),
    )
    table = Table(
        headings,
        tuple(rows),
        frozenset({"block", "front"}),
        may_be_dropped=("float32 %", "non-zeros", "gzip B", "multiply-adds"),
    )
    return table if has_channels(report.measured) else table.without("multiply-adds")


def margins(comparison: Comparison) -> Table:
    """Return a row for each budget: both families there, and the lead of the large sparse one."""
    rows = tuple(
        (
            amount(comparison.axis, each.budget),
            f"{each.sparse:.2%}",
            f"{each.dense:.2%}",
            f"{each.points:+.2f}",
            "" if each.interval is None else f"{each.interval:.2f}",
        )
        for each in comparison.margins
    )
    return Table(("budget", "large sparse", "small dense", "points ahead", "95 % +-"), rows, frozenset())


def title(comparison: Comparison) -> str:
    """Return the heading of a comparison."""
    return _TITLES[comparison.axis] + in_blocks(comparison.block)


def sentences(report: SweepReport) -> list[str]:
    """Return the answers at equal file bytes and, for whole channels, at equal multiply-adds, and the failures."""
    axes = ("file_bytes", "multiply_adds")
    found = [sentence for each in report.comparisons if each.axis in axes for sentence in each.sentences] or [
        "Nothing to compare: no large sparse model was measured."
    ]
    return [*found, *(f"FAILED {failure}" for failure in report.failures)]


def point_in_words(point: Point) -> str:
    """Describe one point in half a line."""
    if point.measured is None:
        return f"{point.name} FAILED: {point.error}"
    return f"{point.name}: {point.measured.accuracy:.4f}, {point.measured.file_bytes:,} bytes, {point.seconds:.0f} s"


def markdown(report: SweepReport, plot: str) -> str:
    """Return ``sweep.md`` as text; ``plot`` is the name of the picture beside it."""
    parts = [
        f"# Sweep of {report.model} on {report.data}",
        "\n".join(f"- {line}" for line in sentences(report)),
        f"![Accuracy over file bytes]({plot})" if report.measured else "Nothing was measured.",
        "## Points",
        as_markdown(points(report)),
        "Accuracies and sizes are means over the seeds, with the half width of the 95 % interval of the accuracy; "
        "of a single seed with its interval over the test samples. The file is the smaller of encoded and dense. A "
        "star: no other is both smaller and more accurate.",
    ]
    for each in report.comparisons:
        parts += [f"## {title(each)}", "\n".join(f"- {line}" for line in each.sentences)]
        if each.margins:
            parts.append(as_markdown(margins(each)))
    parts += [
        "Between the measured sizes accuracy is interpolated on the logarithm of the size. There is no comparison "
        "outside of the range of both families.",
        f"Made by {report.tool}.",
    ]
    return "\n\n".join(parts) + "\n"


def percent(shares: Sequence[float]) -> str:
    """Return the mean of some shares, and half the width of its 95 % interval if there are several."""
    interval = half_interval([100 * share for share in shares])
    return f"{100 * float(np.mean(shares)):.2f}" + ("" if interval is None else f" +-{interval:.2f}")


def _of_samples(values: Sequence[Measured]) -> str:
    """Return for a single seed the interval over the test samples."""
    if len(values) > 1 or values[0].interval is None:
        return ""
    return f" [{100 * values[0].interval.low:.2f}, {100 * values[0].interval.high:.2f}]"


def _multiply_adds(values: Sequence[Measured]) -> str:
    """Return the mean; nothing if points of earlier versions are among them."""
    found = [measured.multiply_adds for measured in values if measured.multiply_adds is not None]
    return f"{np.mean(found):,.0f}" if len(found) == len(values) else ""


def _mean(values: Sequence[Measured], of: Callable[[Measured], float]) -> str:
    return f"{np.mean([of(each) for each in values]):,.0f}"
