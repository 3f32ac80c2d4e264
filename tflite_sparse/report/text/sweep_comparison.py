"""Compare large sparse with small dense models of a sweep, in numbers and sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import get_args

import numpy as np

from tflite_sparse.pruning.structure import CHANNEL, UNSTRUCTURED
from tflite_sparse.results.sweep import Axis, Comparison, Margin, Measured, Point
from tflite_sparse.scoring import frontier
from tflite_sparse.scoring.frontier import Curve, Lead, Trial

Measurements = Sequence[tuple[Point, Measured]]

_UNITS = {
    "file_bytes": "file bytes",
    "gzip_bytes": "gzip bytes",
    "nonzeros": "non-zero weights",
    "multiply_adds": "multiply-adds",
}
_MOST_IN_WORDS = 4

BETWEEN = "smaller, sparse"
"""The family of points that are not compared."""


def comparisons(points: Measurements, asked_seeds: int = 1) -> list[Comparison]:
    """Return a comparison for each block and axis: the largest width at each sparsity over 0, and each width dense.

    Only whole channels are compared along multiply-adds: other zeros leave their number as it is.

    Args:
        points: the measured points.
        asked_seeds: number of trainings of each configuration; some may have failed.
    """
    sparse, dense = families(points)
    blocks = dict.fromkeys(point.block for point, _ in sparse)
    found = []
    for block in blocks:
        own = [entry for entry in sparse if entry[0].block == block]
        found += [
            _compare(axis, block, _with(axis, own), _with(axis, dense), asked_seeds)
            for axis in get_args(Axis)
            if axis != "multiply_adds" or (block == CHANNEL and _with(axis, own))
        ]
    return found


def has_channels(points: Measurements) -> bool:
    """Return whether whole channels were pruned in some points, so that their multiply-adds differ."""
    return any(point.block == CHANNEL and point.sparsity > 0 for point, _ in _with("multiply_adds", points))


def _with(axis: Axis, points: Measurements) -> Measurements:
    """Return the points that were measured along an axis; those of earlier versions may not be."""
    return [entry for entry in points if getattr(entry[1], axis) is not None]


def families(points: Measurements) -> tuple[Measurements, Measurements]:
    """Return the large sparse models, of the largest width, and the small dense ones."""
    largest = max((point.width for point, _ in points), default=0.0)
    sparse = [entry for entry in points if entry[0].sparsity > 0 and entry[0].width == largest]
    return sparse, [entry for entry in points if entry[0].sparsity == 0]


def front(points: Measurements) -> list[str]:
    """Return names of the points of configurations on the Pareto front of file bytes and accuracy, means over seeds."""
    groups = by_configuration(points)
    costs = [float(np.mean([m.file_bytes for _, m in entries])) for entries in groups.values()]
    accuracies = [float(np.mean([m.accuracy for _, m in entries])) for entries in groups.values()]
    names = list(groups)
    return [names[place] for place in frontier.front(costs, accuracies)]


def by_configuration(points: Measurements) -> dict[str, list[tuple[Point, Measured]]]:
    """Return the points that differ only in the seed, by their configuration."""
    groups: dict[str, list[tuple[Point, Measured]]] = {}
    for point, measured in points:
        groups.setdefault(configuration(point), []).append((point, measured))
    return groups


def family(point: Point, largest: float) -> str:
    """Return the line of a plot that a point belongs to; ``largest`` is the largest width."""
    if point.sparsity == 0:
        return "small dense"
    if point.width < largest:
        return BETWEEN
    return "large sparse" + in_blocks(point.block)


def in_blocks(block: str) -> str:
    """Return what follows a family's name: ``, blocks 1x16``; nothing for single weights."""
    if block == CHANNEL:
        return ", whole channels"
    return "" if block == str(UNSTRUCTURED) else f", blocks {block}"


def configuration(point: Point) -> str:
    """Describe what a point has in common with those of other seeds."""
    if not point.sparsity:
        return f"width {point.width:g}, dense"
    if point.block == CHANNEL:
        return f"width {point.width:g}, {point.sparsity:.4g} of channels"
    block = "" if point.block == str(UNSTRUCTURED) else f" in {point.block}"
    return f"width {point.width:g}, {point.sparsity:.4g} zeros{block}"


