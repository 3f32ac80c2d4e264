"""What operators of a file for TensorFlow Lite Micro cost on a CPU, as they are and dense, by the model of costs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tflite_sparse.codecs.streams.kernels import Filter, Kernel
from tflite_sparse.codecs.streams.work import Pixels
from tflite_sparse.flatbuffer.graph import Graph, graphs, shape_of, text
from tflite_sparse.flatbuffer.types import Model, Operator
from tflite_sparse.rewrites import sparse_operator, sparse_plan
from tflite_sparse.targets.micro_costs import Costs


@dataclass(frozen=True, slots=True)
class OperatorCost:
    """One FULLY_CONNECTED or CONV_2D with int8 weights.

    Attributes:
        name: of its weights.
        operator: what it is dense.
        kernel: that computes it; None: it is dense.
        stored_bytes: of its weights.
        dense_bytes: of the same, dense.
        instructions: of one inference.
        dense_instructions: of the same, dense.
    """

    name: str
    operator: str
    kernel: Kernel | None
    stored_bytes: int
    dense_bytes: int
    instructions: int
    dense_instructions: int


def of(model: Model, costs: Costs) -> list[OperatorCost]:
    """The operators of a parsed model that kernels could compute, in execution order.

    Raises:
        FlatbufferError: an operator with sparse weights is damaged.
    """
    return [cost for graph in graphs(model) for cost in _of_graph(graph, costs)]


def pixels_of(graph: Graph, operator: Operator, outputs: int, *, is_matrix: bool) -> Pixels:
    """The output of an operator without its channels."""
    sizes = shape_of(graph.tensor(int(operator.outputs[0])))
    if is_matrix:
        return Pixels(math.prod(sizes) // outputs, 1, 1)
    batches, height, width, _ = sizes
    return Pixels(batches, height, width)


def _of_graph(graph: Graph, costs: Costs) -> Iterator[OperatorCost]:
    sparse = {id(each.operator): each for each in sparse_operator.operators(graph)}
    for operator in graph.operators:
        found = sparse.get(id(operator))
        name = graph.operator_name(operator)
        if found is not None:
            yield _sparse(graph, found, costs)
        elif name in sparse_plan.BUILTINS:
            index = int(operator.inputs[sparse_plan.WEIGHTS])
            values = graph.constant(index)
            if values is not None and values.dtype == np.int8:
                yield _dense(graph, operator, name, index, values.nbytes, costs)


def _sparse(graph: Graph, found: sparse_operator.SparseOperator, costs: Costs) -> OperatorCost:
    options = found.options
    is_matrix = options.operator == "FULLY_CONNECTED"
    pixels = pixels_of(graph, found.operator, options.shape.outputs, is_matrix=is_matrix)
    weights = found.weights.reshape(options.shape.shape)
    known = options.kernel in costs.kernels
    return OperatorCost(
        name=text(graph.tensor(found.tensors[0]).name),
        operator=options.operator,
        kernel=options.kernel,
        stored_bytes=found.stream_bytes,
        dense_bytes=found.weights.nbytes,
        instructions=costs.of_kernel(options.kernel, options.shape, weights, pixels) if known else 0,
        dense_instructions=costs.of_dense(options.shape, pixels, is_matrix=is_matrix),
    )


def _dense(graph: Graph, operator: Operator, name: str, index: int, nbytes: int, costs: Costs) -> OperatorCost:
    shape: Filter = sparse_plan.filter_of(graph, operator)
    is_matrix = name == "FULLY_CONNECTED"
    pixels = pixels_of(graph, operator, shape.outputs, is_matrix=is_matrix)
    instructions = costs.of_dense(shape, pixels, is_matrix=is_matrix)
    return OperatorCost(text(graph.tensor(index).name), name, None, nbytes, nbytes, instructions, instructions)
