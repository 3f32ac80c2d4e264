"""Replace SELECT by SELECT_V2, because TensorFlow Lite Micro has only the latter.

With fixed shapes the converter writes SELECT wherever condition and values have one shape, as in SELU.

Needs: a SELECT whose condition and both values have one shape; there both operators are equal. SELECT also takes a
vector of conditions, one for each row.
Leaves: a SELECT_V2 with the same tensors.
"""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.flatbuffer.graph import drop_unread_operator_codes, graphs, indices, shape_of
from tflite_sparse.flatbuffer.types import Model

_VERSION = 1  # LiteRT tools/versioning/op_version.cc, SELECT_V2: 2 is for five dimensions
_MOST_DIMENSIONS = 4


def apply(model: Model) -> int:
    """Edit every graph of a parsed model; return the number of edited operators."""
    changed = 0
    for graph in graphs(model):
        for operator in graph.operators:
            if graph.operator_name(operator) != "SELECT":
                continue
            shapes = {shape_of(graph.tensor(index)) for index in indices(operator.inputs)}
            if len(shapes) > 1 or len(next(iter(shapes))) > _MOST_DIMENSIONS:
                continue
            operator.opcodeIndex = graph.operator_code(schema.BuiltinOperator.SELECT_V2, _VERSION)
            operator.builtinOptionsType = schema.BuiltinOptions.SelectV2Options
            operator.builtinOptions = schema.SelectV2OptionsT()
            changed += 1
    if changed:
        drop_unread_operator_codes(model)
    return changed
