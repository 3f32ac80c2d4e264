"""Find the layer that an operator of a file belongs to, by the names of its tensors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

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


def _is_below(scopes: Sequence[str], path: Sequence[str]) -> bool:
    start = list(scopes[: len(path)])
    numbered = all(map(_NUMBER.search, start))
    return start == list(path) or (numbered and [_NUMBER.sub("", scope) for scope in start] == list(path))
