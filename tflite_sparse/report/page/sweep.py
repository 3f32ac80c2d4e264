"""Make ``report.html`` of a sweep."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tflite_sparse.pruning.structure import CHANNEL, UNSTRUCTURED
from tflite_sparse.report.page import html
from tflite_sparse.report.text import sweep as sweep_tables
from tflite_sparse.report.text import sweep_comparison
from tflite_sparse.results.sweep import Measured, Point, SweepReport

_WIDTH, _HEIGHT, _LEFT, _BELOW, _MARGIN = 640, 320, 56, 40, 12  # of the plot, in units of its view box
_MOST_STEPS = 6  # between ticks of the vertical axis


@dataclass(frozen=True, slots=True)
class Mark:
    """A configuration in the plot: its mean, and the range over its seeds. ``kind`` sets its style."""

    kind: str
    x: float
    y: float
    low: float
    high: float
    words: str


@dataclass(frozen=True, slots=True)
class Line:
    """The line through the means of one family: ``x,y`` of each; ``name`` is written at ``at``, its upper end."""

    kind: str
    points: str
    name: str
    at: Mark


@dataclass(frozen=True, slots=True)
class Tick:
    """A tick on an axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Plot:
    """Accuracy over what a model costs, with a logarithmic axis of that."""

    title: str
    width: int
    height: int
    left: int
    bottom: int
    marks: tuple[Mark, ...]
    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    metric: str


@dataclass(frozen=True, slots=True)
class Cost:
    """What the horizontal axis of a plot shows: the measure, its title and unit, and those of ticks."""

    of: Callable[[Measured], int]
    title: str
    unit: str
    tick: float
    tick_unit: str


def _counted(measured: Measured) -> int:
    assert measured.multiply_adds is not None  # only these are drawn
    return measured.multiply_adds


_BYTES = Cost(lambda measured: measured.file_bytes, "file bytes", "bytes", 1e3, "kB")
_MULTIPLY_ADDS = Cost(_counted, "multiply-adds", "multiply-adds", 1e6, "M")


def render(report: SweepReport) -> str:
    """Return the page as text."""
    return html.render(
        "sweep.html.j2",
        title=f"Sweep of {report.model}",
        tool=report.tool,
        report=report,
        answers=sweep_tables.sentences(report)[: -len(report.failures) or None],
        plots=_plots(report),
        points=sweep_tables.points(report),
        comparisons=[
            {"title": sweep_tables.title(each), "sentences": each.sentences, "margins": sweep_tables.margins(each)}
            for each in report.comparisons
        ],
        settings=html.pairs("setting", report.settings),
        seconds=html.pairs("stage", {name: f"{value:.1f}" for name, value in report.seconds.items()}),
    )


def _plots(report: SweepReport) -> list[Plot]:
    """Return the plot over file bytes, and with whole channels one over multiply-adds."""
    found = [_plot(report.measured, _BYTES)] if report.measured else []
    if sweep_comparison.has_channels(report.measured):
        counted = [entry for entry in report.measured if entry[1].multiply_adds is not None]
        found.append(_plot(counted, _MULTIPLY_ADDS))
    return found


def _plot(points: Sequence[tuple[Point, Measured]], cost: Cost) -> Plot:
    groups = sweep_comparison.by_configuration(points)
    largest = max(point.width for point, _ in points)
    sizes = [cost.of(measured) for _, measured in points]
    scores = [measured.accuracy for _, measured in points]
    x_low, x_high = math.log10(min(sizes)) - 0.05, math.log10(max(sizes)) + 0.05
    margin = 0.05 * (max(scores) - min(scores)) or 0.05
    y_low, y_high = min(scores) - margin, max(scores) + margin

    def across(size: float) -> float:
        return round(_LEFT + (_WIDTH - _MARGIN - _LEFT) * (math.log10(size) - x_low) / (x_high - x_low), 1)

    def down(score: float) -> float:
        return round(_MARGIN + (_HEIGHT - _BELOW - _MARGIN) * (y_high - score) / (y_high - y_low), 1)

    marks: list[Mark] = []
    lines: dict[str, list[Mark]] = {}
    for name, entries in groups.items():
        own = [measured.accuracy for _, measured in entries]
        size, mean = float(np.mean([cost.of(measured) for _, measured in entries])), float(np.mean(own))
        words = f"{name}: {mean:.4f} in {size:,.0f} {cost.unit}"
        family = sweep_comparison.family(entries[0][0], largest)
        marks.append(
            Mark(_kind(entries[0][0], family), across(size), down(mean), down(min(own)), down(max(own)), words)
        )
        lines.setdefault(family, []).append(marks[-1])
    return Plot(
        title=f"Accuracy over {cost.title}",
        width=_WIDTH,
        height=_HEIGHT,
        left=_LEFT,
        bottom=_HEIGHT - _BELOW,
        marks=tuple(marks),
        lines=tuple(
            Line(
                found[0].kind,
                " ".join(f"{mark.x},{mark.y}" for mark in sorted(found, key=lambda each: each.x)),
                family.removeprefix("large sparse, "),
                min(found, key=lambda each: each.y),
            )
            for family, found in lines.items()
            if family != sweep_comparison.BETWEEN
        ),
        x_ticks=tuple(
            Tick(across(size), f"{size / cost.tick:g} {cost.tick_unit}")
            for size in _ticks(10**x_low, 10**x_high, is_logarithmic=True)
        ),
        y_ticks=tuple(Tick(down(score), f"{score:.4g}") for score in _ticks(y_low, y_high, is_logarithmic=False)),
        metric=points[0][1].metric,
    )


def _kind(point: Point, family: str) -> str:
    """Return the style of a family."""
    if family == sweep_comparison.BETWEEN:
        return "between"
    if point.sparsity == 0:
        return "dense"
    return {str(UNSTRUCTURED): "sparse", CHANNEL: "channels"}.get(point.block, "blocks")


def _ticks(low: float, high: float, *, is_logarithmic: bool) -> list[float]:
    """Return round numbers from ``low`` to ``high``."""
    from matplotlib.ticker import LogLocator, MaxNLocator

    locator = LogLocator(subs=(1, 2, 5)) if is_logarithmic else MaxNLocator(_MOST_STEPS)
    return [float(value) for value in locator.tick_values(low, high) if low <= value <= high]
