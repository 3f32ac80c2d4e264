"""Describe how many times smaller or larger a file is."""

from __future__ import annotations

_AS_LARGE = {"as large", "about as large"}


def change(ratio: float) -> str:
    """Return ``4.50x smaller`` for 4.5, ``4.50x larger`` for 1 / 4.5, ``as large`` for 1.

    A ratio that the two decimals would show as 1.00 is ``about as large``.

    Args:
        ratio: the bytes of the other file over the bytes of this one.
    """
    if ratio == 1:
        return "as large"
    times = f"{max(ratio, 1 / ratio):.2f}"
    if times == "1.00":
        return "about as large"
    return f"{times}x smaller" if ratio > 1 else f"{times}x larger"


def beside(name: str, ratio: float) -> str:
    """Return ``4.50x smaller than NAME``, ``as large as NAME``."""
    words = change(ratio)
    return f"{words} {'as' if words in _AS_LARGE else 'than'} {name}"


def cell(ratio: float) -> str:
    """Return the ratio for a column with the heading ``smaller``: ``4.50x``, ``4.50x larger``, ``1.00x``."""
    words = change(ratio)
    return "1.00x" if words in _AS_LARGE else words.removesuffix(" smaller")
