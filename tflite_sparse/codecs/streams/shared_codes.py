"""Codes of 8 or 7 bits for weights of few values: a symbol is a value and its distance, or a bridge without a weight.

Symbols are numbered value by value: a value at 1, 2, ... places behind the symbol before it, up to its reach. The
symbols behind these are bridges of 1, 2, ... times the least reach, with the weight 0; a weight that is further away
than its value reaches stands behind bridges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MAX_VALUES = 64
"""Shared by a tensor. With more of them, most distances need a bridge."""

LONGEST_BRIDGE = 1023
"""So that it fits in 16 bits in bytes of any kernel, 64 a place at most."""

_BRIDGES, _LEAST_REACHES = (4, 8, 16, 32), (1, 2, 4, 6, 8, 10, 12, 15, 20, 30)
"""Among which the encoder looks for the code with fewest symbols."""


@dataclass(frozen=True, eq=False, slots=True)
class Code:
    """What symbols mean.

    Attributes:
        values: int8 (values,).
        reaches: int64 (values,).
        bits: of a symbol.
    """

    values: np.ndarray
    reaches: np.ndarray
    bits: int = 8

    @property
    def unit(self) -> int:
        """Places of the shortest bridge."""
        return int(self.reaches.min())

    @property
    def weights(self) -> int:
        """Symbols of weights; bridges are behind them."""
        return int(self.reaches.sum())

    @property
    def bridges(self) -> int:
        """Symbols of bridges."""
        return (1 << self.bits) - self.weights

    @property
    def is_valid(self) -> bool:
        """Whether the kernels take it."""
        return bool(_are_valid(self.unit, self.bridges))

    def units(self, numbers: np.ndarray, gaps: np.ndarray) -> np.ndarray:
        """Places that bridges take in front of weights, in units: of values by number, that far behind the last."""
        return np.asarray(np.maximum(-(-(gaps - self.reaches[numbers]) // self.unit), 0))

    def symbols_before(self, units: np.ndarray) -> np.ndarray:
        """How many bridges span so many units."""
        return -(-units // self.bridges)


@dataclass(frozen=True, eq=False, slots=True)
class Kept:
    """Kept weights, in order.

    Attributes:
        values: int8, sorted, all different.
        runs: of each weight.
        numbers: of its value.
        gaps: places that it lies behind the weight before it; the first one of a run, behind the place -1.
        run_count: runs that there are.
    """

    values: np.ndarray
    runs: np.ndarray
    numbers: np.ndarray
    gaps: np.ndarray
    run_count: int

    @classmethod
    def of(cls, matrix: np.ndarray) -> Kept:
        """Those of int8 (runs, places)."""
        runs, columns = np.nonzero(matrix)
        values = distinct(matrix)
        numbers = _numbered(values.astype(np.int64) + 128)[matrix[runs, columns].astype(np.int64) + 128]
        is_first = np.diff(runs, prepend=-1) != 0
        gaps = np.where(is_first, columns + 1, np.diff(columns, prepend=0))
        return cls(values, runs, numbers, gaps, matrix.shape[0])

    def within(self, runs: np.ndarray) -> Kept:
        """Those of some runs, bool (runs,); runs keep their numbers, values get new ones."""
        chosen = runs[self.runs]
        numbers = self.numbers[chosen]
        used = np.flatnonzero(np.bincount(numbers))
        return Kept(self.values[used], self.runs[chosen], _numbered(used)[numbers], self.gaps[chosen], self.run_count)

    def counts(self, code: Code) -> np.ndarray:
        """Symbols of each run, int64 (runs,); of a run with a value that the code lacks, more than any run has."""
        numbers = np.searchsorted(code.values, self.values)
        lacks = np.take(code.values, numbers, mode="clip") != self.values
        own = np.minimum(numbers, len(code.values) - 1)[self.numbers]
        symbols = 1 + code.symbols_before(code.units(own, self.gaps))
        symbols[lacks[self.numbers]] = FAR_TOO_MANY
        return np.bincount(self.runs, weights=symbols, minlength=self.run_count).astype(np.int64)

    def symbols(self, code: Code) -> np.ndarray:
        """uint8, of all runs in order: of each weight, its bridges (the longest ones first), then itself."""
        numbers = np.searchsorted(code.values, self.values)[self.numbers]
        units = code.units(numbers, self.gaps)
        bridges = code.symbols_before(units)
        last = np.cumsum(bridges + 1) - 1
        symbols = np.full(int(last[-1]) + 1 if last.size else 0, (1 << code.bits) - 1, np.uint8)
        starts = np.cumsum(code.reaches) - code.reaches
        symbols[last] = starts[numbers] + self.gaps - units * code.unit - 1
        bridged = bridges > 0
        symbols[last[bridged] - 1] = code.weights + units[bridged] - (bridges[bridged] - 1) * code.bridges - 1
        return symbols


FAR_TOO_MANY = 2**30


def distinct(matrix: np.ndarray) -> np.ndarray:
    """The values of int8 weights other than 0, sorted, all different."""
    often = np.bincount(np.ascontiguousarray(matrix).view(np.uint8).reshape(-1), minlength=256)
    values = np.flatnonzero(often).astype(np.uint8).view(np.int8)
    return np.sort(values[values != 0])


def shortest(kept: Kept, bits: int = 8) -> Code:
    """The code with fewest symbols of so many bits for these weights, among those that the encoder knows.

    Raises:
        ValueError: there are more than :data:`MAX_VALUES` values.
    """
    if len(kept.values) > MAX_VALUES:
        raise ValueError(f"{len(kept.values)} values, more than {MAX_VALUES}")
    all_symbols = 1 << bits
    if not kept.values.size:
        return Code(np.ones(1, np.int8), np.array([all_symbols - _BRIDGES[0]]), bits)
    different, often = np.unique(kept.gaps * len(kept.values) + kept.numbers, return_counts=True)
    gaps, numbers = np.divmod(different, len(kept.values))
    order = _most_useful(kept, all_symbols)
    known = (
        _reaches(order, len(kept.values), all_symbols - bridges, least)
        for bridges in _BRIDGES
        for least in _LEAST_REACHES
    )
    reaches = np.stack([each for each in known if each is not None])
    units, bridges = reaches.min(1), all_symbols - reaches.sum(1)
    # As units() and symbols_before() count: both round up, so together they do once. float64 is exact here.
    symbols = np.ceil(np.maximum(gaps - reaches[:, numbers], 0) / (units * bridges)[:, None]) @ often
    return Code(kept.values, reaches[np.where(_are_valid(units, bridges), symbols, np.inf).argmin()], bits)


def _are_valid(units: np.ndarray | int, bridges: np.ndarray | int) -> np.ndarray | bool:
    """Whether kernels take codes whose shortest bridge has so many places, and that have so many bridges."""
    return (units > 0) & (bridges > 0) & (bridges * units <= LONGEST_BRIDGE)


def _numbered(used: np.ndarray) -> np.ndarray:
    """The places of numbers, sorted and all different, in a table by number."""
    table = np.zeros(int(used.max(initial=0)) + 1, np.int64)
    table[used] = np.arange(len(used))
    return table


def _most_useful(kept: Kept, symbols: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of values and the reaches that they have, so that a longer reach helps most weights first.

    That is if gaps are geometric: of the weights that lie further away than any distance, the next distance takes the
    same share. There are as many as symbols: no code gives out more.
    """
    often = np.bincount(kept.numbers, minlength=len(kept.values))
    near = np.cumsum(np.bincount(np.minimum(kept.gaps, symbols), minlength=symbols + 1))
    helped = often[:, None] * (len(kept.gaps) - near)
    return np.divmod(np.argsort(-helped, axis=None, kind="stable")[:symbols], symbols + 1)


def _reaches(order: tuple[np.ndarray, np.ndarray], values: int, symbols: int, least: int) -> np.ndarray | None:
    """How far each value reaches with so many symbols, at least ``least``; None if there are too few of them.

    Args:
        order: of :func:`_most_useful`; one symbol after the other goes there.
        values: how many there are.
        symbols: that they share.
        least: that each reaches.
    """
    left = symbols - least * values
    if left < 0:
        return None
    numbers, reached = order
    return least + np.bincount(numbers[reached >= least][:left], minlength=values)
