"""Fit tables into a terminal without cutting cells, so that no two rows look alike."""

from __future__ import annotations

from tflite_sparse.report.text.table import Table

_GAP = 3
_MARGIN = -1  # no gap behind the last column, but a space on either side
_NARROWEST = 8
_READABLE = 16
"""Least characters of text per line; below it, columns of numbers are dropped first."""
_MORE_FOR_NAMES = 12
"""Extra characters per line for the first column, which names the row; other text breaks at spaces."""


def fitted(table: Table, width: int) -> tuple[Table, list[int]]:
    """Return a table that fits into ``width`` characters, if possible, and the widths of its columns.

    Headings wrap first; then columns of ``may_be_dropped`` are dropped; then text wraps. Numbers never wrap.
    """
    whole = _needed(table, wrapped=False)
    if _total(whole) <= width:
        return table, whole
    for heading in table.may_be_dropped:
        if _total(_least(table)) <= width:
            break
        table = table.without(heading)
    return table, _narrowed(table, width)


def _needed(table: Table, *, wrapped: bool) -> list[int]:
    """Return the width of each column with its text in one line; its heading may be ``wrapped``."""
    headings = (max(heading.split(), key=len) if wrapped and heading else heading for heading in table.headings)
    cells = zip(*table.rows, strict=True) if table.rows else ((),) * len(table.headings)
    return [max(map(len, (heading, *column))) for heading, column in zip(headings, cells, strict=True)]


def _least(table: Table) -> list[int]:
    """Return the width of each column with its text wrapped to readable lines."""
    needed = _needed(table, wrapped=True)
    enough = [_READABLE + _MORE_FOR_NAMES * (number == 0) for number in range(len(needed))]
    text = [heading in table.may_wrap for heading in table.headings]
    return [min(size, most) if wraps else size for size, most, wraps in zip(needed, enough, text, strict=True)]


def _narrowed(table: Table, width: int) -> list[int]:
    sizes = _needed(table, wrapped=True)
    text = [number for number, heading in enumerate(table.headings) if heading in table.may_wrap]
    while text and _total(sizes) > width:
        widest = max(text, key=lambda number: sizes[number] - _MORE_FOR_NAMES * (number == 0))
        if sizes[widest] <= _NARROWEST:
            break
        sizes[widest] -= 1
    return sizes


def _total(sizes: list[int]) -> int:
    return sum(sizes) + _GAP * len(sizes) + _MARGIN
