"""Settings of the commands that take ``.tflite`` files."""

from __future__ import annotations

from typing import Annotated

import pydantic
from pydantic import Field

from tflite_sparse.codecs.streams.names import MicroCpu
from tflite_sparse.settings.base import Flag
from tflite_sparse.settings.kinds import BenchedTarget, Count, CountFromZero, Kernels, RunnableTarget, Seed, SharedCount
from tflite_sparse.settings.shared import InputShapeOptions, InputShapeSettings
from tflite_sparse.settings.target import TargetOptions, TargetSettings, check_target
from tflite_sparse.target_registry import DEFAULT_TARGET


class WrittenFileOptions(InputShapeOptions, total=False):
    """Keywords of :class:`WrittenFileSettings`."""

    verification_samples: int
    seed: int
    unverified: bool


class WrittenFileSettings(InputShapeSettings):
    """Settings of the comparison of a written file with its source."""

    verification_samples: Annotated[CountFromZero, Flag("samples")] = Field(
        8,
        description="Random inputs that the new file and its source are compared on, besides three at the boundaries.",
    )
    seed: Seed = Field(0, description="Seed of the random inputs.")
    unverified: bool = Field(
        False,
        description="Write the new file even if no runtime can compare its outputs with those of its source, for "
        "example because no input size runs. Weights are compared in any case.",
    )


class EncodeOptions(TargetOptions, WrittenFileOptions, total=False):
    """Keywords of :func:`tflite_sparse.encode`."""

    shared_values: int | None


class EncodeSettings(TargetSettings, WrittenFileSettings):
    """Settings of :func:`tflite_sparse.encode`: the target, shared values, and the comparison of the new file."""

    shared_values: Annotated[SharedCount | None, Flag(metavar="N")] = Field(
        None,
        description="Let the kept int8 weights of each pruned tensor share N values. Zeros stay. Outputs change: "
        "measure the accuracy, or use export, which has samples and can choose N.",
    )


class DecodeOptions(WrittenFileOptions, total=False):
    """Keywords of :func:`tflite_sparse.decode`."""


class DecodeSettings(WrittenFileSettings):
    """Settings of :func:`tflite_sparse.decode`: the comparison of the new file."""


class InspectOptions(InputShapeOptions, total=False):
    """Keywords of :func:`tflite_sparse.inspect`."""

    target: RunnableTarget | None


class InspectSettings(InputShapeSettings):
    """Settings of :func:`tflite_sparse.inspect`."""

    target: Annotated[RunnableTarget | None, Flag(default="the first one that loads the file")] = Field(
        None, description="The runtime that code is written for."
    )


class VerifyOptions(InputShapeOptions, total=False):
    """Keywords of :func:`tflite_sparse.verify`."""

    target: RunnableTarget
    samples: int
    seed: int
    threads: int
    tolerance: float


class VerifySettings(InputShapeSettings):
    """Settings of :func:`tflite_sparse.verify`."""

    target: RunnableTarget = Field(
        DEFAULT_TARGET, description="The runtime: LiteRT in its four forms, or TensorFlow Lite Micro."
    )
    samples: CountFromZero = Field(
        16, description="Random inputs, besides three at the boundaries: all least, all greatest, all zero."
    )
    seed: CountFromZero = Field(0, description="Seed of the random inputs.")
    threads: Count = Field(
        1, description="Threads of the interpreters. With several, float sums may differ in the last bit."
    )
    tolerance: Annotated[float, Field(ge=0)] = Field(
        0.0,
        description="Largest difference of outputs that passes, in units of their type: steps for an int8 output. "
        "Weights must be equal.",
    )

    @pydantic.model_validator(mode="after")
    def _each_applies_to_its_target(self) -> VerifySettings:
        check_target(self, self.target)
        return self


class BenchOptions(InputShapeOptions, total=False):
    """Keywords of :func:`tflite_sparse.bench`."""

    target: BenchedTarget
    micro_cpu: MicroCpu
    threads: int
    rounds: int
    kernels: Kernels


class BenchSettings(InputShapeSettings):
    """Settings of :func:`tflite_sparse.bench`."""

    target: BenchedTarget = Field(
        DEFAULT_TARGET,
        description="What is measured: times in LiteRT on this machine, or, for c, instructions of the generated C by "
        "operator, in an emulator of `micro_cpu` where it is installed.",
    )
    micro_cpu: MicroCpu = Field("generic", description="For the target c: the CPU; generic stands for a Cortex-M3.")
    threads: Count = Field(1, description="Threads of the interpreters.")
    rounds: Count = Field(50, description="Turns of each file, of about 1 ms each, or one run.")
    kernels: Kernels = Field(
        "default",
        description="LiteRT's default interpreter (XNNPACK), or its built-in kernels without any delegate.",
    )

    @pydantic.model_validator(mode="after")
    def _each_applies_to_its_target(self) -> BenchSettings:
        check_target(self, self.target)
        return self
