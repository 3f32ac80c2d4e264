"""Draw plots as SVG or PNG, by the name of the file; the same numbers give the same bytes.

Matplotlib is imported when a plot is drawn, without a window system or global state.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tflite_sparse.base.atomic_files import replacing
from tflite_sparse.errors import OutputError
from tflite_sparse.report.text.names import shortened
from tflite_sparse.report.text.sensitivity import Scan
from tflite_sparse.report.text.sweep_comparison import BETWEEN, by_configuration, family, has_channels
from tflite_sparse.results.channels import MaskedChannels
from tflite_sparse.results.sweep import Axis, SweepReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIZE = (8.0, 4.5)  # inches
_BAR = 0.3  # inches, of one group of channels
_MOST_IN_LEGEND = 12
_COLOURS, _STYLES = 10, ("-", "--", ":")  # colours repeat, each time with another style
_LEAST_DENSITY = 2.0**-12  # density at which an empty kernel is drawn
_COSTS: dict[Axis, tuple[str, float]] = {"file_bytes": ("file (kB)", 1e3), "multiply_adds": ("multiply-adds (M)", 1e6)}
_FORMATS = {".svg": {"Date": None}, ".png": {"Software": None}}  # a date would change the bytes


def sensitivity(scan: Scan, path: Path) -> None:
    """Draw a line for each kernel: loss over sparsity. The legend names those that suffer most.

    Each halving of the weights has the same width, because most changes are close to 1.

    Raises:
        OutputError: the file cannot be written, or its name ends neither in .svg nor in .png.
    """
    figure = _figure()
    axes = figure.add_subplot()
    ordered = sorted(scan.kernels, key=lambda kernel: kernel.points[-1].loss, reverse=True)
    for number, kernel in enumerate(ordered):
        sparsity = [kernel.held, *(point.sparsity for point in kernel.points)]
        loss = [scan.baseline_loss, *(point.loss for point in kernel.points)]
        label = shortened(kernel.name) if number < _MOST_IN_LEGEND else None
        style = _STYLES[number // _COLOURS % len(_STYLES)]
        axes.plot(_halvings(sparsity), loss, style, color=f"C{number % _COLOURS}", marker=".", label=label)
    axes.axhline(scan.baseline_loss, color="0.6", linewidth=0.8)
    axes.set(xlabel="sparsity of the one kernel", ylabel="loss on held-out samples", title=scan.model)
    ticks = sorted({0.0, *(point.asked for kernel in scan.kernels for point in kernel.points)})
    axes.set_xticks(_halvings(ticks), [f"{tick:.4g}" for tick in ticks])
    figure.legend(loc="outside right upper", fontsize="small", frameon=False)
    _save(figure, path)


def schedule(
    steps: np.ndarray,
    sparsity: np.ndarray,
    rates: np.ndarray,
    path: Path,
    *,
    channels: Sequence[MaskedChannels] = (),
) -> None:
    """Draw sparsity and learning rate over training steps, each with its own axis, and what is kept of channels.

    Args:
        steps: ``(n,)``.
        sparsity: ``(n,)``, in [0, 1].
        rates: ``(n,)``.
        path: of the file.
        channels: groups; a bar below shows how many of each are kept.

    Raises:
        OutputError: the file cannot be written, or its name ends neither in .svg nor in .png.
    """
    figure = _figure()
    bars = _BAR * len(channels)
    figure.set_size_inches(_SIZE[0], _SIZE[1] + bars)
    panels = figure.subplots(2, 1, height_ratios=[_SIZE[1], bars]) if channels else [figure.add_subplot()]
    left = panels[0]
    right = left.twinx()
    if channels:
        _kept_channels(panels[1], channels)
    left.plot(steps, sparsity, color="C0", drawstyle="steps-post")
    left.set_xlabel("training step")
    left.set_ylabel("sparsity", color="C0")
    left.set_ylim(0, 1)
    right.plot(steps, rates, "--", color="C1")
    right.set_ylabel("learning rate", color="C1")
    right.set_ylim(bottom=0)
    _save(figure, path)


def _kept_channels(axes: Axes, channels: Sequence[MaskedChannels]) -> None:
    names = [f"{shortened(group.kernels[0])}: {group.kept} of {group.channels}" for group in channels]
    places = range(len(channels))
    axes.barh(places, [group.channels for group in channels], color="0.85")
    axes.barh(places, [group.kept for group in channels], color="C0")
    axes.set_yticks(places, names, fontsize="small")
    axes.invert_yaxis()
    axes.set_xlabel("channels kept")


def frontier(report: SweepReport, path: Path) -> None:
    """Draw accuracy over file bytes: small dense models, large sparse ones for each block, and models in between.

    A point is the mean over the seeds, its bar their range. With whole channels a second panel shows multiply-adds.

    Raises:
        OutputError: the file cannot be written, or its name ends neither in .svg nor in .png.
    """
    figure = _figure()
    if not has_channels(report.measured):
        _frontier(figure.add_subplot(), report, "file_bytes")
    else:
        figure.set_size_inches(_SIZE[0], 2 * _SIZE[1])
        for panel, axis in zip(figure.subplots(len(_COSTS), 1), _COSTS, strict=True):
            _frontier(panel, report, axis)
    _save(figure, path)


def _frontier(axes: Axes, report: SweepReport, axis: Axis) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    label, unit = _COSTS[axis]
    points = [entry for entry in report.measured if getattr(entry[1], axis) is not None]
    largest = max(point.width for point, _ in points)
    families: dict[str, list[tuple[float, float, float, float]]] = {}
    for entries in by_configuration(points).values():
        point = entries[0][0]
        values = [100 * measured.accuracy for _, measured in entries]
        size = float(np.mean([getattr(measured, axis) for _, measured in entries])) / unit
        mean = float(np.mean(values))
        families.setdefault(family(point, largest), []).append((size, mean, mean - min(values), max(values) - mean))
    for number, (name, rows) in enumerate(sorted(families.items())):
        x, y, below, above = np.array(sorted(rows)).T
        style = "none" if name == BETWEEN else _STYLES[number % len(_STYLES)]
        axes.errorbar(
            x, y, yerr=[below, above], linestyle=style, marker="osD^v"[number % 5], capsize=3, label=name,
            color="0.65" if name == BETWEEN else f"C{number}",
        )  # fmt: skip
    metric = report.measured[0][1].metric
    axes.set(xscale="log", xlabel=label, ylabel=f"{metric} (%)", title=f"{report.model} on {report.data}")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)


def _halvings(sparsity: Sequence[float]) -> np.ndarray:
    return np.asarray(-np.log2(np.maximum(1 - np.asarray(sparsity), _LEAST_DENSITY)))


def _figure() -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=_SIZE, layout="constrained")  # pyplot would keep figures and choose a window system


def _save(figure: Figure, path: Path) -> None:
    import matplotlib

    metadata = _FORMATS.get(path.suffix)
    if metadata is None:
        raise OutputError(f"{path}: a plot ends in {' or '.join(_FORMATS)}.")
    with replacing(path) as temporary, matplotlib.rc_context({"svg.hashsalt": "tflite-sparse"}):
        figure.savefig(temporary, format=path.suffix[1:], metadata=metadata)
