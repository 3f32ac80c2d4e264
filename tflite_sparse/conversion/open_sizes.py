"""Inputs of any height and width, or of any length, which not every layer can be traced with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tflite_sparse.sources.source_model import InputSpec, SourceModel, Trace

_AXES = {3: ("length",), 4: ("height", "width"), 5: ("depth", "height", "width")}
_EXAMPLE = 224


def are_in(shape: Sequence[int | None]) -> bool:
    """Whether a shape leaves more than the batch open."""
    return None in shape[1:]


def cure(model: SourceModel, trace: Trace) -> str | None:
    """What to fix where a model was traced with open sizes; None: it was not."""
    for spec in model.inputs():
        if are_in(trace.shapes.get(spec.name, spec.shape)):
            shape = ", ".join(str(_EXAMPLE if size is None else size) for size in spec.shape[1:])
            return (
                f"Its input {spec.name!r} is of any {in_words(spec)}: give `data`, whose sizes are taken, or fix "
                f"{'it' if spec.shape[1:].count(None) == 1 else 'them'}: "
                f"keras.Input(({shape}{',' if len(spec.shape) == 2 else ''}))."
            )
    return None


def fixed_in(model: SourceModel, file: Any) -> str | None:
    """What is to be told where a model leaves sizes open and the file made of it, parsed, does not; else None."""
    graph = file.subgraphs[0]
    tensors = [graph.tensors[index] for index in graph.inputs]
    if any(tensor.shapeSignature is not None and -1 in tensor.shapeSignature[1:] for tensor in tensors):
        return None
    for spec in model.inputs():
        if are_in(spec.shape):
            return (
                f"the files take inputs of the sizes that the data have: with {spec.name!r} of any {in_words(spec)} "
                "the model cannot be converted"
            )
    return None


def in_words(spec: InputSpec) -> str:
    """``height and width`` of an image, and so on; other axes by their numbers, from 0, the batch."""
    names = (None, *_AXES.get(len(spec.shape), ()), "number of channels")
    named = len(names) == len(spec.shape)
    found = [
        names[axis] if named else f"size of axis {axis}"
        for axis, size in enumerate(spec.shape)
        if axis and size is None
    ]
    return " and ".join(str(each) for each in found)
