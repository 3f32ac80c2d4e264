"""Replace FULLY_CONNECTED and CONV_2D by TFLITE_SPARSE, a custom operator that computes on pruned weights as stored.

The operator and its kernels for TensorFlow Lite Micro are in ``micro_kernels/``; LiteRT does not have it. Its inputs are
the activations, a stream of weights and parameters (both uint8 vectors), and in some files the dense bias, which it does
not read; its options are those of :mod:`tflite_sparse.codecs.streams.options`.

Needs: weights for which :func:`refusal` is None, and a kernel that takes them.
Leaves: every tensor keeps its index and name. The weights become the stream. The bias becomes the parameters where
nothing else reads it; else these are a new tensor without a name at the end. Both lose their quantisation where
:func:`undo` can work it out to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.codecs.streams import options as codec_options
from tflite_sparse.codecs.streams import parameters as codec_parameters
from tflite_sparse.codecs.streams import stream as codec_stream
from tflite_sparse.codecs.streams.kernels import Filter, Kernel
from tflite_sparse.codecs.streams.options import Bias, OperatorName, Options
from tflite_sparse.codecs.streams.parameters import Parameters, Scales
from tflite_sparse.errors import FlatbufferError
from tflite_sparse.flatbuffer.graph import (
    Graph,
    Use,
    indices,
    new_tensor,
    quantisation_of,
    shape_of,
    text,
)
from tflite_sparse.flatbuffer.serde import DATA_ALIGNMENT, packed_bytes
from tflite_sparse.rewrites import fused_range

CUSTOM_CODE = "TFLITE_SPARSE"

_BUILTINS: dict[OperatorName, int] = {
    "FULLY_CONNECTED": schema.BuiltinOperator.FULLY_CONNECTED,
    "CONV_2D": schema.BuiltinOperator.CONV_2D,
}
_RANKS = {"FULLY_CONNECTED": 2, "CONV_2D": 4}
_WEIGHTS, _BIAS = 1, 2
_STREAM, _PARAMETERS, _DENSE_BIAS = 1, 2, 3


@dataclass(frozen=True, eq=False, slots=True)
class SparseOperator:
    """An operator of a graph with sparse weights, decoded.

    Attributes:
        operator: in the graph.
        options: its options.
        weights: int8, of the dense operator's shape.
        parameters: its parameters.
        tensors: indices of stream and parameters.
        stream_bytes: of the stream.
    """

    operator: Any
    options: Options
    weights: np.ndarray
    parameters: Parameters
    tensors: tuple[int, int]
    stream_bytes: int


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
    for use in uses:
        name = graph.operator_name(use.operator)
        if name not in _BUILTINS or use.position != _WEIGHTS:
            return f"{name} reads it; kernels are for weights of FULLY_CONNECTED and CONV_2D"
        reason = _shape_refusal(graph, use.operator, weights, name) or _quantisation_refusal(graph, use.operator)
        if reason is not None:
            return reason
    return None


def filter_of(graph: Graph, operator: Any) -> Filter:
    """The filter of a FULLY_CONNECTED or CONV_2D that :func:`refusal` takes."""
    shape = shape_of(graph.tensor(int(operator.inputs[_WEIGHTS])))
    if len(shape) == _RANKS["FULLY_CONNECTED"]:
        return Filter(shape[0], 1, 1, shape[1])
    options = operator.builtinOptions
    return Filter(
        *shape,
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
            _parameters(graph, use.operator, weights)
    except ValueError as error:
        return str(error)
    return None


def apply(graph: Graph, tensor_index: int, uses: Sequence[Use], kernel: Kernel) -> None:
    """Edit the graph.

    Args:
        graph: the graph that holds the weights.
        tensor_index: of the weights, for which :func:`refusal` is None.
        uses: every operator input that reads them.
        kernel: one that takes them.

    Raises:
        ValueError: the kernel does not take them.
    """
    weights = graph.constant(tensor_index)
    assert weights is not None  # see refusal
    tensor = graph.tensor(tensor_index)
    found = [_parameters(graph, use.operator, weights) for use in uses]
    shape = filter_of(graph, uses[0].operator)
    stream = codec_stream.encode(kernel, shape, weights.reshape(shape.shape))
    plans = [_options(graph, use.operator, kernel, found_here) for use, found_here in zip(uses, found, strict=True)]
    readers = graph.uses()
    code = _operator_code(graph)
    filter_worked_out = all(plan.filter_worked_out for plan in plans)
    for use, plan, parameters in zip(uses, plans, found, strict=True):
        settled = replace(plan, filter_worked_out=filter_worked_out)
        _replace_operator(graph, use.operator, code, settled, parameters, readers)
    if filter_worked_out:
        tensor.quantization = None
    _become_vector(graph, tensor, stream)


def overhead_bytes(graph: Graph, uses: Sequence[Use], weights: np.ndarray) -> int:
    """What the edit adds to a file beside the stream, at most; less than 0 where what it takes away is more.

    The operator code, once for a file, is left out.

    Args:
        graph: the graph that holds the weights.
        uses: every operator input that reads them.
        weights: that :func:`parameters_refusal` takes.
    """
    added = 0
    worked_out = True
    for use in uses:
        operator = use.operator
        parameters = _parameters(graph, operator, weights)
        options = _options(graph, operator, Kernel.ROW_INDEX8, parameters)
        added += parameters.to_bytes().size + codec_options.NBYTES + 2 * DATA_ALIGNMENT
        added -= packed_bytes(operator.builtinOptions)
        worked_out &= options.filter_worked_out
        if options.bias == Bias.THERE:
            added += _bias_bytes(graph, int(operator.inputs[_BIAS]), options.bias_worked_out)
        else:
            added += packed_bytes(new_tensor([1], schema.TensorType.UINT8))
    if worked_out:
        added -= packed_bytes(graph.tensor(int(uses[0].operator.inputs[_WEIGHTS])).quantization)
    return added


def operators(graph: Graph) -> list[SparseOperator]:
    """Every operator with sparse weights, in execution order, decoded.

    Raises:
        FlatbufferError: one is damaged; names the tensor.
    """
    return [_read(graph, operator) for operator in graph.operators if _is_sparse(graph, operator)]


def is_present(graph: Graph) -> bool:
    """Whether the graph has an operator with sparse weights."""
    return any(_is_sparse(graph, operator) for operator in graph.operators)


def undo(graph: Graph) -> list[int]:
    """Make every operator dense again; return the indices of the weights.

    Raises:
        FlatbufferError: one is damaged; names the tensor.
    """
    found = operators(graph)
    for each in found:
        _restore_operator(graph, each)
    for each in found:
        _restore_tensors(graph, each)
    read = graph.uses()
    for each in found:
        for index in each.tensors:
            if index not in read and not graph.yields(index):
                graph.tensor(index).buffer = 0
    return sorted({each.tensors[0] for each in found})


def _shape_refusal(graph: Graph, operator: Any, weights: np.ndarray, name: str) -> str | None:
    options = operator.builtinOptions
    inputs, outputs = indices(operator.inputs), indices(operator.outputs)
    if options is None or len(inputs) not in (2, 3) or len(outputs) != 1 or weights.ndim != _RANKS[name]:
        return f"{name} has other inputs or options than the kernels know"
    channels = shape_of(graph.tensor(inputs[0]))[-1:]
    if name == "CONV_2D" and channels != weights.shape[-1:]:
        return "it is a convolution in groups"
    if name == "FULLY_CONNECTED" and options.weightsFormat != 0:
        return "its weights are shuffled"
    bias = graph.constant(inputs[_BIAS]) if len(inputs) > _BIAS and inputs[_BIAS] >= 0 else np.zeros(0, np.int32)
    return None if bias is not None and bias.dtype == np.int32 else "its bias is no int32 constant"


def _quantisation_refusal(graph: Graph, operator: Any) -> str | None:
    for index in (int(operator.inputs[0]), int(operator.outputs[0])):
        tensor = graph.tensor(index)
        if tensor.type != schema.TensorType.INT8 or quantisation_of(tensor)[0] <= 0:
            return "it is read or yielded with other types than int8"
    tensor = graph.tensor(int(operator.inputs[_WEIGHTS]))
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


def _scales(graph: Graph, operator: Any) -> Scales:
    tensor = graph.tensor(int(operator.inputs[_WEIGHTS]))
    scales = np.asarray(tensor.quantization.scale, np.float32)
    is_matrix = graph.operator_name(operator) == "FULLY_CONNECTED"
    return _scales_of(graph, operator, scales, in_float=is_matrix and scales.size == 1)


def _scales_of(graph: Graph, operator: Any, scales: np.ndarray, *, in_float: bool) -> Scales:
    source, result = (quantisation_of(graph.tensor(int(each[0])))[0] for each in (operator.inputs, operator.outputs))
    return Scales(np.float32(source), np.float32(result), scales, in_float)


def _bias_place(operator: Any) -> Bias:
    inputs = indices(operator.inputs)
    if len(inputs) <= _BIAS:
        return Bias.NOT_AN_INPUT
    return Bias.THERE if inputs[_BIAS] >= 0 else Bias.ABSENT


def _parameters(graph: Graph, operator: Any, weights: np.ndarray) -> Parameters:
    has_bias = _bias_place(operator) == Bias.THERE
    bias = graph.constant(int(operator.inputs[_BIAS])) if has_bias else None
    zero_point = quantisation_of(graph.tensor(int(operator.inputs[0])))[1]
    return codec_parameters.of(_scales(graph, operator), bias, weights, zero_point)


def _options(graph: Graph, operator: Any, kernel: Kernel, parameters: Parameters) -> Options:
    name = graph.operator_name(operator)
    dense, code = operator.builtinOptions, graph.model.operatorCodes[operator.opcodeIndex]
    source, result = graph.tensor(int(operator.inputs[0])), graph.tensor(int(operator.outputs[0]))
    activation = int(dense.fusedActivationFunction)
    output_range = fused_range.of(activation, *quantisation_of(result))
    assert output_range is not None  # see refusal
    scales = _scales(graph, operator)
    is_matrix = name == "FULLY_CONNECTED"
    tensor = graph.tensor(int(operator.inputs[_WEIGHTS]))
    bias = _bias_place(operator)
    first = Options(
        operator="FULLY_CONNECTED" if is_matrix else "CONV_2D",
        kernel=kernel,
        shape=filter_of(graph, operator),
        one_scale=scales.filter.size == 1,
        valid=not is_matrix and int(dense.padding) == schema.Padding.VALID,
        input_zero_point=quantisation_of(source)[1],
        output_zero_point=quantisation_of(result)[1],
        output_range=output_range,
        version=int(code.version),
        activation=activation,
        keep_num_dims=is_matrix and bool(dense.keepNumDims),
        asymmetric_quantize_inputs=is_matrix and bool(dense.asymmetricQuantizeInputs),
        bias_type=int(dense.quantizedBiasType),
        bias=bias,
        filter_scale=float(scales.filter[0]) if scales.filter.size == 1 else 0.0,
        filter_worked_out=False,
        bias_worked_out=False,
    )
    scales_found = _worked_out_scales(graph, operator, first, parameters)
    filter_found = _same_quantisation(tensor.quantization, _quantisation(scales_found))
    bias_found = bias == Bias.THERE and _same_quantisation(
        graph.tensor(int(operator.inputs[_BIAS])).quantization, _quantisation(scales.input * scales.filter)
    )
    return replace(first, filter_worked_out=filter_found, bias_worked_out=bias_found)


def _worked_out_scales(graph: Graph, operator: Any, options: Options, parameters: Parameters) -> np.ndarray:
    if options.one_scale:
        return np.array([options.filter_scale], np.float32)
    scales = _scales_of(graph, operator, np.zeros(0, np.float32), in_float=False)
    return codec_parameters.filter_scales(parameters, scales.input, scales.output)


def _bias_bytes(graph: Graph, index: int, worked_out: bool) -> int:
    """What happens to a bias: it makes room for the parameters, or stays where others read it."""
    if not _is_own(graph, index, graph.uses()):
        return packed_bytes(new_tensor([1], schema.TensorType.UINT8))
    values = graph.stored_values(index)
    assert values is not None  # see refusal
    return -values.nbytes - (packed_bytes(graph.tensor(index).quantization) if worked_out else 0)


def _is_own(graph: Graph, index: int, readers: Mapping[int, Sequence[Use]]) -> bool:
    """Whether one operator alone reads a bias."""
    return len(readers[index]) == 1 and not graph.yields(index)


def _quantisation(scales: np.ndarray) -> Any:
    """As converters write it: zero points of 0, along the first dimension."""
    found = schema.QuantizationParametersT()
    found.scale = scales.astype(np.float32)
    found.zeroPoint = np.zeros(scales.size, np.int64)
    found.quantizedDimension = 0
    return found


def _same_quantisation(first: Any, second: Any) -> bool:
    if first is None or first.details is not None or any(each is not None for each in (first.min, first.max)):
        return False
    scales = [np.asarray(each.scale if each.scale is not None else [], np.float32) for each in (first, second)]
    points = [indices(each.zeroPoint) for each in (first, second)]
    axes = [int(each.quantizedDimension) for each in (first, second)]
    return np.array_equal(*scales) and points[0] == points[1] and axes[0] == axes[1]


def _replace_operator(
    graph: Graph,
    operator: Any,
    code: int,
    options: Options,
    parameters: Parameters,
    readers: Mapping[int, Sequence[Use]],
) -> None:
    source, weights, *rest = indices(operator.inputs)
    contents = parameters.to_bytes()
    if options.bias == Bias.THERE and _is_own(graph, rest[0], readers):
        bias = graph.tensor(rest[0])
        if options.bias_worked_out:
            bias.quantization = None
        _become_vector(graph, bias, contents)
        inputs = [source, weights, rest[0]]
    else:
        vector = new_tensor([contents.size], schema.TensorType.UINT8)
        inputs = [source, weights, graph.add_constant(vector, contents)]
        if options.bias == Bias.THERE:
            inputs.append(rest[0])
            options = replace(options, bias_worked_out=False)
    operator.opcodeIndex = code
    operator.inputs = np.array(inputs, np.int32)
    operator.builtinOptionsType, operator.builtinOptions = 0, None
    operator.customOptions = codec_options.pack(options)


def _become_vector(graph: Graph, tensor: Any, contents: np.ndarray) -> None:
    tensor.type = schema.TensorType.UINT8
    tensor.shape = np.array([contents.size], np.int32)
    graph.store(tensor, contents)


def _operator_code(graph: Graph) -> int:
    for index, code in enumerate(graph.model.operatorCodes):
        if code.customCode is not None and text(code.customCode) == CUSTOM_CODE:
            return index
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode, code.version = CUSTOM_CODE, 1
    graph.model.operatorCodes.append(code)
    return len(graph.model.operatorCodes) - 1


def _is_sparse(graph: Graph, operator: Any) -> bool:
    code = graph.model.operatorCodes[operator.opcodeIndex]
    return code.customCode is not None and text(code.customCode) == CUSTOM_CODE


def _read(graph: Graph, operator: Any) -> SparseOperator:
    inputs = indices(operator.inputs)
    if len(inputs) not in (_PARAMETERS + 1, _DENSE_BIAS + 1) or min(inputs) < 0 or len(indices(operator.outputs)) != 1:
        raise FlatbufferError(f"a {CUSTOM_CODE} operator of graph {graph.number} has {len(inputs)} inputs; it needs 3.")
    stream_index, parameters_index = inputs[_STREAM], inputs[_PARAMETERS]
    try:
        raw = operator.customOptions
        options = codec_options.unpack(np.asarray([] if raw is None else raw, np.uint8))
        _check_quantisation(graph, operator, options)
        stream = _vector(graph, stream_index)
        weights = codec_stream.decode(options.kernel, options.shape, stream)
        contents = _vector(graph, parameters_index)
        parameters = codec_parameters.from_bytes(contents, options.shape.outputs, options.scales)
    except ValueError as error:
        name = text(graph.tensor(stream_index).name) or str(stream_index)
        raise FlatbufferError(f"tensor {name!r}, read by a {CUSTOM_CODE} operator, is damaged: {error}.") from error
    dense = weights.reshape(weights.shape[0], -1) if options.operator == "FULLY_CONNECTED" else weights
    return SparseOperator(operator, options, dense, parameters, (stream_index, parameters_index), stream.size)


def _vector(graph: Graph, index: int) -> np.ndarray:
    values = graph.constant(index)
    if values is None or values.dtype != np.uint8 or values.ndim != 1:
        raise ValueError(f"tensor {index}, which it is decoded from, is no constant vector of uint8")
    return values


def _check_quantisation(graph: Graph, operator: Any, options: Options) -> None:
    for index, point in (
        (int(operator.inputs[0]), options.input_zero_point),
        (int(operator.outputs[0]), options.output_zero_point),
    ):
        scale, found = quantisation_of(graph.tensor(index))
        if scale <= 0 or found != point:
            raise ValueError(f"its options say that tensor {index} has the zero point {point}, the file says {found}")


def _restore_operator(graph: Graph, each: SparseOperator) -> None:
    options, operator = each.options, each.operator
    inputs = indices(operator.inputs)
    bias = inputs[_DENSE_BIAS] if len(inputs) > _DENSE_BIAS else inputs[_PARAMETERS]
    rest = {Bias.THERE: [bias], Bias.ABSENT: [-1], Bias.NOT_AN_INPUT: []}[options.bias]
    operator.inputs = np.array([inputs[0], inputs[_STREAM], *rest], np.int32)
    operator.customOptions = None
    operator.opcodeIndex = graph.operator_code(_BUILTINS[options.operator], options.version)
    if options.operator == "FULLY_CONNECTED":
        operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
        dense = schema.FullyConnectedOptionsT()
        dense.keepNumDims = options.keep_num_dims
        dense.asymmetricQuantizeInputs = options.asymmetric_quantize_inputs
    else:
        operator.builtinOptionsType = schema.BuiltinOptions.Conv2DOptions
        dense = schema.Conv2DOptionsT()
        dense.padding = schema.Padding.VALID if options.valid else schema.Padding.SAME
        dense.strideH, dense.strideW = options.shape.strides
        dense.dilationHFactor, dense.dilationWFactor = options.shape.dilations
    dense.fusedActivationFunction = options.activation
    dense.quantizedBiasType = options.bias_type
    operator.builtinOptions = dense


def _restore_tensors(graph: Graph, each: SparseOperator) -> None:
    """Weights and bias of an operator that :func:`_restore_operator` restored."""
    options, operator = each.options, each.operator
    tensor = graph.tensor(each.tensors[0])
    if options.filter_worked_out:
        tensor.quantization = _quantisation(_worked_out_scales(graph, operator, options, each.parameters))
    scales = np.asarray(tensor.quantization.scale, np.float32)
    _become(graph, tensor, each.weights)
    inputs = indices(operator.inputs)
    if options.bias == Bias.THERE and inputs[_BIAS] == each.tensors[1]:
        bias = graph.tensor(each.tensors[1])
        if options.bias_worked_out:
            bias.quantization = _quantisation(np.float32(quantisation_of(graph.tensor(inputs[0]))[0]) * scales)
        values = codec_parameters.dense_bias(each.parameters, each.weights, options.input_zero_point)
        _become(graph, bias, values)


def _become(graph: Graph, tensor: Any, values: np.ndarray) -> None:
    tensor.type = schema.TensorType.INT8 if values.dtype == np.int8 else schema.TensorType.INT32
    tensor.shape = np.array(values.shape, np.int32)
    graph.store(tensor, values)
