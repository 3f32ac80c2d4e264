"""Settings of the target of a file."""

from __future__ import annotations

from typing import Annotated

import pydantic
from pydantic import Field

from tflite_sparse import target_registry
from tflite_sparse.codecs.names import AUTO, MicroCodec
from tflite_sparse.codecs.streams.names import SPARSE, TFLM, MicroCpu, MicroKernels
from tflite_sparse.settings.base import Settings
from tflite_sparse.settings.kinds import CName, CountFromZero, Optimize, Target
from tflite_sparse.settings.shared import ChannelOptions, ChannelSettings
from tflite_sparse.target_registry import DEFAULT_TARGET, TARGETS


def check_target(settings: Settings, target: str) -> None:
    """Check that settings other than their defaults apply to the target.

    Raises:
        ValueError: one does not.
    """
    for name, field in type(settings).model_fields.items():
        homes = target_registry.homes_of(name)
        if homes and target not in homes and getattr(settings, name) != field.get_default(call_default_factory=True):
            raise ValueError(f"`{name}` applies to the target {target_registry.listed(homes)}, not to {target}")


def check_kernels(settings: Settings, target: str, kernels: MicroKernels) -> None:
    """Check that settings other than their defaults apply to the kernels.

    Raises:
        ValueError: one does not.
    """
    of_kernels: dict[str, tuple[str, ...]] = {
        TFLM: ("micro_codec", "micro_min_saving"),
        SPARSE: ("micro_cpu",) if target == DEFAULT_TARGET else ("micro_cpu", "optimize"),
    }
    chosen = SPARSE if TARGETS[target].computes_in_flash else kernels
    fields = type(settings).model_fields
    for each, names in of_kernels.items():
        for name in names if each != chosen else ():
            if name in fields and getattr(settings, name) != fields[name].default:
                raise ValueError(f"`{name}` applies to `micro_kernels` {each}, not to {kernels}")


KernelsOfMicro = Annotated[
    MicroKernels,
    Field(
        description="For the target micro: kernels. tflm: those of the runtime, which decode weights into RAM. sparse: "
        "ours, which read pruned weights in flash; their C files are written into micro/.",
    ),
]
CpuOfMicro = Annotated[
    MicroCpu,
    Field(
        description="With `micro_kernels` sparse, and for the target c: the CPU that forms are chosen for. Take "
        "cortex-m3 for a Cortex-M33 without the DSP extension.",
    ),
]


class TargetOptions(ChannelOptions, total=False):
    """Keywords of :class:`TargetSettings`."""

    target: Target
    optimize: Optimize
    micro_kernels: MicroKernels
    micro_cpu: MicroCpu
    micro_codec: MicroCodec
    micro_min_saving: int
    c_array: bool
    name: CName
    accelerator_config: str


class TargetSettings(ChannelSettings):
    """The target of a file, and the settings that apply to it."""

    target: Target = Field(
        DEFAULT_TARGET,
        description=f"The runtime. {target_registry.help_of(TARGETS)}",
    )
    optimize: Optimize = Field(
        "size",
        description="size: the smallest file; outputs equal bit for bit. latency: for each operator the form that is "
        "fastest on this machine, native sparse kernels included, which round differently; with `micro_kernels` sparse "
        "the form of the fewest instructions on `micro_cpu`, bit for bit.",
    )
    micro_kernels: KernelsOfMicro = TFLM
    micro_cpu: CpuOfMicro = "generic"
    micro_codec: MicroCodec = Field(AUTO, description="For the target micro: codec of constants.")
    micro_min_saving: CountFromZero = Field(
        64, description="For the target micro: least saving in bytes. Constants that save less stay dense."
    )
    c_array: bool = Field(
        False,
        description="For the target micro: also write the file as a C array, OUT.h and OUT.cc, and app.cc, which runs "
        "it.",
    )
    name: CName = Field(
        "model", description="For the target c: what names of functions and files begin with: model_run, model.h."
    )
    accelerator_config: str = Field(
        "ethos-u55-128", description="For the target ethos-u: the accelerator that Vela compiles for."
    )

    @pydantic.model_validator(mode="after")
    def _each_applies_to_its_target(self) -> TargetSettings:
        check_target(self, self.target)
        return self

    @pydantic.model_validator(mode="after")
    def _each_applies_to_its_kernels(self) -> TargetSettings:
        check_kernels(self, self.target, self.micro_kernels)
        return self

    @property
    def traits(self) -> target_registry.Traits:
        """The registry's facts about the target."""
        return TARGETS[self.target]

    @property
    def plans_memory_ahead(self) -> bool:
        """Whether the target plans memory from the shapes in the file, which therefore must be right.

        TensorFlow Lite Micro plans its arena this way and Vela its memory map; LiteRT resizes tensors at run time.
        """
        return self.traits.plans_memory_ahead
