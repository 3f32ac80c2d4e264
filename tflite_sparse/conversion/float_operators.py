"""Find the operators of a float file that belong to layers that stay float32, by the names of their outputs.

The converter names an operator and its outputs after the graph nodes it was made of:
``net/act/Relu;net/conv/convolution1``. The quantiser knows an operator by that name. Outputs of the model have other
names; for these the graph tells which node computes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tflite_sparse.errors import SettingsError
from tflite_sparse.flatbuffer.graph import Graph, text
from tflite_sparse.flatbuffer.types import Model

if TYPE_CHECKING:
    from tensorflow.core.framework.function_pb2 import FunctionDef
    from tensorflow.core.framework.node_def_pb2 import NodeDef

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_SIGNATURE = "serving_default"

FloatLayers = Mapping[str, Sequence[str]]
"""Paths of layers by the rule that names them: ``{"recipe.toml, rule 1": ["net/norm"]}``."""


def names_in(model: Model, folder: str, float_layers: FloatLayers) -> set[str]:
    """Return the names by which the quantiser knows the operators of these layers.

    Args:
        model: the float file, as an object of the schema.
        folder: the SavedModel that it was made from.
        float_layers: the layers. An operator that fuses several layers belongs to all of them.

    Raises:
        SettingsError: all layers of a rule leave no operator of their own.
    """
    graph = Graph(model, model.subgraphs[0])
    computed_by = dict(_output_nodes(Path(folder), model))
    found: dict[str, set[str]] = {place: set() for place in float_layers}
    for operator in graph.operators:
        outputs = [int(index) for index in operator.outputs]
        nodes = [node for index in outputs for node in text(graph.tensor(index).name).split(";")]
        if any(index in computed_by for index in outputs):
            constants = [int(index) for index in operator.inputs if int(index) >= 0 and graph.is_constant(int(index))]
            nodes += [computed_by[index] for index in outputs if index in computed_by]
            nodes += [node for index in constants for node in text(graph.tensor(index).name).split(";")]
        for place, layers in float_layers.items():
            if any(node.startswith(f"{layer}/") for node in nodes for layer in layers):
                found[place] |= {text(graph.tensor(index).name) for index in outputs}
    for place, names in found.items():
        if not names:
            raise SettingsError(
                f"{place}: precision = 'float32' finds no operator of {float_layers[place][0]}: it does nothing in a "
                "file, or is computed within another layer. Name the layer before or behind it."
            )
    return set().union(*found.values())


def _output_nodes(folder: Path, model: Model) -> Iterator[tuple[int, str]]:
    """Yield for each output tensor of the file the node of the SavedModel that computes it."""
    from tensorflow.core.protobuf import saved_model_pb2

    (graph, *_) = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes()).meta_graphs
    library = {function.signature.name: function for function in graph.graph_def.library.function}
    entries = [entry for signature in (model.signatureDefs or ())[:1] for entry in signature.outputs or ()]
    tensors = {text(entry.name): int(entry.tensorIndex) for entry in entries}
    top = {node.name: node for node in graph.graph_def.node}
    for name, info in graph.signature_def[_SIGNATURE].outputs.items():
        yield tensors[name], _computing(info.name, top, library)


def _computing(tensor: str, nodes: Mapping[str, NodeDef], library: Mapping[str, FunctionDef]) -> str:
    """Return the node that computes ``tensor``, ``node:output:0`` or ``node:0``, following identities and calls."""
    name, *place = tensor.split(":")
    node = nodes.get(name)
    if node is None:  # an argument of the function
        return name
    if node.op == "Identity":
        return _computing(node.input[0], nodes, library)
    if node.op in _CALLS:
        function = library[node.attr["f"].func.name]
        result = function.signature.output_arg[int(place[-1]) if place else 0].name
        inner = {each.name: each for each in function.node_def}
        return _computing(function.ret[result], inner, library)
    return name
