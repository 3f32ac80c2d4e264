"""Which layer an operator of a file is of, by the names of its tensors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tflite_sparse.sources.source_model import Layer

_NUMBER = re.compile(r"_\d+$")


def layer_of(tensors: Iterable[str], layers: Sequence[Layer]) -> Layer | None:
    """The layer of the first tensor whose name lies under the path of one; None if none does.

    The converter names a tensor after the nodes that it was made of, ``net/conv/Relu;net/conv/Add``, and Keras 3 puts
    a number behind each scope that it enters again, ``net_1/conv_1/Relu``: behind all of them or behind none.

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
