"""Check the contents of a parsed ``.tflite`` model: indices, shapes, sizes, sparse constants, options.

Later code may then use every index without a check of its range, and allocate arrays of every shape. No file that
LiteRT loads is refused, except for violations of the format and the limits below.
"""

from __future__ import annotations

import math
from collections.abc import Sized
from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import ArrayLike

from tflite_sparse.flatbuffer.graph import builtin_code, indices, shape_of, text
from tflite_sparse.flatbuffer.sparsity import stored_value_count
from tflite_sparse.flatbuffer.types import Buffer, Model, Operator, SubGraph, Tensor
from tflite_sparse.flatbuffer.verifier import DamageError

MOST_ELEMENTS = 2**31 - 1
"""Largest size of one tensor: much of the runtime uses int32 offsets into a tensor."""
MOST_DIMENSIONS = 16
DENSE_BYTES_IN_ANY_FILE = 256 << 20
DENSE_BYTES_PER_BYTE = 64
"""All constants, dense, take at most :data:`DENSE_BYTES_IN_ANY_FILE` plus this number times the bytes of the file."""

_DECODE = "TFLM_DECODE"
_ABSENT = -1  # an omitted optional input

# Bits of a value (LiteRT packs values of less than a byte). Missing types are strings and handles.
_BITS: dict[int, int] = {
    schema.TensorType.INT2: 2,
    schema.TensorType.INT4: 4,
    schema.TensorType.UINT4: 4,
    schema.TensorType.BOOL: 8,
    schema.TensorType.INT8: 8,
    schema.TensorType.UINT8: 8,
    schema.TensorType.FLOAT8_E4M3FN: 8,
    schema.TensorType.FLOAT8_E5M2: 8,
    schema.TensorType.FLOAT16: 16,
    schema.TensorType.BFLOAT16: 16,
    schema.TensorType.INT16: 16,
    schema.TensorType.UINT16: 16,
    schema.TensorType.FLOAT32: 32,
    schema.TensorType.INT32: 32,
    schema.TensorType.UINT32: 32,
    schema.TensorType.FLOAT64: 64,
    schema.TensorType.COMPLEX64: 64,
    schema.TensorType.INT64: 64,
    schema.TensorType.UINT64: 64,
    schema.TensorType.COMPLEX128: 128,
}

_ZERO_POINTS = {
    schema.TensorType.INT8: ("int8", range(-(2**7), 2**7)),
    schema.TensorType.UINT8: ("uint8", range(2**8)),
    schema.TensorType.INT16: ("int16", range(-(2**15), 2**15)),
}
"""Zero points are values of the tensor's type."""

_BUILTIN_NAMES = frozenset(name for name in vars(schema.BuiltinOperator) if name.isupper())


@dataclass(frozen=True, slots=True)
class _Requirement:
    """Properties of an operator that this package relies on.

    Attributes:
        inputs: number of leading inputs that must be present.
        options: the class of its options; None if they are not used here.
        rank: of input 1 if that is a constant weight. The shape of a computed weight, as behind QUANTIZE and DEQUANTIZE
            in a model with fake quantisation, may be known only at run time.
        channels: the dimension of the weight along which scales and the bias (input 2) may have one entry each; there
            are then no further inputs.
        at_least_one: options that divide or multiply and so must be positive.
    """

    inputs: int
    options: type | None = None
    rank: int | None = None
    channels: int | None = None
    at_least_one: tuple[str, ...] = ()


_REQUIREMENTS: dict[int, _Requirement] = {
    schema.BuiltinOperator.CONV_2D: _Requirement(
        2, schema.Conv2DOptionsT, 4, 0, ("strideW", "strideH", "dilationWFactor", "dilationHFactor")
    ),
    schema.BuiltinOperator.DEPTHWISE_CONV_2D: _Requirement(2, schema.DepthwiseConv2DOptionsT, 4),
    schema.BuiltinOperator.TRANSPOSE_CONV: _Requirement(3, schema.TransposeConvOptionsT, 4),
    schema.BuiltinOperator.CONV_3D: _Requirement(2, schema.Conv3DOptionsT, 5),
    schema.BuiltinOperator.CONV_3D_TRANSPOSE: _Requirement(3, schema.Conv3DOptionsT, 5),
    schema.BuiltinOperator.FULLY_CONNECTED: _Requirement(2, schema.FullyConnectedOptionsT, 2, 0),
    schema.BuiltinOperator.BATCH_MATMUL: _Requirement(2),
    schema.BuiltinOperator.GATHER: _Requirement(2),
    schema.BuiltinOperator.EMBEDDING_LOOKUP: _Requirement(2),
    schema.BuiltinOperator.RESHAPE: _Requirement(1),
    schema.BuiltinOperator.DEQUANTIZE: _Requirement(1),
    schema.BuiltinOperator.DENSIFY: _Requirement(1),
}


