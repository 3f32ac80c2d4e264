"""Which operators :mod:`tflite_sparse.rewrites.sparse_operator` can replace, and what becomes of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.codecs.streams import options as codec_options
from tflite_sparse.codecs.streams import parameters as codec_parameters
from tflite_sparse.codecs.streams import stream as codec_stream
from tflite_sparse.codecs.streams.kernels import LARGEST_SIDE, Filter, Kernel
from tflite_sparse.codecs.streams.options import Bias, OperatorName, Options
from tflite_sparse.codecs.streams.parameters import Parameters, Scales
from tflite_sparse.flatbuffer.graph import Graph, Use, indices, new_tensor, quantisation_of, scales_of, shape_of
from tflite_sparse.flatbuffer.serde import DATA_ALIGNMENT, packed_bytes
from tflite_sparse.flatbuffer.types import Operator, QuantizationParameters, Tensor
from tflite_sparse.rewrites import fused_range

BUILTINS: dict[OperatorName, int] = {
    "FULLY_CONNECTED": schema.BuiltinOperator.FULLY_CONNECTED,
    "CONV_2D": schema.BuiltinOperator.CONV_2D,
}
WEIGHTS, BIAS = 1, 2
"""Inputs of these operators."""

_RANKS = {"FULLY_CONNECTED": 2, "CONV_2D": 4}


@dataclass(frozen=True, eq=False, slots=True)
class Plan:
    """What becomes of one operator; ``takes_bias`` says whether the parameters take the place of its bias."""

    options: Options
    parameters: Parameters
    takes_bias: bool


def refusal(graph: Graph, tensor_index: int, uses: Sequence[Use]) -> str | None:
    """Why no kernel takes a constant, whatever its values, or None.

    Args:
        graph: the graph that holds it.
        tensor_index: a tensor.
        uses: every operator input that reads it.
    """
    tensor, weights = graph.tensor(tensor_index), graph.constant(tensor_index)
    if weights is None or weights.dtype != np.int8 or not uses or graph.yields(tensor_index) or tensor.isVariable:
        return "it is no int8 constant that operators alone read"
    if indices(tensor.shapeSignature):
        return "it has a signature of its shape, which a stream of weights has no place for"
    for use in uses:
        name = graph.operator_name(use.operator)
        if name not in BUILTINS or use.position != WEIGHTS:
            return f"{name} reads it; kernels are for weights of FULLY_CONNECTED and CONV_2D"
        reason = _shape_refusal(graph, use.operator, weights, name) or _quantisation_refusal(graph, use.operator)
        if reason is not None:
            return reason
    return None


def filter_of(graph: Graph, operator: Operator) -> Filter:
    """The filter of a FULLY_CONNECTED or CONV_2D that :func:`refusal` takes."""
    shape = shape_of(graph.tensor(int(operator.inputs[WEIGHTS])))
    if len(shape) == _RANKS["FULLY_CONNECTED"]:
        return Filter(shape[0], 1, 1, shape[1])
    options = operator.builtinOptions
    outputs, height, width, channels = shape
    return Filter(
        outputs,
        height,
        width,
        channels,
        strides=(int(options.strideH), int(options.strideW)),
        dilations=(int(options.dilationHFactor), int(options.dilationWFactor)),
    )


def weights_refusal(graph: Graph, uses: Sequence[Use], weights: np.ndarray, kernel: Kernel) -> str | None:
    """Why one kernel does not take these weights for its readers, or None; :func:`refusal` must be None."""
    for use in uses:
        shape = filter_of(graph, use.operator)
        reason = codec_stream.refusal(kernel, shape, weights.reshape(shape.shape))
        if reason is not None:
            return reason
    return None


def parameters_refusal(graph: Graph, uses: Sequence[Use], weights: np.ndarray) -> str | None:
    """Why the kernels would not compute what the dense operators do, or None; :func:`refusal` must be None."""
    try:
        for use in uses:
            plan(graph, use.operator, Kernel.ROW_INDEX8, weights)
    except ValueError as error:
        return str(error)
    return None


def overhead_bytes(graph: Graph, uses: Sequence[Use], weights: np.ndarray) -> int:
    """What the edit adds to a file beside the stream, at most; less than 0 where what it takes away is more.

    The operator code, once for a file, is left out.

    Args:
        graph: the graph that holds the weights.
        uses: every operator input that reads them.
        weights: that :func:`parameters_refusal` takes.
    """
    added = -_quantisation_bytes(graph.tensor(int(uses[0].operator.inputs[WEIGHTS])))
    for use in uses:
        planned = plan(graph, use.operator, Kernel.ROW_INDEX8, weights)
        added += planned.parameters.to_bytes().size + codec_options.NBYTES + 2 * DATA_ALIGNMENT
        added -= packed_bytes(use.operator.builtinOptions)
        if planned.takes_bias:
            bias = int(use.operator.inputs[BIAS])
            values = graph.stored_values(bias)
            assert values is not None  # see refusal
            added -= values.nbytes + _quantisation_bytes(graph.tensor(bias))
        else:
            added += packed_bytes(new_tensor([1], schema.TensorType.UINT8), schema.BufferT())
    return added


def plan(graph: Graph, operator: Operator, kernel: Kernel, weights: np.ndarray) -> Plan:
    """Plan to replace an operator.

    Raises:
        ValueError: the kernels would compute something else, or what the file loses could not be worked out.
    """
    options, parameters = _options(graph, operator, kernel), parameters_of(graph, operator, weights)
    codec_options.pack(options)  # strides and dilations may be too large for their fields
    scales, tensor = _scales(graph, operator), graph.tensor(int(operator.inputs[WEIGHTS]))
    if not _same_quantisation(
        tensor.quantization, quantisation(worked_out_scales(graph, operator, options, parameters))
    ):
        raise ValueError("its quantisation could not be worked out again")
    takes_bias = False
    if options.bias == Bias.THERE:
        index = int(operator.inputs[BIAS])
        bias = graph.tensor(index)
        is_own = len(graph.uses()[index]) == 1 and not graph.yields(index) and not indices(bias.shapeSignature)
        takes_bias = is_own and _same_quantisation(bias.quantization, quantisation(scales.input * scales.filter))
    return Plan(options, parameters, takes_bias)


def parameters_of(graph: Graph, operator: Operator, weights: np.ndarray) -> Parameters:
    """The parameters of a dense operator with weights (outputs, ...).

    Raises:
        ValueError: see :func:`tflite_sparse.codecs.streams.parameters.of`.
    """
    has_bias = _bias_place(operator) == Bias.THERE
    bias = graph.constant(int(operator.inputs[BIAS])) if has_bias else None
    zero_point = quantisation_of(graph.tensor(int(operator.inputs[0])))[1]
    return codec_parameters.of(_scales(graph, operator), bias, weights, zero_point)


def worked_out_scales(graph: Graph, operator: Operator, options: Options, parameters: Parameters) -> np.ndarray:
    """The scales of the filter of an operator, float32, from what the file still has."""
    if options.one_scale:
        return np.array([options.filter_scale], np.float32)
    scales = _scales_of(graph, operator, np.zeros(0, np.float32))
    return codec_parameters.filter_scales(parameters, scales.input, scales.output)


def quantisation(scales: np.ndarray) -> QuantizationParameters:
    """As converters write it: zero points of 0, along the first dimension."""
    found: QuantizationParameters = schema.QuantizationParametersT()
    found.scale = scales.astype(np.float32)
    found.zeroPoint = np.zeros(scales.size, np.int64)
    found.quantizedDimension = 0
    return found


def _shape_refusal(graph: Graph, operator: Operator, weights: np.ndarray, name: str) -> str | None:
    options = operator.builtinOptions
    inputs, outputs = indices(operator.inputs), indices(operator.outputs)
    if options is None or len(inputs) not in (2, 3) or len(outputs) != 1 or weights.ndim != _RANKS[name]:
        return f"{name} has other inputs or options than the kernels know"
    shapes = [shape_of(graph.tensor(index)) for index in (inputs[0], outputs[0])]
    channels = shapes[0][-1:]
    if name == "CONV_2D" and {len(shape) for shape in shapes} != {4}:
        return "it reads or yields no images"
    if name == "CONV_2D" and max(side for shape in shapes for side in shape[1:3]) > LARGEST_SIDE:
        return f"a side of its images is more than {LARGEST_SIDE:,}"
    if name == "CONV_2D" and channels != weights.shape[-1:]:
        return "it is a convolution in groups"
    if name == "FULLY_CONNECTED" and options.weightsFormat != 0:
        return "its weights are shuffled"
    bias = graph.constant(inputs[BIAS]) if len(inputs) > BIAS and inputs[BIAS] >= 0 else np.zeros(0, np.int32)
    if bias is None or bias.dtype != np.int32:
        return "its bias is no int32 constant"
    return "its bias is no vector" if bias.size and bias.shape != weights.shape[:1] else None


def _quantisation_refusal(graph: Graph, operator: Operator) -> str | None:
    for index in (int(operator.inputs[0]), int(operator.outputs[0])):
        tensor = graph.tensor(index)
        if tensor.type != schema.TensorType.INT8 or not 0 < quantisation_of(tensor)[0] < math.inf:
            return "it is read or yielded with other types than int8"
    tensor = graph.tensor(int(operator.inputs[WEIGHTS]))
    quantization = tensor.quantization
    if quantization is None or quantization.scale is None or any(indices(quantization.zeroPoint)):
        return "it has no scale, or a zero point other than 0"
    count = len(quantization.scale)
    if count != 1 and (count != shape_of(tensor)[0] or quantization.quantizedDimension != 0):
        return f"it has {count} scales, which are not one for each output"
    output = graph.tensor(int(operator.outputs[0]))
    if fused_range.of(int(operator.builtinOptions.fusedActivationFunction), *quantisation_of(output)) is None:
        return "its fused activation is one that TensorFlow Lite Micro does not have"
    return None


def _scales(graph: Graph, operator: Operator) -> Scales:
    quantization = graph.tensor(int(operator.inputs[WEIGHTS])).quantization
    assert quantization is not None  # see refusal
    return _scales_of(graph, operator, np.asarray(quantization.scale, np.float32))


def _scales_of(graph: Graph, operator: Operator, scales: np.ndarray) -> Scales:
    source, result = (quantisation_of(graph.tensor(int(each[0])))[0] for each in (operator.inputs, operator.outputs))
    return Scales(np.float32(source), np.float32(result), scales)


def _bias_place(operator: Operator) -> Bias:
    inputs = indices(operator.inputs)
    if len(inputs) <= BIAS:
        return Bias.NOT_AN_INPUT
    return Bias.THERE if inputs[BIAS] >= 0 else Bias.ABSENT


def _options(graph: Graph, operator: Operator, kernel: Kernel) -> Options:
    name = graph.operator_name(operator)
    dense, code = operator.builtinOptions, graph.model.operatorCodes[operator.opcodeIndex]
    source, result = graph.tensor(int(operator.inputs[0])), graph.tensor(int(operator.outputs[0]))
    activation = int(dense.fusedActivationFunction)
    output_range = fused_range.of(activation, *quantisation_of(result))
    assert output_range is not None  # see refusal
    scales = _scales(graph, operator).filter
    is_matrix = name == "FULLY_CONNECTED"
    return Options(
        operator="FULLY_CONNECTED" if is_matrix else "CONV_2D",
        kernel=kernel,
        shape=filter_of(graph, operator),
        one_scale=scales.size == 1,
        valid=not is_matrix and int(dense.padding) == schema.Padding.VALID,
        input_zero_point=quantisation_of(source)[1],
        output_zero_point=quantisation_of(result)[1],
        output_range=output_range,
        version=int(code.version),
        activation=activation,
        keep_num_dims=is_matrix and bool(dense.keepNumDims),
        asymmetric_quantize_inputs=is_matrix and bool(dense.asymmetricQuantizeInputs),
        bias_type=int(dense.quantizedBiasType),
        bias=_bias_place(operator),
        filter_scale=float(scales[0]) if scales.size == 1 else 0.0,
    )


def _quantisation_bytes(tensor: Tensor) -> int:
    """What a file saves, at least, without it: the scales. Vectors of zero points may be shared with other tensors."""
    return 4 * scales_of(tensor).size


def _same_quantisation(first: QuantizationParameters | None, second: QuantizationParameters) -> bool:
    if first is None or any(each is not None for each in (first.min, first.max, first.details)):
        return False
    scales = [np.asarray(each.scale if each.scale is not None else [], np.float32) for each in (first, second)]
    points = [indices(each.zeroPoint) for each in (first, second)]
    axes = [int(each.quantizedDimension) for each in (first, second)]
    return np.array_equal(scales[0], scales[1]) and points[0] == points[1] and axes[0] == axes[1]
