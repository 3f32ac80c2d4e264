"""Count bytes of constants and multiply-adds of each operator of a file."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.codecs.constants import dense_values, stored_bytes
from tflite_sparse.flatbuffer.graph import Graph, graphs, indices, shape_of, text
from tflite_sparse.flatbuffer.types import Model, Operator
from tflite_sparse.rewrites import decode_op, sparse_operator
from tflite_sparse.rewrites.sparse_operator import SparseOperator

_REBUILDS_WEIGHTS = frozenset({"DENSIFY", decode_op.CUSTOM_CODE})
_RECURRENT = frozenset(
    {f"{way}DIRECTIONAL_SEQUENCE_{cell}" for way in ("UNI", "BI") for cell in ("LSTM", "RNN")} | {"LSTM", "RNN", "SVDF"}
)
_UNCOUNTED = _RECURRENT | {"CONV_3D", "CONV_3D_TRANSPOSE"}
"""Kinds that are known to take many multiply-adds and have no count."""


@dataclass(frozen=True, slots=True)
class OperatorCost:
    """The cost of one operator.

    Attributes:
        name: its kind in the schema, or of a custom one its code.
        output: name of its first output.
        weight: name of the constant that is its second input; empty if it has none.
        shape: of that output; open sizes are 1.
        stored_bytes: of the constants that it is the first to read, directly or rebuilt.
        multiply_adds: of one run with all weights; None: unknown for this kind.
        multiply_adds_kept: the part with nonzero weights.
    """

    name: str
    output: str
    weight: str
    shape: tuple[int, ...]
    stored_bytes: int
    multiply_adds: int | None
    multiply_adds_kept: int | None


def of_model(model: Model) -> list[OperatorCost]:
    """Return the operators of all graphs in execution order, without those that rebuild weights.

    Raises:
        FlatbufferError: a sparse tensor is inconsistent.
    """
    return [cost for graph in graphs(model) for cost in _of_graph(graph)]


def not_counted(model: Model) -> list[str]:
    """Return the kinds of operators of a model whose multiply-adds :func:`of_model` leaves out, each once.

    Of a WHILE the operators of its graphs count as if they ran once.
    """
    names = (graph.operator_name(operator) for graph in graphs(model) for operator in graph.operators)
    return sorted({name for name in names if name in _UNCOUNTED or name == "WHILE"})


def _of_graph(graph: Graph) -> list[OperatorCost]:
    producers, decoded = graph.producers(), decode_op.results(graph)
    computed = {id(each.operator): each for each in sparse_operator.operators(graph)}
    seen: set[int] = set()
    found = []
    for operator in graph.operators:
        name = graph.operator_name(operator)
        if name in _REBUILDS_WEIGHTS:
            continue
        sources = [_sources(graph, index, producers) for index in indices(operator.inputs) if index >= 0]
        new = {index for each in sources for index in each} - seen
        seen |= new
        sparse = computed.get(id(operator))
        count = _multiply_adds(graph, name, operator) if sparse is None else _of_sparse(graph, sparse)
        if sparse is not None:
            values: np.ndarray | None = sparse.weights
        else:
            values = None if count is None else _weight(graph, indices(operator.inputs)[1], producers, decoded)
        share = 1.0 if values is None or not values.size else np.count_nonzero(values) / values.size
        outputs = indices(operator.outputs)
        first = graph.tensor(outputs[0]) if outputs else None
        found.append(
            OperatorCost(
                name,
                "" if first is None else text(first.name),
                _name_of_weight(graph, indices(operator.inputs)[1:2], producers),
                () if first is None else shape_of(first),
                sum(stored_bytes(graph, index) for index in new),
                count,
                None if count is None else round(count * share),
            )
        )
    return found


def _sources(graph: Graph, index: int, producers: dict[int, Operator]) -> list[int]:
    """Return the constants behind a tensor: itself, or the inputs of the operator that rebuilds it."""
    if graph.is_constant(index):
        return [index]
    maker = producers.get(index)
    if maker is None or graph.operator_name(maker) not in _REBUILDS_WEIGHTS:
        return []
    return [each for each in indices(maker.inputs) if graph.is_constant(each)]


def _name_of_weight(graph: Graph, second: list[int], producers: dict[int, Operator]) -> str:
    if not second or second[0] < 0 or not _sources(graph, second[0], producers):
        return ""
    tensors = [*second, *_sources(graph, second[0], producers)]  # what is rebuilt may have no name of its own
    return next((name for index in tensors if (name := text(graph.tensor(index).name))), "")


def _weight(
    graph: Graph, index: int, producers: dict[int, Operator], decoded: dict[int, decode_op.Result]
) -> np.ndarray | None:
    if index in decoded:
        return decoded[index].values
    sources = _sources(graph, index, producers)
    return dense_values(graph, sources[0]) if len(sources) == 1 else None


def _multiply_adds(graph: Graph, name: str, operator: Operator) -> int | None:
    """Return the multiply-adds of one run: the values of the output times the weights in each sum."""
    inputs, outputs = indices(operator.inputs), indices(operator.outputs)
    if name == "TRANSPOSE_CONV" and len(inputs) > 2:  # each value of the input is spread over the kernel instead
        return math.prod(shape_of(graph.tensor(inputs[2]))) * math.prod(shape_of(graph.tensor(inputs[1]))[:-1])
    if len(inputs) < 2 or not outputs:
        return None
    if name == "BATCH_MATMUL":
        return _of_matrices(graph, operator)
    if name not in _SUMMED_AXES:
        return None
    kernel = shape_of(graph.tensor(inputs[1]))
    return math.prod(shape_of(graph.tensor(outputs[0]))) * math.prod(kernel[_SUMMED_AXES[name]])


def _of_matrices(graph: Graph, operator: Operator) -> int | None:
    """Return the multiply-adds of BATCH_MATMUL: each value of the output sums over the columns of the first matrix.

    With ``adjX`` (schema.fbs: BatchMatMulOptions) that matrix is transposed first.
    """
    first = shape_of(graph.tensor(indices(operator.inputs)[0]))
    if len(first) < _AXES_OF_A_MATRIX:
        return None
    output = shape_of(graph.tensor(indices(operator.outputs)[0]))
    options = operator.builtinOptions
    is_transposed = isinstance(options, schema.BatchMatMulOptionsT) and bool(options.adjX)
    return math.prod(output) * first[-2 if is_transposed else -1]


def _of_sparse(graph: Graph, operator: SparseOperator) -> int:
    """Return the multiply-adds of one run of the dense operator that was replaced."""
    (output,) = indices(operator.operator.outputs)
    return math.prod(shape_of(graph.tensor(output))) * math.prod(operator.weights.shape[1:])


_SUMMED_AXES = {"CONV_2D": slice(1, None), "FULLY_CONNECTED": slice(1, None), "DEPTHWISE_CONV_2D": slice(1, 3)}
"""Axes of the kernel in the sum for one output value."""
_AXES_OF_A_MATRIX = 2
