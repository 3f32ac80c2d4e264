"""Let FULLY_CONNECTED read a weight that is sparse in blocks, without a DENSIFY in front.

The built-in kernels multiply block by block and never rebuild the dense weight: file, memory and time shrink alike.
They take int8 in blocks of 16 and float32 in blocks of 4 along the inputs (LiteRT ``kernels/fully_connected.cc``).

Needs: a weight ``(n_out, n_in)`` with ``n_in`` a multiple of the block. The kernel multiplies matrix by vector: with
many rows of input it is slower than a dense one.
Leaves: the same operators. Those that read the weight get a separate operator code of version 8, which marks a sparse
weight: XNNPACK would refuse a dense FULLY_CONNECTED of that code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.codecs.constants import layout_of
from tflite_sparse.codecs.csr import Encoded
from tflite_sparse.codecs.layout import Layout
from tflite_sparse.codecs.sparsity_parameters import to_table
from tflite_sparse.flatbuffer.graph import Graph, dtype_of, shape_of
from tflite_sparse.flatbuffer.types import FullyConnectedOptions, Operator
from tflite_sparse.rewrites.densify import store_dense

BLOCK_SIZES: dict[np.dtype, int] = {np.dtype(np.int8): 16, np.dtype(np.float32): 4}

# LiteRT tools/versioning/op_version.cc
_SPARSE_WEIGHT_VERSION = 8
_VERSION_THAT_KEEPS_DIMENSIONS = 5
_DENSE_VERSIONS = {np.dtype(np.int8): 4, np.dtype(np.float32): 1}


def refusal(graph: Graph, operator: Operator) -> str | None:
    """Return why this operator cannot read its weight sparse, or why that would be slow; or None."""
    source, weight, target = (graph.tensor(int(i)) for i in (*operator.inputs[:2], operator.outputs[0]))
    inputs = shape_of(weight)[1]
    options: FullyConnectedOptions = operator.builtinOptions
    if options.weightsFormat != schema.FullyConnectedOptionsWeightsFormat.DEFAULT:
        return "its weights are in a shuffled format"
    if any(dtype_of(tensor) != dtype_of(weight) for tensor in (source, target)) or dtype_of(weight) not in BLOCK_SIZES:
        return "it is neither int8 nor float32 throughout"
    if inputs % BLOCK_SIZES[np.dtype(dtype_of(weight))]:
        return "blocks do not divide its inputs"
    if math.prod(shape_of(source)) != inputs:
        return "its input has several rows"
    return None


def layout(shape: tuple[int, ...], dtype: np.dtype) -> Layout:
    """Return the kernel's layout of a weight ``(n_out, n_in)`` of this type: rows of compressed blocks."""
    return Layout(shape, (0, 1, 2), (False, True, False), (1,), (BLOCK_SIZES[dtype],))


def apply(graph: Graph, tensor_index: int, encoded: Encoded, operators: Sequence[Operator]) -> None:
    """Edit the graph.

    Args:
        graph: the graph that holds the weight.
        tensor_index: the weight.
        encoded: the weight in a layout that the kernel reads.
        operators: every operator that reads it.
    """
    tensor = graph.tensor(tensor_index)
    graph.store(tensor, encoded.values)
    tensor.sparsity = to_table(encoded)
    code = graph.operator_code(schema.BuiltinOperator.FULLY_CONNECTED, _SPARSE_WEIGHT_VERSION)
    for operator in operators:
        operator.opcodeIndex = code


def undo(graph: Graph) -> dict[int, Layout]:
    """Store dense every weight that a FULLY_CONNECTED reads sparse; return the tensor indices and former layouts.

    Raises:
        FlatbufferError: a weight is damaged.
    """
    readers = [operator for operator in graph.operators if graph.operator_name(operator) == "FULLY_CONNECTED"]
    behind_densify = {int(o.inputs[0]) for o in graph.operators if graph.operator_name(o) == "DENSIFY"}
    readers = [operator for operator in readers if graph.tensor(int(operator.inputs[1])).sparsity is not None]
    readers = [operator for operator in readers if int(operator.inputs[1]) not in behind_densify]
    found = {}
    for weight in sorted({int(operator.inputs[1]) for operator in readers}):
        found[weight] = layout_of(graph, weight)
        store_dense(graph, weight)
    for operator in readers:
        options: FullyConnectedOptions = operator.builtinOptions
        version = _DENSE_VERSIONS.get(np.dtype(dtype_of(graph.tensor(int(operator.inputs[1])))), 1)
        if options.keepNumDims:
            version = _VERSION_THAT_KEEPS_DIMENSIONS
        operator.opcodeIndex = graph.operator_code(schema.BuiltinOperator.FULLY_CONNECTED, version)
    return found
