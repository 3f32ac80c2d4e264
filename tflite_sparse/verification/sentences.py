"""Describe the results of comparisons in sentences without a full stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tflite_sparse.results.verification import AcrossRuntimes, RuntimeCheck, WeightsCheck

REFERENCE = "the dense file"
"""How sentences name the file that others are compared with."""

Naming = Callable[[str], str]
"""Returns how a sentence names a tensor of the file."""


def failures(
    weights: WeightsCheck,
    checks: Sequence[RuntimeCheck],
    across: Sequence[AcrossRuntimes],
    samples: int,
    named: Naming = repr,
) -> list[str]:
    """Return a sentence for each failure.

    Args:
        weights: the comparison of weights.
        checks: those in each runtime.
        across: those of the reference file in two runtimes.
        samples: number of samples.
        named: names tensors.
    """
    return [
        *_of_weights(weights, named),
        *(sentence for check in checks for sentence in _of_check(check, samples, named)),
        *(of_across(each, REFERENCE, named) for each in across if each.gate and each.explained is False),
    ]


def _of_weights(found: WeightsCheck, named: Naming) -> Iterator[str]:
    yield from (f"weight {named(name)} is missing" for name in found.missing)
    yield from (f"weight {named(name)} differs" for name in found.different)


def _of_check(check: RuntimeCheck, samples: int, named: Naming) -> Iterator[str]:
    """Yield a sentence for each failure in one runtime."""
    if check.refused is not None:
        yield f"{check.where}: {check.refused}"
    if check.refused is not None or check.within_tolerance is not False or not check.gate:
        return
    for each in check.differences:
        where = f"{check.where}: output {each.output!r} ({each.index}) differs on {each.samples} of {samples} samples"
        yield f"{where}, by {_by(each.largest_difference)}"
    first = check.first_difference
    if first is not None and first.tensor is not None:
        also = "" if check.differences else "no output differs, but all are the same for every sample; "
        yield f"{check.where}: {also}the first tensor to differ is {named(first.tensor)}, of {first.operator}"


def of_across(found: AcrossRuntimes, file: str, named: Naming = repr) -> str:
    """Return a sentence on the difference of one file in two runtimes.

    Args:
        found: the comparison.
        file: name of the file in the sentence.
        named: names tensors.
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
        f"{words}{first.operator} is the first to compute something else from the same values: {named(first.tensor)} "
        f"is apart by {_by(first.largest_difference)}"
    )


def _by(difference: float | None) -> str:
    return "no finite number" if difference is None else f"up to {difference:g}"
