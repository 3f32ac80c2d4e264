"""Describe the dead channels of a file: what went, what it saves, and how it was checked."""

from __future__ import annotations

from collections.abc import Sequence

from tflite_sparse.report.text.names import shown
from tflite_sparse.report.text.table import Table
from tflite_sparse.results.dead_channels import BeforeAfter, Channels, DeadChannels
from tflite_sparse.results.verification import RuntimeCheck, VerificationReport

_MOST_NAMED = 5
"""Kernels that a sentence names for each reason."""


def lines(found: Channels | None) -> list[str]:
    """Return sentences for a report; none without dead channels."""
    if found is None:
        return []
    if not found.dead.layers:
        return _remaining(found.dead)
    if not found.removed:
        return [
            f"Dead channels: {_count(found.dead)} stay, because {found.reason.rstrip('.')}.",
            *_remaining(found.dead),
        ]
    changes = [_change("multiply-adds", found.dead.multiply_adds)]
    if found.file_bytes is not None:
        changes.append(_change("bytes of the file", found.file_bytes))
    if found.arena_bytes is not None:
        changes.append(_change("bytes of the arena, dense", found.arena_bytes))
    said = [f"Dead channels: {_count(found.dead)} left the file; {', '.join(changes)}."]
    said += [] if found.verification is None else [_checked(found.dead, found.verification)]
    return [
        *said,
        *_remaining(found.dead),
        *(
            f"{each.channels:,} dead channels of {each.tensor!r} stay, because {each.reason.rstrip('.')}."
            for each in found.left
        ),
    ]


def of_inspected(found: DeadChannels | None) -> list[str]:
    """Return sentences for a file that was not changed; none without dead channels."""
    if found is None:
        return []
    if not found.layers:
        return _remaining(found)
    saved = f"{_change('multiply-adds', found.multiply_adds)}, {_change('bytes of the dense file', found.dense_bytes)}"
    return [
        f"Dead channels: {_count(found)} could go; {saved}. tflite-sparse encode removes them if its checks pass.",
        *_remaining(found),
    ]


def table(found: DeadChannels) -> Table:
    """Return a row for each operator that reads or yields dead channels."""
    rows = tuple(
        (name, layer.operator, *(f"{each.before:,} to {each.after:,}" for each in (layer.inputs, layer.outputs)))
        for name, layer in zip(shown(found.layers), found.layers, strict=True)
    )
    text = frozenset({"layer", "operator"})
    return Table(("layer", "operator", "inputs", "outputs"), rows, text, text, ("operator",))


def _remaining(found: DeadChannels) -> list[str]:
    """Say which channels have weights of 0 and stay, and what keeps them."""
    kept_by: dict[str, list[tuple[str, int]]] = {}
    for name, each in zip(shown(found.remaining), found.remaining, strict=True):
        keeps = f"{each.keeper}, which keeps a multiple of {each.multiple} or all" if each.multiple else each.keeper
        kept_by.setdefault(keeps, []).append((name, each.channels))
    told = [f"{_named(kernels)} for {keeps}" for keeps, kernels in kept_by.items()]
    return [f"Channels with weights of 0 that stay: {'; '.join(told)}."] if told else []


def _named(kernels: list[tuple[str, int]]) -> str:
    """Return how many channels stay in kernels, and the names of those with the most of them."""
    most = sorted(kernels, key=lambda each: -each[1])
    names = [f"{name} {count:,}" for name, count in most[:_MOST_NAMED]]
    names += [f"{len(most) - _MOST_NAMED} more"] if len(most) > _MOST_NAMED else []
    return f"{sum(count for _, count in kernels):,} ({', '.join(names)})"


def _count(found: DeadChannels) -> str:
    everything = sum(layer.outputs.before for layer in found.layers)
    return f"{found.channels:,} of {everything:,} in {len(found.layers)} operators"


def _change(name: str, found: BeforeAfter) -> str:
    return f"{name} {found.before:,} to {found.after:,} ({found.share:.0%})"


def _checked(dead: DeadChannels, found: VerificationReport) -> str:
    """Say how the dense file without the channels was compared with the whole one."""
    compared = [check for check in found.runtimes if check.outputs_bit_exact is not None]
    fewest = min((check.distinct_outputs or 0 for check in compared), default=0)
    equal = _places([check for check in compared if check.outputs_bit_exact])
    words = "Kept weights equal those of the dense file bit for bit at their places"
    if dead.merged:
        kernels = "one kernel" if dead.merged == 1 else f"{dead.merged} kernels"
        words += f" (in {kernels} sums of those for channels of one value)"
    if equal:
        words += f"; outputs are equal bit for bit in {equal}"
    apart = _places([check for check in compared if not check.outputs_bit_exact])
    if apart and not dead.is_exact:
        largest = max(each.largest_difference or 0.0 for check in compared for each in check.differences)
        words += f"; in {apart}, which sums in another order, they differ by up to {largest:.1g}"
    words += f" ({found.samples} samples, {fewest} or more distinct outputs)"
    if found.constants is not None and found.constants.compared:
        words += f"; {found.constants.compared:,} predicted constants hold in {', '.join(found.constants.runtimes)}"
    return words + "."


def _places(checks: Sequence[RuntimeCheck]) -> str:
    """Name each runtime once, with its signatures if there are several."""
    signatures: dict[str, list[str]] = {}
    for check in checks:
        signatures.setdefault(check.name, []).extend([check.signature] if check.signature else [])
    return ", ".join(
        f"{name} (signature {' and '.join(map(repr, each))})" if each else name for name, each in signatures.items()
    )
