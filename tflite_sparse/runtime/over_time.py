"""Files that compute one time step, run over whole sequences: states that they yield are fed back at the next step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tflite_sparse.base.progress import Step
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import dtype_of, graphs, indices, quantisation_of
from tflite_sparse.flatbuffer.signature import Names, names_of
from tflite_sparse.runtime.inputs_and_outputs import InputDetails

_HALF = 0.5  # a step: what is nearer rounds to the same


@dataclass(frozen=True, slots=True)
class Feedback:
    """What is fed to a file at each step, by positions among its inputs and outputs.

    Attributes:
        sequence: the input that takes one step of the sequence after the other.
        states: pairs (input, output): the output of one step is the input of the next; at the first step it is zero.
        results: the outputs that are wanted.
        every_step: whether they are wanted of every step, else of the last.
    """

    sequence: int
    states: tuple[tuple[int, int], ...]
    results: tuple[int, ...]
    every_step: bool


def feedback_of(names: Names, *, every_step: bool) -> Feedback:
    """How a file is run in which each state has one name, as an input and as an output.

    Args:
        names: of its inputs and outputs; one input is no state.
        every_step: see :class:`Feedback`.
    """
    states = [name for name in names.inputs if name in names.outputs]
    (sequence,) = (position for position, name in enumerate(names.inputs) if name not in states)
    pairs = tuple((names.inputs.index(name), names.outputs.index(name)) for name in states)
    results = tuple(position for position, name in enumerate(names.outputs) if name not in states)
    return Feedback(sequence, pairs, results, every_step)


def rescaled_states(path: Path) -> list[str]:
    """The states of a file of one time step whose output has another scale or zero point than their input.

    Raises:
        FlatbufferError: the file cannot be read.
    """
    names = names_of(path)
    graph = next(graphs(serde.read(path)))
    inputs, outputs = indices(graph.subgraph.inputs), indices(graph.subgraph.outputs)
    found = []
    for source, target in feedback_of(names, every_step=False).states:
        taken, given = graph.tensor(inputs[source]), graph.tensor(outputs[target])
        dtype = dtype_of(given)
        if dtype is not None and not _is_same(quantisation_of(given), quantisation_of(taken), dtype):
            found.append(names.inputs[source])
    return found


def run(
    step: Callable[[Sequence[np.ndarray]], tuple[np.ndarray, ...]],
    inputs: Sequence[InputDetails],
    outputs: Sequence[tuple[float, int]],
    sequences: np.ndarray,
    feedback: Feedback,
    on_step: Step,
) -> tuple[np.ndarray, ...]:
    """The results ``(n, ...)`` or, of every step, ``(n, steps, ...)``, in the dtypes of the file.

    Args:
        step: computes the outputs for one array for each input.
        inputs: of the file.
        outputs: scale and zero point of each output. A state is fed back as it comes where those of its input are the
            same, else in the steps of its input.
        sequences: ``(n, steps, ...)``, real values or values of the input's dtype. Each starts from zero states.
        feedback: what is fed where.
        on_step: told (sequences done, sequences in all).
    """
    fed = inputs[feedback.sequence].quantised(sequences)
    rows: list[list[np.ndarray]] = [[] for _ in feedback.results]
    for number, sequence in enumerate(fed):
        arrays = [np.full(detail.example_shape, detail.zero_point, detail.dtype) for detail in inputs]
        of_steps: list[list[np.ndarray]] = [[] for _ in feedback.results]
        found: tuple[np.ndarray, ...] = ()
        for values in sequence:
            arrays[feedback.sequence] = values[np.newaxis]
            found = step(arrays)
            for source, target in feedback.states:
                arrays[source] = fed_back(found[target], outputs[target], inputs[source])
            if feedback.every_step:
                for place, position in zip(of_steps, feedback.results, strict=True):
                    place.append(found[position])
        for row, place, position in zip(rows, of_steps, feedback.results, strict=True):
            row.append(np.stack(place, axis=1) if feedback.every_step else found[position])
        on_step(number + 1, len(fed))
    return tuple(np.concatenate(row) for row in rows)


def fed_back(state: np.ndarray, quantisation: tuple[float, int], detail: InputDetails) -> np.ndarray:
    """A state as its input takes it, given the (scale, zero point) that its output has."""
    if _is_same(quantisation, (detail.scale, detail.zero_point), state.dtype):
        return state
    scale, zero_point = quantisation
    return detail.quantised((state.astype(np.float32) - zero_point) * np.float32(scale))


def _is_same(one: tuple[float, int], other: tuple[float, int], dtype: np.dtype) -> bool:
    """Whether no value of an integer ``dtype`` changes if it is converted from one (scale, zero point) to the other."""
    if one == other:
        return True
    if one[1] != other[1] or 0 in (one[0], other[0]):
        return False
    limits = np.iinfo(dtype)
    farthest = max(int(limits.max) - one[1], one[1] - int(limits.min))
    return abs(one[0] / other[0] - 1) * farthest < _HALF
