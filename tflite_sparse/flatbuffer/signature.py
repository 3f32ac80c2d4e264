"""The names that a file's signature gives to the inputs and outputs of its first graph."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import text


@dataclass(frozen=True, slots=True)
class Names:
    """In the order of the graph, which need not be that of the Keras model or of the signature."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def names_of(path: Path) -> Names:
    """The names of the first graph's inputs and outputs: the signature's, else those of the tensors.

    Raises:
        FlatbufferError: the file cannot be read.
    """
    model = serde.read(path)
    graph = model.subgraphs[0]
    own = [each for each in model.signatureDefs or () if each.subgraphIndex == 0]
    inputs = _by_tensor(own[0].inputs) if own else {}
    outputs = _by_tensor(own[0].outputs) if own else {}

    def found(indices: Any, named: dict[int, str]) -> tuple[str, ...]:
        return tuple(named.get(int(index)) or text(graph.tensors[index].name) for index in indices)

    return Names(found(graph.inputs, inputs), found(graph.outputs, outputs))


def _by_tensor(entries: Any) -> dict[int, str]:
    return {int(entry.tensorIndex): text(entry.name) for entry in entries or ()}
