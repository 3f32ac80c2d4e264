"""Describe the kernels that pruning leaves dense."""

from __future__ import annotations

from collections import defaultdict

from tflite_sparse.report.text.names import shortened
from tflite_sparse.results.left_dense import LeftDense

_NAMED = 8


def sentence(found: LeftDense | None) -> str | None:
    """Return the share of the weights and the kernels by reason; None if there are none.

    The largest kernels of each reason are named; the JSON report names all.
    """
    if found is None or not found.kernels:
        return None
    by_reason: dict[str, list[str]] = defaultdict(list)
    for kernel in found.kernels:
        by_reason[kernel.reason].append(f"{shortened(kernel.name)} ({kernel.weights:,})")
    parts = [f"{reason}: {_some(names)}" for reason, names in by_reason.items()]
    return f"left dense, {100 * found.share:.1f} % of the weights: {'; '.join(parts)}"


def lines(found: LeftDense | None) -> list[str]:
    """Return the sentence as a line of a report, a warning if many weights are left dense."""
    words = sentence(found)
    if words is None or found is None:
        return []
    return [f"WARNING: {words}." if found.is_loud else f"{words[0].upper()}{words[1:]}."]


def _some(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
