"""What operators of a file for TensorFlow Lite Micro cost on a CPU, as they are and dense, by the model of costs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tflite_sparse.codecs import dense_weights, dense_work
from tflite_sparse.codecs.dense_work import USUAL, Loops
from tflite_sparse.codecs.streams.kernels import Kernel
from tflite_sparse.codecs.streams.work import Pixels
from tflite_sparse.flatbuffer.graph import Graph, graphs, shape_of, text
from tflite_sparse.flatbuffer.types import Model, Operator
from tflite_sparse.rewrites import decode_op, sparse_operator, sparse_plan
from tflite_sparse.targets.micro_costs import Costs


@dataclass(frozen=True, slots=True)
class OperatorCost:
    """One FULLY_CONNECTED or CONV_2D with int8 weights.

    Attributes:
        name: of its weights.
        operator: what it is dense.
        kernel: that computes it; None: it is dense.
        stored_bytes: of its weights; behind DECODE, of both vectors that they are decoded from.
        dense_bytes: of the same, dense.
        instructions: of one inference, without decoding.
        dense_instructions: of the same, dense.
    """

    name: str
    operator: str
    kernel: Kernel | None
    stored_bytes: int
    dense_bytes: int
    instructions: int
    dense_instructions: int


@dataclass(frozen=True, slots=True)
class FileCosts:
    """What a file costs.

    Attributes:
        operators: those that kernels could compute, in execution order.
        decoded_values: constants that DECODE rebuilds at every inference, for whatever operator, in values.
    """

    operators: tuple[OperatorCost, ...]
    decoded_values: int


def of(model: Model, costs: Costs) -> FileCosts:
    """The costs of a parsed model.

    Raises:
        FlatbufferError: an operator with sparse weights, or a constant behind DECODE, is damaged.
    """
    operators: list[OperatorCost] = []
    decoded_values = 0
    for graph in graphs(model):
        decoded = decode_op.results(graph)
        operators += _of_graph(graph, decoded, costs)
        decoded_values += sum(each.values.size for each in decoded.values())
    return FileCosts(tuple(operators), decoded_values)


def pixels_of(graph: Graph, operator: Operator, outputs: int, *, is_matrix: bool) -> Pixels:
    """The output of an operator without its channels."""
    sizes = shape_of(graph.tensor(int(operator.outputs[0])))
    if is_matrix:
        return Pixels(math.prod(sizes) // outputs, 1, 1)
    batches, height, width, _ = sizes
    return Pixels(batches, height, width)


def of_dense(graph: Graph, operator: Operator, weights: np.ndarray, costs: Costs) -> int:
    """Instructions of a FULLY_CONNECTED or CONV_2D with dense int8 weights."""
    shape = sparse_plan.filter_of(graph, operator)
    is_matrix = graph.operator_name(operator) == "FULLY_CONNECTED"
    pixels = pixels_of(graph, operator, shape.outputs, is_matrix=is_matrix)
    loops = _loops(graph, operator, weights) if costs.library == "standalone" else USUAL
    return costs.of_dense(shape, pixels, loops, is_matrix=is_matrix)


def _loops(graph: Graph, operator: Operator, weights: np.ndarray) -> Loops:
    try:
        parameters = sparse_plan.parameters_of(graph, operator, weights)
    except ValueError:  # a sum could leave the accumulator
        return Loops(dense_weights.can_be_paired(weights), wide=True)
    return dense_work.loops_of(parameters, weights)


def _of_graph(graph: Graph, decoded: Mapping[int, decode_op.Result], costs: Costs) -> Iterator[OperatorCost]:
    sparse = {id(each.operator): each for each in sparse_operator.operators(graph)}
    for operator in graph.operators:
        found = sparse.get(id(operator))
        name = graph.operator_name(operator)
        if found is not None:
            yield _sparse(graph, found, costs)
        elif name in sparse_plan.BUILTINS:
            index = int(operator.inputs[sparse_plan.WEIGHTS])
            values = decoded[index].values if index in decoded else graph.constant(index)
            if values is not None and values.dtype == np.int8:
                vectors = decoded[index].vectors if index in decoded else (values,)
                stored = sum(vector.nbytes for vector in vectors)
                yield _dense(graph, operator, stored, values, costs)


def _sparse(graph: Graph, found: sparse_operator.SparseOperator, costs: Costs) -> OperatorCost:
    options = found.options
    is_matrix = options.operator == "FULLY_CONNECTED"
    pixels = pixels_of(graph, found.operator, options.shape.outputs, is_matrix=is_matrix)
    weights = found.weights.reshape(options.shape.shape)
    known = options.kernel in costs.kernels
    loops = dense_work.loops_of(found.parameters, weights)
    return OperatorCost(
        name=text(graph.tensor(found.tensors[0]).name),
        operator=options.operator,
        kernel=options.kernel,
        stored_bytes=found.stream_bytes,
        dense_bytes=found.weights.nbytes,
        instructions=costs.of_kernel(options.kernel, options.shape, weights, pixels, found.tables) if known else 0,
        dense_instructions=costs.of_dense(options.shape, pixels, loops, is_matrix=is_matrix),
    )


def _dense(graph: Graph, operator: Operator, stored_bytes: int, weights: np.ndarray, costs: Costs) -> OperatorCost:
    instructions = of_dense(graph, operator, weights, costs)
    name = text(graph.tensor(int(operator.inputs[sparse_plan.WEIGHTS])).name)
    kind = graph.operator_name(operator)
    return OperatorCost(name, kind, None, stored_bytes, weights.nbytes, instructions, instructions)
