"""Describe how one file differs between two runtimes."""

from __future__ import annotations

from tflite_sparse.results.verification import AcrossRuntimes


def in_words(found: AcrossRuntimes, file: str) -> str:
    """Return how one file differs between two runtimes, as a sentence without its full stop.

    Args:
        found: the comparison.
        file: name of the file in the sentence.
    """
    where = f"{file} in {found.runtime} beside {found.beside}"
    if found.unavailable is not None:
        return f"{where}: not compared, {found.unavailable.rstrip('.')}"
    if not found.differences:
        return f"{where}: equal bit for bit on {found.samples} samples"
    by = _by(found.largest_difference)
    if found.explained:
        return f"{where}: apart by {by}, which the rounding of single operators explains"
    worst = max(found.differences, key=lambda each: each.samples)
    words = f"{where}: output {worst.output!r} is apart by {by} on {worst.samples} of {found.samples} samples, and "
    first = found.first_difference
    if first is None or first.tensor is None:
        note = "" if first is None or first.note is None else f": {first.note.rstrip('.')}"
        return f"{words}rounding does not explain that{note}"
    return (
        f"{words}{first.operator} is the first to compute something else from the same values: {first.tensor!r} is "
        f"apart by {_by(first.largest_difference)}"
    )


def _by(difference: float | None) -> str:
    return "no finite number" if difference is None else f"up to {difference:g}"
