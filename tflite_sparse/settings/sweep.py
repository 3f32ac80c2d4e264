"""Settings of ``sweep``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pydantic
from pydantic import Field

from tflite_sparse.settings.base import Flag
from tflite_sparse.settings.kinds import DEFAULT_SWEEP_OUT, Count, FittedTarget, Grid, Scope, Sparsity
from tflite_sparse.settings.shared import (
    BatchSize,
    ConversionOptions,
    ConversionSettings,
    OutOptions,
    OutSettings,
    PeakLearningRate,
    PixelOptions,
    PixelRange,
    PixelSettings,
    ScoreOptions,
    ScoreSettings,
    TrainingOptions,
    TrainingSettings,
)
from tflite_sparse.target_registry import DEFAULT_TARGET

_Width = Annotated[float, Field(gt=0)]


class SweepOptions(ConversionOptions, OutOptions, PixelOptions, ScoreOptions, TrainingOptions, total=False):
    """Keywords of :func:`tflite_sparse.sweep`."""

    sparsity: Sequence[float]
    width: Sequence[float]
    block: Sequence[str]
    seeds: int
    grid: Grid
    scope: Scope
    target: FittedTarget
    epochs: int
    seed: int
    jobs: int | None
    ray_address: str | None
    resume: bool


class SweepSettings(PixelSettings, OutSettings, ScoreSettings, ConversionSettings, TrainingSettings):
    """Settings of :func:`tflite_sparse.sweep`."""

    sparsity: Annotated[tuple[Sparsity, ...], Field(min_length=1), Flag(metavar="NUMBERS")] = Field(
        (0.0, 0.5, 0.75, 0.875, 0.9, 0.95), description="Shares of zeros. 0: the small dense models."
    )
    width: Annotated[tuple[_Width, ...], Field(min_length=1), Flag(metavar="NUMBERS")] = Field(
        (0.25, 0.5, 0.75, 1.0),
        description="Widths that the builder is called with. The largest makes the large sparse models.",
    )
    block: Annotated[tuple[str, ...], Field(min_length=1), Flag(metavar="BLOCKS")] = Field(
        ("1x1",),
        description="Blocks of weights that become zero together, outputs x inputs as in the .tflite file: 1x1,1x16. "
        "channel: whole channels; `sparsity` is then their share.",
    )
    seeds: Count = Field(3, description="Training runs of each point, with different seeds.")
    grid: Grid = Field(
        "full",
        description="full: every combination. families: each width dense, and the largest width at each sparsity.",
    )
    scope: Scope = Field(
        "global",
        description="layer: a sparsity applies to each kernel. global: to all kernels together, ranked by magnitude, "
        "so that small kernels keep more.",
    )
    target: FittedTarget = Field(DEFAULT_TARGET, description="The runtime of the files.")
    epochs: Count = Field(10, description="Epochs of training of every point.")
    pixels: Annotated[PixelRange, Flag(default="that of the data")] = None  # no model is trained yet that it could fit
    batch_size: BatchSize = 128
    learning_rate: PeakLearningRate = 2e-3
    seed: Annotated[int, Field(ge=0, lt=2**30)] = Field(
        0, description="Seed of the split, and of the first run of each point."
    )
    jobs: Annotated[Count | None, Flag(default="as many as cores and free memory allow")] = Field(
        None, description="Points that are trained at once."
    )
    ray_address: Annotated[str | None, Flag(metavar="auto|HOST:PORT")] = Field(
        None,
        description="Run on this Ray cluster and not on this machine alone. Needs the extra ray.",
    )
    resume: bool = Field(False, description="Skip the finished points in `out`. Failed ones run again.")
    out: Annotated[Path, Flag(letter="o")] = Field(
        DEFAULT_SWEEP_OUT,
        description="Folder for sweep.json, sweep.md, sweep.svg, report.html and the points.",
    )

    @pydantic.model_validator(mode="after")
    def _each_value_once(self) -> SweepSettings:
        for name in ("sparsity", "width", "block"):
            values = getattr(self, name)
            twice = next((value for value in values if values.count(value) > 1), None)
            if twice is not None:
                raise ValueError(f"`{name}`: {twice} is given twice")
        return self

    @pydantic.model_validator(mode="after")
    def _metric_has_points(self) -> SweepSettings:
        if self.metric in ("mse", "psnr"):
            raise ValueError(
                f"`metric={self.metric!r}`: a sweep tells margins in points of a score whose best is 1: leave it out "
                "(r2 of numbers), or give a function of your own"
            )
        return self
