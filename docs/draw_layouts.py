"""Draw docs/images/ with the encoders: ``python docs/draw_layouts.py``. A test compares the words in the pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tflite_sparse.codecs import bitmask, csr, entropy, huffman, search
from tflite_sparse.codecs.layout import Layout
from tflite_sparse.rewrites.split_axis import groups_of_channels

TARGET = Path(__file__).with_name("images")

_TINTS = ("#cfe3f7", "#fbdcc0", "#d3eccd", "#e4d6f0")  # one for each row of the weight
_EMPTY, _EDGE, _INK, _FAINT = "#ffffff", "#8a929b", "#1f2328", "#aab1b8"
_UNIT = 0.42  # inches for one cell
_SETTINGS = {"svg.hashsalt": "tflite-sparse", "svg.fonttype": "none", "font.size": 10}


def pictures() -> Iterator[tuple[str, Figure]]:
    """The name of each file, and what it shows."""
    drawn: dict[str, Callable[[], Figure]] = {
        "csr.svg": _csr,
        "blocks.svg": _blocks,
        "split-axis.svg": _split_axis,
        "bitmask.svg": _bitmask,
        "bytes.svg": _bytes,
    }
    for name, draw in drawn.items():
        yield name, draw()


def write(folder: Path) -> None:
    """Write every picture into a folder."""
    folder.mkdir(exist_ok=True)
    for name, figure in pictures():
        with matplotlib.rc_context(_SETTINGS):
            figure.savefig(folder / name, metadata={"Date": None})


def _small_weight() -> np.ndarray:
    """(4, 8), int8, three quarters zeros."""
    weight = np.zeros((4, 8), np.int8)
    weight[0, 1], weight[0, 6], weight[1, 0] = 7, -3, 5
    weight[1, 3], weight[1, 7], weight[3, 2], weight[3, 3], weight[3, 5] = 9, -1, 4, -8, 2
    return weight


def _csr() -> Figure:
    weight = _small_weight()
    encoded = csr.encode(weight, Layout(weight.shape, (0, 1), (False, True)))
    level = encoded.levels[1]
    assert level is not None
    rows = np.repeat(np.arange(4), np.diff(level.segments))
    figure, axes = _canvas(20.5, 6.2)
    _grid(axes, weight, 1.6, 1.0)
    axes.text(5.6, 5.5, "weight (4, 8), int8: 32 bytes dense", ha="center", color=_INK)
    axes.text(1.3, 3.0, "axis 0, dense level", ha="center", va="center", rotation=90, color=_INK)
    axes.text(5.6, 0.6, "axis 1, compressed level", ha="center", va="center", color=_INK)
    left = 11.8
    _strip(axes, level.segments, left, 4.2, _EMPTY, f"segments: where each row starts, {_size(level.segments)}")
    _strip(
        axes,
        level.indices,
        left,
        2.5,
        [_TINTS[row] for row in rows],
        f"indices: the column of each kept weight, {_size(level.indices)}",
    )
    _strip(
        axes,
        encoded.values,
        left,
        0.8,
        [_TINTS[row] for row in rows],
        f"values, in traversal order, {_size(encoded.values)}",
    )
    return figure


def _blocks() -> Figure:
    weight = np.zeros((4, 16), np.int8)
    weight[0, 4:8] = 7, -3, 2, 1
    weight[1, 0:4], weight[1, 12:16] = (5, 0, 9, -1), (6, -2, 3, -4)
    weight[3, 8:12] = 4, -8, 0, 2
    encoded = csr.encode(weight, Layout(weight.shape, (0, 1, 2), (False, True, False), (1,), (4,)))
    level = encoded.levels[1]
    assert level is not None
    rows = np.repeat(np.arange(4), np.diff(level.segments))
    figure, axes = _canvas(20.5, 10.0)
    _grid(axes, weight, 2.2, 5.0)
    for row in range(4):
        for column in range(0, 16, 4):
            axes.add_patch(Rectangle((2.2 + column, 5.0 + row), 4, 1, fill=False, edgecolor=_INK, linewidth=1.6))
    axes.text(
        10.2,
        9.4,
        "weight (4, 16) in blocks of 1x4: an index counts blocks, and serves four weights",
        ha="center",
        color=_INK,
    )
    _strip(axes, level.segments, 2.2, 2.8, _EMPTY, f"segments, {_size(level.segments)}")
    _strip(axes, level.indices, 10.2, 2.8, [_TINTS[row] for row in rows], f"indices of blocks, {_size(level.indices)}")
    colours = [_TINTS[row] for row in np.repeat(rows, 4)]
    _strip(axes, encoded.values, 2.2, 0.6, colours, f"values: all of a block, its zeros too, {_size(encoded.values)}")
    return figure


def _split_axis() -> Figure:
    width = 512
    groups, channels = groups_of_channels(width)
    row = np.zeros((1, width), np.int8)
    kept = [20, 130, 240, 300, 395, 490]
    row[0, kept] = 5, -2, 7, 3, -6, 1
    plain = csr.encode(row, Layout(row.shape, (0, 1), (False, True))).levels[1]
    shape = (1, 1, groups, channels)
    split = csr.encode(row.reshape(shape), Layout(shape, (0, 1, 2, 3), (False, False, False, True))).levels[3]
    assert plain is not None
    assert split is not None
    figure, axes = _canvas(20.5, 8.6)
    place = 16.4 / width
    before_words = f"a row of FULLY_CONNECTED, (n_out, {width}): a column takes two bytes, {_size(plain.indices)}"
    after_words = f"the same row in CONV_2D, (n_out, 1, {groups}, {channels}): one byte each, {_size(split.indices)}"
    axes.text(10.2, 7.6, before_words, ha="center", color=_INK)
    axes.text(10.2, 0.2, after_words, ha="center", color=_INK)
    owner = np.repeat(np.arange(groups), np.diff(split.segments))
    _axis(axes, 2.0, 6.0, 16.4, _EMPTY)
    for group in range(groups):
        _axis(axes, 2.0 + group * (channels * place + 0.2), 1.6, channels * place, _TINTS[group])
    for column, before, after, group in zip(kept, plain.indices, split.indices, owner, strict=True):
        above, below = 2.0 + column * place, 2.0 + column * place + 0.2 * group
        axes.plot([above, above], [6.0, 6.7], color=_INK, linewidth=2.4)
        axes.plot([below, below], [1.6, 2.3], color=_INK, linewidth=2.4)
        axes.text(above, 5.4, str(before), ha="center", va="center", color=_INK)
        axes.text(below, 1.1, str(after), ha="center", va="center", color=_INK)
        axes.annotate("", (below, 2.4), (above, 5.0), arrowprops={"arrowstyle": "->", "color": _FAINT})
    return figure


def _bitmask() -> Figure:
    weight = _small_weight()
    stored = bitmask.encode(weight)
    figure, axes = _canvas(20.5, 6.2)
    _grid(axes, weight, 0.6, 1.0)
    axes.text(4.6, 5.5, "weight (4, 8), int8: 32 bytes dense", ha="center", color=_INK)
    left = 10.4
    axes.text(left, 5.5, f"encoded vector: one bit a weight, {_size(stored.encoded)}", color=_INK)
    bits = np.unpackbits(stored.encoded).reshape(4, 8)
    for row, (line, byte) in enumerate(zip(bits, stored.encoded, strict=True)):
        bottom = 4.2 - 0.8 * row
        for column, bit in enumerate(line):
            _cell(axes, left + column * 0.8, bottom, str(bit), _TINTS[row] if bit else _EMPTY, 0.8, faint=not bit)
        axes.text(left + 6.8, bottom + 0.4, f"0x{byte:02x}", va="center", color=_INK)
    kept_rows = np.nonzero(weight)[0]
    values = stored.contents.view(np.int8)
    header = stored.ancillary.nbytes - values.nbytes
    words = f"ancillary vector: header of {header} bytes, values {_size(values)}"
    _strip(axes, values, left, 0.2, [_TINTS[row] for row in kept_rows], words)
    return figure


def _bytes() -> Figure:
    weight = _pruned_weight(512, 512)
    plain = csr.encode(weight, Layout(weight.shape, (0, 1), (False, True)))
    cheapest = search.cheapest(weight.reshape(512, 1, *groups_of_channels(512)))
    assert cheapest is not None
    bars = {
        "dense int8": (weight.nbytes, _FAINT),
        "CSR, indices of two bytes (TensorFlow)": (plain.nbytes, _TINTS[1]),
        "CSR, axis split, indices of one byte": (cheapest.nbytes, _TINTS[0]),
        "bitmask (DECODE of TensorFlow Lite Micro)": (bitmask.nbytes(weight), _TINTS[2]),
        "Huffman (DECODE of TensorFlow Lite Micro)": (huffman.nbytes(weight), _TINTS[2]),
        "entropy bound of single weights": (entropy.entropy_bytes(weight), _TINTS[3]),
    }
    figure = Figure(figsize=(20.5 * _UNIT, 7.0 * _UNIT), facecolor=_EMPTY, layout="constrained")
    axes = figure.add_subplot()
    names = list(bars)
    sizes = [bars[name][0] / weight.size for name in names]
    axes.barh(names, sizes, color=[bars[name][1] for name in names], edgecolor=_EDGE, height=0.7)
    for position, size in enumerate(sizes):
        axes.text(size + 0.01, position, f"{size:.3f}", va="center", color=_INK)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.1)
    axes.set_xlabel("bytes for each weight, (512, 512) int8, 87.5 % zeros", color=_INK)
    axes.tick_params(colors=_INK)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _pruned_weight(outputs: int, inputs: int) -> np.ndarray:
    """Normally distributed, quantised with a scale for each output, the smallest 87.5 % zero."""
    drawn = np.random.default_rng(0).normal(size=(outputs, inputs))
    drawn[np.abs(drawn) < np.quantile(np.abs(drawn), 0.875)] = 0
    return np.asarray(np.round(drawn / np.abs(drawn).max(axis=1, keepdims=True) * 127), np.int8)


def _canvas(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width * _UNIT, height * _UNIT), facecolor=_EMPTY)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    return figure, axes


def _grid(axes: Axes, weight: np.ndarray, left: float, bottom: float) -> None:
    for (row, column), value in np.ndenumerate(weight):
        colour = _TINTS[row] if value else _EMPTY
        _cell(axes, left + column, bottom + len(weight) - 1 - row, str(value), colour, faint=not value)


def _strip(
    axes: Axes, values: np.ndarray, left: float, bottom: float, colours: str | Sequence[str], words: str
) -> None:
    """A vector in cells, with words above it."""
    axes.text(left, bottom + 1.0, words, color=_INK)
    each = [colours] * len(values) if isinstance(colours, str) else colours
    for position, (value, colour) in enumerate(zip(values, each, strict=True)):
        _cell(axes, left + 0.8 * position, bottom, str(value), colour, 0.8)


def _cell(
    axes: Axes, left: float, bottom: float, words: str, colour: str, side: float = 1.0, *, faint: bool = False
) -> None:
    axes.add_patch(Rectangle((left, bottom), side, side, facecolor=colour, edgecolor=_EDGE, linewidth=0.8))
    place: dict[str, Any] = {"ha": "center", "va": "center"}
    axes.text(left + side / 2, bottom + side / 2, words, color=_FAINT if faint else _INK, fontsize=9, **place)


def _axis(axes: Axes, left: float, bottom: float, width: float, colour: str) -> None:
    axes.add_patch(Rectangle((left, bottom), width, 0.7, facecolor=colour, edgecolor=_EDGE, linewidth=0.8))


def _size(vector: np.ndarray) -> str:
    return f"{vector.size} x {vector.dtype}" if vector.itemsize > 1 else f"{vector.nbytes} bytes"


if __name__ == "__main__":
    write(TARGET)
