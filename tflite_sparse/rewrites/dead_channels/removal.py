"""Remove dead channels: those whose value is a constant that can move into a bias, and those that nobody reads.

Constants that kernels do not agree on cannot move. Where several channels of one activation have the same one, the
weights that read them are added up in a few of these channels, and the others go.

Needs: a dense model. Operators that the table of :mod:`~tflite_sparse.rewrites.dead_channels.operators` does not have
keep every channel that they touch. Graphs that only operators call, such as the body of a loop, are left: nothing can
run them alone and so check what is worked out here.
Leaves: an ordinary dense model whose tensors keep their indices. There is no undo: what was removed is nowhere in it.
Exact for int8. With float32 activations, which are taken to be finite, only channels of 0 go, and kernels that sum in
another order for another number of channels may round differently.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from tflite_sparse.flatbuffer.graph import (
    Graph,
    drop_unread_buffers,
    drop_unread_last_tensors,
    drop_unread_operator_codes,
    graphs,
    shape_of,
)
from tflite_sparse.flatbuffer.types import Model
from tflite_sparse.rewrites.dead_channels import decision, operators
from tflite_sparse.rewrites.dead_channels.analysis import Analysis
from tflite_sparse.rewrites.dead_channels.channels import Channels
from tflite_sparse.rewrites.dead_channels.cut import Cut, Slice, Staying
from tflite_sparse.rewrites.dead_channels.edit import Editing
from tflite_sparse.rewrites.dead_channels.remaining import remaining


def remove(model: Model, staying: Staying | None = None) -> Cut:
    """Remove the dead channels of a parsed dense model in place; a cut without slices says that there are none.

    Args:
        model: the model.
        staying: channels that must stay. They are of this model, and a comparison found them.

    Raises:
        FlatbufferError: a constant does not have the size of its shape.
    """
    runnable = {0, *(int(definition.subgraphIndex) for definition in model.signatureDefs or ())}
    found = [_of_graph(graph, staying or {}) for graph in graphs(model) if graph.number in runnable]
    cuts = [cut for cut in found if cut is not None]
    if any(cut.slices for cut in cuts):
        drop_unread_operator_codes(model)
        drop_unread_last_tensors(model)
        drop_unread_buffers(model)
    return Cut(
        slices=tuple(each for cut in cuts for each in cut.slices),
        activations=tuple(each for cut in cuts for each in cut.activations),
        predicted=tuple(each for cut in cuts for each in cut.predicted),
        layers=tuple(each for cut in cuts for each in cut.layers),
        remaining=tuple(each for cut in cuts for each in cut.remaining),
        is_exact=all(cut.is_exact for cut in cuts),
    )


def is_without(model: Model, cut: Cut) -> bool:
    """Return whether a dense model has the shapes that a cut leaves, so that it may be what was left.

    Args:
        model: the model in question, dense.
        cut: of the model that it is compared with.
    """
    return bool(cut.slices) and all(
        shape is not None
        and all(kept is None or len(kept) == size for kept, size in zip(part.kept, shape, strict=True))
        for part, shape in _shapes(model, cut.slices)
    )


def may_be_without_some(model: Model, whole: Model, cut: Cut) -> bool:
    """Return whether a dense model has shapes between those of another one and those that a cut of it leaves.

    Args:
        model: the model in question, dense.
        whole: the one with all channels.
        cut: of ``whole``.
    """
    known = list(graphs(whole))
    for part, shape in _shapes(model, cut.slices):
        former = shape_of(known[part.graph].tensor(part.tensor))
        if shape is None or any(
            not (size if kept is None else len(kept)) <= found <= size
            for kept, found, size in zip(part.kept, shape, former, strict=True)
        ):
            return False
    return bool(cut.slices)


def left_in(model: Model, whole: Model, cut: Cut, staying: Staying) -> Staying:
    """Return channels that a cut takes out of another model and that stayed in a dense one, as its shapes say.

    An activation that has all its channels lost none. Of the first other one with more channels than the cut leaves it
    is taken that its constants stayed. Nothing proves that: the weights must be compared.

    Args:
        model: the smaller model, dense.
        whole: the one with all channels.
        cut: of ``whole``.
        staying: channels that stay in ``cut``; their activations are not considered again.
    """
    known = list(graphs(whole))
    constants: Staying = {(each.graph, each.tensor): each.channels for each in cut.predicted}
    complete: dict[tuple[int, int], np.ndarray] = {}
    fewer: dict[tuple[int, int], np.ndarray] = {}
    for part, shape in _shapes(model, cut.activations):
        key, kept = (part.graph, part.tensor), part.kept[-1]
        if key in staying or shape is None or kept is None or shape[-1] <= len(kept):
            continue
        if shape[-1] == shape_of(known[part.graph].tensor(part.tensor))[-1]:
            complete[key] = np.arange(shape[-1])
        elif key in constants:
            fewer[key] = constants[key]
    return complete or dict(list(fewer.items())[:1])


def _shapes(model: Model, parts: Iterable[Slice]) -> Iterator[tuple[Slice, tuple[int, ...] | None]]:
    """Yield each slice with the shape of its tensor in a model; None if it is not there, or of another rank."""
    known = list(graphs(model))
    for part in parts:
        tensors = known[part.graph].subgraph.tensors if part.graph < len(known) else []
        shape = shape_of(tensors[part.found]) if part.found < len(tensors) else ()
        yield part, shape if len(shape) == len(part.kept) else None


def _of_graph(graph: Graph, staying: Staying) -> Cut | None:
    channels = Channels.of(graph)
    if channels is None or not channels.total:
        return None
    found = Analysis(graph, channels, {tensor: kept for (of, tensor), kept in staying.items() if of == graph.number})
    operators.analyse(found)
    gone = decision.gone(found)
    left = tuple(remaining(found, gone))
    if not gone.any():
        return Cut(remaining=left)
    editing = Editing(found, gone)
    predicted = tuple(editing.predicted())
    editing.apply()
    return Cut(
        tuple(editing.slices),
        tuple(editing.activations),
        predicted,
        tuple(editing.layers),
        left,
        is_exact=not any(_in_float(found, gone)),
    )


def _in_float(found: Analysis, gone: np.ndarray) -> Iterator[bool]:
    """Yield for each activation whether it is float32 and loses channels."""
    for tensor, numbers in found.numbers.items():
        yield numbers is not None and numbers.is_float and bool(gone[found.channels.of_tensor(tensor)].any())
