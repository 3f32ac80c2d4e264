"""Print the report of an export on a terminal."""

from __future__ import annotations

from pathlib import Path

from tflite_sparse.report.text import contract as contract_words
from tflite_sparse.report.text import export as tables
from tflite_sparse.report.text import latency as latency_tables
from tflite_sparse.report.text import next_steps, weights
from tflite_sparse.report.text.layers import WORST_SHOWN, worst
from tflite_sparse.results.export import Report
from tflite_sparse_cli.tables import print_lines, print_table, show_instructions


def show(report: Report, out: Path) -> None:
    """Print the report's tables and sentences on stdout, first of all if nothing got smaller."""
    verdicts, first = tables.verdicts(report), next_steps.nothing_smaller(report)
    if first is not None:
        print_lines([first])
        verdicts.remove(first)
    print_table(weights.table(report), "Weights")
    show_instructions(report)
    print_table(tables.files(report), f"Files in {out}")
    if report.layers:
        found = worst(report.layers, WORST_SHOWN)
        print_table(tables.layers(found), f"Layers where int8 loses most, {tables.layers_compared(report)}")
    sparse = report.models.sparse
    if report.contract is not None and sparse is not None:
        print_table(contract_words.ports(report.contract), f"Inputs and outputs of {sparse.path}")
    if report.measured is not None:
        print_table(latency_tables.files(report.measured), f"Measured here: {latency_tables.title(report.measured)}")
    print_lines(verdicts)
    if report.contract is not None and sparse is not None:
        target = str(report.settings["target"])
        print_lines(contract_words.pointer(report.contract, str(out / sparse.path), target))


def show_next(report: Report, out: Path) -> None:
    """Print where the page is and the next command, on stdout."""
    print_lines(next_steps.lines(report, out))
