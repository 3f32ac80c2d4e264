"""Streams of places: the inputs in segments of 256, of each kept weight its place in the segment.

Per output and segment, a count of groups in one byte, then the groups: four times (int8 weight, place). Entries with
the weight 0 at the place 0 fill the last group.
"""

from __future__ import annotations

import numpy as np

_SEGMENT = 256
_GROUP = 4


def nbytes(matrix: np.ndarray) -> int:
    """Bytes of what :func:`encode` returns for int8 (outputs, taps)."""
    return int(matrix.shape[0]) * len(_segments(matrix)) + 2 * entries(matrix)


def entries(matrix: np.ndarray) -> int:
    """Entries of what :func:`encode` returns for int8 (outputs, taps)."""
    counts = [np.count_nonzero(part, axis=1) for part in _segments(matrix)]
    return _GROUP * sum(int((-(-count // _GROUP)).sum()) for count in counts)


def encode(matrix: np.ndarray) -> bytes:
    """Store the weights of ``matrix``, int8 (outputs, taps), that are not zero."""
    stream = bytearray()
    for row in matrix:
        for part in _segments(row[None]):
            (places,) = np.nonzero(part[0])
            groups = -(-places.size // _GROUP)
            entries = np.zeros((groups * _GROUP, 2), np.uint8)
            entries[: places.size, 0] = part[0][places].view(np.uint8)
            entries[: places.size, 1] = places
            stream.append(groups)
            stream += entries.tobytes()
    return bytes(stream)


def decode(stream: np.ndarray, outputs: int, taps: int) -> np.ndarray:
    """The weights, int8 (outputs, taps), of a stream, uint8.

    Raises:
        ValueError: the stream ends early or late, or a weight lies where no input is.
    """
    matrix = np.zeros((outputs, taps), np.int8)
    at = 0
    for output in range(outputs):
        for part in _segments(matrix[output : output + 1]):
            if at >= stream.size:
                raise ValueError(f"the stream ends before output {output} is complete")
            start, at = at + 1, at + 1 + int(stream[at]) * 2 * _GROUP
            if at > stream.size:
                raise ValueError(f"the stream ends inside output {output}")
            weights, places = stream[start:at].reshape(-1, 2).T
            if np.any(places >= part.shape[1]):
                raise ValueError(f"a place of output {output} lies outside of its inputs")
            kept = weights != 0
            if np.unique(places[kept]).size != np.count_nonzero(kept):
                raise ValueError(f"two weights of output {output} lie at the same place")
            part[0, places[kept]] = np.ascontiguousarray(weights[kept]).view(np.int8)
    if at != stream.size:
        raise ValueError(f"the stream has {stream.size - at:,} bytes behind its last output")
    return matrix


def _segments(matrix: np.ndarray) -> list[np.ndarray]:
    """Views of the columns, 256 at a time."""
    return [matrix[:, start : start + _SEGMENT] for start in range(0, matrix.shape[1], _SEGMENT)]
