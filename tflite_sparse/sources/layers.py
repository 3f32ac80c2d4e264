"""The layers of a Keras model by their paths, and operators that are named after them."""

from __future__ import annotations

import contextlib
import functools
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tflite_sparse.sources.source_model import Layer


def found_in(model: Any) -> list[tuple[Any, Layer]]:
    """Every layer of a built model that is no model itself, those of nested models included, beside its description.

    A wrapper, a recurrent layer or a layer made of others is one layer, of the types of all of them. A layer that is
    used twice is there once.
    """
    result: dict[int, tuple[Any, Layer]] = {}
    names: Counter[str] = Counter()

    def walk(parent: Any, path: str) -> None:
        for layer in parent.layers:
            own = f"{path}/{re.sub(r'[^A-Za-z0-9_.-]', '_', layer.name)}"
            if hasattr(layer, "layers") and getattr(layer, "inputs", None):
                walk(layer, own)
            elif id(layer) not in result:
                names[own] += 1
                unique = own if names[own] == 1 else f"{own}_{names[own]}"
                types = dict.fromkeys(type(each).__name__ for each in layer._flatten_layers())
                result[id(layer)] = layer, Layer(unique, "+".join(types))

    walk(model, re.sub(r"[^A-Za-z0-9_.-]", "_", model.name))
    return list(result.values())


@contextlib.contextmanager
def named(model: Any, tf: Any) -> Iterator[None]:
    """Let the operators of each layer be traced inside of the block under its path, ``path/operator``, to the letter.

    TensorFlow's own scopes have numbers behind them that tell ``conv``, called again, and ``conv_1`` not apart.
    """
    with contextlib.ExitStack() as stack:
        for layer, description in found_in(model):
            stack.enter_context(_call_in_scope(layer, f"{description.name}/", tf))
        yield


@contextlib.contextmanager
def _call_in_scope(layer: Any, scope: str, tf: Any) -> Iterator[None]:
    before = vars(layer).get("call")
    call = layer.call

    @functools.wraps(call)
    def scoped(*args: Any, **kwargs: Any) -> Any:
        with tf.name_scope(scope):  # with a slash at its end it is taken as it is
            return call(*args, **kwargs)

    object.__setattr__(layer, "call", scoped)  # past what Keras tracks
    try:
        yield
    finally:
        if before is None:
            object.__delattr__(layer, "call")
        else:
            object.__setattr__(layer, "call", before)
