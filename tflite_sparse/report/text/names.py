"""Shorten names of tensors for tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol


class OfLayer(Protocol):
    """A part of a report with the names of a tensor and of its layer."""

    @property
    def name(self) -> str:
        """Of the tensor, in the file."""

    @property
    def layer(self) -> str:
        """Of the layer, in the Keras model; empty if it is not known."""


def shown(entries: Sequence[OfLayer]) -> list[str]:
    """Return a name for each entry: its layer's, else its own.

    Where several entries are of one layer, the last part of each one's own name tells them apart.
    """
    counts = Counter(each.layer for each in entries)
    return [_shown(each, is_alone=counts[each.layer] == 1) for each in entries]


def _shown(entry: OfLayer, *, is_alone: bool) -> str:
    own = shortened(entry.name)
    if not entry.layer:
        return own
    return entry.layer if is_alone else f"{entry.layer} ({own.rsplit('/', 1)[-1]})"


def shortened(name: str) -> str:
    """Return the first of the names that a fused tensor carries."""
    first = name.split(";")[0]
    return first if len(first) <= 48 else "..." + first[-45:]
