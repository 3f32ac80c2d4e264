"""Turn FULLY_CONNECTED into CONV_2D, whose weight may come from a DENSIFY in the default runtime.

LiteRT's XNNPACK delegate refuses a model whose int8 FULLY_CONNECTED reads the output of a DENSIFY ("failed to delegate
FULLY_CONNECTED") and takes the same weight in a CONV_2D.

Needs: a constant int8 weight ``(n_out, n_in)`` in the default format, an int8 input whose last axes hold ``n_in``
values per row, an int8 output with at most one dynamic dimension.
Leaves: RESHAPE to ``(1, rows, k, c)``, CONV_2D (VALID, stride 1) with filter ``(n_out, 1, k, c)``, RESHAPE to the
former output. Every row is one output pixel, so the batch may stay dynamic. The weight tensor keeps its index; a
missing bias becomes zeros (int32 with scale = input scale x filter scales, as CONV_2D requires).

With one scale for all channels the built-in FULLY_CONNECTED multiplies input and weight scale in float32, CONV_2D in
float64, so that a few of a million outputs would differ by one. Therefore CONV_2D gets the float32 product as scale of
its input, and 1 as scale of its filter; the sparse constant keeps its own scale.
"""

from __future__ import annotations

import copy
import math

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.flatbuffer.graph import (
    Graph,
    dtype_of,
    is_dynamic,
    new_tensor,
    rewire,
    scales_of,
    shape_of,
    signature_of,
)
from tflite_sparse.flatbuffer.serde import packed_bytes
from tflite_sparse.flatbuffer.types import (
    Conv2DOptions,
    FullyConnectedOptions,
    Operator,
    QuantizationParameters,
    Tensor,
)
from tflite_sparse.rewrites.split_axis import (
    groups_of_channels,
    has_reshape_after,
    has_reshape_before,
    reshape_after,
    reshape_before,
    reshape_overhead_bytes,
    undo_reshape_after,
    undo_reshape_before,
)
from tflite_sparse.rewrites.weights import constant_behind, readers_of_weights

# LiteRT tools/versioning/op_version.cc
_INT8_CONV_VERSION = 3
_INT8_VERSION = 4
_VERSION_THAT_KEEPS_DIMENSIONS = 5


def refusal(graph: Graph, operator: Operator) -> str | None:
    """Return why this operator cannot be rewritten, or None."""
    options: FullyConnectedOptions | None = operator.builtinOptions
    if options is None or options.weightsFormat != schema.FullyConnectedOptionsWeightsFormat.DEFAULT:
        return "its weights are in a shuffled format"
    if len(operator.outputs) != 1:
        return "it has more than one output"
    source, target = graph.tensor(int(operator.inputs[0])), graph.tensor(int(operator.outputs[0]))
    if any(dtype_of(tensor) != np.int8 for tensor in (source, target, graph.tensor(int(operator.inputs[1])))):
        # In float32 the two operators sum in different orders: the last bit of an output may differ.
        return "it is not int8 throughout"
    if any(not scales_of(tensor).size for tensor in (source, graph.tensor(int(operator.inputs[1])))):
        return "its input or weight has no scale"
    if sum(size < 0 for size in signature_of(target)) > 1:
        return "more than one dimension of its output is dynamic"
    if not shape_of(source) or not shape_of(target):
        return "the rank of its input is unknown"
    return None


def stored_shapes(weight_shape: tuple[int, ...]) -> list[tuple[int, int, int, int]]:
    """Return the shapes ``(n_out, 1, k, c)`` in which a weight ``(n_out, n_in)`` may be stored.

    One has groups that a one-byte index reaches, one has ``k = 1``, because some blocks along the inputs fit only that.
    """
    outputs, inputs = weight_shape
    return sorted({(outputs, 1, *groups_of_channels(inputs)), (outputs, 1, 1, inputs)}, key=lambda shape: shape[3])


