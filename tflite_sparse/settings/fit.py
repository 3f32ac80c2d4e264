"""Settings of ``fit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pydantic
from pydantic import Field

from tflite_sparse.settings.base import Settings
from tflite_sparse.settings.kinds import (
    ANY_DROP,
    DEFAULT_DROP,
    DEFAULT_OUT,
    Bytes,
    DenseScales,
    FittedTarget,
    Metric,
    Recurrent,
)
from tflite_sparse.target_registry import DEFAULT_TARGET


class FitSettings(Settings):
    """What :func:`tflite_sparse.fit` does.

    Attributes:
        budget: bytes that the file may have, or the same in words (``"100kB"``).
        gate: instead of a budget: the smallest file that loses no more than ``max_accuracy_drop``.
        max_accuracy_drop: the accuracy gate, as a share: dense float32 minus sparse. None: 0.01 with ``gate``, no gate
            with a budget.
        target: the runtime of the file.
        blocks: what may become zero together, outputs x inputs; each kernel gets the one that pays.
        epochs: of training while a plan is pruned to. 0: masks only.
        train_epochs: of a model that is trained here first: the demo network, or what ``builder`` returns.
        batch_size: samples of one step.
        learning_rate: the highest; it falls to zero along a cosine.
        rounds: how many times at most the plan is tightened and trained again where the file came out too large.
        io: type of inputs and outputs of the int8 files.
        recurrent: how recurrent layers are written, as for an export.
        dense_scales: of the kernels of Dense layers, as for an export.
        calibration_samples: how many training samples the quantiser sees.
        metric: how outputs are scored, as for an export. Kernels are chosen by the loss, whatever it is.
        seed: of initialisation, order, dropout and the split.
        resume: go on with an interrupted run.
        out: folder for the files.
        custom_objects: Python file that defines the model's own layers; it is run.
        builder: ``path/to/module.py:function`` that returns the model to train, instead of a model; it is run.
    """

    budget: Bytes | None = None
    gate: bool = False
    max_accuracy_drop: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    target: FittedTarget = DEFAULT_TARGET
    blocks: tuple[str, ...] = ("1x1", "1x4", "1x16")
    epochs: Annotated[int, Field(ge=0)] = 10
    train_epochs: Annotated[int, Field(ge=1)] = 30
    batch_size: Annotated[int, Field(ge=1)] = 64
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    rounds: Annotated[int, Field(ge=1)] = 4
    io: Literal["int8", "float32"] | None = None
    recurrent: Recurrent = "auto"
    dense_scales: DenseScales = "per-channel"
    calibration_samples: Annotated[int, Field(ge=1)] = 200
    metric: Metric = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    resume: bool = False
    out: Path = DEFAULT_OUT
    custom_objects: Path | None = None
    builder: str | None = None

    @pydantic.model_validator(mode="after")
    def _one_aim(self) -> FitSettings:
        if self.gate == (self.budget is not None):
            raise ValueError("give a budget (--budget 100kB) or gate (--gate), one of the two")
        if not self.blocks or len(set(self.blocks)) < len(self.blocks):
            raise ValueError("blocks: give one or more, each once (--block 1x1,1x16)")
        return self

    @property
    def allowed_drop(self) -> float:
        """The accuracy gate; :data:`ANY_DROP` where there is none."""
        if self.max_accuracy_drop is not None:
            return self.max_accuracy_drop
        return DEFAULT_DROP if self.gate else ANY_DROP
