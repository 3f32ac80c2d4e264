"""The format of Huffman-coded tensors, from ``decode_state_huffman.cc`` and its header in tflite-micro.

The encoded vector is one stream of bits, most significant first, read as big-endian words of 32 bits. A codeword is
read through one table after the other. The first has ``2 ** ((byte 5 >> 4) + 1)`` entries, looked up with as many bits
of the stream as that takes. An entry of 16 bits:

    bit 15      1: the value is found; 0: another table follows
    bits 14-11  found: how many of the bits looked up belong to the codeword, the others are read again;
                else: the bits of the next table's look-up, less one
    bits 10-0   found: the value; else: how far behind this entry the next table begins

With bit 0 of byte 5 set, entries have 32 bits, 27 of them below the count; int16 needs that. Behind the last word of
the stream there is a spare one, because a look-up may reach beyond the last codeword.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WORD_BITS = 32
WINDOW = 16
"""Bits of the longest codeword that is read."""


@dataclass(frozen=True, slots=True)
class Entries:
    """How an entry of a table is put together: its dtype, and the place of the count of bits in it."""

    dtype: np.dtype
    count_shift: int

    @property
    def found(self) -> int:
        """The bit that tells an entry that holds a value."""
        return 1 << (self.count_shift + 4)

    @property
    def most(self) -> int:
        """The largest value or distance."""
        return (1 << self.count_shift) - 1


NARROW = Entries(np.dtype("<u2"), 11)
WIDE = Entries(np.dtype("<u4"), 27)


def entries_for(dtype: np.dtype) -> Entries:
    """int8 has narrow ones: tables for 256 values need not be further apart than these can tell."""
    return NARROW if dtype.itemsize == 1 else WIDE
