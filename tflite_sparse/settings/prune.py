"""Settings of ``prune``, and of pruning in a user's own training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from tflite_sparse.settings.base import Flag, Settings
from tflite_sparse.settings.kinds import AnyPath, Count, CountFromZero, Schedule, Scope, Seed, Sparsity
from tflite_sparse.settings.shared import (
    PixelOptions,
    PixelSettings,
    SourceOptions,
    SourceSettings,
    TrainingOptions,
    TrainingSettings,
)


class ScheduleOptions(TypedDict, total=False):
    """Keywords of :class:`PruningSettings` except the sparsity."""

    block: str
    channel_multiple: int
    schedule: Schedule
    initial_sparsity: float
    begin: int | None
    end: int | None
    frequency: int
    scope: Scope


class PruningOptions(ScheduleOptions, total=False):
    """Keywords of :class:`PruningSettings`."""

    sparsity: float | None


class PruningSettings(Settings):
    """Settings of pruning during training."""

    sparsity: Sparsity | None = Field(
        None,
        description="Share of zeros in every pruned kernel, from 0 to below 1; with `block` channel, share of its "
        "channels. A `block` of N:M fixes it.",
    )
    block: str = Field(
        "1x1",
        description="Block of weights that become zero together, outputs x inputs as in the .tflite file (1x4, 1x16), "
        "or N:M along inputs (2:4). channel: whole output channels, with bias, normalisation and depthwise kernels.",
    )
    channel_multiple: Count = Field(
        8, description="With `block` channel: kept channels of a layer are rounded up to a multiple of this number."
    )
    schedule: Schedule = Field(
        "polynomial",
        description="How sparsity rises. polynomial: along the cubic of Zhu and Gupta (2017). constant: at once.",
    )
    initial_sparsity: Sparsity = Field(0.0, description="Sparsity at `begin` of the polynomial schedule.")
    begin: Annotated[CountFromZero | None, Flag(default="a tenth of the steps, of channels a twentieth")] = Field(
        None, description="Training step of the first mask."
    )
    end: Annotated[Count | None, Flag(default="65 % of the steps, of channels 35 %")] = Field(
        None, description="Training step of the last mask. It holds from then on."
    )
    frequency: Count = Field(100, description="Training steps between two masks.")
    scope: Scope = Field(
        "layer",
        description="layer: `sparsity` applies to each kernel. global: to all kernels together, ranked by magnitude.",
    )


class PruneOptions(PruningOptions, TrainingOptions, SourceOptions, PixelOptions, total=False):
    """Keywords of :func:`tflite_sparse.prune`."""

    epochs: int
    optimizer: str
    recipe: AnyPath | None
    allocate: bool
    resume: bool
    seed: int


class PruneSettings(PixelSettings, SourceSettings, TrainingSettings, PruningSettings):
    """Settings of :func:`tflite_sparse.prune`."""

    epochs: Count = Field(10, description="Epochs of training.")
    optimizer: str = Field("adam", description="Name of a Keras optimizer.")
    recipe: Path | None = Field(
        None,
        description="TOML file of rules for single kernels. Or a preset: litert, micro, ethos-u, native.",
    )
    allocate: bool = Field(
        False,
        description="Measure the sensitivity of each kernel first, then spread `sparsity` over them for the least "
        "loss.",
    )
    resume: bool = Field(False, description="Continue an interrupted run from its last full epoch.")
    seed: Seed = Field(0, description="Seed of initialisation, order, dropout and splits.")
