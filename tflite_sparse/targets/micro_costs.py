"""Instructions that an operator takes on a CPU, dense and by each sparse kernel: a model fitted to an emulator.

``micro_kernels/costs.json`` holds, for each CPU, what each part of :mod:`tflite_sparse.codecs.streams.work` costs.
``benchmarks/micro_kernel_costs.py`` makes it. Dense operators are those of CMSIS-NN, or for ``--target c`` its own.
Instructions are not cycles.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tflite_sparse.codecs import dense_work
from tflite_sparse.codecs.dense_work import USUAL, Loops
from tflite_sparse.codecs.streams import work
from tflite_sparse.codecs.streams.kernels import Filter, Kernel
from tflite_sparse.codecs.streams.names import Extension, MicroCpu
from tflite_sparse.codecs.streams.work import Pixels

Dense = Literal["cmsis-nn", "standalone"]
"""Whose dense operators: those that TensorFlow Lite Micro calls, or those of generated C."""

_FITTED: Mapping[MicroCpu, str] = {
    "generic": "cortex-m3",  # plain C on a 32-bit CPU that multiplies and adds in one instruction
    "cortex-m0": "cortex-m0",
    "cortex-m3": "cortex-m3",
    "cortex-m4": "cortex-m4",
    "cortex-m7": "cortex-m4",  # both have the same DSP extension and take the same instructions
    "cortex-m33": "cortex-m4",
    "cortex-m55": "cortex-m55",
}
_FILE = Path(__file__).resolve().parent.parent / "micro_kernels" / "costs.json"


@dataclass(frozen=True, slots=True)
class Costs:
    """The fitted costs of one CPU.

    Attributes:
        library: whose dense operators they are.
        dense: instructions of each part of a dense operator, by its kind.
        kernels: of each part of a kernel.
        functions: of each part of another C function of generated C, by a name of
            :attr:`tflite_sparse.standalone_c.work.Work.kind`; the same for every library.
        extensions: that the CPU has.
        pixels_at_once: that ``PIXEL_DELTA8`` computes together.
        error: the share that the model is off by at most, for 19 of 20 layers that it was fitted to.
        common_code_bytes: flash that any kernel needs.
        code_bytes: flash of each kernel, beside that.
    """

    library: Dense
    dense: Mapping[str, np.ndarray]
    kernels: Mapping[Kernel, np.ndarray]
    functions: Mapping[str, np.ndarray]
    extensions: frozenset[Extension]
    pixels_at_once: int
    error: float
    common_code_bytes: int
    code_bytes: Mapping[Kernel, int]

    def of_dense(self, shape: Filter, pixels: Pixels, loops: Loops = USUAL, *, is_matrix: bool) -> int:
        """Instructions of the dense operator; ``loops`` count for generated C alone."""
        kind = kind_of(shape, is_matrix=is_matrix)
        if self.library == "standalone":
            if not is_matrix and dense_work.has_tiles(shape, pixels, loops):
                return self.of_function(dense_work.TILED, _tile_parts(shape, pixels))
            kind += loops.suffix(self.extensions)
            parts = dense_work.parts(shape, pixels, self.extensions, loops, is_matrix=is_matrix)
        else:
            parts = work.dense(shape, pixels)
        return max(1, round(float(self.dense[kind] @ parts)))

    def of_kernel(
        self,
        kernel: Kernel,
        shape: Filter,
        weights: np.ndarray,
        pixels: Pixels,
        tables: int = 1,
        *,
        pools: bool = False,
    ) -> int:
        """Instructions of a kernel; arguments as for :func:`tflite_sparse.codecs.streams.work.of`."""
        parts = work.of(kernel, shape, weights, pixels, self.pixels_at_once, tables, pools=pools)
        return max(1, round(float(self.kernels[kernel] @ parts)))

    def of_function(self, kind: str, parts: np.ndarray) -> int:
        """Instructions of a call; arguments as :class:`tflite_sparse.standalone_c.work.Work` has them."""
        return max(1, round(float(self.functions[kind] @ parts)))


def _tile_parts(shape: Filter, pixels: Pixels) -> np.ndarray:
    """With padding on each side, as most such layers have it."""
    down, across = (-(-size // dense_work.TILE_SIDE) for size in (pixels.height, pixels.width))
    inner = max(down - 2, 0), max(across - 2, 0)
    return np.append(dense_work.tile_parts(shape.outputs, pixels.batches, inner, (down, across)), 0.0)


def kind_of(shape: Filter, *, is_matrix: bool) -> str:
    """Which dense kernel an operator has."""
    if is_matrix:
        return "FULLY_CONNECTED"
    return "POINTWISE" if shape.is_pointwise else "CONV_2D"


def code_cpu(cpu: MicroCpu) -> str:
    """The CPU that code is compiled for to tell its size."""
    return _FITTED["generic"] if cpu == "generic" else cpu


@functools.cache
def of(cpu: MicroCpu, library: Dense = "cmsis-nn") -> Costs:
    """The costs of a CPU, with the dense operators of a library."""
    found: dict[str, Any] = json.loads(_FILE.read_text("utf-8"))["cpus"][_FITTED[cpu]]
    is_standalone = library == "standalone"
    prefix = "standalone_" if is_standalone else ""
    of_others = (found["standalone_error"], found["functions_error"]) if is_standalone else ()
    return Costs(
        library=library,
        dense={kind: np.array(values) for kind, values in found[f"{prefix}dense"].items()},
        kernels={Kernel[name]: np.array(values) for name, values in found["kernels"].items()},
        functions={kind: np.array(values) for kind, values in found["functions"].items()},
        extensions=frozenset(found["extensions"]),
        pixels_at_once=found["pixels_at_once"],
        error=max((found["error"], *of_others)),
        common_code_bytes=found["common_code_bytes"],
        code_bytes={Kernel[name]: size for name, size in found["code_bytes"].items()},
    )
