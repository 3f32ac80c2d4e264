"""Choose an option for each kernel: the least loss under a budget, and the way back from the smallest file."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from tflite_sparse.fitting import knapsack
from tflite_sparse.fitting.candidates import Candidate, Choice, Option
from tflite_sparse.pruning.structure import UNSTRUCTURED

BYTES_RATIO = 4.0
"""Largest factor between the bytes of a kernel and those under a uniform sparsity; see :func:`under_budget`."""

_PREFERENCE = 1e-6  # loss added for a kernel of zeros only: prefers the denser of equal options


def lightest(candidates: Sequence[Candidate]) -> Choice:
    """Return the option of fewest bytes for every kernel: the floor."""
    return {each.kernel.name: each.lightest for each in candidates}


def under_budget(candidates: Sequence[Candidate], capacity: int) -> Choice | None:
    """Return the options with the least predicted loss whose total bytes are within ``capacity``; None if none fit.

    The sum of the rises is minimised (:func:`tflite_sparse.fitting.knapsack.solve` has the programme). A kernel masked
    alone and without later training says little about extreme sparsities. Its bytes therefore stay within ``1 /
    BYTES_RATIO`` and ``BYTES_RATIO`` times those that it has when all kernels are pruned alike to fit the capacity. If
    any choice fits, that one does.
    """
    near = [_near(each, option) for each, option in zip(candidates, _uniform(candidates, capacity), strict=True)]
    return _solve(candidates, near, capacity)


def _solve(candidates: Sequence[Candidate], options: Sequence[Sequence[Option]], capacity: int) -> Choice | None:
    losses = [np.array([each.rise + _PREFERENCE * (each.sparsity or 0.0) for each in some]) for some in options]
    weights = [np.array([each.nbytes for each in some]) for some in options]
    chosen = knapsack.solve(losses, weights, capacity)
    if chosen is None:
        return None
    return {
        candidate.kernel.name: some[place] for candidate, some, place in zip(candidates, options, chosen, strict=True)
    }


def _uniform(candidates: Sequence[Candidate], capacity: int) -> list[Option]:
    """Return every kernel at the same sparsity, the least that fits; else at its fewest bytes."""
    shares = sorted({option.sparsity for each in candidates for option in each.options if option.sparsity is not None})
    for share in (0.0, *shares):
        alike = [_at(each, share) for each in candidates]
        if sum(option.nbytes for option in alike) <= capacity:
            return alike
    return [each.lightest for each in candidates]


def _at(candidate: Candidate, share: float) -> Option:
    """Return the densest option of at least ``share`` zeros in the first block, or no change if that is smaller."""
    first_block = next((each.block for each in candidate.options if each.sparsity is not None), UNSTRUCTURED)
    enough = [each for each in candidate.options if each.block == first_block and (each.sparsity or 0.0) >= share]
    if not enough:
        return candidate.lightest
    untouched = [each for each in candidate.options if each.sparsity is None]
    return min([min(enough, key=lambda each: each.sparsity or 0.0), *untouched], key=lambda each: each.nbytes)


def _near(candidate: Candidate, option: Option) -> list[Option]:
    least, most = option.nbytes / BYTES_RATIO, option.nbytes * BYTES_RATIO
    return [each for each in candidate.options if least <= each.nbytes <= most]


def way_back(candidates: Sequence[Candidate]) -> list[Choice]:
    """Return choices from the smallest file to the unchanged model, each of which gives one kernel some bytes back.

    The kernel that loses most for each byte saved comes next. For this, only options on the lower convex hull of
    (bytes, rise) of a kernel count; of all kernels' next steps along it the one with the steepest fall of the loss for
    each byte is taken. The last step of a kernel leaves it unchanged.
    """
    hulls = [_hull(each) for each in candidates]
    steps = sorted(
        (
            (_slope(low, high), number, place)
            for number, hull in enumerate(hulls)
            for place, (low, high) in enumerate(itertools.pairwise(hull), start=1)
        ),
        key=lambda step: (-step[0], step[1], step[2]),
    )
    names = [each.kernel.name for each in candidates]
    now = {name: hull[0] for name, hull in zip(names, hulls, strict=True)}
    found: list[Choice] = [dict(now)]
    for _, number, place in steps:
        now[names[number]] = hulls[number][place]
        found.append(dict(now))
    return found


def _hull(candidate: Candidate) -> list[Option]:
    """Return the options on the lower convex hull of (bytes, rise), the lightest first, the unchanged kernel last."""
    plain = next(each for each in candidate.options if each.sparsity is None)
    ordered = sorted(candidate.options, key=lambda each: (each.nbytes, each.rise))
    hull: list[Option] = []
    for option in ordered:
        if option.nbytes > plain.nbytes or (hull and option.rise >= hull[-1].rise):
            continue
        while len(hull) > 1 and _slope(hull[-2], hull[-1]) <= _slope(hull[-1], option):
            hull.pop()
        hull.append(option)
    return hull if hull[-1] == plain else [*hull, plain]


def _slope(low: Option, high: Option) -> float:
    """Return the fall of the loss for each byte given back."""
    return (low.rise - high.rise) / max(high.nbytes - low.nbytes, 1)
