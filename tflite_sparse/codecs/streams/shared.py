"""Streams of shared values: few different weights, so that one byte is a weight and a distance.

A count of values; the values (int8, ascending, none of them 0); the reach of each, a byte; then runs: places that one
output has in a row. Symbols are numbered value by value: a value at 1, 2, ... places behind the symbol before it, up to
its reach. The symbols behind these are bridges of 1, 2, ... times the least reach, with the weight 0; a weight that is
further away than its value reaches stands behind bridges. Per run, a count of symbols (below 128 in one byte; else
128 + its upper half, then its lower one), then the symbols. The place before a run is -1.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

MAX_VALUES = 64
"""Shared by a tensor. With more of them, most distances need a bridge."""

_SYMBOLS = 256
_LONG_COUNT, _MAX_SYMBOLS = 128, 2**15 - 1
_LONGEST_BRIDGE = 1023
"""So that it fits in 16 bits in bytes of any kernel, 64 a place at most."""

_BRIDGES, _LEAST_REACHES = (4, 8, 16, 32), (1, 2, 4, 6, 8, 10, 12, 15, 20, 30)
"""Among which the encoder looks for the code with fewest symbols."""


@dataclass(frozen=True, slots=True)
class _Code:
    """What symbols mean.

    Attributes:
        values: int8 (values,).
        reaches: int64 (values,).
    """

    values: np.ndarray
    reaches: np.ndarray

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
        return _SYMBOLS - self.weights

    @property
    def is_valid(self) -> bool:
        """Whether the kernels take it."""
        return self.unit > 0 and self.bridges > 0 and self.bridges * self.unit <= _LONGEST_BRIDGE

    def units(self, numbers: np.ndarray, gaps: np.ndarray) -> np.ndarray:
        """Places that bridges take in front of weights, in units: of values by number, that far behind the last."""
        return np.asarray(np.maximum(-(-(gaps - self.reaches[numbers]) // self.unit), 0))

    def symbols_before(self, units: np.ndarray) -> np.ndarray:
        """How many bridges span so many units."""
        return -(-units // self.bridges)


@dataclass(frozen=True, slots=True)
class _Kept:
    """The kept weights, in order.

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
    def of(cls, matrix: np.ndarray) -> _Kept:
        runs, columns = np.nonzero(matrix)
        values, numbers = np.unique(matrix[runs, columns], return_inverse=True)
        is_first = np.diff(runs, prepend=-1) != 0
        gaps = np.where(is_first, columns + 1, np.diff(columns, prepend=0))
        return cls(values, runs, numbers, gaps, matrix.shape[0])

    def counts(self, code: _Code) -> np.ndarray:
        """Symbols of each run."""
        symbols = 1 + code.symbols_before(code.units(self.numbers, self.gaps))
        return np.bincount(self.runs, weights=symbols, minlength=self.run_count).astype(np.int64)


def refusal(matrix: np.ndarray) -> str | None:
    """Why weights, int8 (runs, places), cannot be stored so, or None."""
    kept = _Kept.of(matrix)
    if len(kept.values) > MAX_VALUES:
        return f"it has {len(kept.values)} values other than zero, more than {MAX_VALUES}"
    most = int(kept.counts(_code_of(kept)).max())
    return f"an output has {most:,} symbols, more than {_MAX_SYMBOLS:,}" if most > _MAX_SYMBOLS else None


def nbytes(matrix: np.ndarray) -> int:
    """Bytes of what :func:`encode` returns."""
    kept = _Kept.of(matrix)
    code = _code_of(kept)
    counts = kept.counts(code)
    return 1 + 2 * len(code.values) + len(counts) + int((counts >= _LONG_COUNT).sum()) + int(counts.sum())


def entries(matrix: np.ndarray) -> int:
    """Symbols of what :func:`encode` returns."""
    kept = _Kept.of(matrix)
    return int(kept.counts(_code_of(kept)).sum())


def encode(matrix: np.ndarray) -> bytes:
    """Store the weights that are not zero.

    Args:
        matrix: int8 (runs, places).

    Raises:
        ValueError: they have too many values, or a run has more symbols than its count holds.
    """
    reason = refusal(matrix)
    if reason is not None:
        raise ValueError(reason)
    kept = _Kept.of(matrix)
    code = _code_of(kept)
    counts = kept.counts(code)
    stream = bytearray([len(code.values)]) + code.values.tobytes() + code.reaches.astype(np.uint8).tobytes()
    for part in np.split(_symbols(kept, code), np.cumsum(counts)[:-1]):
        count = len(part)
        stream += bytes([count] if count < _LONG_COUNT else [_LONG_COUNT | count >> 8, count & 255])
        stream += part.tobytes()
    return bytes(stream)


