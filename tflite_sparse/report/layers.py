"""How far the tensors inside the int8 file are from those of the float32 file, as measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import pydantic

from tflite_sparse.report.names import shortened

if TYPE_CHECKING:  # tables need the report, not the runtime
    from tflite_sparse.evaluation import layer_errors

WORST_SHOWN = 10
_WORST_NAMED = 3
_LEAST_NAMED_DB = 3.0  # half of the energy; less is what rounding to 8 bits costs anywhere


class LayerError(pydantic.BaseModel):
    """One tensor; the fields are those of :class:`tflite_sparse.evaluation.layer_errors.LayerError`.

    ``snr_db`` is None where there is no difference.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: str
    operator: str
    snr_db: float | None
    lost_db: float
    cosine: float
    largest_difference: float
    share_of_range: float


def of(found: Iterable[layer_errors.LayerError]) -> list[LayerError]:
    """The report's entries, in the same order."""
    return [LayerError(**dataclasses.asdict(each)) for each in found]


def worst(layers: Sequence[LayerError], count: int) -> list[LayerError]:
    """Those whose operators lose most, the worst first."""
    return sorted(layers, key=lambda layer: -layer.lost_db)[:count]


def blame(layers: Sequence[LayerError]) -> str:
    """Where int8 loses most, in words: up to three operators that lose half of the quality or more, else the worst."""
    named = worst(layers, _WORST_NAMED)
    named = [layer for layer in named if layer.lost_db >= _LEAST_NAMED_DB] or named[:1]
    return ", ".join(f"{shortened(layer.name)} ({layer.operator}, by {layer.lost_db:.1f} dB)" for layer in named)
