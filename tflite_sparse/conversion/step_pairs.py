"""Make samples for a model as one time step: single steps with the states that whole sequences lead to."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np

from tflite_sparse.sources.time_step import INPUT, State, TimeStepSource

Pairs = dict[str, np.ndarray]
"""Arrays ``(n, ...)`` by input name."""

_TANH_ENDS = {-1: -32767 / 32768, 1: 127 / 128}  # give int8 and int16 inputs the scale of a tanh's output
_TRIED = 256  # inputs tried for a step after the end of a sequence


def spread(model: TimeStepSource, sequences: np.ndarray, count: int, seed: int) -> Pairs:
    """Return steps from all parts of whole sequences, which start from zero states.

    Args:
        model: computes the states.
        sequences: ``(n, steps, ...)``.
        count: maximum number of steps; each sequence gives the same number, plus or minus one, spread over its length.
        seed: of their choice.

    Returns:
        ``count`` samples, or all if there are fewer.
    """
    return _walk(model, sequences, count, seed, None)


def for_calibration(model: TimeStepSource, sequences: np.ndarray, count: int, seed: int) -> Pairs:
    """Return :func:`spread` and the steps that write or read the smallest and largest value of each state.

    The calibrator then finds one range for a state as output and as input, so that the app can feed outputs back
    unchanged. If a sequence ends with such a value, a further step is made up, provided an input is found that exceeds
    no extreme.
    """
    extremes = _Extremes(model.states)
    common = _walk(model, sequences, count, seed, extremes)
    return _joined([common, *extremes.samples(model, common[INPUT])])


def _walk(model: TimeStepSource, sequences: np.ndarray, count: int, seed: int, extremes: _Extremes | None) -> Pairs:
    total, steps = sequences.shape[:2]
    chosen = _chosen_steps(total, steps, count, np.random.default_rng(seed))
    states = model.zero_states(total)
    taken = []
    for step in range(steps):
        before = {INPUT: sequences[:, step], **states}
        taken.append({name: array[chosen[:, step]] for name, array in before.items()})
        after = model.compute(before)
        states = {name: after[name] for name in states}
        if extremes is not None:
            extremes.look(before, states, sequences[:, min(step + 1, steps - 1)], is_last=step == steps - 1)
    return _joined(taken)


def _chosen_steps(total: int, steps: int, count: int, generator: np.random.Generator) -> np.ndarray:
    """Return a mask ``(total, steps)`` of the steps taken."""
    chosen = np.zeros((total, steps), bool)
    wanted = min(count, total * steps)
    for sequence in range(total):
        own = wanted * (sequence + 1) // total - wanted * sequence // total
        edges = np.arange(own + 1) * steps // max(own, 1)
        chosen[sequence, [generator.integers(low, high) for low, high in itertools.pairwise(edges)]] = True
    return chosen


@dataclass(slots=True)
class _Extreme:
    """The step that yields the smallest or largest value of a state so far, and the next step, which reads it.

    ``is_made_up``: the sequence has no next step. ``end``: of a tanh, the step with that value at its end of the range.
    """

    value: float
    step: Pairs
    following: Pairs
    is_made_up: bool
    end: Pairs | None


@dataclass(slots=True)
class _Extremes:
    states: tuple[State, ...]
    found: dict[tuple[str, int], _Extreme] = field(default_factory=dict)

    def look(self, before: Pairs, after: Pairs, next_x: np.ndarray, *, is_last: bool) -> None:
        """Update the extremes with one step of all sequences."""
        for state in self.states:
            for sign in (-1, 1):
                values = sign * after[state.name]
                value = float(values.max())
                if (state.name, sign) not in self.found or value > self.found[state.name, sign].value:
                    row = int(values.max(axis=1).argmax())
                    step = {name: array[row : row + 1] for name, array in before.items()}
                    end = None
                    if state.is_tanh:
                        end = {**step, state.name: step[state.name].copy()}
                        end[state.name][0, values[row].argmax()] = _TANH_ENDS[sign]
                    states = {name: array[row : row + 1] for name, array in after.items()}
                    following = {INPUT: next_x[row : row + 1], **states}
                    self.found[state.name, sign] = _Extreme(value, step, following, is_last, end)

    def samples(self, model: TimeStepSource, x: np.ndarray) -> list[Pairs]:
        """Return the extra calibration samples; ``x`` ``(n, ...)`` are the inputs of the others."""
        found = []
        for extreme in self.found.values():
            found.append(extreme.step)
            if extreme.end is not None:
                found.append(extreme.end)
            following = self._made_up(model, extreme, x) if extreme.is_made_up else extreme.following
            if following is not None:
                found.append(following)
        return found

    def _made_up(self, model: TimeStepSource, extreme: _Extreme, x: np.ndarray) -> Pairs | None:
        """Return a step after the end of a sequence that exceeds no extreme; None if no ``x`` gives one."""
        tried = np.concatenate([extreme.following[INPUT], x[:_TRIED]])
        steps = {name: np.repeat(array, len(tried), axis=0) for name, array in extreme.following.items()}
        steps[INPUT] = tried
        after = model.compute(steps)
        within = np.logical_and.reduce(
            [(sign * after[name]).max(axis=1) <= other.value for (name, sign), other in self.found.items()]
        )
        if not within.any():
            return None
        row = int(within.argmax())
        return {name: array[row : row + 1] for name, array in steps.items()}


def _joined(parts: list[Pairs]) -> Pairs:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
