"""Settings of ``fit``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, get_args

import pydantic
from pydantic import Field

from tflite_sparse.codecs.streams.names import TFLM, MicroCpu, MicroKernels
from tflite_sparse.results.fit import Resource
from tflite_sparse.settings.base import Flag
from tflite_sparse.settings.kinds import (
    ANY_DROP,
    DEFAULT_DROP,
    Bytes,
    Count,
    CountFromZero,
    Drop,
    FittedTarget,
    Milliseconds,
    Seed,
    ValuesOrAuto,
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
from tflite_sparse.settings.target import CpuOfMicro, KernelsOfMicro, check_kernels, check_target
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
    max_macs: int | None
    max_arena: int | str | None
    max_latency: float | None
    max_accuracy_drop: float | None
    target: FittedTarget
    blocks: Sequence[str]
    epochs: int
    train_epochs: int
    rounds: int
    micro_kernels: MicroKernels
    micro_cpu: MicroCpu
    shared_values: int | Literal["auto"] | None
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
        None, description="Largest size of the file in bytes, as 100000, 100kB (100,000), 100KiB or 1.5MB."
    )
    gate: bool = Field(
        False,
        description="Instead of a budget: make the smallest file within `max_accuracy_drop`.",
    )
    max_macs: Annotated[Count | None, Flag(metavar="N")] = Field(
        None,
        description="Most multiply-adds of one run. Whole channels go where the loss rises least, and leave the file.",
    )
    max_arena: Annotated[Bytes | None, Flag(metavar="BYTES")] = Field(
        None,
        description="For the target micro: largest arena of TensorFlow Lite Micro, with memory for decoded weights.",
    )
    max_latency: Annotated[Milliseconds | None, Flag(metavar="MS")] = Field(
        None,
        description="For the target litert: longest median time of one run on this machine, one thread, in "
        "milliseconds.",
    )
    max_accuracy_drop: Annotated[Drop | None, Flag(default=f"{DEFAULT_DROP:g} with `gate`, none with `budget`")] = (
        Field(
            None,
            description="Largest fall of accuracy against the dense float32 model, from 0 to 1.",
        )
    )
    target: FittedTarget = Field(
        DEFAULT_TARGET,
        description=f"The runtime. {help_of(get_args(FittedTarget))}",
    )
    blocks: Annotated[tuple[str, ...], Flag("block", metavar="BLOCKS")] = Field(
        ("1x1", "1x4", "1x16"),
        description="Blocks of weights that may become zero together, outputs x inputs. Each kernel gets the block "
        "that saves most.",
    )
    epochs: CountFromZero = Field(10, description="Epochs of training in each round. 0: mask without training.")
    train_epochs: Count = Field(30, description="Without `model`: epochs of training the dense model.")
    rounds: Count = Field(
        4,
        description="Largest number of rounds. A further round prunes more where the file is still too large.",
    )
    micro_kernels: KernelsOfMicro = TFLM
    micro_cpu: CpuOfMicro = "generic"
    shared_values: Annotated[ValuesOrAuto | None, Flag(metavar="N|auto")] = Field(
        None,
        description="Let the kept int8 weights of each pruned tensor share N values, chosen after training; the plan "
        "counts their bytes. auto: 8, 16, 32 or all of them for each kernel, by bytes and loss, as its zeros.",
    )
    io: Annotated[Literal["int8", "float32"] | None, Flag(default="int8")] = Field(
        None, description="Type of inputs and outputs of the file."
    )
    seed: Seed = Field(0, description="Seed of initialisation, order, dropout and split.")
    resume: bool = Field(False, description="Continue an interrupted run.")
    builder: Annotated[str | None, BUILDER] = Field(
        None,
        description="Instead of `model`: run this function, which takes no arguments and returns the built Keras model "
        "to train.",
    )

    @pydantic.model_validator(mode="after")
    def _one_aim(self) -> FitSettings:
        if self.gate and self.budget is not None:
            raise ValueError('give `budget="100kB"` or `gate=True`, one of the two')
        if not (self.is_sized or self.limits):
            raise ValueError('give `budget="100kB"`, `gate=True`, or a limit: `max_macs`, `max_arena`, `max_latency`')
        if self.shared_values == "auto" and not self.is_sized:
            raise ValueError(
                '`shared_values="auto"` chooses by bytes, which limits alone do not count: give `budget="100kB"`, '
                "`gate=True`, or a number of values"
            )
        if not self.blocks or len(set(self.blocks)) < len(self.blocks):
            raise ValueError("give one or more blocks, each once, as `blocks=('1x1', '1x16')`")
        return self

    @pydantic.model_validator(mode="after")
    def _each_applies_to_its_target(self) -> FitSettings:
        check_target(self, self.target)
        check_kernels(self, self.target, self.micro_kernels)
        return self

    @property
    def is_sized(self) -> bool:
        """Whether the bytes of the file are an aim: else single weights stay as they are."""
        return self.gate or self.budget is not None

    @property
    def limits(self) -> dict[Resource, float]:
        """The limits beside the budget, by what they limit."""
        found: dict[Resource, float | None] = {
            "multiply_adds": self.max_macs,
            "arena_bytes": self.max_arena,
            "latency_ms": self.max_latency,
        }
        return {name: limit for name, limit in found.items() if limit is not None}

    @property
    def allowed_drop(self) -> float:
        """The accuracy gate; :data:`ANY_DROP` without one."""
        if self.max_accuracy_drop is not None:
            return self.max_accuracy_drop
        return DEFAULT_DROP if self.gate else ANY_DROP
