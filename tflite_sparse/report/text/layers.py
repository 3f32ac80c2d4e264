"""Describe which layers lose most by int8."""

from __future__ import annotations

from collections.abc import Sequence

from tflite_sparse.report.text.names import shortened
from tflite_sparse.results.layers import LayerError

WORST_SHOWN = 10
_WORST_NAMED = 3
_LEAST_NAMED_DB = 3.0  # half of the energy; rounding to 8 bits costs less than that anywhere


def worst(layers: Sequence[LayerError], count: int) -> list[LayerError]:
    """Return the layers whose operators lose most, the worst first."""
    return sorted(layers, key=lambda layer: -layer.lost_db)[:count]


def blame(layers: Sequence[LayerError]) -> str:
    """Name up to three operators that lose half of the quality or more, else the worst."""
    named = worst(layers, _WORST_NAMED)
    named = [layer for layer in named if layer.lost_db >= _LEAST_NAMED_DB] or named[:1]
    return ", ".join(
        f"{layer.layer or shortened(layer.name)} ({layer.operator}, by {layer.lost_db:.1f} dB)" for layer in named
    )
