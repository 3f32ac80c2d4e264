"""Streams of shared values: few different weights, so that one byte is a weight and a distance.

A count of values, the values (int8, ascending, none of them 0), then runs: places that one output has in a row. With
``reach = 252 // values``, symbol ``values * (distance - 1) + number`` is a value, ``distance`` places behind the symbol
before it, up to ``reach``. The symbols behind these, at least four, are bridges of ``reach``, ``2 * reach``, ... places.
Per run, a count of symbols (below 128 in one byte; else 128 + its upper half, then its lower one), then the symbols. The
place before a run is -1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MAX_VALUES = 64
"""Shared by a tensor. With more of them, most distances need a bridge."""

_SYMBOLS, _LEAST_BRIDGES = 256, 4
_LONG_COUNT, _MAX_SYMBOLS = 128, 2**15 - 1


@dataclass(frozen=True, slots=True)
class _Code:
    """What symbols mean; ``values`` is int8, sorted."""

    values: np.ndarray

    @property
    def reach(self) -> int:
        """The longest distance of a weight."""
        return (_SYMBOLS - _LEAST_BRIDGES) // len(self.values)

    @property
    def weights(self) -> int:
        """Symbols of weights; bridges are behind them."""
        return len(self.values) * self.reach

    @property
    def bridges(self) -> int:
        """Symbols of bridges."""
        return _SYMBOLS - self.weights


@dataclass(frozen=True, slots=True)
class _Places:
    """Of each kept weight, in order: its run and the ``whole`` reaches and ``rest`` (from 1) behind the one before."""

    runs: np.ndarray
    whole: np.ndarray
    rest: np.ndarray
    bridges: np.ndarray
    counts: np.ndarray


def refusal(matrix: np.ndarray) -> str | None:
    """Why weights, int8 (runs, places), cannot be stored so, or None."""
    code = _code_of(matrix)
    if len(code.values) > MAX_VALUES:
        return f"it has {len(code.values)} values other than zero, more than {MAX_VALUES}"
    most = int(_places(matrix, code).counts.max())
    return f"an output has {most:,} symbols, more than {_MAX_SYMBOLS:,}" if most > _MAX_SYMBOLS else None


def nbytes(matrix: np.ndarray) -> int:
    """Bytes of what :func:`encode` returns."""
    code = _code_of(matrix)
    counts = _places(matrix, code).counts
    return 1 + len(code.values) + len(counts) + int((counts >= _LONG_COUNT).sum()) + int(counts.sum())


def entries(matrix: np.ndarray) -> int:
    """Symbols of what :func:`encode` returns."""
    return int(_places(matrix, _code_of(matrix)).counts.sum())


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
    code = _code_of(matrix)
    found = _places(matrix, code)
    symbols = _symbols(matrix, code, found)
    stream = bytearray([len(code.values)]) + code.values.tobytes()
    for part in np.split(symbols, np.cumsum(found.counts)[:-1]):
        count = len(part)
        stream += bytes([count] if count < _LONG_COUNT else [_LONG_COUNT | count >> 8, count & 255])
        stream += part.tobytes()
    return bytes(stream)


def decode(stream: np.ndarray, runs: int, places: int) -> np.ndarray:
    """The weights, int8 (runs, places), of a stream, uint8.

    Raises:
        ValueError: the stream ends early or late, or a symbol leads out of its run.
    """
    count = int(stream[0]) if stream.size else 0
    at = 1 + count
    if not 1 <= count <= MAX_VALUES or at > stream.size:
        raise ValueError(f"the stream names {count} values in {stream.size:,} bytes")
    code = _Code(stream[1:at].view(np.int8))
    distances = np.concatenate(
        [np.repeat(np.arange(1, code.reach + 1), count), code.reach * np.arange(1, code.bridges + 1)]
    )
    weights = np.concatenate([np.tile(code.values, code.reach), np.zeros(code.bridges, np.int8)])
    matrix = np.zeros((runs, places), np.int8)
    for run in range(runs):
        start, end = _run(stream, at, run)
        symbols, at = stream[start:end], end
        found = np.cumsum(distances[symbols]) - 1
        if found.size and found[-1] >= places:
            raise ValueError(f"a symbol of run {run} leads out of its {places:,} places")
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


def _code_of(matrix: np.ndarray) -> _Code:
    values = np.unique(matrix)
    values = values[values != 0]
    return _Code(values if values.size else np.ones(1, np.int8))


def _places(matrix: np.ndarray, code: _Code) -> _Places:
    if len(code.values) > MAX_VALUES:
        raise ValueError(f"{len(code.values)} values, more than {MAX_VALUES}")
    runs, columns = np.nonzero(matrix)
    is_first = np.diff(runs, prepend=-1) != 0
    behind = np.where(is_first, columns, np.diff(columns, prepend=0) - 1)  # distances less one
    whole, rest = np.divmod(behind, code.reach)
    bridges = -(-whole // code.bridges)
    counts = np.bincount(runs, weights=bridges + 1, minlength=matrix.shape[0]).astype(np.int64)
    return _Places(runs, whole, rest + 1, bridges, counts)


def _symbols(matrix: np.ndarray, code: _Code, found: _Places) -> np.ndarray:
    """uint8, of all runs in order: of each weight, its bridges (the longest ones first), then itself."""
    last = np.cumsum(found.bridges + 1) - 1
    symbols = np.full(int(last[-1]) + 1 if last.size else 0, _SYMBOLS - 1, np.uint8)
    numbers = np.searchsorted(code.values, matrix[matrix != 0])
    symbols[last] = len(code.values) * (found.rest - 1) + numbers
    bridged = found.bridges > 0
    left = found.whole[bridged] - (found.bridges[bridged] - 1) * code.bridges
    symbols[last[bridged] - 1] = code.weights + left - 1
    return symbols
