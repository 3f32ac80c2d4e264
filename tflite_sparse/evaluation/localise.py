"""Where two files part: the first tensor, in execution order, that a sample gives different values.

Both files are copied with every activation tensor that they have in common as a further output of the graph, and the
copies are run. A tensor that must be kept can keep a runtime from fusing the operators around it, so a difference of
the files may vanish in the copies.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.errors import ExecutionError, FlatbufferError
from tflite_sparse.evaluation.exactness import largest_difference, same_bits
from tflite_sparse.evaluation.pairing import partners
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import Graph, dtype_of, indices, signature_of, text
from tflite_sparse.runtime import litert


@dataclass(frozen=True, slots=True)
class FirstDifference:
    """The first tensor that differs.

    Attributes:
        tensor: its name; None if it was not found.
        operator: the operator of the reference that yields it.
        largest: the largest difference in units of the dtype; None if the tensor was not found, or infinity or NaN
            stand against something else.
        note: why it was not found.
    """

    tensor: str | None = None
    operator: str | None = None
    largest: float | None = None
    note: str | None = None


def first_difference(
    path: Path,
    reference: Path,
    sample: Sequence[np.ndarray],
    kernels: litert.Kernels,
    *,
    signature: str | None = None,
    threads: int = 2,
) -> FirstDifference | None:
    """Find the first tensor in execution order that differs between two files, in one runtime.

    Args:
        path: the file in question.
        reference: the file that says how it must be, whose operators and order count.
        sample: one array for each input, as for :func:`tflite_sparse.runtime.litert.run_separately`.
        kernels: which runtime.
        signature: whose graph; None: the first.
        threads: of the interpreter.

    Returns:
        Where they part, or why that could not be found; None if all tensors that the files have in common are equal.
    """
    with tempfile.TemporaryDirectory(prefix="tflite-sparse-") as name:
        folder = Path(name)
        try:
            first, second = serde.read(path), serde.read(reference)
            graph, other = _graph(second, signature), _graph(first, signature)
            yielded = _activations(graph)
            known = partners(yielded, graph, _activations(other), other, _alike)
            found = _observed(first, other, list(known.values()), folder, sample, kernels, signature, threads)
            expected = _observed(second, graph, list(known), folder, sample, kernels, signature, threads)
        except (ExecutionError, FlatbufferError) as error:
            reason = str(error).replace(f"{folder}/", "")
            return FirstDifference(note=f"copies that yield their intermediate tensors do not run: {reason}")
    producers = graph.producers()
    for index in yielded:
        if index in known and not same_bits(found[known[index]], expected[index]):
            largest = largest_difference(found[known[index]], expected[index])
            return FirstDifference(
                text(graph.tensor(index).name), graph.operator_name(producers[index]), largest, note=None
            )
    return None if known else FirstDifference(note="the files have no activation tensor in common")


def _graph(model: Any, signature: str | None) -> Graph:
    """The graph that a signature runs; the first for None."""
    numbers = {text(definition.signatureKey): definition.subgraphIndex for definition in model.signatureDefs or ()}
    return Graph(model, model.subgraphs[0 if signature is None else numbers[signature]])


def _activations(graph: Graph) -> list[int]:
    """What operators yield from the inputs, in execution order: no rebuilt constants, no variables, only numbers."""
    given = set(indices(graph.subgraph.inputs))
    moving = given | {index for index, tensor in enumerate(graph.subgraph.tensors) if tensor.isVariable}
    found = []
    for operator in graph.operators:
        sources = indices(operator.inputs)
        if sources and not moving.intersection(sources):
            continue
        outputs = indices(operator.outputs)
        moving.update(outputs)
        found += [index for index in outputs if dtype_of(graph.tensor(index)) is not None]
    return list(dict.fromkeys(found))


def _alike(a: Any, b: Any) -> bool:
    return bool(a.type == b.type) and signature_of(a) == signature_of(b)


def _observed(
    model: Any,
    graph: Graph,
    wanted: list[int],
    folder: Path,
    sample: Sequence[np.ndarray],
    kernels: litert.Kernels,
    signature: str | None,
    threads: int,
) -> dict[int, np.ndarray]:
    """The values of these tensors (and of the graph's outputs) on a sample. Edits the model."""
    outputs = indices(graph.subgraph.outputs)
    added = [index for index in wanted if index not in outputs]
    graph.subgraph.outputs = np.array(outputs + added, np.int32)
    for definition in model.signatureDefs or ():
        if model.subgraphs[definition.subgraphIndex] is graph.subgraph:
            definition.outputs = [*(definition.outputs or ()), *map(_named, added)]
    path = folder / "copy.tflite"
    serde.write(model, path)
    result = litert.run_separately(path, [sample], kernels, signature=signature, threads=threads)
    return dict(zip(result.indices, result.rows[0], strict=True))


def _named(index: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = f"tflite_sparse_tensor_{index}", index
    return entry
