"""Operators that only work out shapes, which a program does not need: its shapes are fixed.

Converters write them for models with an open batch: SHAPE, STRIDED_SLICE, PACK, before a RESHAPE.
"""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.flatbuffer.graph import Graph, indices

_WHOLE_NUMBERS = {schema.TensorType.INT32, schema.TensorType.INT64}


def tensors(graph: Graph) -> frozenset[int]:
    """The tensors that such operators yield: shapes, and whole numbers that follow from them and constants alone."""
    found: set[int] = set()
    for operator in graph.operators:
        outputs = indices(operator.outputs)
        if any(graph.tensor(index).type not in _WHOLE_NUMBERS for index in outputs):
            continue
        read = [index for index in indices(operator.inputs) if index >= 0 and not graph.is_constant(index)]
        if graph.operator_name(operator) == "SHAPE" or (read and found.issuperset(read)):
            found.update(outputs)
    return frozenset(found)
