"""Names of tensors as tables show them."""

from __future__ import annotations


def shortened(name: str) -> str:
    """A fused tensor carries the names of all that went into it; the first says enough in a table."""
    first = name.split(";")[0]
    return first if len(first) <= 48 else "..." + first[-45:]
