"""In which forms a model with loops over time steps is offered to the converter, best first."""

from __future__ import annotations

from typing import Literal

from tflite_sparse.sources.arrays import Arrays, ordered
from tflite_sparse.sources.source_model import AS_IT_IS, SourceModel, Trace

Recurrent = Literal["auto", "loop", "unroll"]
"""``loop``: as layers are, LSTMs of Keras 2 as one fused operator; ``unroll``: step by step; ``auto``: what works."""

MOST_UNROLLED_STEPS = 256
"""Up to so many steps int8 models are unrolled. A loop cannot be calibrated at all. An LSTM could be fused, but its
int8 kernel crashes on sparse weights, was ten times less exact in a trial, and corrupts memory on one released model
(LiteRT 2.3.0). Each step costs about 4 kB of the file."""


def traces(model: SourceModel, like: Arrays | None, recurrent: Recurrent, *, int8: bool) -> list[Trace]:
    """The forms to try, one after the other.

    Args:
        model: what is to be converted.
        like: samples of its inputs, where there are any; they tell sizes that the model leaves open.
        recurrent: what the user wants.
        int8: whether activations are calibrated.
    """
    loops = model.loops()
    if not loops.any:
        return [AS_IT_IS]
    inputs = model.inputs()
    loop = Trace({spec.name: (1, *spec.shape[1:]) for spec in inputs})
    shapes: dict[str, tuple[int | None, ...]] = dict(loop.shapes)
    if like is not None:
        arrays = ordered(like, tuple(shapes))
        shapes = {name: (1, *array.shape[1:]) for name, array in zip(shapes, arrays, strict=True)}
    unrolled = Trace(shapes, unrolled=True)
    steps = max((shape[1] or 0 for shape in shapes.values() if len(shape) > 1), default=0)
    if recurrent == "loop" or not loops.unrollable:
        return [loop]
    if recurrent == "unroll":
        return [unrolled]
    if loops.mixed and steps <= MOST_UNROLLED_STEPS:  # a loop behind a fused LSTM reads its output wrongly (2.21)
        return [unrolled]
    if steps > MOST_UNROLLED_STEPS:
        return [loop]
    return [unrolled, loop] if int8 else [loop, unrolled]
