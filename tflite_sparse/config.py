"""Frozen, typed settings that refuse unknown keys and values out of range."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import ConfigDict, Field

from tflite_sparse.errors import SettingsError

DEFAULT_OUT = Path("tflite-sparse-out")
DEMO_SPARSITY = 0.875
DEMO_DATA = "mnist-5k"

Target = Literal["litert", "micro", "ethos-u"]
Optimize = Literal["size", "latency"]
Activations = Literal["int8", "int16", "float32"]
Sparsity = Annotated[float, Field(ge=0, lt=1)]


class Settings(pydantic.BaseModel):
    """Base of all settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except pydantic.ValidationError as error:
            raise SettingsError("; ".join(_in_words(detail) for detail in error.errors())) from None


class TargetSettings(Settings):
    """What a file is made for.

    Attributes:
        target: ``"litert"``; ``"micro"``: TensorFlow Lite Micro, constants behind its DECODE operator; ``"ethos-u"``:
            the dense file, and the same compiled by Vela.
        optimize: of litert, the smallest file, every bit kept; or, of each operator's forms, the one that is fastest on
            this machine: native kernels that round in their own way are among them.
        micro_codec: of micro, how constants are compressed.
        micro_min_saving: of micro, constants that would save fewer bytes stay dense.
        c_array: of micro, also write the file as a C++ array.
        accelerator_config: of ethos-u, what Vela compiles for.
    """

    target: Target = "litert"
    optimize: Optimize = "size"
    micro_codec: Literal["auto", "prune", "huffman", "lut", "dense"] = "auto"
    micro_min_saving: Annotated[int, Field(ge=0)] = 64
    c_array: bool = False
    accelerator_config: str = "ethos-u55-128"

    @pydantic.model_validator(mode="after")
    def _each_speaks_of_its_target(self) -> TargetSettings:
        homes = {
            "optimize": "litert",
            "micro_codec": "micro",
            "micro_min_saving": "micro",
            "c_array": "micro",
            "accelerator_config": "ethos-u",
        }
        for name, home in homes.items():
            if self.target != home and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} speaks of the target {home}, not of {self.target}")
        return self


class ExportSettings(TargetSettings):
    """What :func:`tflite_sparse.export` does.

    Attributes:
        sparsity: share of zeros that every prunable kernel gets at least, in [0, 1). None: what the model holds.
        int8: quantise weights to int8, and activations as ``activations`` says (needs data); else float32.
        activations: what int8 weights are combined with: int8; int16 (16x8), finer steps; float32, which needs no data:
            weights are dequantised in front of float operators. All but int8 speak of the target litert.
        io: type of inputs and outputs of the int8 files. None: that of the activations.
        recurrent: how recurrent layers are written: ``"loop"``, as they are, LSTMs of Keras 2 as one fused operator;
            ``"unroll"``, step by step, so that int8 weights can be sparse; ``"auto"``: what works.
        finetune_epochs: epochs of training under the masks after they were made (needs labels).
        calibration_samples: how many training samples the quantiser sees.
        verification_samples: how many samples every runtime is compared on.
        max_accuracy_drop: the accuracy gate, as a share: dense float32 minus sparse.
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
    io: Literal["int8", "int16", "float32"] | None = None
    recurrent: Literal["auto", "loop", "unroll"] = "auto"
    finetune_epochs: Annotated[int, Field(ge=0)] = 0
    calibration_samples: Annotated[int, Field(ge=1)] = 200
    verification_samples: Annotated[int, Field(ge=4)] = 64
    max_accuracy_drop: Annotated[float, Field(ge=0, le=1)] = 0.01
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
        if self.target == "ethos-u" and not self.int8:
            raise ValueError("an Ethos-U computes in int8: add int8 (--int8)")
        if self.activations != "int8":
            if not self.int8:
                raise ValueError("activations speaks of int8 files: add int8 (--int8)")
            if self.target != "litert":
                raise ValueError(f"activations = {self.activations} speaks of the target litert, not of {self.target}")
        if self.android_assets is not None and not (self.int8 and self.target == "litert"):
            raise ValueError("android_assets speaks of int8 files for the target litert: add int8 (--int8)")
        if self.android_assets is not None and self.io_or_default == "int16":
            raise ValueError("LiteRT's Kotlin API has no int16: add io = float32 (--io float32) to android_assets")
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
        of_models = (self.custom_objects, self.builder, self.signature)
        if self.finetune_epochs or any(value is not None for value in of_models):
            raise SettingsError(
                "finetune_epochs, custom_objects, builder and signature speak of a MODEL, and none was given."
            )
        return self.model_copy(update={"sparsity": DEMO_SPARSITY if self.sparsity is None else self.sparsity})


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


class EncodeSettings(TargetSettings):
    """What :func:`tflite_sparse.encode` does.

    Attributes:
        verification_samples: how many random samples every runtime is compared on, beside three at the boundaries.
        seed: of the random samples.
    """

    verification_samples: Annotated[int, Field(ge=0)] = 8
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0


def _in_words(detail: Any) -> str:
    if not detail["loc"]:
        return str(detail["msg"]).removeprefix("Value error, ")
    return f"{'.'.join(map(str, detail['loc']))} = {detail['input']!r}: {detail['msg'].lower()}"
