"""Read from a file the contract that an app needs to call it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tflite_sparse.flatbuffer import metadata, signature
from tflite_sparse.flatbuffer.graph import (
    Graph,
    dtype_of,
    graphs,
    indices,
    quantisation_of,
    shape_of,
    signature_of,
    text,
    type_name,
)
from tflite_sparse.flatbuffer.types import Model, SignatureDef, Tensor
from tflite_sparse.results.contract import Contract, Port, Range
from tflite_sparse.sources.arrays import Arrays

_PASSED_THROUGH = frozenset({"DEQUANTIZE", "QUANTIZE", "RESHAPE", "CAST", "SQUEEZE"})
"""Operators that keep the meaning of values."""

_MEANINGS = {
    "SOFTMAX": "probabilities of classes, 0..1",
    "LOGISTIC": "probabilities of yes, 0..1",
    "LOG_SOFTMAX": "logarithms of the probabilities of classes",
    "ARG_MAX": "class numbers",
    "TANH": "numbers, -1..1",
}
"""Meaning of an output, by the operator that computes it."""

_NUMBERS, _SCORES = "numbers", "scores of classes, the largest is the answer"


def of_model(
    model: Model, data: Arrays | None = None, *, pixels: str | None = None, labels: Sequence[str] = ()
) -> Contract:
    """Return the contract of a parsed file, without snippets.

    Data range and labels that are not given come from the file's metadata, if present.

    Args:
        model: the file.
        data: samples ``(n, ...)`` used for making the file, real values; by name if there are several inputs.
        pixels: the range of pixels in the data, such as ``0..255``; None: no images.
        labels: names of the classes.
    """
    graph = next(graphs(model))
    names = signature.names_in(model)
    own = next((each for each in model.signatureDefs or () if each.subgraphIndex == 0), None)
    inputs, outputs = indices(graph.subgraph.inputs), indices(graph.subgraph.outputs)
    ranges = _ranges(model, data, names.inputs)
    classes = tuple(labels) or _labels(model)
    named = len(outputs) == 1 and len(classes) > 1 and shape_of(graph.tensor(outputs[0]))[-1:] == (len(classes),)
    in_signature = _places(own, names)
    return Contract(
        signature=None if own is None else text(own.signatureKey),
        inputs=[
            _port(graph.tensor(tensor), index, place, name, _taken(graph.tensor(tensor), pixels), ranges.get(name))
            for index, (tensor, name, place) in enumerate(zip(inputs, names.inputs, in_signature[0], strict=True))
        ],
        outputs=[
            _port(graph.tensor(tensor), index, place, name, _yielded(graph, tensor, named=named))
            for index, (tensor, name, place) in enumerate(zip(outputs, names.outputs, in_signature[1], strict=True))
        ],
        labels=list(classes) if named else [],
    )


def _port(tensor: Tensor, index: int, place: int, name: str, meaning: str, data: Range | None = None) -> Port:
    dtype, (scale, zero_point) = dtype_of(tensor), quantisation_of(tensor)
    is_quantised = scale != 0 and dtype is not None and dtype.kind in "iu"
    return Port(
        index=index,
        place=place,
        name=name,
        shape=signature_of(tensor),
        run_shape=shape_of(tensor),
        dtype=type_name(tensor) if dtype is None else str(dtype),
        scale=scale if is_quantised else None,
        zero_point=zero_point if is_quantised else None,
        representable=_representable(dtype, scale, zero_point) if is_quantised and dtype is not None else None,
        data=data,
        meaning=meaning,
    )


def _representable(dtype: np.dtype, scale: float, zero_point: int) -> Range:
    limits = np.iinfo(dtype)
    return Range(low=scale * (int(limits.min) - zero_point), high=scale * (int(limits.max) - zero_point))


def _places(own: SignatureDef | None, names: signature.Names) -> tuple[Sequence[int], Sequence[int]]:
    """Return the positions of inputs and outputs in the signature, by index; without one, the index itself."""
    found = []
    for by_index, entries in ((names.inputs, own and own.inputs), (names.outputs, own and own.outputs)):
        listed = [text(entry.name) for entry in entries or ()]
        found.append([listed.index(name) if name in listed else index for index, name in enumerate(by_index)])
    return found[0], found[1]


def _ranges(model: Model, data: Arrays | None, names: Sequence[str]) -> Mapping[str, Range]:
    """Return the smallest and largest value of the data of each input, if known."""
    if data is None:
        stored = metadata.get(model, metadata.INPUT_RANGE)
        if stored is None or len(stored) != 8 or len(names) != 1:
            return {}
        low, high = np.frombuffer(stored, "<f4").tolist()
        return {names[0]: Range(low=low, high=high)}
    each = data.items() if isinstance(data, Mapping) else zip(names, [data], strict=False)
    return {name: Range(low=float(array.min()), high=float(array.max())) for name, array in each if array.size}


def _labels(model: Model) -> tuple[str, ...]:
    stored = metadata.get(model, metadata.LABELS)
    return () if stored is None else tuple(stored.decode(errors="replace").split("\n"))


def _taken(tensor: Tensor, pixels: str | None) -> str:
    """Return the meaning of an input, in words."""
    dtype, (scale, _) = dtype_of(tensor), quantisation_of(tensor)
    if pixels is not None:
        return f"pixels, {pixels}"
    if dtype is not None and dtype.kind == "b":
        return "true or false"
    return "whole numbers" if scale == 0 and dtype is not None and dtype.kind in "iu" else _NUMBERS


def _yielded(graph: Graph, tensor: int, *, named: bool) -> str:
    """Return the meaning of an output, in words, from the operator that computes it."""
    for name in _origins(graph, tensor):
        if name in _MEANINGS:
            return _MEANINGS[name]
        if name not in _PASSED_THROUGH:
            break
    return _SCORES if named else _NUMBERS


def _origins(graph: Graph, tensor: int) -> Iterable[str]:
    """Return the operators that compute a tensor along their first inputs, the last one first."""
    producers, seen = graph.producers(), set()
    while tensor in producers and tensor not in seen:
        seen.add(tensor)
        operator = producers[tensor]
        yield graph.operator_name(operator)
        read = indices(operator.inputs)
        if not read:
            return
        tensor = read[0]
