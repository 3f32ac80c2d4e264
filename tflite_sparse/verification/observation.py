"""List the intermediate tensors of a file, match them with those of another file, and read their values.

A copy of the file yields these tensors as further outputs of its graph. A kept tensor can prevent a runtime from fusing
the operators around it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.base import child
from tflite_sparse.base.progress import Step
from tflite_sparse.errors import ExecutionError, one_line
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import Graph, dtype_of, indices, scales_of, signature_of, text, zero_points_of
from tflite_sparse.flatbuffer.types import Model, Operator, Tensor, TensorMap
from tflite_sparse.runtime import litert
from tflite_sparse.verification.counterparts import partners

_CASTS = ("QUANTIZE", "DEQUANTIZE")


def graph_of(model: Model, signature: str | None = None) -> Graph:
    """Return the graph of a signature; the first graph for None."""
    numbers = {text(definition.signatureKey): definition.subgraphIndex for definition in model.signatureDefs or ()}
    return Graph(model, model.subgraphs[0 if signature is None else numbers[signature]])


def activations(graph: Graph) -> list[int]:
    """Return the numeric activations, in execution order, without rebuilt constants and variables."""
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


def counterparts(graph: Graph, other: Graph) -> dict[int, int]:
    """Return the tensor of a quantised graph for each real-valued input and activation of the float32 graph.

    Both graphs come from one converter and one model. Inputs are matched by position. Activations are matched by name,
    if operators of one kind yield both. If names differ, as for operators with several outputs, they are matched by
    origin: an operator of the same kind that reads the counterparts of the inputs. QUANTIZE and DEQUANTIZE, which only
    one of the graphs has, are skipped.

    Args:
        graph: the float32 graph.
        other: the quantised graph.
    """
    origins, other_origins = Origins(graph), Origins(other)
    found = dict(zip(indices(graph.subgraph.inputs), indices(other.subgraph.inputs), strict=True))
    named = partners(activations(graph), graph, activations(other), other, _of_one_shape)
    found |= {a: b for a, b in named.items() if origins.kind_of(a) == other_origins.kind_of(b)}
    _pair_by_inputs(origins, other_origins, found)
    return {a: b for a, b in found.items() if _hold_real_numbers(graph.tensor(a), other.tensor(b))}


@dataclass(frozen=True, slots=True)
class Kept:
    """A file and the tensors of one of its graphs to observe.

    Attributes:
        path: the file.
        signature: key of the signature; None: the first graph.
        tensors: indices of the tensors.
        copy: the file with these tensors as further outputs of the graph, behind its own.
    """

    path: Path
    signature: str | None
    tensors: tuple[int, ...]
    copy: Path


def keep(path: Path, model: Model, graph: Graph, tensors: Iterable[int], copy: Path, signature: str | None) -> Kept:
    """Write a copy of a file that yields these tensors of a graph. Edits the model.

    Args:
        path: the file.
        model: its parsed contents.
        graph: the graph of ``signature``.
        tensors: indices of the tensors.
        copy: path of the copy.
        signature: key of the signature; None: the first graph.
    """
    wanted = tuple(tensors)
    write_yielding(model, graph, wanted, copy)
    return Kept(path, signature, wanted, copy)


def write_yielding(model: Model, graph: Graph, wanted: Iterable[int], path: Path) -> None:
    """Write a model whose graph yields these tensors behind its own outputs. Edits the model."""
    outputs = indices(graph.subgraph.outputs)
    added = [index for index in wanted if index not in outputs]
    graph.subgraph.outputs = np.array(outputs + added, np.int32)
    for definition in model.signatureDefs or ():
        if model.subgraphs[definition.subgraphIndex] is graph.subgraph:
            definition.outputs = [*(definition.outputs or ()), *map(_signature_entry, added)]
    serde.write(model, path)


def by_index(outputs: litert.SeparateOutputs) -> dict[int, np.ndarray]:
    """Return the outputs for the only sample, by tensor index."""
    (row,) = outputs.rows
    return dict(zip(outputs.indices, row, strict=True))


class Observer:
    """The first graph of a file that :func:`write_yielding` wrote, loaded in this process.

    Args:
        path: the file.
        threads: of the interpreter.

    Raises:
        RuntimeError: the runtime refuses the file.
    """

    def __init__(self, path: str, threads: int = 2) -> None:
        self._graph = graph_of(serde.read(Path(path)))
        self._session = litert.Session(path, "default", threads)

    def values(self, sample: Sequence[np.ndarray]) -> dict[int, np.ndarray]:
        """Return the values of inputs and outputs for one sample as real numbers, by tensor index.

        Args:
            sample: one array for each input, in its whole shape (batch included): real values, or the file's dtype.

        Returns:
            Arrays in the runtime's shapes, float32: ``scale * (q - zero point)`` of quantised tensors.
        """
        fed = [detail.quantised(array) for detail, array in zip(self._session.inputs, sample, strict=True)]
        yielded = self._session.run(fed)
        held = [*zip(indices(self._graph.subgraph.inputs), fed, strict=True)]
        held += zip(self._session.output_indices, yielded, strict=True)
        return {index: real(array, self._graph.tensor(index)) for index, array in held}


def in_child(function: str, /, *, on_step: Step, **arguments: Any) -> Any:
    """Call a function of this package that uses an :class:`Observer`, in a child process.

    Raises:
        ExecutionError: the runtime refused a file, or the process died.
    """
    try:
        return child.call(function, on_step=on_step, **arguments)
    except child.ChildDiedError as death:
        raise ExecutionError(f"LiteRT {death.how} on a copy that yields its intermediate tensors.") from death
    except RuntimeError as error:
        message = one_line(error)
        raise ExecutionError(f"LiteRT refuses a copy that yields its intermediate tensors: {message}") from error


def real(array: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Return the real values of an array in the tensor's dtype, float32; the tensor has one scale or none."""
    scales = scales_of(tensor)
    if len(scales) == 0:
        return array.astype(np.float32, copy=False)
    shifted = array.astype(np.float32) - zero_points_of(tensor).astype(np.float32)
    return np.asarray(shifted * np.float32(scales[0]))


