"""The tables of a Huffman code as they lie in the file: written, and read back entry by entry."""

from __future__ import annotations

import numpy as np

from tflite_sparse.codecs.huffman_code import Code, leaf_counts
from tflite_sparse.codecs.huffman_format import WINDOW, Entries


def write(code: Code, codewords: np.ndarray, entries: Entries) -> tuple[int, np.ndarray]:
    """The tables of a code.

    Args:
        code: the code.
        codewords: of its symbols, in the same order.
        entries: how an entry is put together.

    Returns:
        The bits of the first look-up, and all tables one behind the other, one-dimensional.
    """
    leaves = leaf_counts(code.lengths)
    first = int(code.splits[0][0])
    tables: list[np.ndarray] = []
    waiting = [(0, 0, -1, 0)]  # depth and place of the node, the entry that leads to its table, that entry's table
    number = begin = 0
    begins: list[int] = []
    longest = int(code.lengths[-1])
    # Codewords as the first values of the ranges that they cover at full depth
    covers = codewords.astype(np.int64) << (longest - code.lengths)
    while number < len(waiting):
        depth, place, entry, parent = waiting[number]
        bits = int(code.splits[depth][place])
        if entry >= 0:
            distance = begin - (begins[parent] + entry)
            tables[parent][entry] = ((bits - 1) << entries.count_shift) | distance
        # At each depth the leaves come first: the prefix of a node is its place behind them.
        prefix = (int(leaves[depth]) + place + _skipped(leaves, depth)) if depth else 0
        prefixes = (prefix << bits) + np.arange(1 << bits)
        end = depth + bits
        behind = int(leaves[end]) + _skipped(leaves, end)  # prefixes from here on are inner nodes
        table = np.zeros(1 << bits, np.int64)
        is_leaf = prefixes < behind
        if code.lengths.size == 1:
            found = np.zeros(int(is_leaf.sum()), np.intp)
        else:
            found = np.searchsorted(covers, prefixes[is_leaf] << (longest - end), side="right") - 1
        counts = code.lengths[found] - depth
        table[is_leaf] = entries.found | (counts << entries.count_shift) | code.symbols[found]
        waiting += [(end, int(p) - behind, int(e), number) for e, p in enumerate(prefixes) if p >= behind]
        tables.append(table)
        begins.append(begin)
        begin += table.size
        number += 1
    return first, np.concatenate(tables).astype(entries.dtype)


def _skipped(leaves: np.ndarray, depth: int) -> int:
    """How many prefixes of ``depth`` bits begin with a shorter codeword."""
    return sum(int(count) << (depth - level) for level, count in enumerate(leaves[:depth]))


def read(tables: np.ndarray, first: int, entries: Entries, value_bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Walk through all tables; each entry must be reached once, so that the walk ends.

    Args:
        tables: one behind the other, int64, one-dimensional.
        first: the bits of the first look-up.
        entries: how an entry is put together.
        value_bits: of the values that are stored.

    Returns:
        For all that the next :data:`WINDOW` bits of the stream can be, the bits of the codeword with which they begin,
        and its value.

    Raises:
        ValueError: a table or an entry is none that :func:`write` makes.
    """
    lengths, values = np.zeros(1 << WINDOW, np.uint8), np.zeros(1 << WINDOW, np.int64)
    reached = np.zeros(tables.size, np.bool_)
    waiting = [(0, first, 0, 0)]  # where the table begins, bits of its look-up, the bits before and how many they are
    while waiting:
        begin, bits, prefix, depth = waiting.pop()
        end, rest_bits = begin + (1 << bits), WINDOW - depth - bits
        if end > tables.size or np.any(reached[begin:end]):
            raise ValueError("a table lies outside the others, or over one of them")
        if rest_bits < 0:
            raise ValueError(f"it has codewords of more than {WINDOW} bits")
        reached[begin:end] = True
        table = tables[begin:end]
        counts, rest = (table >> entries.count_shift) & 15, table & entries.most
        found = table & entries.found != 0
        if np.any(counts[found] < 1) or np.any(counts[found] > bits) or np.any(rest[found] >> value_bits):
            raise ValueError("an entry of a table has a value or a number of bits that cannot be")
        places = np.arange(table.size)
        heads = np.where(found, places >> (bits - counts) << (bits - counts), places)
        if np.any(table[heads] != table):
            raise ValueError("entries of a table that stand for the same codeword disagree")
        windows = slice(prefix << (bits + rest_bits), (prefix + 1) << (bits + rest_bits))
        lengths[windows].reshape(table.size, -1)[found] = (depth + counts[found])[:, None]
        values[windows].reshape(table.size, -1)[found] = rest[found][:, None]
        for place in np.flatnonzero(~found).tolist():
            below = begin + place + int(rest[place])
            waiting.append((below, int(counts[place]) + 1, (prefix << bits) + place, depth + bits))
    if not reached.all():
        raise ValueError("it has entries of tables that no codeword reaches")
    return lengths, values
