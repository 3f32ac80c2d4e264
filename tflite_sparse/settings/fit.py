"""Settings of ``fit``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, get_args

import pydantic
from pydantic import Field

from tflite_sparse.settings.base import Flag
from tflite_sparse.settings.kinds import (
    ANY_DROP,
    DEFAULT_DROP,
    Bytes,
    Count,
    CountFromZero,
    Drop,
    FittedTarget,
    Seed,
)
from tflite_sparse.settings.shared import (
    BUILDER,
    BaselineOptions,
    BaselineSettings,
    ConversionOptions,
    ConversionSettings,
    OutOptions,
    OutSettings,
    PixelOptions,
    PixelSettings,
    ScoreOptions,
    ScoreSettings,
    SourceOptions,
    SourceSettings,
    TrainingOptions,
    TrainingSettings,
)
from tflite_sparse.target_registry import DEFAULT_TARGET, help_of


class FitOptions(
    BaselineOptions,
    ConversionOptions,
    OutOptions,
    PixelOptions,
    ScoreOptions,
    SourceOptions,
    TrainingOptions,
    total=False,
):
    """Keywords of :func:`tflite_sparse.fit`."""

    budget: int | str | None
    gate: bool
    max_accuracy_drop: float | None
    target: FittedTarget
    blocks: Sequence[str]
    epochs: int
    train_epochs: int
    rounds: int
    io: Literal["int8", "float32"] | None
    seed: int
    resume: bool


class FitSettings(
    BaselineSettings,
    PixelSettings,
    SourceSettings,
    OutSettings,
    ScoreSettings,
    ConversionSettings,
    TrainingSettings,
):
    """Settings of :func:`tflite_sparse.fit`."""

    budget: Annotated[Bytes | None, Flag(metavar="BYTES")] = Field(
        None, description="Largest size of the file in bytes: 100kB (100,000), 100KiB, 1.5MB, 100000."
    )
    gate: bool = Field(
        False,
        description="In place of a budget: make the smallest file that loses no more than `max_accuracy_drop`.",
    )
    max_accuracy_drop: Annotated[Drop | None, Flag(default=f"{DEFAULT_DROP:g} with `gate`, none with `budget`")] = (
        Field(
            None,
            description="Largest share by which accuracy may fall against the dense float32 model.",
        )
    )
    target: FittedTarget = Field(
        DEFAULT_TARGET,
        description=f"The runtime. {help_of(get_args(FittedTarget))}",
    )
    blocks: Annotated[tuple[str, ...], Flag("block", metavar="BLOCKS")] = Field(
        ("1x1", "1x4", "1x16"),
        description="Weights that may become zero together, outputs x inputs; each kernel gets the block that pays.",
    )
    epochs: CountFromZero = Field(10, description="Epochs of training while a plan is pruned to; 0: masks only.")
    train_epochs: Count = Field(30, description="Without `model`: epochs of training the dense one first.")
    rounds: Count = Field(
        4,
        description="Largest number of plans that are carried out, where the file comes out too large.",
    )
    io: Annotated[Literal["int8", "float32"] | None, Flag(default="int8")] = Field(
        None, description="Type of inputs and outputs of the file."
    )
    seed: Seed = Field(0, description="Seed of initialisation, order, dropout and split.")
    resume: bool = Field(False, description="Go on with an interrupted run.")
    builder: Annotated[str | None, BUILDER] = Field(
        None,
        description="Instead of `model`: a function without arguments that returns the built Keras model to train. It "
        "is run.",
    )

    @pydantic.model_validator(mode="after")
    def _one_aim(self) -> FitSettings:
        if self.gate == (self.budget is not None):
            raise ValueError('give `budget="100kB"` or `gate=True`, one of the two')
        if not self.blocks or len(set(self.blocks)) < len(self.blocks):
            raise ValueError("give one or more blocks, each once, as `blocks=('1x1', '1x16')`")
        return self

    @property
    def allowed_drop(self) -> float:
        """The accuracy gate; :data:`ANY_DROP` without one."""
        if self.max_accuracy_drop is not None:
            return self.max_accuracy_drop
        return DEFAULT_DROP if self.gate else ANY_DROP
