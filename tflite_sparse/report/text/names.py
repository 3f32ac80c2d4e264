"""Shorten names of tensors for tables."""

from __future__ import annotations


def shortened(name: str) -> str:
    """Return the first of the names that a fused tensor carries."""
    first = name.split(";")[0]
    return first if len(first) <= 48 else "..." + first[-45:]
