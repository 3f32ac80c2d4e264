"""A table of text, for terminals, Markdown and pages."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text.

    Attributes:
        headings: of the columns.
        rows: one cell for each heading.
        left: headings of left-aligned columns; the others hold numbers.
        may_wrap: headings of columns of text that may go over several lines for lack of room.
        may_be_dropped: headings of columns that are left out before that gets hard to read, in this order.
    """

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: frozenset[str]
    may_wrap: frozenset[str] = frozenset()
    may_be_dropped: tuple[str, ...] = ()

    def without(self, heading: str) -> Table:
        """Return the table without one column."""
        place = self.headings.index(heading)
        rows = tuple((*row[:place], *row[place + 1 :]) for row in self.rows)
        headings = (*self.headings[:place], *self.headings[place + 1 :])
        others = tuple(each for each in self.may_be_dropped if each != heading)
        return replace(self, headings=headings, rows=rows, may_be_dropped=others)
