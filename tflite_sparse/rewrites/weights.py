"""Find weights and their readers, with or without a DENSIFY between them."""

from __future__ import annotations

from tflite_sparse.flatbuffer.graph import Graph
from tflite_sparse.flatbuffer.types import Operator


def readers_of_weights(graph: Graph, name: str) -> dict[int, list[Operator]]:
    """Return the readers of each constant, or DENSIFY of one, that only operators ``name`` read, as input 1."""
    found = {}
    producers = graph.producers()
    for index, uses in graph.uses().items():
        readers = [use.operator for use in uses]
        is_weight = graph.is_constant(_behind(graph, producers.get(index), index)) and not graph.yields(index)
        if is_weight and all(use.position == 1 and graph.operator_name(use.operator) == name for use in uses):
            found[index] = readers
    return found


def constant_behind(graph: Graph, index: int) -> int:
    """Return the constant from which a DENSIFY makes this tensor, or the tensor itself."""
    return _behind(graph, graph.producers().get(index), index)


def _behind(graph: Graph, producer: Operator | None, index: int) -> int:
    if producer is None or graph.operator_name(producer) != "DENSIFY":
        return index
    return int(producer.inputs[0])
