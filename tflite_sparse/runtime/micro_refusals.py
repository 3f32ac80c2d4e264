"""Find the operator that TensorFlow Lite Micro refuses, tensors that identify its layer, and a remedy.

The runtime prints the operator (``Node SQRT (number 1) failed to invoke``) or its code (``Didn't find op for builtin
opcode 'TILE'``) on standard error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tflite_sparse.flatbuffer.graph import Graph, graphs, indices, text, type_name
from tflite_sparse.flatbuffer.types import Model, Operator

_NODE = re.compile(r"Node (\S+) \(number (\d+)f?\) failed to")
_MISSING = re.compile(r"Didn't find op for builtin opcode '(\w+)'")
_CUSTOM = "op code CUSTOM"
_MEMORY = re.compile(r"Failed to allocate|Failed to resize|missing: \d+")
_TYPES = re.compile(r"\b(?:types?|INT\d+|FLOAT\d+)\b")

OPEN_BATCH = (
    "the model leaves sizes open that are worked out when it runs: convert it with a batch of 1, as export does"
)

_REPLACEMENTS = {
    "REDUCE_PROD": OPEN_BATCH,
    "FILL": OPEN_BATCH,
    "GELU": "use relu, silu or hard_silu in place of gelu",
    "SELECT": "Keras 3's Embedding makes it: take that of Keras 2 (tf_keras), or a layer of your own with tf.gather",
    "TILE": "use Concatenate in place of RepeatVector, and in place of UpSampling2D Resizing with "
    "interpolation='nearest', which computes the same",
}
_REPLACEMENTS["SELECT_V2"] = _REPLACEMENTS["SELECT"]
_WIDE = "it takes positions in int32: give the input dtype='int32', and tf.argmax output_type=tf.int32"
_IN_FLOAT = 'keep its layer in float32, by a rule of precision = "float32" in the --recipe of export'
_ONE_TYPE = "it takes data and weights of one type: convert with integer activations, as export --int8 does"
_REPLACE = "replace its layer before the conversion"


@dataclass(frozen=True, slots=True)
class RefusedOperator:
    """An operator that the runtime does not run.

    Attributes:
        name: of the operator in the schema, or the code of a custom one.
        tensors: names that identify its layer: its outputs, then its constants.
        way_out: remedy; empty if unknown.
    """

    name: str
    tensors: tuple[str, ...]
    way_out: str

    def __str__(self) -> str:
        where = f"{self.name}, which yields {self.tensors[0].partition(';')[0]!r}"
        return f"{where}: {self.way_out}" if self.way_out else where


def missing(model: Model, names: tuple[str, ...]) -> tuple[RefusedOperator, ...]:
    """Return the first operator of each of these names of operators that the runtime does not have."""
    return tuple(next(_refused(graph, each, has=False) for graph, each in _named(model, name)) for name in names)


def in_log(log: str, model: Model) -> RefusedOperator | None:
    """Return the operator that a log of the runtime names; None if it names none, or reports that memory ran out."""
    if _MEMORY.search(log):
        return None
    node, code = _NODE.search(log), _MISSING.search(log)
    if node is not None:
        found = list(_named(model, node[1]))
        at_place = [pair for pair in found if pair[0].operators[int(node[2]) :][:1] == [pair[1]]]
        named = _TYPES.search(log) is not None
        return next((_refused(*pair, has=True, types_named=named) for pair in at_place or found), None)
    if code is not None:
        return next((_refused(graph, operator, has=False) for graph, operator in _named(model, code[1])), None)
    if _CUSTOM in log:
        return next((_refused(graph, operator, has=False) for graph, operator in _custom(model)), None)
    return None


def _refused(graph: Graph, operator: Operator, *, has: bool, types_named: bool = False) -> RefusedOperator:
    """Return the operator with a remedy.

    Args:
        graph: holds the operator.
        operator: the operator.
        has: whether the runtime has the operator.
        types_named: whether the runtime named types as the reason.
    """
    inputs, outputs = (
        [graph.tensor(i) for i in indices(each) if i >= 0] for each in (operator.inputs, operator.outputs)
    )
    constants = [graph.tensor(index) for index in indices(operator.inputs) if index >= 0 and graph.is_constant(index)]
    name, types = graph.operator_name(operator), {type_name(tensor) for tensor in (*inputs, *outputs)}
    if "int64" in types:
        way_out = _WIDE
    elif name in _REPLACEMENTS and (not has or "int32" in types):
        way_out = _REPLACEMENTS[name]
    elif types_named and types & {"int8", "int16"}:
        way_out = _ONE_TYPE if "float32" in types else _IN_FLOAT
    else:
        way_out = "" if has and not types_named else _REPLACE  # the reason may be too small an arena
    names = tuple(text(tensor.name) for tensor in (*outputs, *constants))
    return RefusedOperator(name, names or ("",), way_out)


def _named(model: Model, name: str) -> Iterator[tuple[Graph, Operator]]:
    for graph in graphs(model):
        for operator in graph.operators:
            if graph.operator_name(operator) == name:
                yield graph, operator


def _custom(model: Model) -> Iterator[tuple[Graph, Operator]]:
    for graph in graphs(model):
        for operator in graph.operators:
            if model.operatorCodes[operator.opcodeIndex].customCode is not None:
                yield graph, operator
