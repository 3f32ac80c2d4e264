"""The report on a terminal."""

from __future__ import annotations

from pathlib import Path

import rich.box
import rich.table
from rich.console import Console
from rich.text import Text

from tflite_sparse.report import tables
from tflite_sparse.report.model import Report

_WIDTH_WITHOUT_TERMINAL = 150
_GAP = 3
_NARROWEST_CUT = 8


def show(report: Report, out: Path) -> None:
    """Print the report's tables and sentences on stdout."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH_WITHOUT_TERMINAL)
    console.print(_rich(tables.tensors(report), "Weights", console.width))
    console.print(_rich(tables.files(report), f"Files in {out}", console.width))
    for line in tables.verdicts(report):
        console.print(Text(line, style="bold red" if line.startswith("FAILED") else ""))


def _rich(table: tables.Table, title: str, width: int) -> rich.table.Table:
    result = rich.table.Table(title=Text(title), title_justify="left", box=rich.box.SIMPLE_HEAD, pad_edge=False)
    for heading, size in zip(table.headings, _widths(table, width), strict=True):
        justify = "left" if heading in table.left else "right"
        result.add_column(Text(heading), justify=justify, no_wrap=True, overflow="ellipsis", width=size)  # type: ignore[arg-type]
    for row in table.rows:
        result.add_row(*map(Text, row))
    return result


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
