"""List the forms in which the converter is to try a model with loops over time steps, best first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tflite_sparse.conversion import open_sizes
from tflite_sparse.errors import ModelError
from tflite_sparse.sources.arrays import Arrays, ordered
from tflite_sparse.sources.keras_model import KerasSource
from tflite_sparse.sources.source_model import AS_IT_IS, SourceModel, Trace
from tflite_sparse.sources.time_step import TimeStep, TimeStepSource

Recurrent = Literal["auto", "loop", "unroll", "step"]
"""``loop``: unchanged, LSTMs of Keras 2 as one fused operator; ``unroll``: step by step; ``step``: one time step, with
the states as inputs and outputs; ``auto``: the first that works."""

MOST_UNROLLED_STEPS = 256
"""Maximum number of steps for unrolling int8 models. A loop cannot be calibrated. An LSTM could be fused, but its int8
kernel crashes on sparse weights, was ten times less exact in a trial, and corrupts memory on one released model
(LiteRT 2.3.0)."""

_BYTES_OF_A_STEP = {"LSTM": 4000, "GRU": 4000, "ConvLSTM2D": 4000, "SimpleRNN": 1300}
"""Approximate bytes of the operators of one step in an int8 file, for any size, by kind of layer (TensorFlow 2.21)."""


def traces(
    model: SourceModel,
    like: Arrays | None,
    recurrent: Recurrent,
    *,
    int8: bool,
    fixed_batch: bool = False,
    fixed_sizes: bool = False,
) -> list[Trace]:
    """Return the forms to try, in order.

    Args:
        model: to convert.
        like: samples of its inputs, if there are any; they set sizes that the model leaves open.
        recurrent: the user's choice.
        int8: whether activations are calibrated.
        fixed_batch: whether inputs take exactly one sample; with loops they always do.
        fixed_sizes: whether no size stays open: one sample, of the sizes of the model or of ``like``.

    Raises:
        ModelError: sizes must be fixed, and neither the model nor ``like`` sets them.
    """
    loops = model.loops()
    one_sample = Trace(fixed_shapes(model, like) if fixed_sizes else _one_sample(model))
    if not loops.any:
        plain = one_sample if fixed_batch or fixed_sizes else AS_IT_IS
        if fixed_sizes or like is None or not _leaves_sizes_open(model):
            return [plain]
        return [plain, _sized(model, like, fixed_batch)]
    loop = one_sample
    shapes = _shapes(model, like)
    unrolled = Trace(shapes, unrolled=True)
    steps = _steps(shapes)
    if recurrent == "loop" or not loops.unrollable:
        return [loop]
    if recurrent == "unroll":
        return [unrolled]
    if loops.mixed and steps <= MOST_UNROLLED_STEPS:  # a loop after a fused LSTM reads its output wrongly (2.21)
        return [unrolled]
    if steps > MOST_UNROLLED_STEPS:
        return [loop]
    return [unrolled, loop] if int8 else [loop, unrolled]


@dataclass(frozen=True, slots=True)
class Unrolled:
    """Unrolled loops in an int8 file.

    Attributes:
        steps: of each sequence; the file takes no other number.
        is_open: whether the model takes any number.
        bytes_of_steps: approximate bytes of the operators of all steps in the file.
    """

    steps: int
    is_open: bool
    bytes_of_steps: int


def as_unrolled(model: SourceModel, like: Arrays | None, recurrent: Recurrent) -> Unrolled | None:
    """Describe the unrolled loops of an int8 file; None if unrolling is not the first form of :func:`traces`.

    Args:
        model: to convert.
        like: as in :func:`traces`.
        recurrent: the user's choice.
    """
    first, *_ = traces(model, like, recurrent, int8=True)
    if not first.unrolled:
        return None
    sizes = [spec.shape[1] for spec in model.inputs() if len(spec.shape) > 1]
    kinds = model.layer_kinds()
    a_step = sum(kinds[kind] * size for kind, size in _BYTES_OF_A_STEP.items())
    steps = _steps(first.shapes)
    return Unrolled(steps, None in sizes, steps * a_step)


def fixed_shapes(model: SourceModel, like: Arrays | None) -> dict[str, tuple[int | None, ...]]:
    """Return fixed input shapes by name: a batch of 1, other open sizes as in ``like``.

    Raises:
        ModelError: the model leaves a size open and there are no samples that set it; names input and axes.
    """
    if all(None not in spec.shape[1:] for spec in model.inputs()):
        return _one_sample(model)
    if like is not None:
        return _shapes(model, like)
    spec = next(spec for spec in model.inputs() if None in spec.shape[1:])
    raise ModelError(
        f"{model.name}: input {spec.name!r} of shape {spec.shape} leaves its {open_sizes.in_words(spec)} open, and "
        "this target plans its memory from fixed sizes. Give `data` with samples of that size, or build the model with "
        "it."
    )


def as_time_step(model: SourceModel, like: Arrays | None, recurrent: Recurrent, *, calibrated: bool) -> TimeStep | None:
    """Describe the inputs of a model that is converted as one time step; None if it is not.

    Args:
        model: to convert.
        like: as in :func:`traces`.
        recurrent: the user's choice. ``auto``: one time step if activations are calibrated, sequences are too long for
            unrolling, and the model can be written so.
        calibrated: whether activations are calibrated.

    Raises:
        ModelError: one time step is the user's choice or the best form, and the model cannot be written so.
    """
    steps = _steps(_shapes(model, like))
    if recurrent == "step":
        if not isinstance(model, KerasSource):
            raise ModelError(f"{model.name} is a SavedModel without its Keras model: `recurrent='step'` needs that.")
        return _described(TimeStepSource(model), steps, "as was asked for")
    if recurrent != "auto" or not calibrated or steps <= MOST_UNROLLED_STEPS:
        return None
    if not model.loops().unrollable or not isinstance(model, KerasSource):
        return None
    words = f"{steps} steps are more than the {MOST_UNROLLED_STEPS} that are unrolled"
    return _described(TimeStepSource(model), steps, words)


def _described(model: TimeStepSource, steps: int, words: str) -> TimeStep:
    return TimeStep(steps or None, model.states, model.every_step, words)


def _leaves_sizes_open(model: SourceModel) -> bool:
    return any(open_sizes.are_in(spec.shape) for spec in model.inputs())


def _sized(model: SourceModel, like: Arrays, fixed_batch: bool) -> Trace:
    """Return a trace with input sizes of the samples, for layers that cannot be traced with open ones."""
    shapes = _shapes(model, like)
    batches = {spec.name: 1 if fixed_batch else spec.shape[0] for spec in model.inputs()}
    return Trace({name: (batches[name], *shape[1:]) for name, shape in shapes.items()})


def _shapes(model: SourceModel, like: Arrays | None) -> dict[str, tuple[int | None, ...]]:
    """Return input shapes of one sample, with a batch of 1; sizes that the model leaves open as in ``like``."""
    shapes = _one_sample(model)
    if like is None:
        return shapes
    arrays = ordered(like, tuple(shapes))
    return {name: (1, *array.shape[1:]) for name, array in zip(shapes, arrays, strict=True)}


def _one_sample(model: SourceModel) -> dict[str, tuple[int | None, ...]]:
    """Return input shapes with a batch of 1; sizes that the model leaves open stay open."""
    return {spec.name: (1, *spec.shape[1:]) for spec in model.inputs()}


def _steps(shapes: Mapping[str, tuple[int | None, ...]]) -> int:
    """Return the number of time steps of the longest input; 0: unknown."""
    return max((shape[1] or 0 for shape in shapes.values() if len(shape) > 1), default=0)
