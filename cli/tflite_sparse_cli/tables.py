"""Print reports on a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import rich.box
import rich.table
from rich.console import Console
from rich.text import Text

from tflite_sparse.report.text import targets as target_tables
from tflite_sparse.report.text import timings as timing_tables
from tflite_sparse.report.text.table import Table
from tflite_sparse_cli.column_widths import fitted
from tflite_sparse_cli.flags import as_typed

if TYPE_CHECKING:  # not imported by commands on files
    from tflite_sparse.results.export import Report
    from tflite_sparse.results.files import EncodingReport

_WIDTH_WITHOUT_TERMINAL = 250


def show_instructions(report: Report | EncodingReport) -> None:
    """Print the instructions of operators on a microcontroller on stdout, if the target has such."""
    found = target_tables.instructions(report)
    if found is not None:
        print_table(found, target_tables.instructions_about(report))


def print_table(table: Table, title: str) -> None:
    """Print a table on stdout, as wide as the terminal."""
    console = _console()
    table = replace(table, rows=tuple(tuple(map(as_typed, row)) for row in table.rows))
    console.print(_rich(table, title, console.width))


def show_timings(report: Report | EncodingReport) -> None:
    """Print the time of each stage on stdout."""
    print_table(timing_tables.stages(report.seconds), "Wall time")
    if report.cpu is not None:
        print_table(timing_tables.processes(report.cpu), "CPU time")


def print_lines(lines: Iterable[str]) -> None:
    """Print sentences on stdout; highlight those that start with FAILED or NOT JUDGED."""
    console = _console()
    for line in lines:
        style = "bold red" if line.startswith("FAILED") else "bold" if line.startswith("NOT JUDGED") else ""
        console.print(
            Text(as_typed(line), style=style), soft_wrap=not console.is_terminal
        )  # one line per sentence, for grep


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH_WITHOUT_TERMINAL)


def _rich(table: Table, title: str, width: int) -> rich.table.Table:
    table, sizes = fitted(table, width)
    result = rich.table.Table(title=Text(title), title_justify="left", box=rich.box.SIMPLE_HEAD, pad_edge=False)
    for heading, size in zip(table.headings, sizes, strict=True):
        is_left = heading in table.left
        result.add_column(
            Text(heading), justify="left" if is_left else "right", vertical="top", overflow="fold", width=size
        )
    for row in table.rows:
        result.add_row(*map(Text, row))
    return result
