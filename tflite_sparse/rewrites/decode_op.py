"""Store constants encoded and let TensorFlow Lite Micro's DECODE operator rebuild them in front of their readers.

Format, from ``kernels/decode.cc`` and ``compression/decode_insert.py`` of tflite-micro: a custom operator
``TFLM_DECODE`` without options; its inputs are pairs of constants, encoded and ancillary (see
:mod:`tflite_sparse.codecs.decodable`), its outputs the decoded tensors. If the application sets a separate
decompression memory, every DECODE overwrites the results of the previous one there. Therefore one DECODE stands right
before each operator that reads encoded constants, and yields all of them.

Needs: constants for which :func:`refusal` is None. LiteRT does not have the operator.
Leaves: every tensor keeps its index, name, shape, type and quantisation. An encoded constant loses its buffer and
becomes an output of the DECODE in front of its first reader; each further reader gets a copy of the tensor. The encoded
and ancillary constants, shared by all copies, and the copies are new tensors without a name at the end.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.codecs import codecs, decodable
from tflite_sparse.codecs.decodable import WHOLE, Channels, Decodable
from tflite_sparse.errors import FlatbufferError
from tflite_sparse.flatbuffer.graph import (
    Graph,
    Use,
    dtype_of,
    indices,
    new_operator,
    new_tensor,
    rewire,
    scales_of,
    shape_of,
    text,
)
from tflite_sparse.flatbuffer.serde import DATA_ALIGNMENT, packed_bytes
from tflite_sparse.flatbuffer.types import Operator, QuantizationParameters, Tensor

CUSTOM_CODE = "TFLM_DECODE"

Kernels = Literal["reference", "cmsis-nn"]

PREPARE_INPUTS: dict[Kernels, frozenset[tuple[str, int]]] = {
    # compression/constant_inputs.py of tflite-micro
    "reference": frozenset(
        {
            ("PAD", 1),
            ("PADV2", 1),
            ("TRANSPOSE", 1),
            ("STRIDED_SLICE", 1),
            ("STRIDED_SLICE", 2),
            ("STRIDED_SLICE", 3),
            ("EXPAND_DIMS", 1),
            ("FILL", 0),
            ("BROADCAST_TO", 1),
            ("SPLIT", 0),
            ("SPLIT_V", 2),
            ("RESIZE_BILINEAR", 1),
            ("RESIZE_NEAREST_NEIGHBOR", 1),
        }
    ),
    # kernels/cmsis_nn/unidirectional_sequence_lstm.cc, and svdf.cc if built for speed
    "cmsis-nn": frozenset(
        {("UNIDIRECTIONAL_SEQUENCE_LSTM", position) for position in (*range(1, 9), *range(12, 16))} | {("SVDF", 1)}
    ),
}
"""(operator, input) that kernels read, or require to be constant, before anything is decoded."""

_OFFSET_BYTES = 4  # an entry in the list of tensors, buffers or operators, or the length of a vector
_DEPTHWISE_CHANNELS = 3  # the dimension of a DEPTHWISE_CONV_2D filter


def refusal(graph: Graph, tensor_index: int, uses: Sequence[Use], kernels: Sequence[Kernels] = ()) -> str | None:
    """Return why a constant cannot be decoded in front of its readers, with any codec; or None.

    Args:
        graph: the graph that holds it.
        tensor_index: a tensor.
        uses: every operator input that reads it.
        kernels: the optimised kernels that must take it, besides the reference ones.
    """
    tensor = graph.tensor(tensor_index)
    if graph.stored_values(tensor_index) is None or tensor.sparsity is not None:
        return "it is no dense constant of numbers"
    if tensor.isVariable or graph.yields(tensor_index) or not uses:
        return "it is not read by operators alone"
    for use in uses:
        name = graph.operator_name(use.operator)
        if _is_custom(graph, use.operator):
            return f"the custom operator {name} reads it"
        for kind in ("reference", *kernels):
            if (name, use.position) in PREPARE_INPUTS[kind]:
                return f"the {kind} kernel of {name} reads it before it is decoded"
    return None


@dataclass(frozen=True, eq=False, slots=True)
class Result:
    """A result of a DECODE: the values, codec, both encoded vectors, and indices of their tensors (``pair``)."""

    values: np.ndarray
    codec: str
    vectors: tuple[np.ndarray, np.ndarray]
    pair: tuple[int, int]


def results(graph: Graph) -> dict[int, Result]:
    """Return every constant that a DECODE yields, by tensor index.

    Raises:
        FlatbufferError: a constant is damaged; names the tensor.
    """
    found = {}
    for operator in graph.operators:
        if not _is_decode(graph, operator):
            continue
        for encoded, ancillary, index in _triples(graph, operator):
            values = _decoded(graph, encoded, ancillary, index)
            vectors = _vector(graph, encoded), _vector(graph, ancillary)
            found[index] = Result(values, decodable.read(*vectors).codec, vectors, (encoded, ancillary))
    return found


def is_present(graph: Graph) -> bool:
    """Return whether the graph has a DECODE operator."""
    return any(_is_decode(graph, operator) for operator in graph.operators)


def channels_of(tensor: Tensor) -> Channels:
    """Return the part of a tensor's quantisation that the runtime uses for decoding.

    Without scales, or without zero points, it uses none (``micro_allocator.cc``); one zero point is for all channels.
    """
    quantization, scales = tensor.quantization, scales_of(tensor)
    points = indices(quantization.zeroPoint) if quantization is not None and scales.size else []
    if quantization is None or not points:
        return WHOLE
    if scales.size == 1:
        return Channels(None, (points[0],))
    return Channels(int(quantization.quantizedDimension), tuple(points))


def apply(graph: Graph, encoded: Mapping[int, Decodable], uses: Mapping[int, Sequence[Use]]) -> list[Operator]:
    """Edit the graph, once for all of its constants; return the new operators in execution order.

    Args:
        graph: the graph that holds the tensors.
        encoded: by tensor index, each constant encoded with the channels of :func:`channels_of`.
        uses: for each constant, every operator input that reads it, in execution order.

    Raises:
        ValueError: the graph has a DECODE; a second one in front of the same operator would overwrite its results.
    """
    if is_present(graph):
        raise ValueError("the graph has a DECODE operator already")
    pairs = {index: _move_into_pair(graph, graph.tensor(index), pair) for index, pair in encoded.items()}
    readers: dict[int, list[tuple[Use, int]]] = defaultdict(list)  # by position of the operator
    places = {id(operator): place for place, operator in enumerate(graph.operators)}
    for index in encoded:
        for use in uses[index]:
            readers[places[id(use.operator)]].append((use, index))
    code = _operator_code(graph)
    operators, taken = [], set()
    for place in sorted(readers):
        inputs: list[int] = []
        outputs: dict[int, int] = {}
        for use, index in sorted(readers[place], key=lambda reader: reader[0].position):
            if index not in outputs:
                outputs[index] = index if index not in taken else graph.add_tensor(_copy_of(graph.tensor(index)))
                taken.add(index)
                inputs += pairs[index]
            rewire(use.operator, use.position, outputs[index])
        operator = new_operator(code, inputs, list(outputs.values()))
        graph.insert_before(readers[place][0][0].operator, operator)
        operators.append(operator)
    return operators


def undo(graph: Graph) -> list[int]:
    """Store every constant that a DECODE yields dense, and remove the operators; return the constants' indices.

    Readers of one pair of constants read one tensor again. The pairs lose their buffers unless they have other readers.

    Raises:
        FlatbufferError: a constant is damaged; names the tensor.
    """
    decodes = [operator for operator in graph.operators if _is_decode(graph, operator)]
    constants: dict[tuple[object, ...], int] = {}
    replaced: dict[int, int] = {}
    values: dict[int, np.ndarray] = {}
    for encoded, ancillary, index in (triple for operator in decodes for triple in _triples(graph, operator)):
        tensor = graph.tensor(index)
        key = (encoded, ancillary, shape_of(tensor), tensor.type, _signature(tensor.quantization))
        if key in constants and not graph.yields(index):
            replaced[index] = constants[key]
        else:
            constants.setdefault(key, index)
            values[index] = _decoded(graph, encoded, ancillary, index)
    graph.subgraph.operators = [operator for operator in graph.operators if not _is_decode(graph, operator)]
    for operator in graph.operators:
        inputs = indices(operator.inputs)
        if not replaced.keys().isdisjoint(inputs):
            operator.inputs = np.array([replaced.get(index, index) for index in inputs], np.int32)
    for index, array in values.items():
        graph.store(graph.tensor(index), array)
    read = graph.uses()
    for index in {index for operator in decodes for index in indices(operator.inputs)}:
        if index not in read and not graph.yields(index):
            graph.tensor(index).buffer = 0
    _restore_axes(graph, set(values))
    return sorted(values)


def overhead_bytes(tensor: Tensor, readers: int) -> int:
    """Return the most bytes that this edit adds to a file: tables, list entries, alignment.

    Not counted are the contents of both vectors, and the operator code, which a file has once.

    Args:
        tensor: the constant.
        readers: number of its readers. A DECODE is counted for each, though constants of one reader share it.
    """
    pair = [_vector_tensor(1, buffer) for buffer in (1, 2)]
    copies = [_copy_of(tensor) for _ in range(readers - 1)]
    for number, twin in enumerate(copies):
        twin.name = str(number)  # equal tables would be counted once
    operators = [new_operator(0, [number, 0], [number]) for number in range(readers)]
    tables = packed_bytes(tensor, *pair, *copies, *operators) - packed_bytes(tensor)
    entries = 2 + 1 + 2 * readers  # both constants, a further buffer, the operators and the copies
    return tables + entries * _OFFSET_BYTES + packed_bytes(schema.BufferT()) + 2 * DATA_ALIGNMENT


def _move_into_pair(graph: Graph, tensor: Tensor, pair: Decodable) -> tuple[int, int]:
    """Add the constants of a pair; remove that of the tensor."""
    tensor.buffer = 0
    quantization = tensor.quantization
    if quantization is not None and scales_of(tensor).size == 1 and quantization.quantizedDimension != 0:
        # With one scale the runtime refuses any axis but the first, though the axis has no meaning.
        quantization = tensor.quantization = copy.copy(quantization)
        quantization.quantizedDimension = 0
    vectors = (pair.encoded, pair.ancillary)
    encoded, ancillary = (graph.add_constant(_vector_tensor(vector.size, 0), vector) for vector in vectors)
    return encoded, ancillary


def _vector_tensor(size: int, buffer: int) -> Tensor:
    tensor = new_tensor([size], schema.TensorType.UINT8)
    tensor.buffer = buffer
    return tensor


def _restore_axes(graph: Graph, constants: set[int]) -> None:
    """Set the scale of depthwise filters of one channel along the channels again, as converters write it."""
    for operator in graph.operators:
        if graph.operator_name(operator) == "DEPTHWISE_CONV_2D":
            index = int(operator.inputs[1])
            tensor = graph.tensor(index)
            quantization = tensor.quantization
            single = index in constants and shape_of(tensor)[_DEPTHWISE_CHANNELS] == 1
            if single and quantization is not None and scales_of(tensor).size == 1:
                quantization.quantizedDimension = _DEPTHWISE_CHANNELS


def _copy_of(tensor: Tensor) -> Tensor:
    return new_tensor(shape_of(tensor), tensor.type, None, tensor.quantization)


def _is_custom(graph: Graph, operator: Operator) -> bool:
    return graph.model.operatorCodes[operator.opcodeIndex].customCode is not None


def _is_decode(graph: Graph, operator: Operator) -> bool:
    return _is_custom(graph, operator) and graph.operator_name(operator) == CUSTOM_CODE


def _operator_code(graph: Graph) -> int:
    for index, code in enumerate(graph.model.operatorCodes):
        if code.customCode is not None and text(code.customCode) == CUSTOM_CODE:
            return index
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode, code.version = CUSTOM_CODE, 1
    graph.model.operatorCodes.append(code)
    return len(graph.model.operatorCodes) - 1


def _triples(graph: Graph, operator: Operator) -> list[tuple[int, int, int]]:
    """Return the tensor indices (encoded, ancillary, result) of a DECODE."""
    inputs, outputs = indices(operator.inputs), indices(operator.outputs)
    if not outputs or len(inputs) != 2 * len(outputs) or min(inputs) < 0:
        raise FlatbufferError(
            f"a {CUSTOM_CODE} operator of graph {graph.number} has {len(inputs)} inputs for {len(outputs)} outputs; "
            "each output needs two."
        )
    return list(zip(inputs[::2], inputs[1::2], outputs, strict=True))


def _decoded(graph: Graph, encoded: int, ancillary: int, index: int) -> np.ndarray:
    tensor, dtype = graph.tensor(index), dtype_of(graph.tensor(index))
    try:
        if dtype is None:
            raise ValueError("its type holds no numbers of whole bytes")
        pair = decodable.read(_vector(graph, encoded), _vector(graph, ancillary))
        return codecs.decode(pair, shape_of(tensor), dtype, channels_of(tensor))
    except ValueError as error:
        raise FlatbufferError(
            f"tensor {text(tensor.name) or index!r}, which a {CUSTOM_CODE} operator yields, is damaged: {error}."
        ) from error


def _vector(graph: Graph, index: int) -> np.ndarray:
    values = graph.constant(index)
    if values is None or values.dtype != np.uint8 or values.ndim != 1:
        raise ValueError(f"tensor {index}, which it is decoded from, is no constant vector of uint8")
    return values


def _signature(quantization: QuantizationParameters | None) -> tuple[object, ...]:
    """Return a quantisation as a comparable value."""
    if quantization is None:
        return ()
    scales = () if quantization.scale is None else map(float, quantization.scale)
    return (*scales, *indices(quantization.zeroPoint), int(quantization.quantizedDimension))