def curve(points: Measurements, axis: Axis) -> Curve:
    """Return accuracy over one axis."""
    return Curve.of(
        Trial(configuration(point), point.seed, float(getattr(measured, axis)), measured.accuracy)
        for point, measured in points
    )


def _compare(axis: Axis, block: str, sparse: Measurements, dense: Measurements, asked_seeds: int) -> Comparison:
    width = sparse[0][0].width
    ours, theirs = curve(sparse, axis), curve(dense, axis)
    common = frontier.common_range(ours, theirs)
    lowest, highest = common or (None, None)
    leads: list[Lead] = []
    if common is not None:
        sizes = [math.exp(at) for line, _ in theirs.lines.values() for at in line]
        leads = [frontier.lead(ours, theirs, budget) for budget in frontier.budgets(*common, sizes)]
    margins = [
        Margin(
            budget=each.budget,
            sparse=each.ours,
            dense=each.theirs,
            points=100 * each.difference,
            interval=None if each.interval is None else 100 * each.interval,
            seeds=each.seeds,
        )
        for each in leads
    ]
    name = f"the large sparse model (width {width:g}{in_blocks(block)})"
    sentences = _answer(axis, name, margins, asked_seeds) if margins else [_why_not(axis, name, sparse, dense)]
    return Comparison(
        axis=axis, block=block, width=width, lowest=lowest, highest=highest, margins=margins, sentences=sentences
    )


def _answer(axis: Axis, name: str, margins: Sequence[Margin], asked_seeds: int) -> list[str]:
    """Describe which family is ahead at some budgets, by how much, and over the whole common range."""
    places = np.unique(np.linspace(0, len(margins) - 1, _MOST_IN_WORDS).round().astype(int))
    said: list[str] = []
    for place in places:
        each = margins[place]
        subject = name if not said else "it"
        way = "ahead of" if each.points >= 0 else "behind"
        spread = "" if each.interval is None else f" ± {each.interval:.1f}"
        chance = "" if each.interval is None or _is_certain(each) else ", which may be chance"
        said.append(
            f"at {amount(axis, each.budget)} {subject} is {abs(each.points):.1f}{spread} points {way} the small dense "
            f"one ({each.sparse:.2%} to {each.dense:.2%}){chance}"
        )
    sentences = [f"{each[0].upper()}{each[1:]}." for each in said]
    lowest, highest = amount(axis, margins[0].budget), amount(axis, margins[-1].budget)
    certain = [each for each in margins if _is_certain(each)]
    ahead = sum(each.points > 0 for each in margins)
    cure = "take more --seeds" if asked_seeds < 2 else "run those that failed again, with --resume"
    them = "1" if len(margins) == 1 else "them"
    trust = (
        f"of one seed there is no interval: {cure}"
        if margins[0].interval is None
        else f"at {len(certain)} of {them} the 95 % interval over {margins[0].seeds} seeds leaves out 0"
    )
    if len(margins) == 1:
        return [*sentences, f"That is the only size that both families reach; {trust}."]
    sentences.append(
        f"Over what both families reach, {lowest} to {highest}, the large sparse one is ahead at {ahead} of "
        f"{len(margins)} budgets; {trust}."
    )
    return sentences


def _is_certain(margin: Margin) -> bool:
    """Return whether the interval excludes 0."""
    return margin.interval is not None and abs(margin.points) > margin.interval


def _why_not(axis: Axis, name: str, sparse: Measurements, dense: Measurements) -> str:
    """Describe why there is nothing to compare."""
    if not dense:
        return "There are no small dense models to compare with: put 0 among --sparsity."
    reached = [
        f"{amount(axis, min(values))} to {amount(axis, max(values))}"
        for values in ([float(getattr(measured, axis)) for _, measured in points] for points in (sparse, dense))
    ]
    return (
        f"No answer at equal {_UNITS[axis]}: {name} takes {reached[0]}, the small dense ones take {reached[1]}, and "
        "no budget is common to all seeds that both have. Add values to --sparsity or --width."
    )


def amount(axis: Axis, value: float) -> str:
    """Return a budget as text: ``62.5 kB``, ``62.5 kB gzip`` or ``12,345 non-zero weights``."""
    if axis in ("nonzeros", "multiply_adds"):
        return f"{value:,.0f} {_UNITS[axis]}"
    return f"{value / 1000:.1f} kB" + (" gzip" if axis == "gzip_bytes" else "")
