"""The format of Huffman-coded tensors, from ``decode_state_huffman.cc`` and its header in tflite-micro.

The encoded vector is one stream of bits, most significant first, read as big-endian words of 32 bits. A codeword is
decoded through a chain of tables. The first has ``2 ** ((byte 5 >> 4) + 1)`` entries; the next bits of the stream are
the index. An entry of 16 bits:

    bit 15      1: the value is found; 0: another table follows
    bits 14-11  found: number of index bits that belong to the codeword, the others are read again;
                else: index bits of the next table, minus one
    bits 10-0   found: the value; else: distance from this entry to the next table

With bit 0 of byte 5 set, entries have 32 bits, 27 of them below the count; int16 needs that. A spare word follows the
last word of the stream, because a look-up may reach beyond the last codeword.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WORD_BITS = 32
WINDOW = 16
"""Longest codeword that decoding accepts, in bits."""


@dataclass(frozen=True, slots=True)
class Entries:
    """Format of a table entry: its dtype, and the position of the bit count in it."""

    dtype: np.dtype
    count_shift: int

    @property
    def found(self) -> int:
        """The bit that marks an entry with a value."""
        return 1 << (self.count_shift + 4)

    @property
    def most(self) -> int:
        """The largest value or distance."""
        return (1 << self.count_shift) - 1


NARROW = Entries(np.dtype("<u2"), 11)
WIDE = Entries(np.dtype("<u4"), 27)


def entries_for(dtype: np.dtype) -> Entries:
    """Return the entries for a dtype: 16 bits for int8, whose tables for 256 values stay within their distance."""
    return NARROW if dtype.itemsize == 1 else WIDE
