"""Which runtimes LiteRT consists of, and how people call them."""

from __future__ import annotations

from typing import Literal

Kernels = Literal["default", "builtin", "reference", "compiled_model"]
"""``default``: the interpreter as apps get it, with XNNPACK; ``builtin``: without any delegate; ``reference``: the same
with the kernels that are written for clarity; ``compiled_model``: the API of LiteRT 2, which the Android library offers
as its standard one."""

ALL_KERNELS: tuple[Kernels, ...] = ("default", "builtin", "compiled_model")
"""What apps run."""

KERNELS_TO_VERIFY: tuple[Kernels, ...] = ("default", "builtin", "reference", "compiled_model")

NAMES: dict[Kernels, str] = {
    "default": "LiteRT interpreter, default (XNNPACK)",
    "builtin": "LiteRT interpreter, built-in kernels",
    "reference": "LiteRT interpreter, reference kernels",
    "compiled_model": "LiteRT CompiledModel (CPU)",
}
