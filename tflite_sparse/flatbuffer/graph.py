"""Query and edit the graphs of a parsed ``.tflite`` model.

Tensors are identified by their index in the subgraph and never removed or renumbered, so that signatures and metadata
stay valid; operators are identified by object identity.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import SupportsInt

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.errors import FlatbufferError
from tflite_sparse.flatbuffer.types import (
    Buffer,
    Metadata,
    Model,
    Operator,
    OperatorCode,
    QuantizationParameters,
    SubGraph,
    Tensor,
)

_LAST_CODE_OF_THE_OLD_FIELD = 127  # schema.fbs: PLACEHOLDER_FOR_GREATER_OP_CODES

_DTYPES: dict[int, np.dtype] = {
    schema.TensorType.FLOAT32: np.dtype(np.float32),
    schema.TensorType.FLOAT16: np.dtype(np.float16),
    schema.TensorType.FLOAT64: np.dtype(np.float64),
    schema.TensorType.INT8: np.dtype(np.int8),
    schema.TensorType.UINT8: np.dtype(np.uint8),
    schema.TensorType.INT16: np.dtype(np.int16),
    schema.TensorType.UINT16: np.dtype(np.uint16),
    schema.TensorType.INT32: np.dtype(np.int32),
    schema.TensorType.UINT32: np.dtype(np.uint32),
    schema.TensorType.INT64: np.dtype(np.int64),
    schema.TensorType.BOOL: np.dtype(np.bool_),
}

_OPERATOR_NAMES: dict[int, str] = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)
}
_TYPE_NAMES: dict[int, str] = {code: name for name, code in vars(schema.TensorType).items() if isinstance(code, int)}


@dataclass(frozen=True, slots=True)
class Use:
    """One operator input that reads a tensor."""

    operator: Operator
    position: int


class Graph:
    """One subgraph of a model, with access to the operator codes and buffers of the model."""

    def __init__(self, model: Model, subgraph: SubGraph) -> None:
        self.model = model
        self.subgraph = subgraph

    @property
    def number(self) -> int:
        """Index of the subgraph in the model."""
        return next(i for i, candidate in enumerate(self.model.subgraphs) if candidate is self.subgraph)

    def tensor(self, index: int) -> Tensor:
        """Return the ``TensorT`` of this index."""
        return self.subgraph.tensors[index]

    @property
    def operators(self) -> list[Operator]:
        """The operators in execution order."""
        return list(self.subgraph.operators or ())

    def uses(self) -> dict[int, list[Use]]:
        """Return the operator inputs that read each tensor, by tensor index, in execution order."""
        found: dict[int, list[Use]] = defaultdict(list)
        for operator in self.operators:
            for position, index in enumerate(indices(operator.inputs)):
                if index >= 0:  # -1 marks an optional input that is absent
                    found[index].append(Use(operator, position))
        return dict(found)

    def producers(self) -> dict[int, Operator]:
        """Return the operator that yields each tensor, by tensor index."""
        return {index: operator for operator in self.operators for index in indices(operator.outputs)}

    def yields(self, index: int) -> bool:
        """Return whether the tensor is an output of the graph."""
        return index in indices(self.subgraph.outputs)

    def operator_name(self, operator: Operator) -> str:
        """Return the builtin operator's name in the schema, or the custom operator's code."""
        code = self.model.operatorCodes[operator.opcodeIndex]
        if code.customCode is not None:
            return text(code.customCode)
        return _OPERATOR_NAMES.get(builtin_code(code), f"operator {builtin_code(code)}")

    def is_constant(self, index: int) -> bool:
        """Return whether the file holds values for the tensor, dense or sparse.

        An empty buffer does not decide it: activations may have one, and a sparse tensor that is all zeros has one.
        """
        tensor = self.tensor(index)
        data = self.model.buffers[tensor.buffer].data
        return tensor.sparsity is not None or (data is not None and len(data) > 0)

    def constant(self, index: int) -> np.ndarray | None:
        """Return the dense constant of a tensor, shape as stored; None if it has none or is sparse.

        Raises:
            FlatbufferError: the size of the buffer does not match shape and type.
        """
        tensor = self.tensor(index)
        values = self.stored_values(index)
        if values is None or tensor.sparsity is not None:
            return None
        shape = shape_of(tensor)
        if values.size != math.prod(shape):
            raise FlatbufferError(
                f"tensor {text(tensor.name)!r} has shape {shape} but its buffer holds {values.size} values."
            )
        return values.reshape(shape)

    def stored_values(self, index: int) -> np.ndarray | None:
        """Return the values in the buffer of a tensor, one-dimensional; None if it is empty or its type no number."""
        tensor = self.tensor(index)
        data = self.model.buffers[tensor.buffer].data
        dtype = _DTYPES.get(tensor.type)
        if data is None or len(data) == 0 or dtype is None:
            return None
        raw = np.asarray(data, np.uint8)
        if raw.size % dtype.itemsize:
            raise FlatbufferError(f"the buffer of tensor {text(tensor.name)!r} ends inside a value.")
        return raw.view(dtype)

    def add_tensor(self, tensor: Tensor) -> int:
        """Append a tensor and return its index. A tensor without a constant shares the model's empty buffer 0."""
        self.subgraph.tensors.append(tensor)
        return len(self.subgraph.tensors) - 1

    def add_constant(self, tensor: Tensor, values: np.ndarray) -> int:
        """Append a tensor that holds ``values`` and return its index."""
        self.store(tensor, values)
        return self.add_tensor(tensor)

    def store(self, tensor: Tensor, values: np.ndarray) -> None:
        """Store ``values`` in a new buffer of ``tensor``; other tensors keep the old buffer."""
        buffer: Buffer = schema.BufferT()
        buffer.data = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        owners = sum(int(owner.buffer) == int(tensor.buffer) for owner in _buffer_owners(self.model))
        if tensor.buffer and owners == 1:
            self.model.buffers[tensor.buffer] = buffer
            return
        self.model.buffers.append(buffer)
        tensor.buffer = len(self.model.buffers) - 1

    def operator_code(self, builtin: int, version: int) -> int:
        """Return the index of an operator code; append it to the model if this kind and version are missing."""
        for index, code in enumerate(self.model.operatorCodes):
            if builtin_code(code) == builtin and code.version == version and code.customCode is None:
                return index
        code = schema.OperatorCodeT()
        code.builtinCode = builtin
        code.deprecatedBuiltinCode = min(builtin, _LAST_CODE_OF_THE_OLD_FIELD)
        code.version = version
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    def insert_before(self, anchor: Operator, *operators: Operator) -> None:
        """Put operators right before ``anchor`` in execution order."""
        position = self._position(anchor)
        self.subgraph.operators[position:position] = operators

    def insert_after(self, anchor: Operator, *operators: Operator) -> None:
        """Put operators right after ``anchor`` in execution order."""
        position = self._position(anchor) + 1
        self.subgraph.operators[position:position] = operators

    def remove(self, operator: Operator) -> None:
        """Remove an operator from the graph; its tensors stay."""
        del self.subgraph.operators[self._position(operator)]

    def _position(self, operator: Operator) -> int:
        return next(i for i, candidate in enumerate(self.subgraph.operators) if candidate is operator)


