"""What a file is made for."""

from __future__ import annotations

from typing import Annotated

import pydantic
from pydantic import Field

from tflite_sparse import target_registry
from tflite_sparse.codecs.names import AUTO, MicroCodec
from tflite_sparse.settings.base import Settings
from tflite_sparse.settings.kinds import Optimize, Target
from tflite_sparse.target_registry import DEFAULT_TARGET, TARGETS


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

    target: Target = DEFAULT_TARGET
    optimize: Optimize = "size"
    micro_codec: MicroCodec = AUTO
    micro_min_saving: Annotated[int, Field(ge=0)] = 64
    c_array: bool = False
    accelerator_config: str = "ethos-u55-128"

    @pydantic.model_validator(mode="after")
    def _each_speaks_of_its_target(self) -> TargetSettings:
        for name, field in type(self).model_fields.items():
            homes = target_registry.homes_of(name)
            if not homes or self.target in homes:
                continue
            if getattr(self, name) != field.get_default(call_default_factory=True):
                raise ValueError(f"{name} speaks of the target {target_registry.listed(homes)}, not of {self.target}")
        return self

    @property
    def traits(self) -> target_registry.Traits:
        """What holds for the target."""
        return TARGETS[self.target]

    @property
    def plans_memory_ahead(self) -> bool:
        """Whether the target lays memory out from the shapes in the file, before anything runs, so they must be true.

        TensorFlow Lite Micro plans its arena so and Vela its memory map; LiteRT resizes tensors while it runs.
        """
        return self.traits.plans_memory_ahead
