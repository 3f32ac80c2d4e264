"""What operators are called in comments, tables and refusals: a name of the file that tells the Keras layer."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from tflite_sparse.flatbuffer.graph import Graph, indices, text

_OF_NO_LAYER = re.compile(r"(Stateful)?PartitionedCall(_\d+)?:\d+")
"""What the converter calls outputs of the model, and what becomes one of them by a cast."""

_CASTS = ("QUANTIZE", "DEQUANTIZE")


def of(graph: Graph, output_names: Sequence[str]) -> list[str]:
    """A name for each operator: of the first tensor that it yields.

    Where the converter gave that no name of a layer, it is that of a constant that nothing else reads, as layers share
    equal ones, else that of the output of the model.

    Args:
        graph: the operators.
        output_names: of the graph's outputs.
    """
    operators = graph.operators
    reads = Counter(index for operator in operators for index in indices(operator.inputs))
    ports = _ports(graph, output_names)
    found = []
    for operator in operators:
        outputs = indices(operator.outputs)[:1]
        own = next((_first(graph, index) for index in outputs), "")
        if _OF_NO_LAYER.match(own):
            constants = (i for i in indices(operator.inputs) if i >= 0 and reads[i] == 1 and graph.is_constant(i))
            names: Iterator[str] = (name for index in constants if "/" in (name := _first(graph, index)))
            own = next(names, "") or ports.get(outputs[0]) or own
        found.append(own)
    return found


def _first(graph: Graph, index: int) -> str:
    return text(graph.tensor(index).name).partition(";")[0]


def _ports(graph: Graph, names: Sequence[str]) -> dict[int, str]:
    """By index of the tensors that are outputs of the model, or are them but for their type."""
    found = dict(zip(indices(graph.subgraph.outputs), names, strict=True))
    for operator in graph.operators:
        if graph.operator_name(operator) in _CASTS:
            for result, source in zip(indices(operator.outputs), indices(operator.inputs), strict=False):
                if result in found:
                    found.setdefault(source, found[result])
    return found
