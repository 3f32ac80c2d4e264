"""Let a file also yield what stands in front of its last activation.

A softmax of a network that is sure of one class, or of none, yields the same numbers for every sample, and their
equality proves nothing. What it reads varies.
"""

from __future__ import annotations

from pathlib import Path

from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs, indices
from tflite_sparse.verification.observation import write_yielding

_LAST = frozenset({"SOFTMAX", "LOG_SOFTMAX", "LOGISTIC", "ARG_MAX", "DEQUANTIZE", "QUANTIZE", "RESHAPE"})


def write(path: Path, copy: Path) -> None:
    """Write a copy of a file whose graphs yield the inputs of their last operators behind their outputs.

    Raises:
        FlatbufferError: the file cannot be read.
    """
    model = serde.read(path)
    runnable = {0, *(int(definition.subgraphIndex) for definition in model.signatureDefs or ())}
    for graph in list(graphs(model)):
        if graph.number not in runnable:
            continue
        producers = graph.producers()
        wanted: list[int] = []
        for output in indices(graph.subgraph.outputs):
            index = output
            while index in producers and graph.operator_name(producers[index]) in _LAST:
                index = int(producers[index].inputs[0])
            if index != output and index in producers:
                wanted.append(index)
        write_yielding(model, graph, dict.fromkeys(wanted), copy)
