"""Write and read the tables of a Huffman code as stored in the file."""

from __future__ import annotations

import numpy as np

from tflite_sparse.codecs.huffman_code import Code, leaf_counts
from tflite_sparse.codecs.huffman_format import WINDOW, Entries


def write(code: Code, codewords: np.ndarray, entries: Entries) -> tuple[int, np.ndarray]:
    """Return the tables of a code.

    Args:
        code: the code.
        codewords: of its symbols, in the same order.
        entries: format of an entry.

    Returns:
        The index bits of the first table, and all tables concatenated, one-dimensional.
    """
    leaves = leaf_counts(code.lengths)
    first = int(code.splits[0][0])
    tables: list[np.ndarray] = []
    waiting = [(0, 0, -1, 0)]  # depth and position of the node, the entry that leads to its table, that entry's table
    number = begin = 0
    begins: list[int] = []
    longest = int(code.lengths[-1])
    # First value of the range that each codeword covers at full depth.
    covers = codewords.astype(np.int64) << (longest - code.lengths)
    while number < len(waiting):
        depth, place, entry, parent = waiting[number]
        bits = int(code.splits[depth][place])
        if entry >= 0:
            distance = begin - (begins[parent] + entry)
            tables[parent][entry] = ((bits - 1) << entries.count_shift) | distance
        # At each depth the leaves come first: the prefix of a node is its position behind them.
        prefix = int(leaves[depth]) + place + _ended_prefixes(leaves, depth)
        prefixes = (prefix << bits) + np.arange(1 << bits)
        end = depth + bits
        behind = int(leaves[end]) + _ended_prefixes(leaves, end)  # prefixes from here on are inner nodes
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


def _ended_prefixes(leaves: np.ndarray, depth: int) -> int:
    """Return the number of prefixes of ``depth`` bits that begin with a shorter codeword."""
    return sum(int(count) << (depth - level) for level, count in enumerate(leaves[:depth]))


def read(tables: np.ndarray, first: int, entries: Entries, value_bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Read all tables; each entry must be reached exactly once, so that the loop ends.

    Args:
        tables: concatenated, int64, one-dimensional.
        first: index bits of the first table.
        entries: format of an entry.
        value_bits: bits of a stored value.

    Returns:
        For each pattern of the next :data:`WINDOW` bits of the stream, the length of its first codeword in bits, and
        its value.

    Raises:
        ValueError: a table or an entry differs from what :func:`write` makes.
    """
    lengths, values = np.zeros(1 << WINDOW, np.uint8), np.zeros(1 << WINDOW, np.int64)
    reached = np.zeros(tables.size, np.bool_)
    waiting = [(0, first, 0, 0)]  # start of the table, its index bits, the bits before and their number
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
