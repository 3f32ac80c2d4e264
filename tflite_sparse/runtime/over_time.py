"""Run files that compute one time step over whole sequences: their output states are the inputs of the next step."""

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

_HALF = 0.5  # of a step: values that are nearer round to the same


@dataclass(frozen=True, slots=True)
class Feedback:
    """Connections between steps, by indices of the file's inputs and outputs.

    Attributes:
        sequence: the input that takes the sequence step by step.
        states: pairs (input, output): the output of one step is the input of the next; zero at the first step.
        results: the outputs to return.
        every_step: whether to return them for every step, else for the last.
    """

    sequence: int
    states: tuple[tuple[int, int], ...]
    results: tuple[int, ...]
    every_step: bool


def feedback_of(names: Names, *, every_step: bool) -> Feedback:
    """Return the connections of a file in which each state has the same name as input and as output.

    Args:
        names: of its inputs and outputs; exactly one input is not a state.
        every_step: see :class:`Feedback`.
    """
    states = [name for name in names.inputs if name in names.outputs]
    (sequence,) = (position for position, name in enumerate(names.inputs) if name not in states)
    pairs = tuple((names.inputs.index(name), names.outputs.index(name)) for name in states)
    results = tuple(position for position, name in enumerate(names.outputs) if name not in states)
    return Feedback(sequence, pairs, results, every_step)


def rescaled_states(path: Path) -> list[str]:
    """Return the states whose output and input differ in scale or zero point, in a file of one time step.

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
    """Return the results ``(n, ...)`` or, for every step, ``(n, steps, ...)``, in the dtypes of the file.

    Args:
        step: computes the outputs for one array per input.
        inputs: of the file.
        outputs: scale and zero point of each output. A state is fed back unchanged if its input has the same ones,
            else requantised for its input.
        sequences: ``(n, steps, ...)``, real values or values of the input's dtype. Each starts from zero states.
        feedback: the connections between steps.
        on_step: receives (sequences done, all sequences).
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
    """Return a state in the quantisation of its input, given the (scale, zero point) of its output."""
    if _is_same(quantisation, (detail.scale, detail.zero_point), state.dtype):
        return state
    scale, zero_point = quantisation
    return detail.quantised((state.astype(np.float32) - zero_point) * np.float32(scale))


def _is_same(one: tuple[float, int], other: tuple[float, int], dtype: np.dtype) -> bool:
    """Return whether conversion between both (scale, zero point) changes no value of an integer ``dtype``."""
    if one == other:
        return True
    if one[1] != other[1] or 0 in (one[0], other[0]):
        return False
    limits = np.iinfo(dtype)
    farthest = max(int(limits.max) - one[1], one[1] - int(limits.min))
    return abs(one[0] / other[0] - 1) * farthest < _HALF
