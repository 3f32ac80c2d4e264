"""Instructions of the dense C operators of ``--target c``, layer by layer, counted in the emulator."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from helpers import tiny_models
from helpers.int8_models import Activation, Constant, Operator, side_by_side
from micro_layers import FULLY_CONNECTED, LayerShape
from tflite_sparse.backends import c_instructions
from tflite_sparse.codecs.streams.names import MicroCpu
from tflite_sparse.flatbuffer import serde
from tflite_sparse.standalone_c import files
from tflite_sparse.standalone_c.header import Naming
from tflite_sparse.standalone_c.program import Step

_MOST_BYTES = 500_000
"""Of weights and activations in one program; the emulated boards hold more."""


def counts(cpu: MicroCpu, layers: Sequence[LayerShape]) -> list[int]:
    """Instructions of each layer with dense random weights on a CPU."""
    rng = np.random.default_rng(0)
    return [count for _, count in counted(cpu, [_operator(rng, layer) for layer in layers])]


def counted(cpu: MicroCpu, operators: Sequence[Operator]) -> Iterator[tuple[Step, int]]:
    """What each operator becomes in C, and its instructions on a CPU for random inputs."""
    rng = np.random.default_rng(0)
    for batch in _batches(operators):
        model = serde.parse(tiny_models.to_bytes(side_by_side(batch)))
        sources = files.generate(model, Naming("model", "benchmarks", "operators"), cpu)
        found = c_instructions.emulated(sources, cpu, [c_instructions.sample(sources, rng)]).instructions
        yield from zip(sources.program.steps, found, strict=True)


def _batches(operators: Sequence[Operator]) -> Iterator[list[Operator]]:
    batch: list[Operator] = []
    nbytes = 0
    for operator in operators:
        own = sum(_nbytes(each) for each in (*operator.inputs, *operator.outputs) if each is not None)
        if batch and nbytes + own > _MOST_BYTES:
            yield batch
            batch, nbytes = [], 0
        batch.append(operator)
        nbytes += own
    yield batch


def _nbytes(each: Activation | Constant) -> int:
    if isinstance(each, Constant):
        return each.values.nbytes
    return math.prod(each.shape) * (1 if each.dtype == "int8" else 4)


def _operator(rng: np.random.Generator, layer: LayerShape) -> Operator:
    is_matrix = layer.kind == FULLY_CONNECTED
    shape = (layer.outputs, layer.taps) if is_matrix else (layer.outputs, *layer.filter_size, layer.channels)
    scales = rng.uniform(0.5, 2.0, layer.outputs).astype(np.float32) / 64
    weights = Constant(values=rng.integers(-127, 128, shape).astype(np.int8), scale=scales)
    bias = Constant(values=rng.integers(-3000, 3000, layer.outputs).astype(np.int32), scale=scales / 16)
    scale = 4 * float(np.sqrt(layer.taps))
    if is_matrix:
        x = Activation(shape=(1, layer.taps), scale=1 / 16, zero_point=3)
        y = Activation(shape=(1, layer.outputs), scale=scale, zero_point=-5)
        return Operator("FULLY_CONNECTED", [x, weights, bias], [y], 5)
    x = Activation(shape=(1, *layer.input_size, layer.channels), scale=1 / 16, zero_point=3)
    y = Activation(shape=(1, *layer.output_size, layer.outputs), scale=scale, zero_point=-5)
    options: dict[str, object] = {"padding": schema.Padding.SAME, "strideH": layer.stride, "strideW": layer.stride}
    return Operator("CONV_2D", [x, weights, bias], [y], 3, options | {"dilationHFactor": 1, "dilationWFactor": 1})
