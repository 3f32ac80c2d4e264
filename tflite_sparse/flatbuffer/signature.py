"""The names that a file's signature gives to the inputs and outputs of its first graph."""

from __future__ import annotations

from collections import defaultdict
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
    return names_in(serde.read(path))


def names_in(model: Any) -> Names:
    """The same of a model that was read."""
    graph = model.subgraphs[0]
    own = [each for each in model.signatureDefs or () if each.subgraphIndex == 0]
    entries = (own[0].inputs, own[0].outputs) if own else ((), ())
    return Names(_names(graph, graph.inputs, entries[0]), _names(graph, graph.outputs, entries[1]))


def _names(graph: Any, indices: Any, entries: Any) -> tuple[str, ...]:
    named: dict[int, list[str]] = defaultdict(list)  # a model may yield one tensor by several names
    for entry in entries or ():
        named[int(entry.tensorIndex)].append(text(entry.name))
    return tuple(
        named[index].pop(0) if named[index] else text(graph.tensors[index].name) for index in map(int, indices)
    )
