"""Choose how many channels each group keeps, so that a file stays within limits and the loss rises least.

What a file takes is no sum over groups: multiply-adds are products of the channels that a layer reads and makes, and an
arena is the largest sum of tensors that are alive together. So it is measured on files, made linear around the present
choice, and the integer programme of :mod:`tflite_sparse.fitting.knapsack` is solved again around its own answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tflite_sparse.base.progress import Step, ignore_steps
from tflite_sparse.fitting import knapsack
from tflite_sparse.pruning import channel_masks
from tflite_sparse.pruning.allocation import Curve
from tflite_sparse.pruning.channel_groups import ChannelGroup
from tflite_sparse.results.fit import Resource

Counts = Mapping[str, int]
"""How many channels each group keeps, by its name."""

Used = Mapping[Resource, float]
"""What a file takes of each resource that is limited."""

Measure = Callable[[Sequence[Counts]], Sequence[Used]]
"""Returns what the files take in which groups keep so many channels; they are measured side by side."""

CHANNELS_RATIO = 2.0
"""Largest factor between the channels of a group and those when all keep the same share.

A group masked alone and without later training says little about extreme shares. A kernel between two groups varies by
the square: by 4, as the bytes of single kernels do (:data:`tflite_sparse.fitting.choosing.BYTES_RATIO`).
"""

_PREFERENCE = 1e-6  # loss added for a group of which nothing is kept: prefers more channels where nothing is lost
_STEPS = 6  # choices that the programme is made linear around
_ENOUGH = 0.01  # share of the loss: with less gained by a step, the search ends
_TRIES = 4  # answers around one choice, each sought below the one before
_PARTS = 1e6  # of a limit, in which the programme counts
_ALIKE = 16  # steps of the share that all groups keep


@dataclass(frozen=True, eq=False, slots=True)
class GroupCandidate:
    """A group of channels, and how many it may keep.

    Attributes:
        group: of the model.
        counts: that it may keep, ascending; the last one is what it has.
        curve: predicted rise of the loss over the share of its channels that are masked.
    """

    group: ChannelGroup
    counts: tuple[int, ...]
    curve: Curve

    @classmethod
    def of(cls, group: ChannelGroup, curve: Curve, multiple: int, alive: int | None = None) -> GroupCandidate:
        """Return the candidate that keeps a multiple, or all that are ``alive`` (None: that there are)."""
        most = group.channels if alive is None else alive
        return cls(group, (*range(multiple, most, multiple), most), curve)

    def rise(self, count: int) -> float:
        """Return the predicted rise of the loss if so many channels are kept."""
        return float(self.curve.at(1 - count / self.group.channels))

    def loss(self, count: int) -> float:
        """Return what the programme minimises: the rise, and a little for each masked channel."""
        return self.rise(count) + _PREFERENCE * (1 - count / self.group.channels)

    def at_least(self, share: float) -> int:
        """Return the least number that is at least a share of the channels; all if none is."""
        wanted = math.ceil(share * self.group.channels)
        return next((count for count in self.counts if count >= wanted), self.counts[-1])

    def up_to(self, count: int) -> GroupCandidate:
        """Return the candidate that keeps no more than so many channels."""
        return replace(self, counts=tuple(each for each in self.counts if each <= count))

    def near(self, count: int) -> list[int]:
        """Return the numbers within :data:`CHANNELS_RATIO` of another one."""
        return [each for each in self.counts if count / CHANNELS_RATIO <= each <= count * CHANNELS_RATIO]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A choice.

    Attributes:
        counts: what is kept.
        used: what the file then takes.
        loss: what the programme minimises: the predicted rise of the loss; of equal choices that of more channels.
    """

    counts: Counts
    used: Used
    loss: float


def fewest(candidates: Sequence[GroupCandidate]) -> Counts:
    """Return the choice that keeps as few channels as can be."""
    return {each.group.name: each.counts[0] for each in candidates}


def untouched(candidates: Sequence[GroupCandidate]) -> Counts:
    """Return the choice that keeps all channels."""
    return {each.group.name: each.counts[-1] for each in candidates}


def chosen(candidates: Sequence[GroupCandidate], counts: Counts, used: Used) -> Chosen:
    """Return a choice with its loss; ``used`` is what the file takes."""
    return Chosen(counts, used, sum(each.loss(counts[each.group.name]) for each in candidates))


def is_within(used: Used, limits: Used) -> bool:
    """Return whether a file is within all limits."""
    return all(used[name] <= limit for name, limit in limits.items())


def within(
    candidates: Sequence[GroupCandidate],
    limits: Used,
    measure: Measure,
    least: Used,
    on_step: Step = ignore_steps,
) -> Chosen:
    """Return the choice of the least predicted rise that is measured to be within the limits.

    The search begins with the largest share that all groups can keep alike. Around each choice a file is measured in
    which one group at a time keeps as few or as many channels as it may; in between, what it takes is taken to be
    linear. Every choice that the programme makes of that is measured. The best within the limits grows by single groups
    until none can grow.

    Args:
        candidates: the groups.
        limits: of each resource; the file with all channels is beyond one.
        measure: see :data:`Measure`.
        least: what the file with the fewest channels takes, within the limits.
        on_step: receives (steps done, the most that there can be).
    """
    alike = _alike(candidates, limits, measure, least)
    best = now = alike
    seen = [alike.counts]
    for step in range(_STEPS):
        on_step(step + 1, _STEPS + 2)  # the first of them is done, and the last is to come
        around = _Linear.around(now, alike.counts, candidates, limits, measure)
        found = _best_answer(around, candidates, limits, measure, seen)
        if found is None:
            break
        now = found
        if is_within(now.used, limits) and now.loss < best.loss:
            gained, best = 1 - now.loss / best.loss, now
            if gained < _ENOUGH:
                break
    on_step(_STEPS + 1, _STEPS + 2)
    return _grown(best, candidates, limits, measure)


