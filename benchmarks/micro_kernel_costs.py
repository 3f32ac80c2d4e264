"""Fit what the parts of dense operators and sparse kernels cost on each CPU, to counts of instructions.

PYTHONPATH=tests python benchmarks/micro_kernel_costs.py

Reads micro_dense_counts.json, counts the sparse kernels and the operators of generated C in the emulator, writes
tflite_sparse/micro_kernels/costs.json. The dense counts of the file are of CMSIS-NN 99f736a, built once with GCC 12.2.1
at -O3 and run in qemu-system-arm 7.2, on the layers that it names; nothing of it is kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

import standalone_layers
import standalone_operators
from micro_layers import FIRST_LAYERS, FULLY_CONNECTED, ODD_LAYERS, LayerShape
from tflite_sparse.codecs import dense_work
from tflite_sparse.codecs.clustering import nearest_integers
from tflite_sparse.codecs.dense_work import USUAL, Loops
from tflite_sparse.codecs.streams import options, parameters, stream, work
from tflite_sparse.codecs.streams.kernels import (
    BLOCKS,
    MOST_PIXELS_AT_ONCE,
    PAIR_KERNELS,
    PIXELS_AT_ONCE,
    SHARED_KERNELS,
    Filter,
    Kernel,
)
from tflite_sparse.codecs.streams.names import Extension, MicroCpu
from tflite_sparse.codecs.streams.work import Pixels
from tflite_sparse.runtime import cortex_m
from tflite_sparse.runtime.kernel_cases import KernelCase
from tflite_sparse.standalone_c import work as c_work

HERE = Path(__file__).resolve().parent
COSTS = cortex_m.SOURCES / "costs.json"
FITTED: tuple[MicroCpu, ...] = ("cortex-m0", "cortex-m3", "cortex-m4", "cortex-m55")
WITH_HELIUM = ("cortex-m55",)
WITHOUT_DSP = ("cortex-m0", "cortex-m3")
FOR_SHORT_SYMBOLS = ("cortex-m3", "cortex-m4")  # they cut out bits in one instruction, and cannot gather symbols
ZEROS = (0.5, 0.75, 0.875, 0.95)
MOST_OUTPUTS = 200_000
SHARED = 16


def main() -> None:
    counts = json.loads((HERE / "micro_dense_counts.json").read_text("utf-8"))
    layers = [shape_of(each) for each in counts["layers"]]
    fitted = {}
    for cpu in FITTED:
        dense, dense_error = fit_dense(layers, counts["counts"][cpu], work_of_cmsis_nn)
        standalone, standalone_error = fit_standalone(cpu, layers)
        kernels, kernel_error = fit_kernels(cpu, layers)
        functions, functions_error = fit_functions(cpu)
        fitted[cpu] = {
            "extensions": extensions(cpu),
            "pixels_at_once": pixels_at_once(cpu),
            "error": round(max(dense_error, kernel_error), 3),
            "standalone_error": round(standalone_error, 3),
            "functions_error": round(functions_error, 3),
            **code_sizes(cpu, kernels),
            "dense": dense,
            "standalone_dense": standalone,
            "kernels": kernels,
            "functions": functions,
        }
        errors = f"{dense_error:.1%}, of generated C {standalone_error:.1%}, kernels {kernel_error:.1%}"
        print(f"{cpu}: dense within {errors}, functions {functions_error:.1%}")
    COSTS.write_text(json.dumps({"made_by": "benchmarks/micro_kernel_costs.py", "cpus": fitted}, indent=1) + "\n")


def code_sizes(cpu: str, kernels: dict[str, list[float]]) -> dict[str, object]:
    """Flash that two kernels share, and of each kernel what it takes beside that."""
    alone = {name: cortex_m.code_bytes(cpu, 1 << Kernel[name]) for name in kernels}
    first, second = list(alone)[:2]
    both = cortex_m.code_bytes(cpu, 1 << Kernel[first] | 1 << Kernel[second])
    common = alone[first] + alone[second] - both
    return {"common_code_bytes": common, "code_bytes": {name: size - common for name, size in alone.items()}}


def extensions(cpu: str) -> list[Extension]:
    if cpu in WITHOUT_DSP:
        return []
    return ["dsp", "helium"] if cpu in WITH_HELIUM else ["dsp"]


def pixels_at_once(cpu: str) -> int:
    return MOST_PIXELS_AT_ONCE if cpu in WITH_HELIUM else PIXELS_AT_ONCE


def shape_of(each: dict[str, Any]) -> LayerShape:
    return LayerShape(**{name: tuple(value) if isinstance(value, list) else value for name, value in each.items()})


def filter_of(layer: LayerShape) -> Filter:
    return Filter(layer.outputs, *layer.filter_size, layer.channels, (layer.stride, layer.stride), layer.dilation)


def work_of_cmsis_nn(layer: LayerShape) -> np.ndarray:
    return work.dense(filter_of(layer), Pixels(1, *layer.output_size))


def work_of_standalone(cpu: MicroCpu, loops: Loops) -> Callable[[LayerShape], np.ndarray]:
    def of(layer: LayerShape) -> np.ndarray:
        pixels, is_matrix = Pixels(1, *layer.output_size), layer.kind == FULLY_CONNECTED
        return dense_work.parts(filter_of(layer), pixels, frozenset(extensions(cpu)), loops, is_matrix=is_matrix)

    return of


def fit_standalone(cpu: MicroCpu, layers: list[LayerShape]) -> tuple[dict[str, list[float]], float]:
    """What dense operators of generated C cost, by kind and loops; half of the layers do for the rarer loops."""
    found, worst = {}, 0.0
    for loops in dense_work.every_loops(frozenset(extensions(cpu))):
        in_c = [*layers[:: 1 if loops == USUAL else 2], *FIRST_LAYERS, *ODD_LAYERS]
        in_c = [each for each in in_c if not has_tiles(each, loops)]
        kinds, error = fit_dense(in_c, standalone_layers.counts(cpu, in_c, loops), work_of_standalone(cpu, loops))
        suffix = loops.suffix(frozenset(extensions(cpu)))
        found |= {f"{kind}{suffix}": each for kind, each in kinds.items()}
        worst = max(worst, error)
        print(f"  {cpu} dense{suffix.lower()}: {len(in_c)} layers, within {error:.1%}")
    return found, worst


def has_tiles(layer: LayerShape, loops: Loops) -> bool:
    """Whether a function of its own computes it, which is fitted among the others."""
    return dense_work.has_tiles(filter_of(layer), Pixels(1, *layer.output_size), loops)


def fit_dense(
    layers: list[LayerShape], counts: list[int], work_of: Callable[[LayerShape], np.ndarray]
) -> tuple[dict[str, list[float]], float]:
    found, worst = {}, 0.0
    for kind in dict.fromkeys(layer.kind for layer in layers):
        chosen = [(layer, count) for layer, count in zip(layers, counts, strict=True) if layer.kind == kind]
        rows = np.array([work_of(layer) for layer, _ in chosen])
        found[kind], error = fit(rows, np.array([count for _, count in chosen], float))
        worst = max(worst, error)
    return found, worst


def fit_kernels(cpu: str, layers: list[LayerShape]) -> tuple[dict[str, list[float]], float]:
    found, worst = {}, 0.0
    for kernel in Kernel:
        if kernel in PAIR_KERNELS and cpu in WITHOUT_DSP:
            continue
        if kernel == Kernel.ROW_SHARED7 and cpu not in FOR_SHORT_SYMBOLS:
            continue
        rows, counts = measured(cpu, kernel, layers)
        found[kernel.name], error = fit(rows, counts)
        worst = max(worst, error)
        print(f"  {cpu} {kernel.name}: {len(counts)} layers, within {error:.1%}")
    return found, worst


def fit_functions(cpu: MicroCpu) -> tuple[dict[str, list[float]], float]:
    """What the other C functions of generated C cost; see :mod:`tflite_sparse.standalone_c.work`."""
    rows: dict[str, list[np.ndarray]] = {}
    counts: dict[str, list[int]] = {}
    for step, count in standalone_layers.counted(cpu, list(standalone_operators.operators())):
        done = [c_work.of(call, frozenset(extensions(cpu))) for call in step.calls]
        kind = done[0].kind
        rows.setdefault(kind, []).append(np.sum([each.parts for each in done], axis=0))
        counts.setdefault(kind, []).append(count)
    found, errors = {}, []
    for kind in sorted(rows):
        found[kind], error = fit(np.array(rows[kind]), np.array(counts[kind], float))
        errors.append(error)
        print(f"  {cpu} {kind}: {len(counts[kind])} operators, within {error:.1%}")
    return found, max(errors)


def fit(rows: np.ndarray, counts: np.ndarray) -> tuple[list[float], float]:
    """Costs that are not negative, by least squares of relative errors; and the error that 19 of 20 stay below."""
    scaled = rows / counts[:, None]
    spread = np.maximum(scaled.max(axis=0), 1e-12)
    found = nnls(scaled / spread, np.ones(len(counts)))[0] / spread
    return [round(float(each), 4) for each in found], float(np.quantile(np.abs(rows @ found / counts - 1), 0.95))


def measured(cpu: str, kernel: Kernel, layers: list[LayerShape]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    rows, counts, cases, sizes = [], [], [], 0
    for number, layer in enumerate(layers):
        shape, zeros = filter_of(layer), ZEROS[number % len(ZEROS)]
        weights = random_weights(rng, shape, zeros, kernel)
        pixels = Pixels(1, *layer.output_size)
        too_large = layer.outputs * layer.pixels > MOST_OUTPUTS
        if (
            too_large
            or not work.suits(kernel, pixels)
            or stream.refusal(kernel, shape, weights) is not None
            or shape.taps * 16 > 2**18
        ):
            continue
        rows.append(work.of(kernel, shape, weights, pixels, pixels_at_once(cpu)))
        cases.append(case_of(rng, layer, shape, weights, kernel))
        sizes += weights.size + cases[-1].input.size
        if sizes > 500_000:
            counts += [each.instructions for each in cortex_m.run(cpu, cases)]
            cases, sizes = [], 0
    counts += [each.instructions for each in cortex_m.run(cpu, cases)]
    return np.array(rows), np.array(counts, float)


def random_weights(rng: np.random.Generator, shape: Filter, zeros: float, kernel: Kernel) -> np.ndarray:
    block = BLOCKS.get(kernel, 1)
    if shape.taps % block:
        block = 1
    kept = np.repeat(rng.random((shape.outputs, shape.taps // block)) >= zeros, block, axis=1).reshape(shape.shape)
    weights = np.clip(np.rint(rng.laplace(size=shape.shape) * 12), -127, 127)
    weights = np.where(kept, np.where(weights == 0, 1, weights), 0).astype(np.int8)
    return with_shared_values(weights) if kernel in SHARED_KERNELS else weights


def with_shared_values(weights: np.ndarray) -> np.ndarray:
    values, places, counts = np.unique(weights[weights != 0], return_inverse=True, return_counts=True)
    shared = weights.copy()
    shared[weights != 0] = nearest_integers(values, counts, SHARED)[places]
    return shared


def case_of(
    rng: np.random.Generator, layer: LayerShape, shape: Filter, weights: np.ndarray, kernel: Kernel
) -> KernelCase:
    scales = parameters.Scales(
        np.float32(1), np.float32(1), (rng.random(shape.outputs) * 0.001 + 0.001).astype(np.float32)
    )
    found = parameters.of(scales, rng.integers(-5000, 5000, shape.outputs).astype(np.int32), weights, 3)
    described = options.Options(
        operator="FULLY_CONNECTED" if layer.kind == FULLY_CONNECTED else "CONV_2D",
        kernel=kernel,
        shape=shape,
        one_scale=False,
        valid=False,
        input_zero_point=3,
        output_zero_point=-3,
        output_range=(-128, 127),
        version=1,
        activation=0,
        keep_num_dims=False,
        asymmetric_quantize_inputs=False,
        bias_type=0,
        bias=options.Bias.THERE,
        filter_scale=0.0,
    )
    inputs = rng.integers(-128, 128, (1, *layer.input_size, layer.channels)).astype(np.int8)
    output_shape = (1, *layer.output_size, layer.outputs)
    return KernelCase(
        options.pack(described), stream.encode(kernel, shape, weights), found.to_bytes(), inputs, output_shape
    )


if __name__ == "__main__":
    main()
