"""Pack codewords into the stream, and decode the stream."""

from __future__ import annotations

import numpy as np

from tflite_sparse.codecs.huffman_format import WINDOW, WORD_BITS

_PIECE = 1 << 22  # bits of the stream that are decoded at a time


def pack(codewords: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the concatenated codewords and the spare word, uint32 in native byte order."""
    ends = np.cumsum(lengths)
    starts = ends - lengths
    words = np.zeros(-(-int(ends[-1]) // WORD_BITS) + 1, np.uint32)
    word, offset = starts // WORD_BITS, starts % WORD_BITS
    shifted = codewords.astype(np.uint64) << (2 * WORD_BITS - offset - lengths).astype(np.uint64)
    # At most one codeword crosses from a word into the next.
    first = np.flatnonzero(np.diff(word, prepend=-1))
    words[word[first]] = np.bitwise_or.reduceat(shifted >> np.uint64(WORD_BITS), first)
    over = np.flatnonzero(offset + lengths > WORD_BITS)
    words[word[over] + 1] |= (shifted[over] & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    return words


def follow(stream: np.ndarray, lengths: np.ndarray, values: np.ndarray, size: int) -> tuple[np.ndarray, int]:
    """Decode ``size`` values; return them and the bit at which the last codeword ends. It starts before the spare word.

    In a piece of the stream, a codeword is decoded at every bit; then the chain is followed, eight codewords a step.

    Args:
        stream: uint8, the spare word included.
        lengths: for each pattern of the next :data:`WINDOW` bits, the length of its first codeword in bits.
        values: for each pattern, the value of that codeword.
        size: number of values to decode.

    Raises:
        ValueError: the stream ends before the last value.
    """
    used = (stream.size - WORD_BITS // 8) * 8
    found = np.empty(size, values.dtype)
    done = place = 0
    for begin in range(0, used, _PIECE):
        windows = _windows(stream[begin // 8 : min(begin + _PIECE, used) // 8 + 2])
        count = windows.size
        # The last codeword may end behind the piece; steps from there stay there.
        following = np.arange(count + WINDOW, dtype=np.int32)
        following[:count] += lengths[windows]
        two = following[following]
        four = two[two]
        leap = four[four].data
        anchors = []
        while place < count:
            anchors.append(place)
            place = leap[place]
        starts = np.empty((len(anchors), 8), np.int32)
        starts[:, 0] = anchors
        for column in range(1, 8):
            starts[:, column] = following[starts[:, column - 1]]
        inside = starts[starts < count][: size - done]
        found[done : done + inside.size] = values[windows[inside]]
        done += inside.size
        if done == size:
            return found, begin + int(following[inside[-1]])
        place -= count
    raise ValueError("its stream ends before its last value")


def _windows(stream: np.ndarray) -> np.ndarray:
    """Return the :data:`WINDOW` bits that start at each bit of these bytes, except the last two bytes."""
    wide = stream.astype(np.uint32)
    three = (wide[:-2] << 16) | (wide[1:-1] << 8) | wide[2:]
    return (three[:, None] >> np.arange(8, 0, -1, dtype=np.uint32)).astype(np.uint16).reshape(-1)
