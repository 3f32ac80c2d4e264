"""Settings of ``export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pydantic
from pydantic import Field

from tflite_sparse import target_registry
from tflite_sparse.errors import SettingsError
from tflite_sparse.settings.kinds import (
    DEFAULT_DROP,
    DEFAULT_OUT,
    DEMO_SPARSITY,
    Activations,
    Alternatives,
    Calibration,
    DenseScales,
    Metric,
    Recurrent,
    Sparsity,
)
from tflite_sparse.settings.target import TargetSettings


class ExportSettings(TargetSettings):
    """What :func:`tflite_sparse.export` does.

    Attributes:
        sparsity: share of zeros that every prunable kernel gets at least, in [0, 1). None: what the model holds.
        int8: quantise weights to int8, and activations as ``activations`` says (needs data); else float32.
        activations: what int8 weights are combined with: int8; int16 (16x8), finer steps; float32, which needs no data:
            weights are dequantised in front of float operators. All but int8 speak of the target litert.
        calibration: how the ranges of int8 activations are chosen: the outermost values seen; all but the outermost
            0.01 % of them; or what has the least mean squared error.
        dense_scales: what the int8 kernels of Dense and other matrix products have: a scale for each output, or one in
            all, which is coarser and makes small files smaller. Convolutions keep theirs for each channel.
        io: type of inputs and outputs of the int8 files. None: that of the activations.
        recipe: TOML file of rules for single layers, or the name of a preset: which masks kernels get, and which layers
            of an int8 file for LiteRT or Micro stay float32. Schedules are of training and left aside.
        recurrent: how recurrent layers are written: ``"loop"``, as they are, LSTMs of Keras 2 as one fused operator;
            ``"unroll"``, step by step, so that int8 weights can be sparse; ``"step"``, the file computes one time step,
            with the states as inputs and outputs; ``"auto"``: what works.
        fixed_batch: inputs take one sample and no other number, as LiteRT.js needs it; for targets other than litert
            they always do, and no other size of an input stays open.
        finetune_epochs: epochs of training under the masks after they were made (needs labels).
        calibration_samples: how many training samples the quantiser sees.
        verification_samples: how many samples every runtime is compared on.
        bias_correction: move the biases of the int8 file so that pruning and quantisation of the weights leave each
            layer's mean output where it was, as measured on the calibration samples.
        metric: how outputs are scored: ``"auto"``, by labels and outputs; ``"top1"``, ``"top5"``, ``"mse"``,
            ``"psnr"``, ``"auc"``; or ``path/to/module.py:function``, which is run.
        measure: also measure latency, loading and memory of the files on this machine, as ``bench`` does.
        max_accuracy_drop: the accuracy gate, as a share: dense float32 minus sparse; of mse and psnr, whose units are
            no shares, that of the labels' spread which is no longer explained; of a function, in its units.
        alternatives: which other int8 files are made and measured where the accuracy gate fails: ``"auto"``, those that
            may pass it, for about as long as the export took; ``"all"``; ``"none"``.
        layer_errors: compare every tensor inside the int8 file with float32 (needs data); done anyway where the
            accuracy gate fails.
        seed: of shuffling, initialisation and training.
        out: folder for the files.
        android_assets: folder that also gets the three files, the class names and ``golden.json``, for an Android app.
        custom_objects: Python file that defines the model's own layers; it is run.
        builder: of an HDF5 file with weights only, ``path/to/module.py:function``; the function is run and returns the
            built model that the weights belong to.
        signature: of a SavedModel with several, the one that is converted. None: ``serving_default``, or the only one.
    """

    sparsity: Sparsity | None = None
    int8: bool = False
    activations: Activations = "int8"
    calibration: Calibration = "min-max"
    dense_scales: DenseScales = "per-channel"
    io: Literal["int8", "int16", "float32"] | None = None
    recipe: Path | None = None
    recurrent: Recurrent = "auto"
    fixed_batch: bool = False
    finetune_epochs: Annotated[int, Field(ge=0)] = 0
    calibration_samples: Annotated[int, Field(ge=1)] = 200
    bias_correction: bool = False
    verification_samples: Annotated[int, Field(ge=4)] = 64
    metric: Metric = "auto"
    measure: bool = False
    max_accuracy_drop: Annotated[float, Field(ge=0, allow_inf_nan=False)] = DEFAULT_DROP
    alternatives: Alternatives = "auto"
    layer_errors: bool = False
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    out: Path = DEFAULT_OUT
    android_assets: Path | None = None
    custom_objects: Path | None = None
    builder: str | None = None
    signature: str | None = None

    @pydantic.model_validator(mode="after")
    def _io_needs_int8(self) -> ExportSettings:
        if self.io is not None and not self.int8:
            raise ValueError("io is the type of inputs and outputs of int8 files: add int8 (--int8)")
        if self.traits.needs_int8 and not self.int8:
            raise ValueError(f"the target {self.target} computes in int8: add int8 (--int8)")
        computes_in_integers = self.int8 and self.activations != "float32"
        if self.bias_correction and not computes_in_integers:
            raise ValueError("bias_correction speaks of integer biases: add int8 (--int8), without float32 activations")
        if self.dense_scales != "per-channel" and not computes_in_integers:
            raise ValueError(
                f"dense_scales = {self.dense_scales} speaks of integer kernels: add int8 (--int8), without float32 "
                "activations"
            )
        if self.layer_errors and not self.int8:
            raise ValueError("layer_errors speaks of int8 files: add int8 (--int8)")
        if self.activations != "int8":
            if not self.int8:
                raise ValueError("activations speaks of int8 files: add int8 (--int8)")
            if self.activations not in self.traits.activations:
                homes = target_registry.names_where(lambda traits: self.activations in traits.activations)
                raise ValueError(
                    f"activations = {self.activations} speaks of the target {target_registry.listed(homes)}, not of "
                    f"{self.target}"
                )
        if self.measure and not self.traits.loaded_by_litert:
            raise ValueError(f"measure runs files in LiteRT, which does not load those of the target {self.target}")
        if self.android_assets is not None and not (self.int8 and self.traits.takes_android_assets):
            homes = target_registry.names_where(lambda traits: traits.takes_android_assets)
            raise ValueError(
                f"android_assets speaks of int8 files for the target {target_registry.listed(homes)}: add int8 (--int8)"
            )
        if self.android_assets is not None and self.io_or_default == "int16":
            raise ValueError("LiteRT's Kotlin API has no int16: add io = float32 (--io float32) to android_assets")
        if self.calibration != "min-max":
            if not self.int8:
                raise ValueError("calibration speaks of int8 files: add int8 (--int8)")
            if self.activations != "int8":
                raise ValueError(f"calibration = {self.calibration} speaks of int8 activations, not {self.activations}")
        if self.io not in (None, "float32", self.activations):
            raise ValueError(f"io = {self.io} does not go with {self.activations} activations: leave it out")
        return self

    @property
    def io_or_default(self) -> Literal["int8", "int16", "float32"]:
        """The type of inputs and outputs of the int8 files."""
        return self.io or self.activations

    def for_demo(self) -> ExportSettings:
        """The settings of a run without a model.

        Raises:
            SettingsError: one speaks of a model.
        """
        of_models = (self.custom_objects, self.builder, self.signature, self.recipe)
        if self.finetune_epochs or any(value is not None for value in of_models):
            raise SettingsError(
                "finetune_epochs, custom_objects, builder, signature and recipe speak of a MODEL, and none was given."
            )
        return self.model_copy(update={"sparsity": DEMO_SPARSITY if self.sparsity is None else self.sparsity})
