"""Build the recurrent network that `sweep.py` trains on sequences."""

from __future__ import annotations

from typing import Any

_UNITS = 192


def build(width: float, steps: int, channels: int, classes: int, *, every_step: bool = False) -> Any:
    """Build a Keras model: ``(batch, steps, channels)``, an LSTM of ``192 * width`` units, a logit for each class.

    With ``every_step`` it yields logits ``(batch, steps, classes)``, else those of the last step.
    """
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((steps, channels), name="sequence"),
            layers.LSTM(round(_UNITS * width), return_sequences=every_step, name="lstm"),
            layers.Dense(classes, name="classes"),
        ]
    )
