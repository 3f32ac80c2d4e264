"""The recurrent network that `sweep.py` trains on sequences."""

from __future__ import annotations

from typing import Any

_UNITS = 192


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