def _pair_by_inputs(origins: Origins, other: Origins, found: dict[int, int]) -> None:
    """Match outputs of operators if exactly one operator of the same kind reads the counterparts of their inputs."""
    candidates = defaultdict(list)
    for operator in other.graph.operators:
        key = (other.graph.operator_name(operator), len(operator.outputs), other.read_by(operator))
        candidates[key].append(indices(operator.outputs))
    taken = set(found.values())
    for operator in origins.graph.operators:
        outputs, sources = indices(operator.outputs), origins.read_by(operator)
        if found.keys() >= set(outputs) or not found.keys() >= {index for index in sources if index is not None}:
            continue
        read = tuple(None if index is None else other.of(found[index]) for index in sources)
        key = (origins.graph.operator_name(operator), len(outputs), read)
        own = [each for each in candidates[key] if not taken & set(each)]
        if len(own) == 1 and any(index is not None for index in read):
            found |= zip(outputs, own[0], strict=True)
            taken.update(own[0])


class Origins:
    """Origins of the tensors of a graph, without QUANTIZE and DEQUANTIZE.

    Attributes:
        graph: the graph.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph, self._producers = graph, graph.producers()
        self._moving = self._producers.keys() | set(indices(graph.subgraph.inputs))

    def of(self, index: int) -> int:
        """Return the tensor from which casts make this one, or itself."""
        while index in self._producers and self.graph.operator_name(self._producers[index]) in _CASTS:
            index = int(self._producers[index].inputs[0])
        return index

    def kind_of(self, index: int) -> str | None:
        """Return the name of the operator that yields the tensor before casts; None for inputs and constants."""
        producer = self._producers.get(self.of(index))
        return None if producer is None else self.graph.operator_name(producer)

    def read_by(self, operator: Operator) -> tuple[int | None, ...]:
        """Return the inputs of an operator before casts, by position; None for constants."""
        return tuple(self.of(index) if index in self._moving else None for index in indices(operator.inputs))


def _of_one_shape(a: Tensor, b: Tensor) -> bool:
    return signature_of(a) == signature_of(b)


def _hold_real_numbers(a: Tensor, b: Tensor) -> bool:
    """Return whether ``a`` is float32, and ``b`` has its shape and is float32 or quantised with one scale."""
    is_float = b.type == schema.TensorType.FLOAT32
    return bool(a.type == schema.TensorType.FLOAT32 and _of_one_shape(a, b) and (is_float or scales_of(b).size == 1))


def _signature_entry(index: int) -> TensorMap:
    entry: TensorMap = schema.TensorMapT()
    entry.name, entry.tensorIndex = f"tflite_sparse_tensor_{index}", index
    return entry
