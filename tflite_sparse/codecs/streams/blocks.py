"""Streams of blocks: neighbouring inputs that are kept together.

Per output and segment of 256 blocks, a count of kept blocks in two bytes, little-endian, then a byte for the place of
each kept block in the segment, then the int8 weights of these blocks.
"""

from __future__ import annotations

import numpy as np

_SEGMENT = 256
_COUNT_BYTES = 2


def nbytes(matrix: np.ndarray, block: int) -> int:
    """Bytes of what :func:`encode` returns; arguments as there."""
    segments = -(-matrix.shape[1] // (block * _SEGMENT))
    return _COUNT_BYTES * int(segments) * int(matrix.shape[0]) + entries(matrix, block) * (1 + block)


def entries(matrix: np.ndarray, block: int) -> int:
    """Blocks that :func:`encode` stores; arguments as there."""
    return int(np.count_nonzero(_blocks(matrix, block).any(axis=2)))


def encode(matrix: np.ndarray, block: int) -> bytes:
    """Store the blocks with a weight other than zero.

    Args:
        matrix: int8 (outputs, taps).
        block: inputs of a block; divides the taps.
    """
    stream = bytearray()
    for row in _blocks(matrix, block):
        for start in range(0, len(row), _SEGMENT):
            part = row[start : start + _SEGMENT]
            (places,) = np.nonzero(part.any(axis=1))
            stream += int(places.size).to_bytes(_COUNT_BYTES, "little")
            stream += places.astype(np.uint8).tobytes() + part[places].tobytes()
    return bytes(stream)


def decode(stream: np.ndarray, outputs: int, taps: int, block: int) -> np.ndarray:
    """The weights, int8 (outputs, taps), of a stream, uint8.

    Raises:
        ValueError: the stream ends early or late, or a block lies where no input is.
    """
    if taps % block:
        raise ValueError(f"blocks of {block} do not divide {taps} inputs")
    matrix = np.zeros((outputs, taps), np.int8)
    at = 0
    for output, row in enumerate(_blocks(matrix, block)):
        for first in range(0, len(row), _SEGMENT):
            part = row[first : first + _SEGMENT]
            if at + _COUNT_BYTES > stream.size:
                raise ValueError(f"the stream ends before output {output} is complete")
            count = int(stream[at]) | int(stream[at + 1]) << 8
            start, at = at + _COUNT_BYTES, at + _COUNT_BYTES + count * (1 + block)
            if at > stream.size:
                raise ValueError(f"the stream ends inside output {output}")
            places = stream[start : start + count]
            if np.any(places >= len(part)) or np.unique(places).size != count:
                raise ValueError(f"a block of output {output} lies where no input is, or where another one lies")
            part[places] = stream[start + count : at].view(np.int8).reshape(count, block)
    if at != stream.size:
        raise ValueError(f"the stream has {stream.size - at:,} bytes behind its last output")
    return matrix


def _blocks(matrix: np.ndarray, block: int) -> np.ndarray:
    """A view of (outputs, blocks, inputs of a block)."""
    return matrix.reshape(matrix.shape[0], -1, block)