def apply(graph: Graph, operator: Operator, filter_shape: tuple[int, ...]) -> None:
    """Edit the graph, except for the scale of the filter (:func:`set_filter_scale`).

    Args:
        graph: the graph that holds the operator.
        operator: one that :func:`refusal` does not refuse. Edit each operator that shares the weight.
        filter_shape: one of :func:`stored_shapes`.
    """
    weight = graph.tensor(int(operator.inputs[1]))
    weight.shape = np.array(filter_shape, np.int32)
    outputs, _, groups, channels = filter_shape
    _add_bias(graph, operator, outputs)

    source, target = graph.tensor(int(operator.inputs[0])), graph.tensor(int(operator.outputs[0]))
    # Files declare shapes that are computed at run time as (1, 1), less than one row. With 0 rows, the default
    # interpreter of LiteRT 2.3.0 gave other outputs than for the dense file (a transformer, by up to 5).
    rows = max(math.prod(shape_of(source)) // (groups * channels), 1)
    former = signature_of(target)
    # -1 lets the runtime infer one dimension, so that the batch can be resized.
    rest = former if is_dynamic(target) else (-1, *former[1:])
    rows_at_run_time = -1 if is_dynamic(source) else rows
    reshape_before(graph, operator, 0, (1, rows, groups, channels), (1, -1, groups, channels))
    if _has_one_scale(weight):
        reshaped = graph.tensor(int(operator.inputs[0]))
        reshaped.quantization = _with_scales(source, _product_of_scales(source, weight))
    reshape_after(graph, operator, (1, rows, 1, outputs), (1, rows_at_run_time, 1, outputs), rest)

    former_options: FullyConnectedOptions = operator.builtinOptions
    options: Conv2DOptions = schema.Conv2DOptionsT()
    options.padding = schema.Padding.VALID
    options.strideW = options.strideH = options.dilationWFactor = options.dilationHFactor = 1
    options.fusedActivationFunction = former_options.fusedActivationFunction
    options.quantizedBiasType = former_options.quantizedBiasType
    operator.builtinOptionsType = schema.BuiltinOptions.Conv2DOptions
    operator.builtinOptions = options
    operator.opcodeIndex = graph.operator_code(schema.BuiltinOperator.CONV_2D, _INT8_CONV_VERSION)


def set_filter_scale(weight: Tensor) -> None:
    """Set the scale of the tensor that CONV_2D reads as its filter."""
    if _has_one_scale(weight):
        weight.quantization = _with_scales(weight, np.ones(1, np.float32))


def undo(graph: Graph) -> dict[int, tuple[int, ...]]:
    """Turn every CONV_2D that this module made back into its FULLY_CONNECTED.

    With one scale for all channels, the former scale of the filter is that of the constant that DENSIFY reads.

    Returns:
        The former shape of each weight, by tensor index, for storing it dense.
    """
    shapes: dict[int, tuple[int, ...]] = {}
    for weight, operators in readers_of_weights(graph, "CONV_2D").items():
        if all(_was_made_here(graph, operator) for operator in operators):
            for operator in operators:
                _undo(graph, operator)
            constant = constant_behind(graph, weight)
            graph.tensor(weight).quantization = graph.tensor(constant).quantization
            outputs, *rest = shape_of(graph.tensor(constant))
            shapes[constant] = (outputs, math.prod(rest))
    return shapes


def overhead_bytes(graph: Graph, operator: Operator) -> int:
    """Return the bytes that this edit adds to a file: two RESHAPEs, and a bias if there was none."""
    source, target = graph.tensor(int(operator.inputs[0])), graph.tensor(int(operator.outputs[0]))
    total = reshape_overhead_bytes(source, 4) + reshape_overhead_bytes(target, len(shape_of(target)))
    if not _has_bias(operator):
        weight = graph.tensor(int(operator.inputs[1]))
        bias = _zero_bias(graph, operator, shape_of(weight)[0])
        total += packed_bytes(source, weight, bias) - packed_bytes(source, weight) + math.prod(shape_of(bias)) * 4
    return total


def _was_made_here(graph: Graph, operator: Operator) -> bool:
    options: Conv2DOptions = operator.builtinOptions
    source, weight, target = (graph.tensor(int(i)) for i in (*operator.inputs[:2], operator.outputs[0]))
    steps = (options.strideW, options.strideH, options.dilationWFactor, options.dilationHFactor)
    if options.padding != schema.Padding.VALID or steps != (1, 1, 1, 1) or dtype_of(weight) != np.int8:
        return False
    if len(shape_of(weight)) != 4:
        return False
    outputs, height, groups, channels = shape_of(weight)
    rows = shape_of(source)[1:2]
    if height != 1 or shape_of(source) != (1, *rows, groups, channels) or shape_of(target) != (1, *rows, 1, outputs):
        return False
    return has_reshape_before(graph, operator, 0) and has_reshape_after(graph, operator)


def _undo(graph: Graph, operator: Operator) -> None:
    undo_reshape_before(graph, operator, 0)
    undo_reshape_after(graph, operator)
    bias = graph.tensor(int(operator.inputs[2])) if _has_bias(operator) else None
    if bias is not None and not bias.name and not np.any(graph.constant(int(operator.inputs[2]))):
        rewire(operator, 2, -1)

    former: Conv2DOptions = operator.builtinOptions
    ranks = [len(shape_of(graph.tensor(int(i)))) for i in (operator.inputs[0], operator.outputs[0])]
    options: FullyConnectedOptions = schema.FullyConnectedOptionsT()
    options.keepNumDims = ranks[0] == ranks[1] != 2
    options.fusedActivationFunction = former.fusedActivationFunction
    options.quantizedBiasType = former.quantizedBiasType
    operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    operator.builtinOptions = options
    version = _VERSION_THAT_KEEPS_DIMENSIONS if options.keepNumDims else _INT8_VERSION
    operator.opcodeIndex = graph.operator_code(schema.BuiltinOperator.FULLY_CONNECTED, version)


def _has_one_scale(weight: Tensor) -> bool:
    return scales_of(weight).size == 1


def _product_of_scales(source: Tensor, weight: Tensor) -> np.ndarray:
    """Return ``input scale x filter scales``, float32: the scale of accumulator and bias."""
    return np.asarray(scales_of(source)[0] * scales_of(weight), np.float32)


def _with_scales(tensor: Tensor, scales: np.ndarray) -> QuantizationParameters:
    """Return the quantisation of a tensor with its scales replaced."""
    assert tensor.quantization is not None
    changed = copy.copy(tensor.quantization)
    changed.scale = scales
    return changed


def _has_bias(operator: Operator) -> bool:
    return len(operator.inputs) > 2 and int(operator.inputs[2]) >= 0


def _add_bias(graph: Graph, operator: Operator, outputs: int) -> None:
    if _has_bias(operator):
        return
    bias = _zero_bias(graph, operator, outputs)
    index = graph.add_constant(bias, np.zeros(outputs, np.int32))
    operator.inputs = np.array([operator.inputs[0], operator.inputs[1], index], np.int32)


def _zero_bias(graph: Graph, operator: Operator, outputs: int) -> Tensor:
    source, weight = (graph.tensor(int(i)) for i in operator.inputs[:2])
    quantization: QuantizationParameters = schema.QuantizationParametersT()
    scales = quantization.scale = _product_of_scales(source, weight)
    quantization.zeroPoint = np.zeros(scales.size, np.int64)
    return new_tensor([outputs], schema.TensorType.INT32, None, quantization)
