"""Describe scores, their intervals and the comparison of two files."""

from __future__ import annotations

from tflite_sparse.report.text import baseline as names
from tflite_sparse.results.baseline import Baseline
from tflite_sparse.results.export import Accuracy, Interval, ModelFile, Models, OutputAccuracy, Paired
from tflite_sparse.settings import ANY_DROP

_SHARES = ("top1", "top5", "auc", "mean")  # metrics that are between 0 and 1
_CHANCE = 0.05  # a p-value below it is significant, like a 95 % interval without zero


def score_of(file: ModelFile | None, accuracy: Accuracy | None) -> str:
    """Return the score of a file and its interval: ``0.9850 [0.975, 0.991]``."""
    if file is None or file.accuracy is None:
        return "unknown"
    shown = score(file.accuracy, accuracy)
    return shown if file.interval is None else f"{shown} {interval(file.interval, accuracy)}"


def score(value: float, accuracy: Accuracy | None) -> str:
    """Return a score as text: a share with four decimals; errors and decibels have any size."""
    return f"{value:.4f}" if accuracy is None or accuracy.drop_of == "score" else f"{value:.4g}"


def interval(found: Interval, accuracy: Accuracy | None) -> str:
    """Return an interval as text: ``[0.975, 0.991]``."""
    form = ".3f" if accuracy is None or accuracy.drop_of == "score" else ".3g"
    return f"[{found.low:{form}}, {found.high:{form}}]"


def sentences(models: Models, accuracy: Accuracy, baseline: Baseline | None = None) -> list[str]:
    """Return how the score changed, and whether the test samples tell the files apart."""
    return [
        _change(models, accuracy, baseline),
        *(paired(each, accuracy, baseline) for each in accuracy.paired),
    ]


def paired(found: Paired, accuracy: Accuracy, baseline: Baseline | None = None) -> str:
    """Return ``Against dense int8: no loss that 1,000 samples can show (p = 0.62; 5 samples lost, 7 gained).``."""
    where = f"Against {names.in_sentence(found.against, baseline)}: "
    if is_same(found):
        return f"{where}no difference on any of {accuracy.samples:,} samples."
    if not is_beyond_chance(found):
        return f"{where}no loss that {accuracy.samples:,} samples can show{_in_numbers(found, accuracy)}."
    worse = (found.difference > 0) == accuracy.lower_is_better
    kind = "loss" if worse else "gain"
    return f"{where}a {kind} that {accuracy.samples:,} samples show{_in_numbers(found, accuracy)}."


def chance(accuracy: Accuracy) -> str:
    """Say that a drop is within chance, in a sentence; empty if it is not."""
    found = next((each for each in accuracy.paired if each.against == "dense_float32"), None)
    if found is None or is_same(found) or is_beyond_chance(found):
        return ""
    return f"{accuracy.samples:,} samples cannot tell this from chance{_in_numbers(found, accuracy)}: test on more."


def drop(accuracy: Accuracy) -> str:
    """Return the drop, for the sentence of the gate."""
    if accuracy.drop_of == "r2":
        return f"outputs explain {accuracy.drop:.4f} less of the labels' spread (gate of {accuracy.metric})"
    return f"{accuracy.metric} dropped by {accuracy.drop:.4f}"


def is_gated(accuracy: Accuracy) -> bool:
    """Return whether some drop fails the gate."""
    all_of_it = 1 if accuracy.metric.startswith(_SHARES) else ANY_DROP
    return accuracy.max_drop < all_of_it


def is_same(found: Paired) -> bool:
    """Return whether the score is equal on every sample of the two files."""
    if found.lost is not None:
        return found.lost == found.gained == 0
    return found.difference == 0 and found.interval is not None and found.interval.low == found.interval.high == 0


def is_beyond_chance(found: Paired) -> bool:
    """Return whether the two files differ on the samples by more than chance."""
    if found.p_value is not None:
        return found.p_value < _CHANCE
    return found.interval is not None and not found.interval.low <= 0 <= found.interval.high


def _in_numbers(found: Paired, accuracy: Accuracy) -> str:
    if found.p_value is not None:
        return f" (p = {found.p_value:.2g}; {_samples(found.lost)} lost, {found.gained:,} gained)"
    shown = f" (difference {score(found.difference, accuracy)}"
    return f"{shown})" if found.interval is None else f"{shown} {interval(found.interval, accuracy)})"


def _samples(count: int | None) -> str:
    return "1 sample" if count == 1 else f"{count or 0:,} samples"


def _change(models: Models, accuracy: Accuracy, baseline: Baseline | None) -> str:
    before, after = score_of(models.dense_float32, accuracy), score_of(models.sparse, accuracy)
    name = names.file_name("dense_float32", models, baseline)
    where = f"from {before} ({name}) to {after} (sparse), on {accuracy.samples} test samples"
    each = "".join(f" {out.name}: {_before_and_after(out, accuracy)}" for out in accuracy.outputs)
    for out in accuracy.also:
        each += f" {f'{out.name}: ' if len(accuracy.outputs) > 1 else ''}{_before_and_after(out, None)}"
    if accuracy.drop_of == "r2":
        change = "less" if accuracy.drop > 0 else "more"
        return (
            f"Accuracy: {accuracy.metric} went {where}: the outputs explain {abs(accuracy.drop):.4f} {change} of the "
            f"labels' spread{_allowed(f'{accuracy.max_drop:g} less', accuracy)}.{each}"
        )
    change = f"fell by {accuracy.drop:.4f}" if accuracy.drop > 0 else f"rose by {-accuracy.drop:.4f}"
    if accuracy.drop == 0:
        change = "is unchanged"
    return (
        f"Accuracy: {accuracy.metric} {change}, {where}{_allowed(f'a fall of {accuracy.max_drop:g}', accuracy)}.{each}"
    )


def _allowed(words: str, accuracy: Accuracy) -> str:
    return f"; {words} is allowed" if is_gated(accuracy) else ""


def _before_and_after(out: OutputAccuracy, accuracy: Accuracy | None) -> str:
    return f"{out.metric} {score(out.dense_float32, accuracy)}, {score(out.sparse, accuracy)}."
