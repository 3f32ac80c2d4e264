"""Describe how many times smaller or larger a file is."""

from __future__ import annotations


def change(ratio: float) -> str:
    """Return ``4.50x smaller`` for 4.5, ``4.50x larger`` for 1 / 4.5, ``as large`` for 1.

    Args:
        ratio: the bytes of the other file over the bytes of this one.
    """
    if ratio == 1:
        return "as large"
    return f"{ratio:.2f}x smaller" if ratio > 1 else f"{1 / ratio:.2f}x larger"


def beside(name: str, ratio: float) -> str:
    """Return ``4.50x smaller than NAME``, ``as large as NAME``."""
    return f"{change(ratio)} {'as' if ratio == 1 else 'than'} {name}"


def cell(ratio: float) -> str:
    """Return the ratio for a column with the heading ``smaller``: ``4.50x``, ``4.50x larger``, ``1.00x``."""
    return f"{ratio:.2f}x" if ratio >= 1 else change(ratio)
