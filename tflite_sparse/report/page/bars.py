"""Make the rows of a bar chart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bar:
    """A row of a bar chart; ``share`` of the longest, in [0, 1]. Reference bars are drawn pale."""

    label: str
    text: str
    share: float
    is_reference: bool = False


def bars(rows: Sequence[tuple[str, float, bool]], form: str = ",") -> list[Bar]:
    """Return bars from (label, length, whether it is a reference); ``form`` is the format of the numbers."""
    longest = max((length for _, length, _ in rows), default=0) or 1
    return [Bar(label, format(length, form), length / longest, is_reference) for label, length, is_reference in rows]
