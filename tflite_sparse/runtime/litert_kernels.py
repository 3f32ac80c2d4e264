"""Names of LiteRT's runtimes."""

from __future__ import annotations

from typing import Literal

Kernels = Literal["default", "builtin", "reference", "compiled_model"]
"""``default``: the interpreter as apps use it, with XNNPACK; ``builtin``: without any delegate; ``reference``: without
optimised kernels either; ``compiled_model``: the API of LiteRT 2, the standard one of the Android library."""

ALL_KERNELS: tuple[Kernels, ...] = ("default", "builtin", "compiled_model")
"""Runtimes that apps use."""

KERNELS_TO_VERIFY: tuple[Kernels, ...] = ("default", "builtin", "reference", "compiled_model")

NAMES: dict[Kernels, str] = {
    "default": "LiteRT interpreter, default (XNNPACK)",
    "builtin": "LiteRT interpreter, built-in kernels",
    "reference": "LiteRT interpreter, reference kernels",
    "compiled_model": "LiteRT CompiledModel (CPU)",
}
