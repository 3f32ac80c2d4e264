"""The report on a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import rich.box
import rich.table
from rich.console import Console
from rich.text import Text

from tflite_sparse.report.text import export as tables
from tflite_sparse.report.text import timings as timing_tables
from tflite_sparse.report.text.layers import WORST_SHOWN, worst
from tflite_sparse.results.export import Report
from tflite_sparse.results.files import EncodingReport
from tflite_sparse_cli.flags import as_typed

_WIDTH_WITHOUT_TERMINAL = 250
_GAP = 3
_NAMES = frozenset({"weight", "constant", "tensor"})
_NARROWEST_CUT = 8


def show(report: Report, out: Path) -> None:
    """Print the report's tables and sentences on stdout."""
    print_table(tables.tensors(report), "Weights")
    print_table(tables.files(report), f"Files in {out}")
    if report.layers:
        found = worst(report.layers, WORST_SHOWN)
        print_table(tables.layers(found), f"Layers where int8 loses most, {tables.layers_compared(report)}")
    print_lines(tables.verdicts(report))


def print_table(table: tables.Table, title: str) -> None:
    """Print a table on stdout, as wide as the terminal."""
    console = _console()
    table = replace(table, rows=tuple(tuple(map(as_typed, row)) for row in table.rows))
    console.print(_rich(table, title, console.width))


def show_timings(report: Report | EncodingReport) -> None:
    """Print on stdout where the time went."""
    print_table(timing_tables.stages(report.seconds), "Wall time")
    if report.cpu is not None:
        print_table(timing_tables.processes(report.cpu), "CPU time")


def print_lines(lines: Iterable[str]) -> None:
    """Print sentences on stdout; those that start with FAILED stand out."""
    console = _console()
    for line in lines:
        style = "bold red" if line.startswith("FAILED") else ""
        console.print(
            Text(as_typed(line), style=style), soft_wrap=not console.is_terminal
        )  # a line for each sentence, for grep


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH_WITHOUT_TERMINAL)


def _rich(table: tables.Table, title: str, width: int) -> rich.table.Table:
    for heading in table.may_be_dropped:
        if sum(_widths(table, width)) + _GAP * len(table.headings) <= width:
            break
        table = table.without(heading)
    result = rich.table.Table(title=Text(title), title_justify="left", box=rich.box.SIMPLE_HEAD, pad_edge=False)
    sizes = _widths(table, width)
    for heading, size in zip(table.headings, sizes, strict=True):
        justify = "left" if heading in table.left else "right"
        result.add_column(Text(heading), justify=justify, no_wrap=True, overflow="ellipsis", width=size)  # type: ignore[arg-type]
    for row in table.rows:
        cells = (_cut(*each) for each in zip(row, table.headings, sizes, strict=True))
        result.add_row(*map(Text, cells))
    return result


def _cut(cell: str, heading: str, size: int) -> str:
    """Names tell most at their end; all else is cut there by the table itself."""
    return f"…{cell[1 - size :]}" if heading in _NAMES and len(cell) > size else cell


def _widths(table: tables.Table, width: int) -> list[int]:
    """Every column as wide as it needs; where that is too much, names and reasons are cut, numbers never."""
    needed = [max(map(len, column)) for column in zip(table.headings, *table.rows, strict=True)]
    excess = sum(needed) + _GAP * len(needed) - width
    cut = [i for i, heading in enumerate(table.headings) if heading in table.may_be_cut]
    while excess > 0 and cut:
        widest = max(cut, key=lambda i: needed[i])
        if needed[widest] <= _NARROWEST_CUT:
            break
        needed[widest] -= 1
        excess -= 1
    return needed
