"""Describe inputs of open size (height and width, length), which some layers cannot be traced with."""

from __future__ import annotations

from collections.abc import Sequence

from tflite_sparse.flatbuffer.types import Model
from tflite_sparse.sources.source_model import InputSpec, SourceModel, Trace

_AXES = {3: ("length",), 4: ("height", "width"), 5: ("depth", "height", "width")}
_EXAMPLE = 224


def are_in(shape: Sequence[int | None]) -> bool:
    """Return whether a shape leaves more than the batch open."""
    return None in shape[1:]


def cure(model: SourceModel, trace: Trace) -> str | None:
    """Return advice on fixing sizes if a model was traced with open ones; else None."""
    for spec in model.inputs():
        if are_in(trace.shapes.get(spec.name, spec.shape)):
            shape = ", ".join(str(_EXAMPLE if size is None else size) for size in spec.shape[1:])
            return (
                f"Its input {spec.name!r} is of any {in_words(spec)}: give `data`, whose sizes are taken, or fix "
                f"{'it' if spec.shape[1:].count(None) == 1 else 'them'}: "
                f"keras.Input(({shape}{',' if len(spec.shape) == 2 else ''}))."
            )
    return None


def fixed_in(model: SourceModel, file: Model) -> str | None:
    """Return a note if a model leaves sizes open and the parsed file made of it does not; else None."""
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
    """Return the open axes in words: ``height and width`` of an image, others by index, 0 being the batch."""
    names = (None, *_AXES.get(len(spec.shape), ()), "number of channels")
    named = len(names) == len(spec.shape)
    found = [
        names[axis] if named else f"size of axis {axis}"
        for axis, size in enumerate(spec.shape)
        if axis and size is None
    ]
    return " and ".join(str(each) for each in found)