def normalise(model: Model) -> None:
    """Fill in what a file may omit: a missing list becomes empty, and FULLY_CONNECTED gets default options.

    Drop what the runtime ignores: the custom name of a builtin operator, and the quantisation of inputs of LiteRT
    Micro's DECODE, where its own encoder leaves that of the dense tensor.
    """
    model.operatorCodes = model.operatorCodes or []
    codes = [builtin_code(code) for code in model.operatorCodes]
    plain = {number for number, code in enumerate(codes) if code == schema.BuiltinOperator.FULLY_CONNECTED}
    decodes = _decode_codes(model)
    for code in model.operatorCodes:
        if builtin_code(code) != schema.BuiltinOperator.CUSTOM:
            code.customCode = None
    for graph in model.subgraphs:
        graph.tensors, graph.operators = graph.tensors or [], graph.operators or []
        graph.inputs, graph.outputs = _list(graph.inputs), _list(graph.outputs)
        for operator in graph.operators:
            operator.inputs, operator.outputs = _list(operator.inputs), _list(operator.outputs)
            if operator.opcodeIndex in decodes:
                for index in operator.inputs:
                    if 0 <= index < len(graph.tensors):  # :func:`check` refuses others
                        graph.tensors[index].quantization = None
            if operator.opcodeIndex in plain and operator.builtinOptionsType == 0:
                operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
                operator.builtinOptions = schema.FullyConnectedOptionsT()


def check(model: Model, file_bytes: int) -> None:
    """Check a normalised model with resolved external buffers.

    Args:
        model: a ``ModelT`` with at least one graph and one buffer.
        file_bytes: the size of its file, which limits the bytes of its dense constants.

    Raises:
        DamageError: a check fails; names the graph, the tensor or operator, and the expected value.
    """
    if _length(model.buffers[0].data):
        raise DamageError("buffer 0 holds data; the format keeps it empty, for tensors without a constant")
    for code in model.operatorCodes:
        if text(code.customCode) in _BUILTIN_NAMES:
            raise DamageError(f"it has a custom operator by the name of the builtin {text(code.customCode)}")
    room = DENSE_BYTES_IN_ANY_FILE + DENSE_BYTES_PER_BYTE * file_bytes
    decodes, densifies = _decode_codes(model), _codes_of(model, schema.BuiltinOperator.DENSIFY)
    for number, graph in enumerate(model.subgraphs):
        decoded = _results_of(graph, decodes)
        rebuilt = decoded | _results_of(graph, densifies)
        for index, tensor in enumerate(graph.tensors):
            name = f"graph {number}, tensor {index} {text(tensor.name)!r}"
            room -= _check_tensor(tensor, model.buffers, name)
            if index in decoded:
                room -= _bytes_of(math.prod(shape_of(tensor)), _BITS.get(tensor.type, 8))
            if room < 0:
                raise DamageError(
                    f"{name}: up to here the constants take more than {DENSE_BYTES_IN_ANY_FILE >> 20} MiB and "
                    f"{DENSE_BYTES_PER_BYTE} times the file when decoded"
                )
        _check_range(graph.inputs, len(graph.tensors), f"the inputs of graph {number}", "tensors")
        _check_range(graph.outputs, len(graph.tensors), f"the outputs of graph {number}", "tensors")
        for place, operator in enumerate(graph.operators):
            _check_operator(operator, graph.tensors, model, rebuilt, f"graph {number}, operator {place}")
        _check_results(graph, model.buffers, number)
    _check_entries(model)


def _decode_codes(model: Model) -> set[int]:
    """Return the indices of LiteRT Micro's DECODE among the operator codes."""
    return {number for number, code in enumerate(model.operatorCodes) if text(code.customCode) == _DECODE}


def _codes_of(model: Model, builtin: int) -> set[int]:
    """Return the indices of a builtin operator among the operator codes."""
    return {number for number, code in enumerate(model.operatorCodes) if builtin_code(code) == builtin}


def _is_constant(tensor: Tensor, buffers: list[Buffer]) -> bool:
    return tensor.sparsity is not None or _length(buffers[tensor.buffer].data) > 0


def _results_of(graph: SubGraph, codes: set[int]) -> set[int]:
    """Return the tensors that operators of these codes yield."""
    found = (operator.outputs for operator in graph.operators if operator.opcodeIndex in codes)
    return {index for outputs in found for index in indices(outputs)}


