"""Remember what was worked out of the last arrays: kernels of like streams are compared one after the other."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable
from typing import TypeVar

import numpy as np

_LAST = 6
"""Answers of a function: of streams with and without strips and of shorter symbols, each in two forms."""

_MOST_BYTES = 2**24
"""Of the arguments of an answer; larger ones are worked out again, so that memory stays bounded."""

_Found = TypeVar("_Found")


def remembered(function: Callable[..., _Found]) -> Callable[..., _Found]:
    """Let a pure function of arrays and numbers, by position, answer from memory where it was just asked the same.

    Arrays are compared by content: one that was changed in place since is another one.
    """
    known: deque[tuple[tuple[object, ...], _Found]] = deque(maxlen=_LAST)

    @functools.wraps(function)
    def answer(*arguments: object) -> _Found:
        for before, found in tuple(known):
            if all(map(_same, before, arguments)):
                return found
        found = function(*arguments)
        if sum(each.nbytes for each in arguments if isinstance(each, np.ndarray)) <= _MOST_BYTES:
            kept = (each.copy() if isinstance(each, np.ndarray) else each for each in arguments)
            known.append((tuple(kept), found))
        return found

    return answer


def _same(before: object, now: object) -> bool:
    if isinstance(before, np.ndarray) and isinstance(now, np.ndarray):
        return before.dtype == now.dtype and np.array_equal(before, now)
    return before == now
