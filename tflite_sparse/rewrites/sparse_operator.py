"""Replace FULLY_CONNECTED and CONV_2D by TFLITE_SPARSE, a custom operator that computes on pruned weights as stored.

The operator and its kernels for TensorFlow Lite Micro are in ``micro_kernels/``; LiteRT does not have it. Its inputs
are the activations, a stream of weights and parameters (both uint8 vectors), and in some files the dense bias, which it
does not read; its options are those of :mod:`tflite_sparse.codecs.streams.options`.

Needs: weights for which :func:`tflite_sparse.rewrites.sparse_plan.refusal` is None, and a kernel that takes them.
Leaves: every tensor keeps its index and name. The weights become the stream. The bias becomes the parameters where
nothing else reads it and its scales are products of the others; else it stays, and the parameters are a new tensor
without a name at the end. Both lose their quantisation, which :func:`undo` works out to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.codecs.streams import options as codec_options
from tflite_sparse.codecs.streams import parameters as codec_parameters
from tflite_sparse.codecs.streams import stream as codec_stream
from tflite_sparse.codecs.streams.kernels import CUSTOM_CODE, Kernel
from tflite_sparse.codecs.streams.options import Bias, Options
from tflite_sparse.codecs.streams.parameters import Parameters
from tflite_sparse.errors import FlatbufferError
from tflite_sparse.flatbuffer.graph import Graph, Use, indices, new_tensor, quantisation_of, text
from tflite_sparse.flatbuffer.types import Operator, Tensor
from tflite_sparse.flatbuffer.validity import DENSE_BYTES_IN_ANY_FILE
from tflite_sparse.rewrites import sparse_plan

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
        tables: of symbols that its kernel makes in RAM.
    """

    operator: Operator
    options: Options
    weights: np.ndarray
    parameters: Parameters
    tensors: tuple[int, int]
    stream_bytes: int
    tables: int


def apply(graph: Graph, tensor_index: int, uses: Sequence[Use], kernel: Kernel, tables: int = 1) -> None:
    """Edit the graph.

    Args:
        graph: the graph that holds the weights.
        tensor_index: of the weights, for which :func:`tflite_sparse.rewrites.sparse_plan.refusal` is None.
        uses: every operator input that reads them.
        kernel: one that takes them.
        tables: as for :func:`tflite_sparse.codecs.streams.stream.encode`.

    Raises:
        ValueError: the kernel does not take them.
    """
    weights = graph.constant(tensor_index)
    assert weights is not None  # see refusal
    shape = sparse_plan.filter_of(graph, uses[0].operator)
    stream = codec_stream.encode(kernel, shape, weights.reshape(shape.shape), tables)
    plans = [sparse_plan.plan(graph, use.operator, kernel, weights) for use in uses]
    code = _operator_code(graph)
    for use, plan in zip(uses, plans, strict=True):
        _replace_operator(graph, use.operator, code, plan)
    tensor = graph.tensor(tensor_index)
    tensor.quantization = None
    _become_vector(graph, tensor, stream)


def operators(graph: Graph) -> list[SparseOperator]:
    """Every operator with sparse weights, in execution order, decoded.

    Raises:
        FlatbufferError: one is damaged; names the tensor.
    """
    found: list[SparseOperator] = []
    room = DENSE_BYTES_IN_ANY_FILE
    for operator in graph.operators:
        if _is_sparse(graph, operator):
            found.append(_read(graph, operator, room))
            room -= found[-1].weights.size
    return found


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


def _replace_operator(graph: Graph, operator: Operator, code: int, plan: sparse_plan.Plan) -> None:
    source, weights, *rest = indices(operator.inputs)
    contents = plan.parameters.to_bytes()
    if plan.takes_bias:
        bias = graph.tensor(rest[0])
        bias.quantization = None
        _become_vector(graph, bias, contents)
        inputs = [source, weights, rest[0]]
    else:
        vector = new_tensor([contents.size], schema.TensorType.UINT8)
        kept = rest if plan.options.bias == Bias.THERE else []
        inputs = [source, weights, graph.add_constant(vector, contents), *kept]
    operator.opcodeIndex = code
    operator.inputs = np.array(inputs, np.int32)
    operator.builtinOptionsType, operator.builtinOptions = 0, None
    operator.customOptions = codec_options.pack(plan.options)


