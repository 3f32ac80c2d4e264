"""What a file is made for."""

from __future__ import annotations

import pydantic
from pydantic import Field
from typing_extensions import TypedDict

from tflite_sparse import target_registry
from tflite_sparse.codecs.names import AUTO
from tflite_sparse.settings.base import Settings
from tflite_sparse.settings.kinds import CountFromZero, MicroCodec, Optimize, Target
from tflite_sparse.target_registry import DEFAULT_TARGET


class TargetOptions(TypedDict, total=False):
    """Keywords of :class:`TargetSettings`."""

    target: Target
    optimize: Optimize
    micro_codec: MicroCodec
    micro_min_saving: int
    c_array: bool
    accelerator_config: str


class ForTarget(Settings):
    """Settings of which some apply to one target only, as the registry tells."""

    target: Target = DEFAULT_TARGET

    @pydantic.model_validator(mode="after")
    def _each_applies_to_its_target(self) -> ForTarget:
        for name, field in type(self).model_fields.items():
            homes = target_registry.homes_of(name)
            if not homes or self.target in homes:
                continue
            if getattr(self, name) != field.get_default(call_default_factory=True):
                raise ValueError(
                    f"`{name}` applies to the target {target_registry.listed(homes)}, not to {self.target}"
                )
        return self

    @property
    def traits(self) -> target_registry.Traits:
        """What holds for the target."""
        return target_registry.TARGETS[self.target]


class TargetSettings(ForTarget):
    """What a file is made for."""

    target: Target = Field(
        DEFAULT_TARGET,
        description="The runtime. micro: TensorFlow Lite Micro, constants behind its DECODE operator. ethos-u: the "
        "dense file, and OUT_vela.tflite beside it, compiled by Vela.",
    )
    optimize: Optimize = Field(
        "size",
        description="size: the smallest file, every bit kept. latency: of each operator's forms the fastest on this "
        "machine, native sparse kernels included, which round in their own way.",
    )
    micro_codec: MicroCodec = Field(AUTO, description="Of the target micro: how constants are compressed.")
    micro_min_saving: CountFromZero = Field(
        64, description="Of the target micro: constants that would save fewer bytes stay dense."
    )
    c_array: bool = Field(False, description="Of the target micro: also write OUT.h and OUT.cc, the file as an array.")
    accelerator_config: str = Field("ethos-u55-128", description="Of the target ethos-u: what Vela compiles for.")

    @property
    def plans_memory_ahead(self) -> bool:
        """Whether the target lays memory out from the shapes in the file, before anything runs, so they must be true.

        TensorFlow Lite Micro plans its arena so and Vela its memory map; LiteRT resizes tensors while it runs.
        """
        return self.traits.plans_memory_ahead
