"""Names that settings take: the kernels of a microcontroller's file, and the CPUs whose costs are known."""

from __future__ import annotations

from typing import Literal

TFLM: Literal["tflm"] = "tflm"
"""The kernels of TensorFlow Lite Micro, weights behind its DECODE operator."""

SPARSE: Literal["sparse"] = "sparse"
"""The kernels of ``micro_kernels/``, weights computed on as they lie in flash."""

MicroKernels = Literal["tflm", "sparse"]
Extension = Literal["dsp", "helium"]
"""Of a CPU's instructions, for which C code has loops of its own."""

MicroCpu = Literal["generic", "cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55"]