def decode(stream: np.ndarray, runs: int, places: int) -> np.ndarray:
    """The weights, int8 (runs, places), of a stream, uint8.

    Raises:
        ValueError: the stream ends early or late, its values are damaged, or a symbol leads out of its run.
    """
    count = int(stream[0]) if stream.size else 0
    at = 1 + 2 * count
    if not 1 <= count <= MAX_VALUES or at > stream.size:
        raise ValueError(f"the stream names {count} values in {stream.size:,} bytes")
    code = _Code(stream[1 : 1 + count].view(np.int8), stream[1 + count : at].astype(np.int64))
    if not code.is_valid:
        raise ValueError("the stream has values whose reaches are not those of a code")
    distances = np.concatenate(
        [*(np.arange(1, reach + 1) for reach in code.reaches), code.unit * np.arange(1, code.bridges + 1)]
    )
    weights = np.concatenate([np.repeat(code.values, code.reaches), np.zeros(code.bridges, np.int8)])
    matrix = np.zeros((runs, places), np.int8)
    for run in range(runs):
        start, end = _run(stream, at, run)
        symbols, at = stream[start:end], end
        found = np.cumsum(distances[symbols]) - 1
        if found.size and found[-1] >= places:
            raise ValueError(f"a symbol of run {run} in the stream leads out of its {places:,} places")
        matrix[run, found] = weights[symbols]
    if at != stream.size:
        raise ValueError(f"the stream has {stream.size - at:,} bytes behind its last output")
    return matrix


def _run(stream: np.ndarray, at: int, run: int) -> tuple[int, int]:
    """Where the symbols of a run lie, whose count is at ``at``."""
    head = stream[at : at + 2].tolist()
    is_long = bool(head) and head[0] >= _LONG_COUNT
    if len(head) < 1 + is_long:
        raise ValueError(f"the stream ends before run {run}")
    start = at + 1 + is_long
    end = start + ((head[0] - _LONG_COUNT) * 256 + head[1] if is_long else head[0])
    if end > stream.size:
        raise ValueError(f"the stream ends inside run {run}")
    return start, end


def _code_of(kept: _Kept) -> _Code:
    """The code with fewest symbols for these weights, among those that the encoder knows."""
    if len(kept.values) > MAX_VALUES:
        raise ValueError(f"{len(kept.values)} values, more than {MAX_VALUES}")
    if not kept.values.size:
        return _Code(np.ones(1, np.int8), np.array([_SYMBOLS - _BRIDGES[0]]))
    different, often = np.unique(kept.gaps * len(kept.values) + kept.numbers, return_counts=True)
    gaps, numbers = np.divmod(different, len(kept.values))
    codes = [
        _Code(kept.values, reaches)
        for bridges in _BRIDGES
        for least in _LEAST_REACHES
        for reaches in [_reaches(kept, _SYMBOLS - bridges, least)]
        if reaches is not None
    ]
    valid = [code for code in codes if code.is_valid]
    return min(valid, key=lambda code: int(code.symbols_before(code.units(numbers, gaps)) @ often))


def _reaches(kept: _Kept, symbols: int, least: int) -> np.ndarray | None:
    """How far each value reaches with so many symbols, at least ``least``; None if there are too few of them.

    One symbol after the other goes to the value that most weights then need no bridge for, if gaps are geometric: of
    the weights that lie further away than any distance, the next distance takes the same share.
    """
    reaches = [least] * len(kept.values)
    if sum(reaches) > symbols:
        return None
    often = np.bincount(kept.numbers, minlength=len(reaches)).tolist()
    near = np.cumsum(np.bincount(np.minimum(kept.gaps, _SYMBOLS), minlength=_SYMBOLS + 1))
    further = (len(kept.gaps) - near).tolist()
    waiting = [(-often[number] * further[least], number) for number in range(len(reaches))]
    heapq.heapify(waiting)
    for _ in range(symbols - sum(reaches)):
        _, number = waiting[0]
        reaches[number] += 1
        heapq.heapreplace(waiting, (-often[number] * further[reaches[number]], number))
    return np.array(reaches)


def _symbols(kept: _Kept, code: _Code) -> np.ndarray:
    """uint8, of all runs in order: of each weight, its bridges (the longest ones first), then itself."""
    units = code.units(kept.numbers, kept.gaps)
    bridges = code.symbols_before(units)
    last = np.cumsum(bridges + 1) - 1
    symbols = np.full(int(last[-1]) + 1 if last.size else 0, _SYMBOLS - 1, np.uint8)
    starts = np.cumsum(code.reaches) - code.reaches
    symbols[last] = starts[kept.numbers] + kept.gaps - units * code.unit - 1
    bridged = bridges > 0
    symbols[last[bridged] - 1] = code.weights + units[bridged] - (bridges[bridged] - 1) * code.bridges - 1
    return symbols
