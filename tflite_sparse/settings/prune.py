"""Settings of ``prune``, and of pruning in a training of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from tflite_sparse.settings.base import Settings
from tflite_sparse.settings.kinds import Sparsity


class PruningSettings(Settings):
    """How kernels are pruned while a model trains.

    Attributes:
        sparsity: share of zeros at the end, in [0, 1); may be left out for N:M.
        block: which weights become zero together, outputs x inputs as the file will have them (``"1x16"``), or N:M
            along the inputs (``"2:4"``).
        schedule: ``"polynomial"``, rising along the cubic of Zhu and Gupta (2017); ``"constant"``, all at once.
        initial_sparsity: of the polynomial schedule at ``begin``.
        begin: training step of the first mask. None: after a tenth of the steps.
        end: step of the last mask; they are frozen then. None: after 65 % of the steps.
        frequency: steps between two masks.
        scope: whether the sparsity is that of each kernel (``"layer"``) or of all together (``"global"``).
    """

    sparsity: Sparsity | None = None
    block: str = "1x1"
    schedule: Literal["polynomial", "constant"] = "polynomial"
    initial_sparsity: Sparsity = 0.0
    begin: Annotated[int, Field(ge=0)] | None = None
    end: Annotated[int, Field(ge=1)] | None = None
    frequency: Annotated[int, Field(ge=1)] = 100
    scope: Literal["layer", "global"] = "layer"


class PruneSettings(PruningSettings):
    """What :func:`tflite_sparse.prune` does.

    Attributes:
        epochs: of training.
        batch_size: samples of one step.
        learning_rate: the highest; it falls to zero along a cosine.
        optimizer: name of an optimizer of Keras.
        recipe: TOML file of rules for single kernels, or the name of a preset.
        allocate: scan how much each kernel loses, and spread the sparsity over the kernels accordingly.
        resume: go on from the checkpoint of an interrupted run.
        seed: of initialisation, order and dropout.
        custom_objects: Python file that defines the model's own layers; it is run.
        builder: as :class:`ExportSettings` has it.
    """

    epochs: Annotated[int, Field(ge=1)] = 10
    batch_size: Annotated[int, Field(ge=1)] = 64
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    optimizer: str = "adam"
    recipe: Path | None = None
    allocate: bool = False
    resume: bool = False
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    custom_objects: Path | None = None
    builder: str | None = None
