"""FULLY_CONNECTED as CONV_2D, which the default runtime accepts with a DENSIFY'd weight.

LiteRT's XNNPACK delegate refuses a model whose int8 FULLY_CONNECTED reads a DENSIFY output ("failed to delegate
FULLY_CONNECTED") and takes the same weight in a CONV_2D.

Needs: a constant int8 weight ``(n_out, n_in)`` in the default format, an int8 input whose last axes hold ``n_in``
values a row, an int8 output with at most one dynamic dimension.
Leaves: RESHAPE to ``(1, rows, k, c)``, CONV_2D (VALID, stride 1) with filter ``(n_out, 1, k, c)``, RESHAPE to the
former output. Every row is one output pixel, so the batch may stay dynamic. The weight tensor keeps its index; a
missing bias becomes zeros (int32 with scale = input scale x filter scales, as CONV_2D requires).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.flatbuffer.graph import Graph, dtype_of, is_dynamic, new_tensor, shape_of, signature_of
from tflite_sparse.flatbuffer.serde import packed_bytes
from tflite_sparse.rewrites.split_axis import groups_of_channels, reshape_after, reshape_before, reshape_overhead_bytes

_INT8_CONV_VERSION = 3  # LiteRT tools/versioning/op_version.cc


def refusal(graph: Graph, operator: Any) -> str | None:
    """Why this operator cannot be rewritten, or None."""
    options = operator.builtinOptions
    if options is None or options.weightsFormat != schema.FullyConnectedOptionsWeightsFormat.DEFAULT:
        return "its weights are in a shuffled format"
    if len(operator.outputs) != 1:
        return "it has more than one output"
    source, target = graph.tensor(int(operator.inputs[0])), graph.tensor(int(operator.outputs[0]))
    if any(dtype_of(tensor) != np.int8 for tensor in (source, target, graph.tensor(int(operator.inputs[1])))):
        # In float32 the two operators add up in different orders: the last bit of an output may differ.
        return "it is not int8 throughout"
    weight = graph.tensor(int(operator.inputs[1]))
    if weight.quantization is None or weight.quantization.scale is None or len(weight.quantization.scale) < 2:
        # The built-in kernels multiply input and weight scale in float32 here and in float64 in CONV_2D: of a million
        # outputs some differ by one. With a scale for each channel both do it in float64.
        return "its weights have one scale for all channels, with which CONV_2D rounds differently"
    if sum(size < 0 for size in signature_of(target)) > 1:
        return "more than one dimension of its output is dynamic"
    if not shape_of(source) or not shape_of(target):
        return "the rank of its input is unknown"
    return None


def stored_shape(weight_shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """The shape in which a weight ``(n_out, n_in)`` is stored: ``(n_out, 1, k, c)``."""
    outputs, inputs = weight_shape
    return (outputs, 1, *groups_of_channels(inputs))


def apply(graph: Graph, operator: Any) -> None:
    """Edit the graph. Several operators may share a weight: the first one reshapes it, the others find it so."""
    weight = graph.tensor(int(operator.inputs[1]))
    filter_shape = shape_of(weight) if len(shape_of(weight)) == 4 else stored_shape(shape_of(weight))
    weight.shape = np.array(filter_shape, np.int32)
    outputs, _, groups, channels = filter_shape
    _give_bias(graph, operator, outputs)

    source, target = graph.tensor(int(operator.inputs[0])), graph.tensor(int(operator.outputs[0]))
    rows = math.prod(shape_of(source)) // (groups * channels)
    former = signature_of(target)
    # -1 where a single dimension can be inferred: a batch that is resized at run time then needs no new file.
    rest = former if is_dynamic(target) else (-1, *former[1:])
    rows_at_run_time = -1 if is_dynamic(source) else rows
    reshape_before(graph, operator, 0, (1, rows, groups, channels), (1, -1, groups, channels))
    reshape_after(graph, operator, (1, rows_at_run_time, 1, outputs), rest)

    former_options = operator.builtinOptions
    options = schema.Conv2DOptionsT()
    options.padding = schema.Padding.VALID
    options.strideW = options.strideH = options.dilationWFactor = options.dilationHFactor = 1
    options.fusedActivationFunction = former_options.fusedActivationFunction
    options.quantizedBiasType = former_options.quantizedBiasType
    operator.builtinOptionsType = schema.BuiltinOptions.Conv2DOptions
    operator.builtinOptions = options
    operator.opcodeIndex = graph.operator_code(schema.BuiltinOperator.CONV_2D, _INT8_CONV_VERSION)


def overhead_bytes(graph: Graph, operator: Any) -> int:
    """What this edit adds to a file, in bytes: two RESHAPEs, and a bias where there was none."""
    source, target = graph.tensor(int(operator.inputs[0])), graph.tensor(int(operator.outputs[0]))
    total = reshape_overhead_bytes(source, 4) + reshape_overhead_bytes(target, len(shape_of(target)))
    if not _has_bias(operator):
        weight = graph.tensor(int(operator.inputs[1]))
        bias = _zero_bias(graph, operator, shape_of(weight)[0])
        total += packed_bytes(source, weight, bias) - packed_bytes(source, weight) + math.prod(shape_of(bias)) * 4
    return total


def _has_bias(operator: Any) -> bool:
    return len(operator.inputs) > 2 and int(operator.inputs[2]) >= 0


def _give_bias(graph: Graph, operator: Any, outputs: int) -> None:
    if _has_bias(operator):
        return
    bias = _zero_bias(graph, operator, outputs)
    index = graph.add_constant(bias, np.zeros(outputs, np.int32))
    operator.inputs = np.array([operator.inputs[0], operator.inputs[1], index], np.int32)


def _zero_bias(graph: Graph, operator: Any, outputs: int) -> Any:
    source, weight = (graph.tensor(int(i)) for i in operator.inputs[:2])
    quantization = schema.QuantizationParametersT()
    scales = np.float32(source.quantization.scale[0]) * np.asarray(weight.quantization.scale, np.float32)
    quantization.scale = scales.astype(np.float32)
    quantization.zeroPoint = np.zeros(scales.size, np.int64)
    return new_tensor([outputs], schema.TensorType.INT32, None, quantization)
