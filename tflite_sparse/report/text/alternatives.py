"""Describe the alternatives to an int8 export that lost too much accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tflite_sparse.results.alternatives import Alternative
from tflite_sparse.results.baseline import Baseline
from tflite_sparse.results.export import Accuracy, Interval

_SMALL_SHARE = 0.1  # share of a drop that is not worth a cure of its own


@dataclass(frozen=True, slots=True)
class Remedies:
    """Options that are left against a drop.

    Attributes:
        longer_prune: whether ``prune`` made the zeros.
        training: the option that trains the model under its masks, or trains it longer; empty: it cannot be trained.
        lower_sparsity: whether this export made zeros.
        calibration: whether there are training samples that the quantiser did not see.
    """

    training: str = ""
    longer_prune: bool = False
    lower_sparsity: bool = False
    calibration: bool = False


def advice(found: Sequence[Alternative], drop: float, max_drop: float) -> str:
    """Recommend the smallest file within the gate, else the best if it is better than ``drop``, in one sentence."""
    measured = [(each.drop, each.file_bytes or 0, each) for each in found if each.drop is not None]
    within = [entry for entry in measured if entry[0] <= max_drop]
    if within:
        best, size, chosen = min(within, key=lambda entry: entry[1])
        return f"Take {chosen.option}: the drop is {best:.4f}, in {size:,} bytes."
    if not measured or min(measured, key=lambda entry: entry[0])[0] >= drop:
        return "No other int8 file that was tried loses less."
    best, size, chosen = min(measured, key=lambda entry: (entry[0], entry[1]))
    return f"{chosen.option} comes nearest: the drop is {best:.4f}, in {size:,} bytes."


def passes(found: Sequence[Alternative], max_drop: float) -> bool:
    """Return whether one of them is within the gate."""
    return any(each.drop is not None and each.drop <= max_drop for each in found)


def matters(part: float | None, accuracy: Accuracy) -> bool:
    """Return whether a part of a drop is worth a cure: unknown, or more than a tenth of it."""
    return part is None or part > _SMALL_SHARE * accuracy.drop


def shares(accuracy: Accuracy, baseline: Baseline | None = None) -> str:
    """Return ``pruning costs 0.1250 [0.101, 0.149], int8 0.0030 [-0.002, 0.008]``; empty if that is not known.

    Args:
        accuracy: with the parts.
        baseline: what the accuracy is compared with; if that was pruned before, the cost of its zeros is unknown.
    """
    if accuracy.drop_by_pruning is None:
        return ""
    by_pruning = f"pruning costs {_share(accuracy.drop_by_pruning, accuracy.interval_by_pruning)}"
    if baseline is not None and not baseline.is_unpruned:
        before = "the zeros that the model came with cost an unknown amount"
        by_pruning = f"{before}, {by_pruning}" if accuracy.drop_by_pruning else before
    if accuracy.drop_by_int8 is None:
        return by_pruning
    line = f"{by_pruning}, int8 {_share(accuracy.drop_by_int8, accuracy.interval_by_int8)}"
    if accuracy.drop_by_sharing is None:
        return line
    return f"{line}, shared values {_share(accuracy.drop_by_sharing, accuracy.interval_by_sharing)}"


def _share(drop: float, interval: Interval | None) -> str:
    return f"{drop:.4f}" if interval is None else f"{drop:.4f} [{interval.low:.3f}, {interval.high:.3f}]"


def cures(accuracy: Accuracy, open_to: Remedies) -> str:
    """Recommend remedies for a drop, for the larger part of it first, in one sentence; empty if there are none."""
    by_pruning, by_int8 = accuracy.drop_by_pruning, accuracy.drop_by_int8
    against_pruning = [open_to.training] if open_to.training else []
    against_pruning += ["a lower --sparsity"] if open_to.lower_sparsity else []
    against_pruning += ["prune with more --epochs or a lower --sparsity"] if open_to.longer_prune else []
    against_int8 = ["more --calibration-samples"] if open_to.calibration else []
    if not matters(by_pruning, accuracy):
        against_pruning = []
    if not matters(by_int8, accuracy):
        against_int8 = []
    int8_first = by_int8 is not None and by_pruning is not None and by_int8 > by_pruning
    tries = against_int8 + against_pruning if int8_first else against_pruning + against_int8
    *first, last = tries or [""]
    return f"Try {', '.join(first) + ' or ' if first else ''}{last}." if tries else ""


def against_sharing(accuracy: Accuracy) -> str:
    """Recommend more shared values where they cost a part of the drop that matters, in one sentence; else empty."""
    if accuracy.drop_by_sharing is None or not matters(accuracy.drop_by_sharing, accuracy):
        return ""
    without = (accuracy.drop_by_pruning or 0.0) + (accuracy.drop_by_int8 or 0.0)
    return f"Try more --shared-values, or none: without them the drop is {without:.4f}."


def line(each: Alternative) -> str:
    """Describe one alternative in a sentence."""
    if each.accuracy is None:
        return f"Instead, {each.option}: {each.words}"
    return (
        f"Instead, {each.option}: accuracy {each.accuracy:.4f}, drop {each.drop:.4f}, {each.file_bytes:,} bytes; "
        f"{each.words}."
    )
