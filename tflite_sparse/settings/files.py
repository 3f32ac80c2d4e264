"""Settings of the commands that take ``.tflite`` files."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tflite_sparse.settings.base import Settings
from tflite_sparse.settings.target import TargetSettings

InputShapes = dict[str, tuple[Annotated[int, Field(ge=1)], ...]]
"""Whole shapes, batch included, by the name of an input."""


class InputShapeSettings(Settings):
    """What commands that run a file have in common.

    Attributes:
        input_shapes: of inputs whose sizes are open, the shapes to run a file with, by the signature's name of the
            input or by that of its tensor. Of others a batch is 1, and a size that runs is looked for.
    """

    input_shapes: InputShapes = Field(default_factory=dict)


class WrittenFileSettings(InputShapeSettings):
    """How a file that was written is compared with its source.

    Attributes:
        verification_samples: how many random samples every runtime is compared on, beside three at the boundaries.
        seed: of the random samples.
        unverified: give the new file its name although its outputs could not be compared. Its weights always are.
    """

    verification_samples: Annotated[int, Field(ge=0)] = 8
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    unverified: bool = False


class EncodeSettings(TargetSettings, WrittenFileSettings):
    """What :func:`tflite_sparse.encode` does: for which target, and how the new file is compared."""


class DecodeSettings(WrittenFileSettings):
    """What :func:`tflite_sparse.decode` does: how the new file is compared."""
