"""Find the layer that an operator of a file belongs to, by the names of its tensors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from tflite_sparse.sources.source_model import Layer

_NUMBER = re.compile(r"_\d+$")


def layer_of(tensors: Iterable[str], layers: Sequence[Layer]) -> Layer | None:
    """Return the layer of the first tensor whose name lies under the path of a layer; None if there is none.

    The converter names a tensor after the nodes it was made of, ``net/conv/Relu;net/conv/Add``. Keras 3 numbers each
    scope that it enters again, ``net_1/conv_1/Relu``: all scopes of a name or none.

    Args:
        tensors: their names.
        layers: of the model.
    """
    for name in tensors:
        for node in name.split(";"):
            scopes = node.split("/")[:-1]
            for layer in layers:
                path = layer.name.split("/")
                if _is_below(scopes, path):
                    return layer
    return None


class LayerNames:
    """The names that layers have in their Keras model, by the names of tensors of a file.

    Args:
        layers: of the model.
        ports: names of inputs and outputs, by those of their tensors.
    """

    def __init__(self, layers: Sequence[Layer], ports: Mapping[str, str]) -> None:
        self._layers = layers
        self._ports = ports

    def __call__(self, tensor: str) -> str:
        """Return the path of a tensor's layer without the model's own name, ``"dense"``; empty if it is not known.

        An input or output has its own name.
        """
        if tensor in self._ports:
            return self._ports[tensor]
        layer = layer_of([tensor], self._layers)
        return "" if layer is None else layer.name.split("/", 1)[-1]


def _is_below(scopes: Sequence[str], path: Sequence[str]) -> bool:
    start = list(scopes[: len(path)])
    numbered = all(map(_NUMBER.search, start))
    return start == list(path) or (numbered and [_NUMBER.sub("", scope) for scope in start] == list(path))