def _best_answer(
    around: _Linear, candidates: Sequence[GroupCandidate], limits: Used, measure: Measure, seen: list[Counts]
) -> Chosen | None:
    """Return the first answer within the limits, each sought below by what the one before was beyond them.

    Without one it is the last answer; None if there are no answers but those that were ``seen``, which grows.
    """
    found, sought = None, dict(limits)
    for _ in range(_TRIES):
        counts = around.solved(sought)
        if counts is None or counts in seen:
            break
        seen.append(counts)
        found = chosen(candidates, counts, measure([counts])[0])
        if is_within(found.used, limits):
            break
        sought = {name: sought[name] - max(found.used[name] - limit, 0) for name, limit in limits.items()}
    return found


def _grown(best: Chosen, candidates: Sequence[GroupCandidate], limits: Used, measure: Measure) -> Chosen:
    """Return a choice with more channels where one group at a time can have some: products leave room."""
    while True:
        more = [
            {**best.counts, each.group.name: each.counts[each.counts.index(best.counts[each.group.name]) + 1]}
            for each in candidates
            if best.counts[each.group.name] < each.counts[-1]
        ]
        found = [chosen(candidates, counts, used) for counts, used in zip(more, measure(more), strict=True)]
        better = [each for each in found if is_within(each.used, limits) and each.loss < best.loss]
        if not better:
            return best
        best = min(better, key=lambda each: each.loss)


def kept(group: ChannelGroup, count: int) -> np.ndarray:
    """Return the channels that a group keeps, bool: those of the largest filters, as training would choose now."""
    return channel_masks.keep_largest(channel_masks.scores(group), count)


def _alike(candidates: Sequence[GroupCandidate], limits: Used, measure: Measure, least: Used) -> Chosen:
    """Return the choice of the largest share for all groups that is within the limits, found by halves."""
    shares = [step / _ALIKE for step in range(_ALIKE + 1)]
    choices = list(_different({each.group.name: each.at_least(share) for each in candidates} for share in shares))
    low, high, found = 0, len(choices) - 1, least  # the first is within the limits, the last is not
    while high - low > 1:
        middle = (low + high) // 2
        used = measure([choices[middle]])[0]
        if is_within(used, limits):
            low, found = middle, used
        else:
            high = middle
    return chosen(candidates, choices[low], found)


def _different(choices: Iterator[Counts]) -> Iterator[Counts]:
    before = None
    for each in choices:
        if each != before:
            yield each
        before = each


@dataclass(frozen=True, eq=False, slots=True)
class _Linear:
    """What files take, linear around a choice in the channels of each group.

    Attributes:
        options: the counts of each group, by name.
        losses: of these.
        taken: what the file takes with them, ``(resources, options)`` for each group; the others as in the choice.
        used: what the choice takes, for each resource.
    """

    options: Mapping[str, Sequence[int]]
    losses: Sequence[np.ndarray]
    taken: Sequence[np.ndarray]
    used: np.ndarray

    @classmethod
    def around(
        cls, now: Chosen, alike: Counts, candidates: Sequence[GroupCandidate], limits: Used, measure: Measure
    ) -> _Linear:
        """Measure the files in which one group at a time keeps as few or as many channels as it may."""
        options = {each.group.name: each.near(alike[each.group.name]) for each in candidates}
        ends = [{**now.counts, name: count} for name, some in options.items() for count in (some[0], some[-1])]
        measured = iter(measure(ends))
        taken = []
        for name, some in options.items():
            knots = {some[0]: next(measured), some[-1]: next(measured), now.counts[name]: now.used}
            at = sorted(knots)
            taken.append(np.stack([np.interp(some, at, [knots[each][row] for each in at]) for row in limits]))
        losses = [np.array([each.loss(count) for count in options[each.group.name]]) for each in candidates]
        return cls(options, losses, taken, np.array([now.used[row] for row in limits]))

    def solved(self, limits: Used) -> Counts | None:
        """Return the choice of the least loss within limits; None if there is none, or nothing is left of a limit."""
        if min(limits.values()) <= 0:
            return None
        parts = _PARTS / np.array(list(limits.values()))
        least = [each.min(axis=1, keepdims=True) for each in self.taken]
        weights = [(each - low) * parts[:, None] for each, low in zip(self.taken, least, strict=True)]
        spared = np.sum([self.used - low[:, 0] for low in least], axis=0)
        capacity = _PARTS + (spared - self.used) * parts
        places = knapsack.solve(self.losses, weights, capacity.tolist())
        if places is None:
            return None
        return {name: some[place] for (name, some), place in zip(self.options.items(), places, strict=True)}
