"""List the calls of layers in a Keras model of either generation, with the tensors that pass between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tflite_sparse.sources import tensorflow_import
from tflite_sparse.sources.keras_types import KerasLayer, KerasModel, SymbolicTensor, roots_of

_OPERATIONS = {
    "__operators__.add": "Add",
    "math.add": "Add",
    "math.subtract": "Subtract",
    "math.multiply": "Multiply",
}  # TensorFlow's names of operations on tensors of Keras 2


@dataclass(frozen=True, eq=False)
class Tensor:
    """A symbolic tensor of one call; an open size is None in its shape, whose first entry is the batch."""

    shape: tuple[int | None, ...]


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer, or of an operation such as ``a + b``.

    Attributes:
        layer: the layer or operation.
        name: its path in the model, ``"mobile/block_3/conv"``.
        inputs: the tensors that it takes. Constants are not among them.
        outputs: the tensors that it makes.
    """

    layer: KerasLayer
    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @property
    def kind(self) -> str:
        """The class of a layer that Keras defines; else a name that no class has.

        Operations have classes in Keras 3 (``Add`` for ``a + b``); those of Keras 2 are called the same here.
        """
        own = type(self.layer)
        symbol = getattr(self.layer, "symbol", None)
        if own.__name__ == "TFOpLambda" and symbol in _OPERATIONS:
            return _OPERATIONS[symbol]
        return own.__name__ if own.__module__.partition(".")[0] in ("keras", "tf_keras") else f"{own.__name__} (own)"


@dataclass(frozen=True, eq=False)
class CallGraph:
    """The calls of a model in the order of the data flow.

    A nested model of one input is dissolved into the calls of its layers; of several inputs it is one call.
    """

    calls: tuple[Call, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def graph_of(model: KerasModel) -> CallGraph | None:
    """Return the graph of a built Sequential or Functional model; None for a model that has its own ``call``."""
    nodes = _nodes(model)
    if nodes is None:
        return None
    inputs = tuple(_tensor(each) for each in nodes.inputs)
    calls: list[Call] = []
    outputs = _walk(nodes, inputs, model.name, calls)
    return CallGraph(tuple(calls), inputs, outputs)


@dataclass(frozen=True, eq=False)
class _Node:
    layer: KerasLayer
    inputs: Sequence[SymbolicTensor]
    outputs: Sequence[SymbolicTensor]


@dataclass(frozen=True, eq=False)
class _Nodes:
    nodes: Sequence[_Node]
    inputs: Sequence[SymbolicTensor]
    outputs: Sequence[SymbolicTensor]


def _walk(nodes: _Nodes, inputs: Sequence[Tensor], path: str, calls: list[Call]) -> tuple[Tensor, ...]:
    """Append the calls of a graph that gets ``inputs``; return its outputs."""
    known = {id(symbol): tensor for symbol, tensor in zip(nodes.inputs, inputs, strict=True)}
    for node in nodes.nodes:
        taken = tuple(known[id(symbol)] for symbol in node.inputs)
        name = f"{path}/{node.layer.name}"
        inner = _nodes(node.layer)
        if inner is not None and len(inner.inputs) == len(taken) == 1:  # of several inputs the order may differ
            made = _walk(inner, taken, name, calls)
        else:
            made = tuple(_tensor(symbol) for symbol in node.outputs)
            calls.append(Call(node.layer, name, taken, made))
        known |= {id(symbol): tensor for symbol, tensor in zip(node.outputs, made, strict=True)}
    return tuple(known[id(symbol)] for symbol in nodes.outputs)


def _nodes(layer: KerasLayer) -> _Nodes | None:
    graph: Any = getattr(layer, "_functional", None) or layer  # a Sequential model of Keras 3 holds a Functional one
    by_depth: Mapping[int, Iterable[Any]] | None = getattr(graph, "_nodes_by_depth", None)
    if by_depth is None or roots_of(layer).isdisjoint(("keras", "tf_keras")) or not getattr(graph, "inputs", None):
        return None
    if _has_its_own_call(layer):
        return None
    return _Nodes(list(_in_order(by_depth)), graph.inputs, graph.outputs)


def _has_its_own_call(layer: KerasLayer) -> bool:
    return type(layer).call.__module__.partition(".")[0] not in ("keras", "tf_keras")


def _in_order(by_depth: Mapping[int, Iterable[Any]]) -> Iterator[_Node]:
    """Yield the nodes of a graph from its inputs on, without those of the inputs themselves."""
    flat = tensorflow_import.tensorflow().nest.flatten
    for depth in sorted(by_depth, reverse=True):
        for node in by_depth[depth]:
            if not node.is_input:
                is_keras3 = hasattr(node, "operation")
                yield _Node(
                    node.operation if is_keras3 else node.layer,
                    node.input_tensors if is_keras3 else flat(node.keras_inputs),
                    flat(node.outputs),
                )


def _tensor(symbol: SymbolicTensor) -> Tensor:
    return Tensor(tuple(None if size is None else int(size) for size in symbol.shape))