def graphs(model: Model) -> Iterator[Graph]:
    """Yield every subgraph of a model."""
    for subgraph in model.subgraphs or ():
        yield Graph(model, subgraph)


def custom_operators(model: Model) -> list[str]:
    """Return the codes of the custom operators in all graphs of a model, each once."""
    codes = {operator.opcodeIndex for graph in model.subgraphs for operator in graph.operators or ()}
    custom = [model.operatorCodes[code].customCode for code in sorted(codes)]
    return list(dict.fromkeys(text(name) for name in custom if name is not None))


def drop_unread_buffers(model: Model) -> None:
    """Remove the buffers that no tensor and no metadata entry reads; renumber the others in the order of their readers.

    Buffer 0 stays: the format reserves it, empty, for tensors without a constant.
    """
    owners = _buffer_owners(model)
    kept = list(dict.fromkeys([0, *(int(owner.buffer) for owner in owners)]))
    numbers = {old: new for new, old in enumerate(kept)}
    for owner in owners:
        owner.buffer = numbers[int(owner.buffer)]
    if model.metadataBuffer is not None:
        model.metadataBuffer = np.array([numbers.get(int(old), 0) for old in model.metadataBuffer], np.int32)
    model.buffers = [model.buffers[old] for old in kept]


def _buffer_owners(model: Model) -> list[Tensor | Metadata]:
    """Return everything that refers to a buffer."""
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors or ()]
    return [*tensors, *(model.metadata or ())]


def drop_unread_operator_codes(model: Model) -> None:
    """Remove the operator codes that no operator uses, and renumber the others."""
    operators = [operator for graph in model.subgraphs for operator in graph.operators or ()]
    kept = sorted({int(operator.opcodeIndex) for operator in operators})
    numbers = {old: new for new, old in enumerate(kept)}
    for operator in operators:
        operator.opcodeIndex = numbers[int(operator.opcodeIndex)]
    model.operatorCodes = [model.operatorCodes[old] for old in kept]


