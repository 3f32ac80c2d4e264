"""Settings of ``export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pydantic
from pydantic import Field

from tflite_sparse import target_registry
from tflite_sparse.errors import SettingsError
from tflite_sparse.settings.base import Flag
from tflite_sparse.settings.kinds import (
    DEFAULT_DROP,
    DEMO_SPARSITY,
    Activations,
    Alternatives,
    AnyPath,
    Calibration,
    Drop,
    EpochsOrAuto,
    Seed,
    Sparsity,
)
from tflite_sparse.settings.shared import (
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
    SharedValuesOptions,
    SharedValuesSettings,
    SourceOptions,
    SourceSettings,
)
from tflite_sparse.settings.target import TargetOptions, TargetSettings


class ExportOptions(
    BaselineOptions,
    ConversionOptions,
    OutOptions,
    PixelOptions,
    ScoreOptions,
    SharedValuesOptions,
    SourceOptions,
    TargetOptions,
    total=False,
):
    """Keywords of :func:`tflite_sparse.export`."""

    sparsity: float | None
    int8: bool
    io: Activations | None
    activations: Activations
    calibration: Calibration
    recipe: AnyPath | None
    fixed_batch: bool
    finetune_epochs: int | Literal["auto"]
    verification_samples: int
    bias_correction: bool
    measure: bool
    max_accuracy_drop: float
    alternatives: Alternatives
    layer_errors: bool
    signature: str | None
    seed: int
    android_assets: AnyPath | None


class ExportSettings(
    BaselineSettings,
    SharedValuesSettings,
    OutSettings,
    PixelSettings,
    SourceSettings,
    ScoreSettings,
    ConversionSettings,
    TargetSettings,
):
    """Settings of :func:`tflite_sparse.export`."""

    sparsity: Annotated[
        Sparsity | None, Flag(default=f"what `model` holds; {DEMO_SPARSITY:g} for the demo network")
    ] = Field(None, description="Share of zeros in every prunable kernel, from 0 to below 1.")
    int8: bool = Field(False, description="Quantise weights and activations to int8 after training. Needs data.")
    io: Annotated[Activations | None, Flag(default="that of `activations`")] = Field(
        None, description="Type of inputs and outputs of the int8 files."
    )
    activations: Activations = Field(
        "int8",
        description="With `int8`: type of activations beside int8 weights. int16 and float32 are slower and more "
        "accurate; float32 needs no data.",
    )
    calibration: Calibration = Field(
        "min-max",
        description="How ranges of int8 activations are chosen. min-max: from the least to the greatest value. "
        "percentile: without the outermost 0.01 % of values. mse: least mean squared error. percentile and mse take "
        "twice as long to calibrate.",
    )
    recipe: Path | None = Field(
        None,
        description="TOML file of rules for single layers: masks of their kernels, and which stay float32 in an int8 "
        "file. Or a preset: litert, micro, ethos-u, native, float-normalization.",
    )
    fixed_batch: bool = Field(
        False,
        description='Fix the batch of inputs to 1, as LiteRT.js requires. LiteRT.js also needs `io="float32"`.',
    )
    finetune_epochs: EpochsOrAuto = Field(
        "auto",
        description="Epochs of training while `model` is pruned. Needs labels. auto: as many as accuracy needs, at "
        "most 5 and about 3 minutes, where there are labels and `sparsity` is above that of `model`. 0: mask at once, "
        "without training.",
    )
    verification_samples: Annotated[int, Field(ge=4), Flag(hidden=True)] = Field(
        64, description="Samples that every runtime is compared on."
    )
    bias_correction: bool = Field(
        False,
        description="With `int8`: correct biases for the shift of each layer's mean output by pruning (without "
        "training) and by quantisation of the weights.",
    )
    measure: bool = Field(
        False, description="Also measure latency, load time and memory on this machine, as bench does."
    )
    max_accuracy_drop: Drop = Field(
        DEFAULT_DROP,
        description="Largest fall of accuracy against the dense float32 model, from 0 to 1; more fails the gate. With "
        "mse and psnr: fall of the explained share of the labels' variance. With a function: in its units.",
    )
    alternatives: Alternatives = Field(
        "auto",
        description="With `int8`, when accuracy falls too far: make and measure other int8 files. auto: those that may "
        "pass, for about as long as the export took. all: every one. none: skip it.",
    )
    layer_errors: bool = Field(
        False,
        description="With `int8`: report the error of every tensor in the dense int8 file against float32, and the "
        "operators that cause it. On when accuracy falls too far.",
    )
    signature: Annotated[str | None, Flag(metavar="NAME", default="serving_default, or the only one")] = Field(
        None, description="For a `model` that is a SavedModel with several signatures: the one to convert."
    )
    seed: Seed = Field(0, description="Seed of initialisation, order and split.")
    android_assets: Annotated[Path | None, Flag(metavar="DIR")] = Field(
        None,
        description="Also write the three files, labels.txt and golden.json (inputs and the outputs of this machine's "
        "runtime) into this folder of an Android app. Needs `int8`.",
    )

    @pydantic.model_validator(mode="after")
    def _io_needs_int8(self) -> ExportSettings:
        if self.io is not None and not self.int8:
            raise ValueError("`io` is the type of inputs and outputs of int8 files: add `int8=True`")
        if self.traits.needs_int8 and not self.int8:
            raise ValueError(f"the target {self.target} computes in int8: add `int8=True`")
        if self.bias_correction and not self.computes_in_integers:
            raise ValueError(
                "`bias_correction` applies to integer biases: add `int8=True`, without float32 activations"
            )
        if self.dense_scales != "per-channel" and not self.computes_in_integers:
            raise ValueError(
                f"`dense_scales={self.dense_scales!r}` applies to integer kernels: add `int8=True`, without float32 "
                "activations"
            )
        if self.layer_errors and not self.int8:
            raise ValueError("`layer_errors` applies to int8 files: add `int8=True`")
        if self.shared_values is not None and not self.computes_in_integers:
            raise ValueError("`shared_values` applies to int8 weights: add `int8=True`, without float32 activations")
        if self.activations != "int8":
            if not self.int8:
                raise ValueError("`activations` applies to int8 files: add `int8=True`")
            if self.activations not in self.traits.activations:
                homes = target_registry.names_where(lambda traits: self.activations in traits.activations)
                raise ValueError(
                    f"`activations={self.activations!r}` applies to the target {target_registry.listed(homes)}, not to "
                    f"{self.target}"
                )
        if self.measure and not self.traits.loaded_by_litert:
            raise ValueError(f"`measure` runs files in LiteRT, which does not load those of the target {self.target}")
        if self.android_assets is not None and not (self.int8 and self.traits.takes_android_assets):
            homes = target_registry.names_where(lambda traits: traits.takes_android_assets)
            raise ValueError(
                f"`android_assets` applies to int8 files for the target {target_registry.listed(homes)}: add "
                "`int8=True`"
            )
        if self.android_assets is not None and self.io_or_default == "int16":
            raise ValueError('LiteRT\'s Kotlin API has no int16: add `io="float32"` to `android_assets`')
        if self.calibration != "min-max":
            if not self.int8:
                raise ValueError("`calibration` applies to int8 files: add `int8=True`")
            if self.activations != "int8":
                raise ValueError(
                    f"`calibration={self.calibration!r}` applies to int8 activations, not to {self.activations}"
                )
        if self.io not in (None, "float32", self.activations):
            raise ValueError(f"`io={self.io!r}` does not go with {self.activations} activations: leave it out")
        return self

    @property
    def computes_in_integers(self) -> bool:
        """Whether weights and activations of the int8 files are integers."""
        return self.int8 and self.activations != "float32"

    @property
    def io_or_default(self) -> Activations:
        """The type of inputs and outputs of the int8 files."""
        return self.io or self.activations

    def for_demo(self) -> ExportSettings:
        """Return the settings of a run without a model.

        Raises:
            SettingsError: a setting needs a model.
        """
        of_models = ("finetune_epochs", "baseline", "custom_objects", "builder", "signature", "recipe", "pixels")
        given = [f"`{name}`" for name in of_models if getattr(self, name) not in (None, 0, "auto")]
        if given:
            raise SettingsError(f"{', '.join(given)}: only with a `model`, and none was given.")
        return self.model_copy(update={"sparsity": DEMO_SPARSITY if self.sparsity is None else self.sparsity})
