"""Streams of shared values: few different weights, so that 8 or 7 bits are a weight and a distance.

One or two tables of symbols (:mod:`tflite_sparse.codecs.streams.shared_codes` says what symbols mean), then runs:
places that one output has in a row. A table: the count of its values, with 128 added if another table follows; the
values (int8, ascending, none of them 0); the reach of each, a byte. Per run, a count of symbols (below 128 in one byte;
else 128 + its upper half, then its lower one), then the symbols. The place before a run is -1. Runs begin with the
first table; where there are two, a byte 255 in front of a count changes to the other one, for this run and those
behind it.

A symbol of 8 bits is a byte. Eight symbols of 7 bits take seven bytes, the first one in the lowest bits, as a
little-endian number of 56 bits; what is left of a run after the last eight takes a byte each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tflite_sparse.codecs.streams.remembered import remembered
from tflite_sparse.codecs.streams.shared_codes import FAR_TOO_MANY, MAX_VALUES, Code, Kept, distinct, shortest

MAX_TABLES = 2

_LONG_COUNT, _OTHER_TABLE = 128, 255
_MAX_SYMBOLS = (_OTHER_TABLE - _LONG_COUNT) * 256 - 1
_MORE_TABLES = 128
_TOGETHER = 8  # symbols that fill whole bytes
_ROUNDS = 6
"""In which runs and tables are matched."""


@dataclass(frozen=True, eq=False, slots=True)
class _Plan:
    """A stream before it is written.

    Attributes:
        codes: one for each table.
        chosen: the number of the table of each run, int64 (runs,).
        counts: symbols of each run, int64 (runs,).
    """

    codes: tuple[Code, ...]
    chosen: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, kept: Kept, codes: tuple[Code, ...]) -> _Plan:
        """With the tables for the runs that make it shortest."""
        counts = np.stack([kept.counts(code) for code in codes])
        chosen = _shortest_path(_run_bytes(counts, codes[0].bits).tolist())
        return cls(codes, chosen, counts[chosen, np.arange(kept.run_count)])

    @property
    def changes(self) -> np.ndarray:
        """Of each run, whether another table than before is its own."""
        return np.asarray(np.diff(self.chosen, prepend=0) != 0)

    @property
    def nbytes(self) -> int:
        """Of the stream."""
        tables = sum(1 + 2 * len(code.values) for code in self.codes)
        return tables + int((self.changes + _run_bytes(self.counts, self.codes[0].bits)).sum())


@remembered
def refusal(matrix: np.ndarray, bits: int = 8) -> str | None:
    """Why weights, int8 (runs, places), cannot be stored in symbols of so many bits, or None."""
    values = distinct(matrix)
    if len(values) > MAX_VALUES:
        return f"it has {len(values)} values other than zero, more than {MAX_VALUES}"
    most = int(_plan(matrix, 1, bits).counts.max())
    return f"an output has {most:,} symbols, more than {_MAX_SYMBOLS:,}" if most > _MAX_SYMBOLS else None


def nbytes(matrix: np.ndarray, tables: int = 1, bits: int = 8) -> int:
    """Bytes of what :func:`encode` returns; arguments as there."""
    return _plan(matrix, tables, bits).nbytes


def entries(matrix: np.ndarray, tables: int = 1, bits: int = 8) -> int:
    """Symbols of what :func:`encode` returns; arguments as there."""
    return int(_plan(matrix, tables, bits).counts.sum())


def encode(matrix: np.ndarray, tables: int = 1, bits: int = 8) -> bytes:
    """Store the weights that are not zero.

    Args:
        matrix: int8 (runs, places).
        tables: that the stream may have, up to :data:`MAX_TABLES`; it has one where a second one does not pay.
        bits: of a symbol, 8 or 7.

    Raises:
        ValueError: they have too many values, or a run has more symbols than its count holds.
    """
    reason = refusal(matrix, bits)
    if reason is not None:
        raise ValueError(reason)
    kept, plan = Kept.of(matrix), _plan(matrix, tables, bits)
    stream = bytearray()
    parts: dict[int, np.ndarray] = {}
    for number, code in enumerate(plan.codes):
        more = _MORE_TABLES * (number + 1 < len(plan.codes))
        stream += bytes([more | len(code.values)]) + code.values.tobytes() + code.reaches.astype(np.uint8).tobytes()
        own = plan.chosen == number
        symbols = kept.within(own).symbols(code)
        parts.update(zip(np.flatnonzero(own).tolist(), np.split(symbols, np.cumsum(plan.counts[own])), strict=False))
    for run, changes in enumerate(plan.changes.tolist()):
        part = parts[run]
        count = len(part)
        stream += bytes([_OTHER_TABLE] if changes else [])
        stream += bytes([count] if count < _LONG_COUNT else [_LONG_COUNT | count >> 8, count & 255])
        stream += _packed(part, bits).tobytes()
    return bytes(stream)


def tables(stream: np.ndarray) -> int:
    """Tables of a stream, uint8, that :func:`decode` takes."""
    return 2 if stream[0] & _MORE_TABLES else 1


def decode(stream: np.ndarray, runs: int, places: int, bits: int = 8) -> np.ndarray:
    """The weights, int8 (runs, places), of a stream, uint8, whose symbols have so many bits.

    Raises:
        ValueError: the stream ends early or late, its values are damaged, or a symbol leads out of its run.
    """
    meanings, at = _read_tables(stream, bits)
    matrix = np.zeros((runs, places), np.int8)
    table = 0
    for run in range(runs):
        if len(meanings) > 1 and at < stream.size and stream[at] == _OTHER_TABLE:
            table, at = 1 - table, at + 1
        symbols, at = _run(stream, at, run, bits)
        distances, weights = meanings[table]
        found = np.cumsum(distances[symbols]) - 1
        if found.size and found[-1] >= places:
            raise ValueError(f"a symbol of run {run} in the stream leads out of its {places:,} places")
        matrix[run, found] = weights[symbols]
    if at != stream.size:
        raise ValueError(f"the stream has {stream.size - at:,} bytes behind its last output")
    return matrix


def _read_tables(stream: np.ndarray, bits: int) -> tuple[list[tuple[np.ndarray, np.ndarray]], int]:
    """Of each table, the distances and the weights of its symbols, both (2**bits,); and where the runs start."""
    found: list[tuple[np.ndarray, np.ndarray]] = []
    at, more = 0, True
    while more:
        head = int(stream[at]) if at < stream.size else 0
        more, count = head >= _MORE_TABLES, head % _MORE_TABLES
        start, at = at + 1, at + 1 + 2 * count
        if not 1 <= count <= MAX_VALUES or at > stream.size:
            raise ValueError(f"the stream names {count} values in {stream.size:,} bytes")
        if more and len(found) + 1 == MAX_TABLES:
            raise ValueError(f"the stream has more than {MAX_TABLES} tables of symbols")
        code = Code(stream[start : start + count].view(np.int8), stream[start + count : at].astype(np.int64), bits)
        if not code.is_valid:
            raise ValueError("the stream has values whose reaches are not those of a code")
        distances = [np.arange(1, reach + 1) for reach in code.reaches]
        bridges = code.unit * np.arange(1, code.bridges + 1)
        weights = np.concatenate([np.repeat(code.values, code.reaches), np.zeros(code.bridges, np.int8)])
        found.append((np.concatenate([*distances, bridges]), weights))
    return found, at


def _run(stream: np.ndarray, at: int, run: int, bits: int) -> tuple[np.ndarray, int]:
    """The symbols of a run, whose count is at ``at``, uint8, and where the next run begins."""
    head = stream[at : at + 2].tolist()
    if head and head[0] == _OTHER_TABLE:
        raise ValueError(f"the stream changes to a table that it does not have, in front of run {run}")
    is_long = bool(head) and head[0] >= _LONG_COUNT
    if len(head) < 1 + is_long:
        raise ValueError(f"the stream ends before run {run}")
    start = at + 1 + is_long
    count = (head[0] - _LONG_COUNT) * 256 + head[1] if is_long else head[0]
    end = start + int(_symbol_bytes(np.array(count), bits))
    if end > stream.size:
        raise ValueError(f"the stream ends inside run {run}")
    symbols = _unpacked(stream[start:end], count, bits)
    if symbols.size and symbols.max() >> bits:
        raise ValueError(f"the stream has a symbol of more than {bits} bits in run {run}")
    return symbols, end


def _run_bytes(counts: np.ndarray, bits: int) -> np.ndarray:
    """Bytes of runs with so many symbols, their counts included."""
    return np.asarray(np.where(counts < _LONG_COUNT, 1, 2) + _symbol_bytes(counts, bits))


def _symbol_bytes(counts: np.ndarray, bits: int) -> np.ndarray:
    return np.asarray(counts // _TOGETHER * bits + counts % _TOGETHER)


def _packed(symbols: np.ndarray, bits: int) -> np.ndarray:
    """The bytes of the symbols of a run, uint8."""
    if bits == 8:
        return symbols
    whole = symbols[: symbols.size // _TOGETHER * _TOGETHER]
    each_bit = np.unpackbits(whole[:, None], axis=1, count=bits, bitorder="little")
    return np.concatenate([np.packbits(each_bit.reshape(-1), bitorder="little"), symbols[whole.size :]])


def _unpacked(content: np.ndarray, count: int, bits: int) -> np.ndarray:
    """Undo :func:`_packed`, for so many symbols."""
    if bits == 8:
        return content
    packed = content[: count // _TOGETHER * bits]
    each_bit = np.unpackbits(packed, bitorder="little").reshape(-1, bits)
    whole: np.ndarray = np.packbits(each_bit, axis=1, bitorder="little").reshape(-1)
    return np.concatenate([whole, content[packed.size :]])


@remembered
def _plan(matrix: np.ndarray, tables: int, bits: int) -> _Plan:
    """The shortest plan of those that the encoder knows, with at most so many tables."""
    if tables == 1:
        kept = Kept.of(matrix)
        return _Plan.of(kept, (shortest(kept, bits),))
    one, two = _plan(matrix, 1, bits), _with_two_tables(Kept.of(matrix), bits)
    return one if two is None or two.nbytes >= one.nbytes else two


def _with_two_tables(kept: Kept, bits: int) -> _Plan | None:
    """Tables for the runs that take them, and runs to the tables that suit them, in turns; None: one is as good.

    Scales of channels differ, so that the weights of some are smaller integers: these come together first.
    """
    if not kept.values.size:
        return None
    sizes = np.abs(kept.values.astype(np.int64))[kept.numbers]
    totals = np.bincount(kept.runs, weights=sizes, minlength=kept.run_count)
    means = totals / np.maximum(np.bincount(kept.runs, minlength=kept.run_count), 1)
    chosen, best = means > np.median(means[totals > 0]), None
    for _ in range(_ROUNDS):
        parts = [kept.within(chosen == number) for number in range(MAX_TABLES)]
        if not all(part.values.size for part in parts):
            break
        plan = _Plan.of(kept, tuple(shortest(part, bits) for part in parts))
        if plan.counts.max() > _MAX_SYMBOLS or (best is not None and plan.nbytes >= best.nbytes):
            break
        chosen, best = plan.chosen, plan
    return best


def _shortest_path(costs: list[list[int]]) -> np.ndarray:
    """The table of each run that makes the sum of all costs least, where a change costs 1; the first one is 0.

    Args:
        costs: of each table, what each run takes.
    """
    if len(costs) == 1:
        return np.zeros(len(costs[0]), np.int64)
    totals, came_from = (0, FAR_TOO_MANY), []
    for first, second in zip(*costs, strict=True):
        changed = totals[1] + 1 < totals[0], totals[0] + 1 < totals[1]
        came_from.append(changed)
        totals = first + min(totals[0], totals[1] + 1), second + min(totals[1], totals[0] + 1)
    path, state = [], int(totals[1] < totals[0])
    for changed in reversed(came_from):
        path.append(state)
        state ^= changed[state]
    return np.array(path[::-1], np.int64)
