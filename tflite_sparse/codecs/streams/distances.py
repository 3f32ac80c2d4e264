"""Streams of distances: of each kept weight, how far its input lies behind the one before it.

Per output, a count of pairs of entries in two bytes, little-endian, then the pairs. An entry is a distance and an int8
weight. With 8 bits a pair is (distance, weight, distance, weight); with 4 bits (both distances in one byte, the first
one in the lower half, then both weights). Places count from 0, where each output starts. Distances that do not fit are
bridged by entries with the weight 0, and such an entry fills the last pair.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tflite_sparse.codecs.streams.kernels import MAX_PAIRS
from tflite_sparse.codecs.streams.remembered import remembered

_COUNT_BYTES = 2


@dataclass(frozen=True, slots=True)
class _Entries:
    """The entries of all outputs, in order, before they are padded to pairs; ``counts`` has one for each output."""

    distances: np.ndarray
    weights: np.ndarray
    counts: np.ndarray


def refusal(matrix: np.ndarray, places: np.ndarray, bits: int) -> str | None:
    """Why the weights cannot be stored so, or None. Arguments as for :func:`encode`."""
    pairs = int(_pairs(matrix, places, bits).max())
    return f"an output has {pairs:,} pairs of weights, more than {MAX_PAIRS:,}" if pairs > MAX_PAIRS else None


def nbytes(matrix: np.ndarray, places: np.ndarray, bits: int) -> int:
    """Bytes of what :func:`encode` returns."""
    return _COUNT_BYTES * int(matrix.shape[0]) + entries(matrix, places, bits) // 2 * _pair_bytes(bits)


def entries(matrix: np.ndarray, places: np.ndarray, bits: int) -> int:
    """Entries of what :func:`encode` returns."""
    return 2 * int(_pairs(matrix, places, bits).sum())


def encode(matrix: np.ndarray, places: np.ndarray, bits: int) -> bytes:
    """Store the weights that are not zero.

    Args:
        matrix: int8 (outputs, taps).
        places: int (taps,), each once: where the kernel looks for each tap.
        bits: of a distance, 8 or 4.

    Raises:
        ValueError: an output has more pairs than its count holds.
    """
    reason = refusal(matrix, places, bits)
    if reason is not None:
        raise ValueError(reason)
    entries = _entries(matrix, places, bits)
    stream = bytearray()
    start = 0
    for count in entries.counts:
        padded = count + count % 2
        distances, weights = np.zeros(padded, np.uint8), np.zeros(padded, np.uint8)
        distances[:count] = entries.distances[start : start + count]
        weights[:count] = entries.weights[start : start + count].view(np.uint8)
        start += count
        stream += int(padded // 2).to_bytes(_COUNT_BYTES, "little")
        if bits == 8:
            stream += np.stack([distances, weights], axis=1).tobytes()
        else:
            both = distances[::2] | distances[1::2] << 4
            stream += np.stack([both, weights[::2], weights[1::2]], axis=1).tobytes()
    return bytes(stream)


def decode(stream: np.ndarray, outputs: int, places: np.ndarray, place_count: int, bits: int) -> np.ndarray:
    """The weights, int8 (outputs, taps).

    Args:
        stream: uint8, one-dimensional.
        outputs: how many there are.
        places: as for :func:`encode`.
        place_count: places that the kernel can read from.
        bits: of a distance.

    Raises:
        ValueError: the stream ends early or late, or a weight lies where no input is.
    """
    tap_at = np.full(place_count, -1)
    tap_at[places] = np.arange(places.size)
    matrix = np.zeros((outputs, places.size), np.int8)
    at = 0
    for output in range(outputs):
        if at + _COUNT_BYTES > stream.size:
            raise ValueError(f"the stream ends before output {output}")
        pairs = int(stream[at]) | int(stream[at + 1]) << 8
        start, at = at + _COUNT_BYTES, at + _COUNT_BYTES + pairs * _pair_bytes(bits)
        if at > stream.size:
            raise ValueError(f"the stream ends inside output {output}")
        _decode_row(matrix[output], output, stream[start:at].reshape(pairs, _pair_bytes(bits)), tap_at, bits)
    if at != stream.size:
        raise ValueError(f"the stream has {stream.size - at:,} bytes behind its last output")
    return matrix


def _decode_row(row: np.ndarray, output: int, pairs: np.ndarray, tap_at: np.ndarray, bits: int) -> None:
    if bits == 8:
        distances, weights = pairs[:, 0::2], pairs[:, 1::2]
    else:
        distances, weights = np.stack([pairs[:, 0] & 15, pairs[:, 0] >> 4], axis=1), pairs[:, 1:]
    found = np.cumsum(distances.reshape(-1), dtype=np.int64)
    if found.size and found[-1] >= tap_at.size:
        raise ValueError(f"a distance of output {output} leads out of its inputs")
    values = np.ascontiguousarray(weights).reshape(-1).view(np.int8)
    kept = values != 0
    taps = tap_at[found[kept]]
    if np.any(taps < 0) or np.unique(taps).size != taps.size:
        raise ValueError(f"a weight of output {output} lies where no input is, or where another one lies")
    row[taps] = values[kept]


def _pair_bytes(bits: int) -> int:
    return 4 if bits == 8 else 3


@remembered
def _pairs(matrix: np.ndarray, places: np.ndarray, bits: int) -> np.ndarray:
    """Pairs of entries of each output, int64 (outputs,)."""
    return np.asarray((_entries(matrix, places, bits).counts + 1) // 2)


def _entries(matrix: np.ndarray, places: np.ndarray, bits: int) -> _Entries:
    longest = 2**bits - 1
    order = np.argsort(places)
    ordered = matrix[:, order]
    rows, columns = np.nonzero(ordered)
    found = places[order][columns]
    is_first = np.diff(rows, prepend=-1) != 0
    gaps = np.where(is_first, found, np.diff(found, prepend=0))
    bridges = np.maximum(gaps - 1, 0) // longest  # entries of weight 0 in front of each weight
    last = np.cumsum(bridges + 1) - 1
    total = int(last[-1]) + 1 if last.size else 0
    distances, weights = np.full(total, longest, np.uint8), np.zeros(total, np.int8)
    distances[last] = gaps - bridges * longest
    weights[last] = ordered[rows, columns]
    counts = np.bincount(rows, weights=bridges + 1, minlength=matrix.shape[0]).astype(np.int64)
    return _Entries(distances, weights, counts)
