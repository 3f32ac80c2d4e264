"""Choose the best Huffman code of a tensor, and split its tree into tables.

The code is the best one with codewords of at most :data:`LONGEST` bits (package-merge: Larmore and Hirschberg 1990), in
canonical order. Among all limits and all splits of its tree into tables, the smallest total is taken.
:data:`LOOK_UPS_PER_BYTE` more look-ups count as one byte, because the runtime decodes in every run.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tflite_sparse.codecs.decodable import HEADER_BYTES
from tflite_sparse.codecs.huffman_format import WORD_BITS, Entries, entries_for

LONGEST = 15
"""Longest codeword in bits. Longer ones save less than their tables add."""
LOOK_UPS_PER_BYTE = 512
"""Look-ups in a run that count as one byte of the file: saves up to half of them for about 0.1 % of the size."""


@dataclass(frozen=True, slots=True)
class Code:
    """A canonical code and its tables.

    Attributes:
        symbols: the distinct values as unsigned integers, in the order of their codewords.
        lengths: bits of each codeword, ascending.
        splits: for each inner node of the tree, as [depth][position among the inner nodes there], the bits of a table
            that starts there.
        nbytes: of stream, tables and header.
    """

    symbols: np.ndarray
    lengths: np.ndarray
    splits: tuple[np.ndarray, ...]
    nbytes: int


def counts_of(bits: np.ndarray) -> np.ndarray:
    """Return the frequency of each value of the dtype."""
    return np.bincount(bits, minlength=1 << (8 * bits.itemsize))


def best(bits: np.ndarray) -> Code:
    """Return the code of least cost for values as unsigned integers: uint8 or uint16, one-dimensional, not empty."""
    counts = counts_of(bits)
    symbols = np.flatnonzero(counts)
    symbols = symbols[np.argsort(-counts[symbols], kind="stable")]
    counts = counts[symbols]
    entries = entries_for(bits.dtype)
    item = entries.dtype.itemsize
    best, least = None, 0
    previous = None
    for limit in range(max((symbols.size - 1).bit_length(), 1), LONGEST + 1):
        lengths = best_lengths(counts, limit)
        if previous is not None and np.array_equal(lengths, previous):
            break  # the limit no longer binds
        previous = lengths
        splits, table_entries, look_ups = _splits_in_reach(lengths, counts, entries)
        stream = -(-int(counts @ lengths) // WORD_BITS) * 4 + 4
        total = HEADER_BYTES + stream + table_entries * item
        cost = total * LOOK_UPS_PER_BYTE + look_ups
        if best is None or cost < least:
            best, least = Code(symbols, lengths, splits, total), cost
    assert best is not None
    return best


def best_lengths(counts: np.ndarray, limit: int) -> np.ndarray:
    """Return the bits of each codeword of the best code of at most ``limit`` bits, for ``counts`` in descending order.

    Package-merge: of ``limit`` lists, each the symbols merged with the pairs of the list before, the first ``2n - 2``
    items of the last are taken, and so on down; a symbol's length is the number of lists in which it is taken.
    """
    rising = counts[::-1].astype(np.int64)
    size = rising.size
    if size == 1:
        return np.ones(1, np.int64)  # a codeword of 0 bits would suffice, but not every kernel reads one
    items = rising
    ranks = [np.arange(size)]  # in each list, the positions of the symbols
    for _ in range(limit - 1):
        pairs = items[: items.size // 2 * 2].reshape(-1, 2).sum(axis=1)
        # A symbol goes before a pair of the same weight, which keeps the codewords short.
        ranks.append(np.arange(size) + np.searchsorted(pairs, rising, side="left"))
        merged = np.empty(size + pairs.size, np.int64)
        is_pair = np.ones(merged.size, np.bool_)
        is_pair[ranks[-1]] = False
        merged[ranks[-1]], merged[is_pair] = rising, pairs
        items = merged
    lengths = np.zeros(size, np.int64)
    taken = 2 * size - 2
    for rank in reversed(ranks):
        symbols = int(np.searchsorted(rank, taken, side="left"))
        lengths[:symbols] += 1
        taken = 2 * (taken - symbols)
    return lengths[::-1]


def codewords(lengths: np.ndarray) -> np.ndarray:
    """Return the canonical codewords for ascending lengths: the previous one plus one, zeros appended."""
    longest = int(lengths[-1])
    steps = np.int64(1) << (longest - lengths)
    starts = np.cumsum(steps) - steps
    return np.asarray(starts >> (longest - lengths), np.uint32)


def leaf_counts(lengths: np.ndarray) -> np.ndarray:
    """Return the number of codewords that end at each depth of the tree; a single codeword gets an unused sibling."""
    leaves = np.bincount(lengths)
    if lengths.size == 1:
        leaves[1] = 2
    return leaves


def _splits_in_reach(
    lengths: np.ndarray, counts: np.ndarray, entries: Entries
) -> tuple[tuple[np.ndarray, ...], int, int]:
    """Return the cheapest tables whose distances fit into an entry; returns as :func:`_cheapest_splits`.

    If many values make look-ups expensive, tables grow too far apart. The smallest for 256 values have 510 entries.
    """
    price = entries.dtype.itemsize * LOOK_UPS_PER_BYTE
    while True:
        found = _cheapest_splits(lengths, counts, price)
        if found[1] <= entries.most + 1:
            return found
        price *= 2


def _cheapest_splits(
    lengths: np.ndarray, counts: np.ndarray, entry_price: int
) -> tuple[tuple[np.ndarray, ...], int, int]:
    """Split the tree of a canonical code into the cheapest tables, where an entry costs ``entry_price`` look-ups.

    At each depth of the tree the leaves come first, then the inner nodes; child ``k`` of the nodes above is a leaf if
    ``k`` is below the number of leaves. The inner nodes ``b`` levels below a node are therefore a range, and the cost
    of the tables that start there is a difference of two sums.

    Returns:
        For each depth, the bits of a table that starts at each inner node; number of entries; number of look-ups.
    """
    leaves = leaf_counts(lengths)
    depth = leaves.size - 1
    inner = [1]
    for level in range(1, depth + 1):
        inner.append(2 * inner[-1] - int(leaves[level]))
    ends = np.searchsorted(lengths, np.arange(depth + 2))
    nothing = np.zeros((3, 1), np.int64)
    sums = [nothing] * (depth + 1)  # cost, entries, look-ups of the tables that start at the first k inner nodes
    splits: list[np.ndarray] = [np.zeros(0, np.int64)] * depth
    weights = np.zeros(0, np.int64)  # frequency of each inner node
    for level in range(depth - 1, -1, -1):
        of_leaves = np.zeros(int(leaves[level + 1]), np.int64)
        own = counts[ends[level + 1] : ends[level + 2]]
        of_leaves[: own.size] = own
        weights = np.concatenate([of_leaves, weights]).reshape(-1, 2).sum(axis=1)
        low, high = np.arange(inner[level]), np.arange(1, inner[level] + 1)
        least, choice = np.full((3, inner[level]), np.iinfo(np.int64).max), np.zeros(inner[level], np.int64)
        for bits in range(1, depth - level + 1):
            below = int(leaves[level + bits])
            low, high = np.maximum(2 * low - below, 0), np.maximum(2 * high - below, 0)
            found = sums[level + bits][:, high] - sums[level + bits][:, low]
            found += np.array([[entry_price << bits], [1 << bits], [0]])
            found[[0, 2]] += weights
            better = found[0] <= least[0]
            least, choice = np.where(better, found, least), np.where(better, bits, choice)
        sums[level] = np.concatenate([nothing, np.cumsum(least, axis=1)], axis=1)
        splits[level] = choice
    _, entries, look_ups = sums[0][:, -1].tolist()
    return tuple(splits), entries, look_ups
