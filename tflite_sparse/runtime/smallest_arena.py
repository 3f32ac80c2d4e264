"""Search for the smallest arena in which TensorFlow Lite Micro runs a file."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

_TOTAL = re.compile(rb"Arena allocation total (\d+) bytes")


def search(succeeds: Callable[[int], bool], guess: int, step: int, limit: int) -> int:
    """Return the least number of bytes that succeeds, a multiple of ``step``, given that ``limit`` does.

    Two trials where the guess is right; else steps away from it double until the answer lies between two of them.

    Args:
        succeeds: tries a number of bytes; more bytes than some that succeed succeed as well.
        guess: where to begin, 0 or more.
        step: a power of two.
        limit: the most bytes, a multiple of ``step``.
    """
    enough = min(-(-guess // step) * step, limit)
    short, far = enough, step
    if succeeds(enough):
        while short > 0 and (short == enough or succeeds(short)):
            enough, short, far = short, max(short - far, 0), 2 * far
    else:
        while enough < limit and (short == enough or not succeeds(enough)):
            short, enough, far = enough, min(enough + far, limit), 2 * far
    while enough - short > step:
        middle = (short + enough) // 2 // step * step
        if succeeds(middle):
            enough = middle
        else:
            short = middle
    return enough


def announced(log: Path, print_allocations: Callable[[], None]) -> int:
    """Return the bytes that the runtime says it allocated; 0 if it says nothing of the kind.

    They leave out what only loading needs, and are a guess for :func:`search` only.

    Args:
        log: the file that standard error goes to, in mode "append". What is printed is removed again.
        print_allocations: makes the runtime print them.
    """
    before = log.stat().st_size
    print_allocations()
    with log.open("r+b") as stream:
        stream.seek(before)
        found = _TOTAL.search(stream.read())
        stream.truncate(before)
    return 0 if found is None else int(found[1])
