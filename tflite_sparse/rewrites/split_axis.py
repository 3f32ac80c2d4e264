"""Split the input axis of a weight, so that one-byte indices reach all of it.

A weight with ``n`` inputs becomes ``k`` groups of ``c`` channels, ``k * c == n``. A RESHAPE gives the activations the
same shape without cost: both are row-major, so the product sums the same numbers in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.flatbuffer.graph import Graph, is_dynamic, new_operator, new_tensor, rewire
from tflite_sparse.flatbuffer.serde import packed_bytes
from tflite_sparse.flatbuffer.types import Operator, Tensor

ONE_BYTE_INDEX_REACH = 256
_OFFSET_BYTES = 4


def groups_of_channels(inputs: int) -> tuple[int, int]:
    """Return ``(k, c)``: ``k * c == inputs`` and ``c`` is the largest divisor of ``inputs`` within reach of uint8."""
    channels = next(c for c in range(min(inputs, ONE_BYTE_INDEX_REACH), 0, -1) if inputs % c == 0)
    return inputs // channels, channels


def reshape_before(
    graph: Graph, operator: Operator, position: int, shape: Sequence[int], target: Sequence[int]
) -> None:
    """Insert a RESHAPE in front of input ``position`` of ``operator``.

    Args:
        graph: the graph that holds the operator.
        operator: the reader.
        position: index of the input.
        shape: the new shape with every size known, as the file declares it.
        target: the same with -1 for the one size that is inferred at run time.
    """
    source = int(operator.inputs[position])
    like = graph.tensor(source)
    signature = target if is_dynamic(like) else None
    reshaped = graph.add_tensor(new_tensor(shape, like.type, None, like.quantization, signature))
    graph.insert_before(operator, _reshape(graph, source, reshaped, target))
    rewire(operator, position, reshaped)


def reshape_after(
    graph: Graph, operator: Operator, shape: Sequence[int], signature: Sequence[int], target: Sequence[int]
) -> None:
    """Change the output shape of ``operator`` and insert a RESHAPE to its former output.

    Args:
        graph: the graph that holds the operator.
        operator: yields the output.
        shape: the new shape with every size known, as the file declares it.
        signature: the same with -1 for each size that is set at run time.
        target: the former output's shape, with -1 for the one size that is inferred at run time.
    """
    output = int(operator.outputs[0])
    like = graph.tensor(output)
    reshaped = graph.add_tensor(new_tensor(shape, like.type, None, like.quantization, signature))
    operator.outputs = np.array([reshaped], np.int32)
    graph.insert_after(operator, _reshape(graph, reshaped, output, target))


def has_reshape_before(graph: Graph, operator: Operator, position: int) -> bool:
    """Return whether :func:`reshape_before` made input ``position``, and only ``operator`` reads it."""
    between = int(operator.inputs[position])
    if graph.tensor(between).name:  # most have one; a search of the graph for each would be quadratic
        return False
    return len(graph.uses().get(between, ())) == 1 and _made_here(graph, graph.producers().get(between), between)


def has_reshape_after(graph: Graph, operator: Operator) -> bool:
    """Return whether only a RESHAPE of :func:`reshape_after` reads the output of ``operator``."""
    between = int(operator.outputs[0])
    readers = graph.uses().get(between, ())
    return len(readers) == 1 and _made_here(graph, readers[0].operator, between)


def undo_reshape_before(graph: Graph, operator: Operator, position: int) -> None:
    """Remove the RESHAPE that :func:`reshape_before` inserted."""
    reshape = graph.producers()[int(operator.inputs[position])]
    rewire(operator, position, int(reshape.inputs[0]))
    graph.remove(reshape)


def undo_reshape_after(graph: Graph, operator: Operator) -> None:
    """Remove the RESHAPE that :func:`reshape_after` inserted."""
    (reader,) = graph.uses()[int(operator.outputs[0])]
    operator.outputs = np.array([int(reader.operator.outputs[0])], np.int32)
    graph.remove(reader.operator)


def _made_here(graph: Graph, operator: Operator | None, between: int) -> bool:
    # Converters name every tensor; those that this module adds have no name.
    if operator is None or graph.operator_name(operator) != "RESHAPE":
        return False
    return not graph.tensor(between).name and not graph.yields(between)


def reshape_overhead_bytes(like: Tensor, rank: int) -> int:
    """Return the bytes of one RESHAPE to ``rank`` dimensions: operator, output tensor, shape tensor and its buffer."""
    shape = tuple(range(1000, 1000 + rank))  # differs from all real shapes, so that nothing is shared
    output = new_tensor(shape, like.type, None, like.quantization)
    constant = schema.BufferT()
    constant.data = np.array(shape, np.int32).view(np.uint8)
    pieces = (output, _shape_tensor(rank), constant, new_operator(0, [0, 1], [2]))
    return packed_bytes(like, *pieces) - packed_bytes(like) + len(pieces) * _OFFSET_BYTES


def _reshape(graph: Graph, source: int, target: int, shape: Sequence[int]) -> Operator:
    constant = graph.add_constant(_shape_tensor(len(shape)), np.array(shape, np.int32))
    code = graph.operator_code(schema.BuiltinOperator.RESHAPE, 1)
    return new_operator(code, [source, constant], [target])


def _shape_tensor(rank: int) -> Tensor:
    return new_tensor([rank], schema.TensorType.INT32)
