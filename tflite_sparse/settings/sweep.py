"""Settings of ``sweep``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pydantic
from pydantic import Field

from tflite_sparse.settings.base import Settings
from tflite_sparse.settings.kinds import DEFAULT_SWEEP_OUT, DenseScales, FittedTarget, Metric, Recurrent, Sparsity
from tflite_sparse.target_registry import DEFAULT_TARGET


class SweepSettings(Settings):
    """What :func:`tflite_sparse.sweep` does.

    Attributes:
        sparsity: shares of zeros; 0 makes the small dense models, the others the large sparse ones.
        width: what the builder is called with.
        block: which weights become zero together, outputs x inputs as the file has them.
        seeds: how many times each point is trained.
        grid: every combination (``"full"``); or those alone that the comparison needs (``"families"``): each width
            dense, and the largest at each sparsity.
        scope: whether the sparsity is that of all kernels together (``"global"``), so that small ones keep more, or of
            each (``"layer"``).
        target: the runtime that the files are for.
        recurrent: how recurrent layers are written, as for an export.
        dense_scales: of the kernels of Dense layers, as for an export.
        epochs: of training, the same for every point.
        batch_size: samples of one step.
        learning_rate: the highest; it falls to zero along a cosine.
        calibration_samples: how many training samples the quantiser sees.
        metric: how outputs are scored, as for an export; one whose best is 1, for margins are told in points.
        seed: of the split of the data, and the first of the points; the others follow it.
        jobs: how many points are trained at once. None: as many as cores and free memory allow; with Ray, as the
            cluster has cores.
        ray_address: of a Ray cluster, ``"auto"`` or ``"HOST:PORT"``. None: this machine.
        resume: skip the points that are done in ``out``.
        out: folder for the results.
    """

    sparsity: Annotated[tuple[Sparsity, ...], Field(min_length=1)] = (0.0, 0.5, 0.75, 0.875, 0.9, 0.95)
    width: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = (0.25, 0.5, 0.75, 1.0)
    block: Annotated[tuple[str, ...], Field(min_length=1)] = ("1x1",)
    seeds: Annotated[int, Field(ge=1)] = 3
    grid: Literal["full", "families"] = "full"
    scope: Literal["layer", "global"] = "global"
    target: FittedTarget = DEFAULT_TARGET
    recurrent: Recurrent = "auto"
    dense_scales: DenseScales = "per-channel"
    epochs: Annotated[int, Field(ge=1)] = 10
    batch_size: Annotated[int, Field(ge=1)] = 128
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    calibration_samples: Annotated[int, Field(ge=1)] = 200
    metric: Metric = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**30)] = 0
    jobs: Annotated[int, Field(ge=1)] | None = None
    ray_address: str | None = None
    resume: bool = False
    out: Path = DEFAULT_SWEEP_OUT

    @pydantic.model_validator(mode="after")
    def _each_value_once(self) -> SweepSettings:
        for name in ("sparsity", "width", "block"):
            values = getattr(self, name)
            twice = next((value for value in values if values.count(value) > 1), None)
            if twice is not None:
                raise ValueError(f"{name}: {twice} is given twice")
        return self

    @pydantic.model_validator(mode="after")
    def _metric_has_points(self) -> SweepSettings:
        if self.metric in ("mse", "psnr"):
            raise ValueError(
                f"metric = {self.metric}: a sweep tells margins in points of a score whose best is 1: leave it out (r2 "
                "of numbers), or give a function of your own"
            )
        return self
