"""Store a constant sparse and let a DENSIFY operator rebuild it in front of its first consumer.

Needs: a constant with zero point 0, because the runtime fills omitted values with zeros (LiteRT ``SparseToDense``).
Leaves: the tensor keeps its index, shape, type and quantisation and gains ``sparsity``; every consumer reads the
output of one new DENSIFY operator instead.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.codecs.constants import dense_values
from tflite_sparse.codecs.csr import Encoded
from tflite_sparse.codecs.layout import Layout
from tflite_sparse.codecs.sparsity_parameters import table_of_unique_vectors, to_table
from tflite_sparse.flatbuffer.graph import Graph, Use, indices, new_operator, new_tensor, rewire, shape_of
from tflite_sparse.flatbuffer.serde import packed_bytes
from tflite_sparse.flatbuffer.types import Operator, Tensor

_OFFSET_BYTES = 4  # an entry in the list of tensors or operators


def apply(graph: Graph, tensor_index: int, encoded: Encoded, uses: Sequence[Use]) -> int:
    """Edit the graph; return the index of the DENSIFY's output.

    Args:
        graph: the graph that holds the tensor.
        tensor_index: the constant, in the shape of ``encoded.layout``.
        encoded: the encoded constant.
        uses: every operator input that reads it, in execution order.
    """
    tensor = graph.tensor(tensor_index)
    graph.store(tensor, encoded.values)
    tensor.sparsity = to_table(encoded)
    dense_index = graph.add_tensor(_dense_twin(tensor))
    code = graph.operator_code(schema.BuiltinOperator.DENSIFY, 1)
    graph.insert_before(uses[0].operator, _operator(code, tensor_index, dense_index))
    for use in uses:
        rewire(use.operator, use.position, dense_index)
    return dense_index


def undo(graph: Graph) -> list[int]:
    """Store every constant that a DENSIFY reads dense, and connect its consumers to it; return the tensor indices.

    Raises:
        FlatbufferError: the constant is damaged.
    """
    readers: dict[int, list[Operator]] = defaultdict(list)
    for operator in graph.operators:
        if graph.operator_name(operator) == "DENSIFY":
            readers[int(operator.inputs[0])].append(operator)
    outputs = set(indices(graph.subgraph.outputs))
    constants: dict[int, int] = {}  # by output of the DENSIFY
    for sparse, operators in readers.items():
        dense = [int(operator.outputs[0]) for operator in operators]
        if outputs.isdisjoint(dense):
            store_dense(graph, sparse)
            graph.tensor(sparse).quantization = graph.tensor(dense[0]).quantization
            constants |= dict.fromkeys(dense, sparse)
    rest = []
    for operator in graph.operators:
        if graph.operator_name(operator) == "DENSIFY" and int(operator.outputs[0]) in constants:
            continue
        rest.append(operator)
        inputs = indices(operator.inputs)
        if not constants.keys().isdisjoint(inputs):
            operator.inputs = np.array([constants.get(index, index) for index in inputs], np.int32)
    graph.subgraph.operators = rest
    return sorted(set(constants.values()))


def store_dense(graph: Graph, index: int) -> None:
    """Store a sparse constant dense.

    Raises:
        FlatbufferError: the constant is damaged.
    """
    tensor = graph.tensor(index)
    values = dense_values(graph, index)
    if tensor.sparsity is not None and values is not None:
        tensor.sparsity = None
        graph.store(tensor, values)


def overhead_bytes(tensor: Tensor, layout: Layout) -> int:
    """Return the bytes of tables and list entries that this edit adds, without values, segments and indices."""
    table, vectors = table_of_unique_vectors(layout)
    added = packed_bytes(tensor, _dense_twin(tensor), _operator(0, 0, 0), table) - packed_bytes(tensor)
    return added - vectors + 3 * _OFFSET_BYTES


def _dense_twin(tensor: Tensor) -> Tensor:
    return new_tensor(shape_of(tensor), tensor.type, tensor.name, tensor.quantization)


def _operator(code: int, sparse: int, dense: int) -> Operator:
    return new_operator(code, [sparse], [dense], schema.BuiltinOptions.DensifyOptions, schema.DensifyOptionsT())