def _check_tensor(tensor: Tensor, buffers: list[Buffer], name: str) -> int:
    """Check a tensor; return the bytes of its dense constant, 0 if it has none."""
    if _length(tensor.shape) > MOST_DIMENSIONS or _length(tensor.shapeSignature) > MOST_DIMENSIONS:
        raise DamageError(f"{name} has more than {MOST_DIMENSIONS} dimensions")
    shape = shape_of(tensor)
    if any(size < 0 for size in shape):
        raise DamageError(f"{name} has the negative shape {shape}")
    if math.prod(max(size, 1) for size in shape) > MOST_ELEMENTS:
        raise DamageError(f"{name} of shape {shape} has more than {MOST_ELEMENTS:,} elements")
    signature = indices(tensor.shapeSignature)
    if signature and (len(signature) != len(shape) or any(size < -1 for size in signature)):
        raise DamageError(f"{name} has shape {shape} and the signature {signature}, which does not fit it")
    if not 0 <= tensor.buffer < len(buffers):
        raise DamageError(f"{name} names buffer {tensor.buffer} of {len(buffers)}")
    _check_quantization(tensor, shape, name)
    stored = _length(buffers[tensor.buffer].data)
    bits = _BITS.get(tensor.type)
    if tensor.sparsity is None:
        count = math.prod(shape)
        if stored == 0:
            return 0
    else:
        try:
            count = stored_value_count(tensor.sparsity, shape)
        except ValueError as error:
            raise DamageError(f"sparse {name}: {error}") from error
        if bits is None:
            raise DamageError(f"sparse {name} is of a type that holds no numbers")
    if bits is None:
        return stored
    if stored != _bytes_of(count, bits):
        raise DamageError(
            f"{name} of shape {shape} has {count:,} values{' stored' if tensor.sparsity is not None else ''}, "
            f"which take {_bytes_of(count, bits):,} bytes; its buffer holds {stored:,}"
        )
    return _bytes_of(math.prod(shape), bits)


def _check_quantization(tensor: Tensor, shape: tuple[int, ...], name: str) -> None:
    """Check as LiteRT's ``InterpreterBuilder::ParseQuantization``; LiteRT Micro also takes one zero point, or none.

    Zero points are values of the tensor's type (LiteRT's quantisation specification); kernels abort on others.
    """
    quantization = tensor.quantization
    if quantization is None or not _length(quantization.scale):
        return
    scales = _length(quantization.scale)
    zero_points, axis = _length(quantization.zeroPoint), quantization.quantizedDimension
    if zero_points not in (0, 1, scales):
        raise DamageError(f"{name} has {scales} scales and {zero_points} zero points")
    if axis < 0 or (shape and axis >= len(shape)):
        raise DamageError(f"{name} of shape {shape} is quantised along dimension {axis}")
    if shape and scales not in (1, shape[axis]):
        raise DamageError(f"{name} of shape {shape} has {scales} scales along dimension {axis}")
    kind, held = _ZERO_POINTS.get(tensor.type, ("", None))
    for each in indices(quantization.zeroPoint):
        if held is not None and each not in held:
            raise DamageError(f"{name} is {kind} with the zero point {each}, which {kind} does not hold")


def _check_operator(operator: Operator, tensors: list[Tensor], model: Model, rebuilt: set[int], name: str) -> None:
    if not 0 <= operator.opcodeIndex < len(model.operatorCodes):
        raise DamageError(f"{name} names operator code {operator.opcodeIndex} of {len(model.operatorCodes)}")
    _check_range(operator.inputs, len(tensors), f"the inputs of {name}", "tensors", lowest=_ABSENT)
    _check_range(operator.outputs, len(tensors), f"the outputs of {name}", "tensors")
    _check_range(operator.intermediates, len(tensors), f"the intermediates of {name}", "tensors", lowest=_ABSENT)
    for options in (operator.builtinOptions, operator.builtinOptions2):
        for field, value in vars(options).items() if options is not None else ():
            if "subgraph" in field.lower():  # of WHILE, IF, CALL_ONCE and others
                _check_range(value, len(model.subgraphs), f"{field} of {name}", "graphs")
    code = builtin_code(model.operatorCodes[operator.opcodeIndex])
    requirement = _REQUIREMENTS.get(code)
    if requirement is not None:
        _check_requirement(operator, requirement, name)
        if requirement.rank is not None:
            index = int(operator.inputs[1])
            if index in rebuilt or _is_constant(tensors[index], model.buffers):
                _check_weight(operator, tensors, requirement, name)
    if code == schema.BuiltinOperator.DENSIFY:
        source, target = tensors[operator.inputs[0]], tensors[operator.outputs[0]]
        if source.sparsity is None or source.type != target.type or shape_of(source) != shape_of(target):
            raise DamageError(f"{name} is a DENSIFY, but not of a sparse constant to one of the same type and shape")


