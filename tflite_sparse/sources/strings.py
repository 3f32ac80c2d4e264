"""Refuse models with string inputs, outputs or layers: the runtimes have no kernels for strings."""

from __future__ import annotations

from collections.abc import Iterable

from tflite_sparse.errors import ModelError
from tflite_sparse.sources.keras_types import KerasLayer

_LAYERS = {"TextVectorization": "vectorisation", "StringLookup": "look-up"}


def refuse_layers(layers: Iterable[KerasLayer], name: str) -> None:
    """Refuse a Keras model with a layer that computes on strings.

    Raises:
        ModelError: names the first one.
    """
    for layer in layers:
        kind = type(layer).__name__
        if kind not in _LAYERS:
            continue
        if getattr(layer, "invert", False):
            part, where = f"in front of it, keras.Model(model.inputs, model.get_layer({layer.name!r}).input)", "behind"
        else:
            part, where = "behind it, with an Input of its integers in its place", "in front of"
        raise ModelError(
            f"{name}: layer {layer.name!r} ({kind}) computes on strings, for which there are no kernels. Export the "
            f"part {part}, and apply the {_LAYERS[kind]} in the app, {where} the model."
        )


def refuse_tensors(what: str, dtypes: Iterable[tuple[str, object]], name: str) -> None:
    """Refuse a model with an input or output (``what``) of strings; ``dtypes`` are pairs of a name and a dtype.

    Raises:
        ModelError: names the first one.
    """
    for tensor, dtype in dtypes:
        if str(getattr(dtype, "name", dtype)) == "string":
            side = "behind the conversion to numbers" if what == "input" else "in front of the conversion from numbers"
            raise ModelError(
                f"{name}: {what} {tensor!r} holds strings, for which there are no kernels. Export the part {side}, and "
                "do the conversion in the app."
            )