def _become_vector(graph: Graph, tensor: Tensor, contents: np.ndarray) -> None:
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


def _is_sparse(graph: Graph, operator: Operator) -> bool:
    code = graph.model.operatorCodes[operator.opcodeIndex]
    return code.customCode is not None and text(code.customCode) == CUSTOM_CODE


def _read(graph: Graph, operator: Operator, room: int) -> SparseOperator:
    """Decode an operator of at most ``room`` weights: a stream of a few bytes may announce many zeros."""
    inputs = indices(operator.inputs)
    if len(inputs) not in (_PARAMETERS + 1, _DENSE_BIAS + 1) or min(inputs) < 0 or len(indices(operator.outputs)) != 1:
        raise FlatbufferError(f"a {CUSTOM_CODE} operator of graph {graph.number} has {len(inputs)} inputs; it needs 3.")
    stream_index, parameters_index = inputs[_STREAM], inputs[_PARAMETERS]
    try:
        raw = operator.customOptions
        options = codec_options.unpack(np.asarray([] if raw is None else raw, np.uint8))
        _check_quantisation(graph, operator, options)
        if math.prod(options.shape.shape) > room:
            raise ValueError(f"up to here such weights take more than {DENSE_BYTES_IN_ANY_FILE >> 20} MiB")
        stream = _vector(graph, stream_index)
        weights = codec_stream.decode(options.kernel, options.shape, stream)
        reason = codec_stream.refusal(options.kernel, options.shape, weights)
        if reason is not None:
            raise ValueError(f"{options.kernel.name} does not take its weights: {reason}")
        contents = _vector(graph, parameters_index)
        parameters = codec_parameters.from_bytes(contents, options.shape.outputs, options.scales)
    except ValueError as error:
        name = text(graph.tensor(stream_index).name) or str(stream_index)
        raise FlatbufferError(f"tensor {name!r}, read by a {CUSTOM_CODE} operator, is damaged: {error}.") from error
    dense = weights.reshape(weights.shape[0], -1) if options.operator == "FULLY_CONNECTED" else weights
    tables = codec_stream.tables(options.kernel, stream)
    return SparseOperator(operator, options, dense, parameters, (stream_index, parameters_index), stream.size, tables)


def _vector(graph: Graph, index: int) -> np.ndarray:
    values = graph.constant(index)
    if values is None or values.dtype != np.uint8 or values.ndim != 1:
        raise ValueError(f"tensor {index}, which it is decoded from, is no constant vector of uint8")
    return values


def _check_quantisation(graph: Graph, operator: Operator, options: Options) -> None:
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
    operator.opcodeIndex = graph.operator_code(sparse_plan.BUILTINS[options.operator], options.version)
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
    scales = sparse_plan.worked_out_scales(graph, operator, options, each.parameters)
    tensor = graph.tensor(each.tensors[0])
    tensor.quantization = sparse_plan.quantisation(scales)
    _become(graph, tensor, each.weights)
    inputs = indices(operator.inputs)
    if options.bias == Bias.THERE and inputs[sparse_plan.BIAS] == each.tensors[1]:
        bias = graph.tensor(each.tensors[1])
        bias.quantization = sparse_plan.quantisation(np.float32(quantisation_of(graph.tensor(inputs[0]))[0]) * scales)
        values = codec_parameters.dense_bias(each.parameters, each.weights, options.input_zero_point)
        _become(graph, bias, values)


def _become(graph: Graph, tensor: Tensor, values: np.ndarray) -> None:
    tensor.type = schema.TensorType.INT8 if values.dtype == np.int8 else schema.TensorType.INT32
    tensor.shape = np.array(values.shape, np.int32)
    graph.store(tensor, values)