def _check_requirement(operator: Operator, requirement: _Requirement, name: str) -> None:
    given = operator.inputs[: requirement.inputs]
    if len(given) < requirement.inputs or np.any(given == _ABSENT) or not len(operator.outputs):
        raise DamageError(f"{name} lacks one of its {requirement.inputs} inputs or its output")
    if requirement.options is not None and not isinstance(operator.builtinOptions, requirement.options):
        raise DamageError(f"{name} has no {requirement.options.__name__.removesuffix('T')}")
    for field in requirement.at_least_one:
        if getattr(operator.builtinOptions, field) < 1:
            raise DamageError(f"{name} has {field} {getattr(operator.builtinOptions, field)}")


def _check_weight(operator: Operator, tensors: list[Tensor], requirement: _Requirement, name: str) -> None:
    """Check input 1, a constant weight or one that DENSIFY or DECODE rebuilds, and its bias."""
    weight = tensors[operator.inputs[1]]
    if len(shape_of(weight)) != requirement.rank:
        raise DamageError(f"{name} reads weights of shape {shape_of(weight)}, which must be of rank {requirement.rank}")
    per_channel = weight.quantization is not None and _length(weight.quantization.scale) > 1
    if per_channel and requirement.channels not in (None, weight.quantization.quantizedDimension):
        raise DamageError(f"{name} reads weights with scales along another dimension than {requirement.channels}")
    if requirement.channels is not None:
        _check_bias(operator.inputs[2:], tensors, shape_of(weight)[requirement.channels], name)


def _check_bias(inputs: np.ndarray, tensors: list[Tensor], channels: int, name: str) -> None:
    sizes = [math.prod(shape_of(tensors[index])) for index in inputs if index != _ABSENT]
    if len(inputs) > 1 or sizes not in ([], [channels]):
        raise DamageError(f"{name} has {len(inputs)} further inputs of {sizes} values, not a bias of {channels}")


def _check_results(graph: SubGraph, buffers: list[Buffer], number: int) -> None:
    """Check that every tensor has one source, its buffer or one operator, and that no operator reads a later result."""
    yielded: set[int] = set()
    for operator in graph.operators:
        for index in indices(operator.outputs):
            if index in yielded or _length(buffers[graph.tensors[index].buffer].data):
                name = text(graph.tensors[index].name)
                raise DamageError(
                    f"graph {number}, tensor {index} {name!r} is a result, and a constant or another result too"
                )
            yielded.add(index)
    known: set[int] = set()
    for operator in graph.operators:
        early = next((index for index in indices(operator.inputs) if index in yielded and index not in known), None)
        if early is not None:
            name = text(graph.tensors[early].name)
            raise DamageError(f"graph {number}, tensor {early} {name!r} is read before an operator yields it")
        known.update(indices(operator.outputs))


def _check_entries(model: Model) -> None:
    """Check signatures and metadata."""
    for number, signature in enumerate(model.signatureDefs or ()):
        name = f"signature {number} {text(signature.signatureKey)!r}"
        _check_range(signature.subgraphIndex, len(model.subgraphs), name, "graphs")
        entries = [*(signature.inputs or ()), *(signature.outputs or ())]
        tensors = len(model.subgraphs[signature.subgraphIndex].tensors)
        _check_range([entry.tensorIndex for entry in entries], tensors, name, "tensors")
    buffers = [entry.buffer for entry in model.metadata or ()]
    _check_range(buffers, len(model.buffers), "the metadata", "buffers")
    _check_range(model.metadataBuffer, len(model.buffers), "the metadata", "buffers")


def _check_range(numbers: ArrayLike | None, count: int, name: str, what: str, lowest: int = 0) -> None:
    values = np.atleast_1d(np.asarray(() if numbers is None else numbers, np.int64))
    wrong = values[(values < lowest) | (values >= count)]
    if wrong.size:
        raise DamageError(f"{name} must lie among {count} {what}, one is {wrong[0]}")


def _bytes_of(count: int, bits: int) -> int:
    return -(-count * bits // 8)


def _list(values: np.ndarray | None) -> np.ndarray:
    return np.zeros(0, np.int32) if values is None else np.asarray(values)


def _length(values: Sized | None) -> int:
    return 0 if values is None else len(values)
