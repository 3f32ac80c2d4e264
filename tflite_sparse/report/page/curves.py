"""Draw sparsity and learning rate over training as lines of a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tflite_sparse.results.prune import Curve


@dataclass(frozen=True, slots=True)
class Line:
    """A line from 0 to ``top`` in a square of 100 by 100, with the ordinate pointing down as in SVG.

    Attributes:
        label: name of the quantity.
        words: description for people who do not see the line.
        top: the highest value, as text.
        path: of an SVG path.
        first: first training step, as text.
        last: last training step, as text.
    """

    label: str
    words: str
    top: str
    path: str
    first: str
    last: str


def lines_of(curve: Curve) -> list[Line]:
    """Return the lines of sparsity, constant between two steps, and learning rate."""
    return [
        _line("Sparsity", curve.steps, curve.sparsity, is_held=True),
        _line("Learning rate", curve.steps, curve.learning_rate, is_held=False),
    ]


def _line(label: str, steps: Sequence[int], values: Sequence[float], *, is_held: bool) -> Line:
    top, span = max(values) or 1.0, (steps[-1] - steps[0]) or 1
    points = [
        (100 * (step - steps[0]) / span, 100 * (1 - value / top)) for step, value in zip(steps, values, strict=True)
    ]
    path = f"M{points[0][0]:.2f} {points[0][1]:.2f}"
    for x, y in points[1:]:
        path += f"H{x:.2f}V{y:.2f}" if is_held else f"L{x:.2f} {y:.2f}"
    words = f"from {values[0]:.3g} to {values[-1]:.3g}, at most {top:.3g}"
    return Line(label, words, f"{top:.3g}", path, f"{steps[0]:,}", f"{steps[-1]:,}")