def drop_unread_last_tensors(model: Model) -> None:
    """Remove unused tensors from the end of each graph, where this renumbers no other tensor."""
    for number, subgraph in enumerate(model.subgraphs):
        lists: list[np.ndarray | None] = [subgraph.inputs, subgraph.outputs]
        for operator in subgraph.operators or ():
            lists += [operator.inputs, operator.outputs, operator.intermediates]
        named = {index for values in lists for index in indices(values)}
        for signature in model.signatureDefs or ():
            if signature.subgraphIndex == number:
                named |= {int(entry.tensorIndex) for entry in [*(signature.inputs or ()), *(signature.outputs or ())]}
        del subgraph.tensors[max(named, default=-1) + 1 :]


def builtin_code(code: OperatorCode) -> int:
    """Return the builtin operator of an operator code, in old and new files (schema.fbs: the larger of both fields)."""
    return max(int(code.builtinCode), int(code.deprecatedBuiltinCode))


def shape_of(tensor: Tensor) -> tuple[int, ...]:
    """Return the shape of a tensor, () for a scalar."""
    return tuple(indices(tensor.shape))


def signature_of(tensor: Tensor) -> tuple[int, ...]:
    """Return the shape of a tensor, -1 for each dimension that the caller may set at run time."""
    signature = tuple(indices(tensor.shapeSignature))
    return signature or shape_of(tensor)


def is_dynamic(tensor: Tensor) -> bool:
    """Return whether the caller may set a dimension of the tensor at run time."""
    return any(size < 0 for size in signature_of(tensor))


def dtype_of(tensor: Tensor) -> np.dtype | None:
    """Return the NumPy type of a tensor's values; None for types other than numbers of whole bytes."""
    return _DTYPES.get(tensor.type)


def scales_of(tensor: Tensor) -> np.ndarray:
    """Return the scales of a tensor, float32, one-dimensional: none, one, or one for each entry of a dimension."""
    scales = None if tensor.quantization is None else tensor.quantization.scale
    return np.zeros(0, np.float32) if scales is None else np.asarray(scales, np.float32)


def quantisation_of(tensor: Tensor) -> tuple[float, int]:
    """Return the scale and zero point of a tensor that has one of each; else (0, 0)."""
    scales = scales_of(tensor)
    if tensor.quantization is None or scales.size != 1:
        return 0.0, 0
    return float(scales[0]), next(iter(indices(tensor.quantization.zeroPoint)), 0)


def zero_points_of(tensor: Tensor) -> np.ndarray:
    """Return the zero points of a tensor, int64, in a shape that broadcasts over its values.

    One, or one for each entry of the dimension with a scale each; 0 without a scale.
    """
    quantization = tensor.quantization
    if quantization is None or not scales_of(tensor).size:
        return np.zeros((), np.int64)
    points = np.array(indices(quantization.zeroPoint) or [0], np.int64)
    if points.size == 1:
        return points.reshape(())
    rank, axis = len(shape_of(tensor)), int(quantization.quantizedDimension)
    return points.reshape([-1 if dimension == axis else 1 for dimension in range(rank)])


def type_name(tensor: Tensor) -> str:
    """Return the schema's name of a tensor's type, lower case: ``"int8"``, ``"float32"``."""
    return _TYPE_NAMES.get(tensor.type, f"type {tensor.type}").lower()


def rewire(operator: Operator, position: int, tensor: int) -> None:
    """Connect one input of an operator to another tensor."""
    inputs = indices(operator.inputs)
    inputs[position] = tensor
    operator.inputs = np.array(inputs, np.int32)


def new_operator(
    code: int, inputs: Sequence[int], outputs: Sequence[int], options_type: int = 0, options: object | None = None
) -> Operator:
    """Create an operator outside any graph."""
    operator: Operator = schema.OperatorT()
    operator.opcodeIndex = code
    operator.inputs = np.array(inputs, np.int32)
    operator.outputs = np.array(outputs, np.int32)
    operator.builtinOptionsType = options_type
    operator.builtinOptions = options
    return operator


def new_tensor(
    shape: Sequence[int],
    kind: int,
    name: str | bytes | None = None,
    quantization: QuantizationParameters | None = None,
    signature: Sequence[int] | None = None,
) -> Tensor:
    """Create a tensor outside any graph. A ``signature`` equal to ``shape`` is omitted."""
    tensor: Tensor = schema.TensorT()
    tensor.shape = np.array(shape, np.int32)
    tensor.type = kind
    tensor.name = name
    tensor.quantization = quantization
    tensor.hasRank = True
    tensor.buffer = 0
    if signature is not None and tuple(signature) != tuple(shape):
        tensor.shapeSignature = np.array(signature, np.int32)
    return tensor


def text(name: str | bytes | None) -> str:
    """Return a name of the file as text; bytes that are not UTF-8 are escaped."""
    if name is None:
        return ""
    return name if isinstance(name, str) else name.decode("utf-8", "backslashreplace")


def indices(values: Iterable[SupportsInt] | None) -> list[int]:
    """Return a vector of the file as a list; a missing one is empty."""
    return [] if values is None else [int(v) for v in values]
