"""The report on a terminal."""

from __future__ import annotations

from pathlib import Path

import rich.table
from rich.console import Console
from rich.text import Text

from tflite_sparse.report import tables
from tflite_sparse.report.model import Report


def show(report: Report, out: Path) -> None:
    """Print the report's tables and sentences on stdout."""
    console = Console()
    console.print(_rich(tables.files(report), "Files in " + str(out)))
    console.print(_rich(tables.tensors(report), "Weights"))
    for line in tables.verdicts(report):
        console.print(Text(line, style="bold red" if line.startswith("FAILED") else ""))


def _rich(table: tables.Table, title: str) -> rich.table.Table:
    result = rich.table.Table(title=Text(title), title_justify="left")
    for heading in table.headings:
        result.add_column(Text(heading), justify="left" if heading in table.left else "right", overflow="fold")
    for row in table.rows:
        result.add_row(*map(Text, row))
    return result
