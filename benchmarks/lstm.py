"""The recurrent networks that `sweep.py` trains on sequences."""

from __future__ import annotations

from typing import Any

_UNITS = 192
_DIMENSIONS = 32


def build(width: float, steps: int, channels: int, classes: int) -> Any:
    """A Keras model: ``(batch, steps, channels)``, an LSTM of ``192 * width`` units, a logit for each class."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((steps, channels), name="sequence"),
            layers.LSTM(round(_UNITS * width), name="lstm"),
            layers.Dense(classes, name="classes"),
        ]
    )


def of_symbols(width: float, steps: int, symbols: int) -> Any:
    """A Keras model: numbers of symbols ``(batch, steps)``, an embedding of 32 dimensions, an LSTM of ``192 * width``
    units, a logit for each symbol at each step.
    """
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((steps,), dtype="int32", name="symbols"),
            layers.Embedding(symbols, _DIMENSIONS, name="embedding"),
            layers.LSTM(round(_UNITS * width), return_sequences=True, name="lstm"),
            layers.Dense(symbols, name="next"),
        ]
    )
