"""What a file is made for."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic
from pydantic import Field

from tflite_sparse.settings.base import Settings
from tflite_sparse.settings.kinds import Optimize, Target


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

    @property
    def plans_memory_ahead(self) -> bool:
        """Whether memory is laid out from the shapes in the file, before anything runs: they must be true as they are.

        TensorFlow Lite Micro plans its arena so and Vela its memory map; LiteRT resizes tensors while it runs.
        """
        return self.target != "litert"
