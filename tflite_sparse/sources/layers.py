"""List the layers of a Keras model by path, and name operators after them."""

from __future__ import annotations

import contextlib
import functools
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from types import ModuleType

from tflite_sparse.sources.keras_types import KerasLayer, KerasModel
from tflite_sparse.sources.source_model import Layer


def found_in(model: KerasModel) -> list[tuple[KerasLayer, Layer]]:
    """Return every layer of a built model and of its nested models, without the models, beside its description.

    A wrapper, a recurrent layer or a layer made of others counts as one layer with all their types. A layer that is
    used twice is listed once.
    """
    result: dict[int, tuple[KerasLayer, Layer]] = {}
    names: Counter[str] = Counter()

    def walk(children: Iterable[KerasLayer], path: str) -> None:
        for layer in children:
            own = f"{path}/{re.sub(r'[^A-Za-z0-9_.-]', '_', layer.name)}"
            if hasattr(layer, "layers") and getattr(layer, "inputs", None):
                walk(layer.layers, own)
            elif id(layer) not in result:
                names[own] += 1
                unique = own if names[own] == 1 else f"{own}_{names[own]}"
                types = dict.fromkeys(type(each).__name__ for each in layer._flatten_layers())
                result[id(layer)] = layer, Layer(unique, "+".join(types))

    walk(model.layers, re.sub(r"[^A-Za-z0-9_.-]", "_", model.name))
    return list(result.values())


@contextlib.contextmanager
def named(model: KerasModel, tf: ModuleType) -> Iterator[None]:
    """Name operators that are traced inside of the block ``path/operator``, after the exact path of their layer.

    TensorFlow's own scopes number repeated names, so that ``conv`` called twice cannot be told from ``conv_1``.
    """
    with contextlib.ExitStack() as stack:
        for layer, description in found_in(model):
            stack.enter_context(_call_in_scope(layer, f"{description.name}/", tf))
        yield


@contextlib.contextmanager
def _call_in_scope(layer: KerasLayer, scope: str, tf: ModuleType) -> Iterator[None]:
    before = vars(layer).get("call")
    call = layer.call

    @functools.wraps(call)
    def scoped(*args: object, **kwargs: object) -> object:
        with tf.name_scope(scope):  # a trailing slash keeps TensorFlow from numbering it
            return call(*args, **kwargs)

    object.__setattr__(layer, "call", scoped)  # bypass Keras's attribute tracking
    try:
        yield
    finally:
        if before is None:
            object.__delattr__(layer, "call")
        else:
            object.__setattr__(layer, "call", before)
