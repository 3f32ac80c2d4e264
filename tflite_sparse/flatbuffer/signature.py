"""Read the names that the signature of a file gives to the inputs and outputs of its first graph."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import text
from tflite_sparse.flatbuffer.types import Model, SubGraph, TensorMap


@dataclass(frozen=True, slots=True)
class Names:
    """Names in the order of the graph, which may differ from that of the Keras model and of the signature."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """Inputs or outputs that a signature lists in another order than its graph.

    Attributes:
        signature: key of the signature.
        of: ``"inputs"`` or ``"outputs"``.
        by_signature: names in the order of the signature, which CompiledModel uses.
        by_index: names in the order of the graph, which the interpreter uses.
    """

    signature: str
    of: Literal["inputs", "outputs"]
    by_signature: tuple[str, ...]
    by_index: tuple[str, ...]


def differing_orders(model: Model) -> list[Order]:
    """Return the signatures of a parsed model that list inputs or outputs in another order than their graph."""
    found: list[Order] = []
    for signature in model.signatureDefs or ():
        graph = model.subgraphs[signature.subgraphIndex]
        sides: tuple[tuple[Literal["inputs", "outputs"], list[TensorMap] | None, np.ndarray], ...] = (
            ("inputs", signature.inputs, graph.inputs),
            ("outputs", signature.outputs, graph.outputs),
        )
        for of, entries, indices in sides:
            if [int(entry.tensorIndex) for entry in entries or ()] != [int(index) for index in indices]:
                listed = tuple(text(entry.name) for entry in entries or ())
                by_index = _names(graph, indices, entries)
                if listed != by_index:
                    found.append(Order(text(signature.signatureKey), of, listed, by_index))
    return found


def names_of(path: Path) -> Names:
    """Return the names of the first graph's inputs and outputs: the signature's, else those of the tensors.

    Raises:
        FlatbufferError: the file cannot be read.
    """
    return names_in(serde.read(path))


def names_in(model: Model) -> Names:
    """Return the names of a parsed model; see :func:`names_of`."""
    graph = model.subgraphs[0]
    own = [each for each in model.signatureDefs or () if each.subgraphIndex == 0]
    entries = (own[0].inputs, own[0].outputs) if own else ((), ())
    return Names(_names(graph, graph.inputs, entries[0]), _names(graph, graph.outputs, entries[1]))


def by_tensor(model: Model) -> dict[str, str]:
    """Return the names of a parsed model by the names of the tensors; see :func:`names_of`."""
    graph, names = model.subgraphs[0], names_in(model)
    pairs = [*zip(graph.inputs, names.inputs, strict=True), *zip(graph.outputs, names.outputs, strict=True)]
    return {text(graph.tensors[int(index)].name): name for index, name in pairs}


def _names(graph: SubGraph, indices: np.ndarray, entries: Iterable[TensorMap] | None) -> tuple[str, ...]:
    named: dict[int, list[str]] = defaultdict(list)  # one tensor may have several names
    for entry in entries or ():
        named[int(entry.tensorIndex)].append(text(entry.name))
    return tuple(
        named[index].pop(0) if named[index] else text(graph.tensors[index].name) for index in map(int, indices)
    )
