"""Extract one operator of a model as a model that runs alone."""

from __future__ import annotations

import copy

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.flatbuffer.graph import Graph, indices, rewire
from tflite_sparse.flatbuffer.types import Model, Operator, SubGraph

_EMPTY_BUFFER = 0


def one_operator_model(graph: Graph, operator: Operator) -> Model:
    """Return a model of ``operator`` alone: its activations are inputs and outputs, its constants are unchanged.

    Tensors are copied, values of constants are shared with the source.

    Args:
        graph: the graph that holds the operator; unchanged.
        operator: an operator without subgraphs of its own.

    Returns:
        A ``ModelT`` whose tensors are the operator's inputs, then its outputs, each once.
    """
    model: Model = schema.ModelT()
    subgraph: SubGraph = schema.SubGraphT()
    model.version = graph.model.version
    model.operatorCodes = [copy.copy(graph.model.operatorCodes[operator.opcodeIndex])]
    model.buffers = [schema.BufferT()]
    model.subgraphs = [subgraph]
    subgraph.tensors = []

    numbers: dict[int, int] = {}
    for index in [*indices(operator.inputs), *indices(operator.outputs), *indices(operator.intermediates)]:
        if index < 0 or index in numbers:
            continue
        numbers[index] = len(subgraph.tensors)
        tensor = copy.copy(graph.tensor(index))
        if not graph.is_constant(index):
            tensor.buffer = _EMPTY_BUFFER
        else:
            model.buffers.append(copy.copy(graph.model.buffers[tensor.buffer]))
            tensor.buffer = len(model.buffers) - 1
        subgraph.tensors.append(tensor)

    alone = copy.copy(operator)
    alone.opcodeIndex = 0
    alone.builtinOptions = copy.copy(operator.builtinOptions)
    for position, index in enumerate(map(int, operator.inputs)):
        rewire(alone, position, numbers.get(index, -1))
    alone.outputs = np.array([numbers[index] for index in indices(operator.outputs)], np.int32)
    if operator.intermediates is not None:
        alone.intermediates = np.array([numbers[index] for index in indices(operator.intermediates)], np.int32)
    subgraph.operators = [alone]
    reads = [numbers[int(i)] for i in operator.inputs if int(i) >= 0]
    activations = dict.fromkeys(i for i in reads if subgraph.tensors[i].buffer == _EMPTY_BUFFER)
    subgraph.inputs = np.array(list(activations), np.int32)
    subgraph.outputs = alone.outputs
    return model
