"""The codec of tensors whose values are not equally frequent: a prefix code, and the tables that read it.

Format, from ``decode_state_huffman.cc`` and its header in tflite-micro: the encoded vector is one stream of bits, most
significant first, read as big-endian words of 32 bits. A codeword is read through one table after the other. The first
has ``2 ** (byte 5 >> 4) + 1)`` entries, looked up with as many bits of the stream as that takes. An entry of 16 bits is

    bit 15      1: the value is found; 0: another table follows
    bits 14-11  found: how many of the bits looked up belong to the codeword, the others are read again;
                else: the bits of the next table's look-up, less one
    bits 10-0   found: the value; else: how far behind this entry the next table begins

With bit 0 of byte 5 set, entries have 32 bits, 27 of them below the count; int16 needs that. Behind the last word of the
stream there is a spare one, because a look-up may reach beyond the last codeword.

The code is the best one with codewords of at most :data:`LONGEST` bits (package-merge: Larmore and Hirschberg 1990), in
canonical order. Of all limits and of all ways to split its tree into tables, the smallest in sum is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tflite_sparse.encoding.decodable import (
    HEADER_BYTES,
    Decodable,
    as_bytes,
    bits_of,
    check_padding,
    check_size,
    with_header,
)
from tflite_sparse.encoding.layout import element_count

DTYPES = frozenset(map(np.dtype, (np.int8, np.int16)))
"""What the runtime decodes."""
LONGEST = 15
"""Bits of a codeword. What longer ones would save is lost in their tables."""

_WORD_BITS = 32
_LONGEST_IN_FILES = 31  # the runtime does not count; a file of others may have longer codewords than ours
_CHUNK = 1 << 20  # places in the stream that are looked up at a time


@dataclass(frozen=True, slots=True)
class _Entries:
    """How an entry of a table is put together."""

    dtype: np.dtype[Any]
    count_shift: int

    @property
    def found(self) -> int:
        return 1 << (self.count_shift + 4)

    @property
    def most(self) -> int:
        """The largest value or distance."""
        return (1 << self.count_shift) - 1


_NARROW = _Entries(np.dtype("<u2"), 11)
_WIDE = _Entries(np.dtype("<u4"), 27)


@dataclass(frozen=True, slots=True)
class _Code:
    """A canonical code and its tables.

    Attributes:
        symbols: the distinct values as bits, in the order of their codewords.
        lengths: bits of each codeword, ascending.
        splits: for each inner node of the tree, as [depth][place among the inner nodes there], the bits of a table that
            begins there.
        nbytes: of stream, tables and header.
    """

    symbols: np.ndarray
    lengths: np.ndarray
    splits: tuple[np.ndarray, ...]
    nbytes: int


def refusal(shape: tuple[int, ...], dtype: np.dtype[Any]) -> str | None:
    """Why the runtime does not take a tensor so, or None. Channels and zero points do not matter."""
    if dtype not in DTYPES:
        return f"{dtype} cannot be Huffman-coded"
    if element_count(shape) == 0:
        return "it has no values"
    return None


def encode(values: np.ndarray) -> Decodable:
    """Store the stream and the tables.

    Args:
        values: int8 or int16, at least one.

    Raises:
        ValueError: the runtime would not take it, or an int16 tensor has more distinct values than the code has room for.
    """
    bits = _checked(values)
    code = _best_code(bits)
    codewords = _codewords(code.lengths)
    places = np.zeros(1 << (8 * values.itemsize), np.intp)
    places[code.symbols] = np.arange(code.symbols.size)
    order = places[bits]
    stream = _pack(codewords[order], code.lengths[order])
    entries = _entries_for(values.dtype)
    first, tables = _tables(code, codewords, entries)
    parameters = ((first - 1) << 4) | (entries is _WIDE)
    return with_header("huffman", parameters, as_bytes(stream.astype(">u4").view("<u4")), tables)


def nbytes(values: np.ndarray) -> int:
    """Bytes of what :func:`encode` returns, without the stream.

    Raises:
        ValueError: as :func:`encode`.
    """
    return _best_code(_checked(values)).nbytes


def decode(decodable: Decodable, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """The array of this shape and dtype.

    Raises:
        ValueError: the runtime would not take it, a table is cut off, has entries that no codeword reaches, that disagree,
            or whose value is none of the dtype, the stream ends early or late, or bits behind it are set. Nothing is
            allocated for more values than the stream has bits.
    """
    _check_kind(shape, dtype)
    size = element_count(shape)
    parameters = int(decodable.ancillary[5])
    entries = _WIDE if parameters & 1 else _NARROW
    if parameters & 0x0E or decodable.ancillary[6]:
        raise ValueError("bits of its header that must be zero are not")
    if entries is _NARROW and dtype != np.int8:
        raise ValueError(f"it has tables for int8, not for {dtype}")
    if decodable.contents.size % entries.dtype.itemsize:
        raise ValueError("its tables end inside an entry")
    tables = np.ascontiguousarray(decodable.contents).view(entries.dtype).astype(np.int64)
    first = (parameters >> 4) + 1
    _check_tables(tables, first, entries, dtype.itemsize * 8)
    if decodable.encoded.size % 4 or decodable.encoded.size * 8 < size + _WORD_BITS:
        raise ValueError(f"its stream of {decodable.encoded.size:,} bytes is too short or no whole number of words")
    words = np.ascontiguousarray(decodable.encoded).view(">u4").astype(np.uint64)
    used = (words.size - 1) * _WORD_BITS
    starts, end = _starts(_Reader(words, tables, first, entries), used, size)
    check_size("stream", decodable.encoded, 4 * (-(-end // _WORD_BITS) + 1))
    check_padding(decodable.encoded, end)
    found = np.empty(size, f"u{dtype.itemsize}")
    for begin in range(0, size, _CHUNK):
        piece = starts[begin : begin + _CHUNK]
        found[begin : begin + _CHUNK] = _Reader(words, tables, first, entries).look_up(piece)[0]
    return found.view(dtype).reshape(shape)


def _entries_for(dtype: np.dtype[Any]) -> _Entries:
    """Two tables of int8 values are never 2048 entries apart: fewer than 512 are enough for 256 values."""
    return _NARROW if dtype.itemsize == 1 else _WIDE


def _check_kind(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    reason = refusal(shape, dtype)
    if reason is not None:
        raise ValueError(reason)


def _checked(values: np.ndarray) -> np.ndarray:
    """The values as bits, one-dimensional."""
    _check_kind(values.shape, values.dtype)
    return bits_of(values).reshape(-1)


# The code


def _best_code(bits: np.ndarray) -> _Code:
    counts = np.bincount(bits, minlength=1 << (8 * bits.itemsize))
    symbols = np.flatnonzero(counts)
    if symbols.size > 1 << LONGEST:
        raise ValueError(f"it has more than {1 << LONGEST} distinct values")
    symbols = symbols[np.argsort(-counts[symbols], kind="stable")]
    counts = counts[symbols]
    item = _entries_for(bits.dtype).dtype.itemsize
    best: _Code | None = None
    previous = None
    for limit in range(max((symbols.size - 1).bit_length(), 1), LONGEST + 1):
        lengths = _lengths(counts, limit)
        if previous is not None and np.array_equal(lengths, previous):
            break  # no codeword wants to be longer
        previous = lengths
        splits, table_entries = _cheapest_splits(lengths)
        stream = -(-int(counts @ lengths) // _WORD_BITS) * 4 + 4
        total = HEADER_BYTES + stream + table_entries * item
        if best is None or total < best.nbytes:
            best = _Code(symbols, lengths, splits, total)
    assert best is not None
    return best


def _lengths(counts: np.ndarray, limit: int) -> np.ndarray:
    """Bits of each codeword of the best code of at most ``limit`` bits, for ``counts`` in descending order.

    Package-merge: of ``limit`` lists, each the symbols merged with the pairs of the list before, the first ``2n - 2`` items
    of the last are taken, and so on down; a symbol's length is the number of lists in which it is taken.
    """
    rising = counts[::-1].astype(np.int64)
    size = rising.size
    if size == 1:
        return np.ones(1, np.int64)  # a codeword of no bits would do, but not every kernel reads one
    items = rising
    ranks = [np.arange(size)]  # in each list, the places of the symbols
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


def _codewords(lengths: np.ndarray) -> np.ndarray:
    """Canonical codewords for ascending lengths: each is the one before plus one, with zeros behind."""
    longest = int(lengths[-1])
    steps = np.int64(1) << (longest - lengths)
    starts = np.cumsum(steps) - steps
    return np.asarray(starts >> (longest - lengths), np.uint32)


def _leaves(lengths: np.ndarray) -> np.ndarray:
    """How many codewords end at each depth of the tree; a tree of one codeword has its twin beside it."""
    leaves = np.bincount(lengths)
    if lengths.size == 1:
        leaves[1] = 2
    return leaves


def _cheapest_splits(lengths: np.ndarray) -> tuple[tuple[np.ndarray, ...], int]:
    """Split the tree of a canonical code into tables with the fewest entries in sum.

    At each depth of the tree the leaves come first, then the inner nodes; child ``k`` of the nodes above is a leaf if ``k``
    is below the number of leaves. The inner nodes ``b`` levels below a node are therefore a range, and what the tables
    from there on take is a difference of two sums.

    Returns:
        For each depth the bits of a table that begins at each inner node, and the number of entries. Of equally small
        ways the one with the larger tables, which are looked up less often.
    """
    leaves = _leaves(lengths)
    depth = leaves.size - 1
    inner = [1]
    for level in range(1, depth + 1):
        inner.append(2 * inner[-1] - int(leaves[level]))
    sums = [np.zeros(1, np.int64)] * (depth + 1)  # entries of the tables that begin at the first k inner nodes
    splits: list[np.ndarray] = [np.zeros(0, np.int64)] * depth
    for level in range(depth - 1, -1, -1):
        low, high = np.arange(inner[level]), np.arange(1, inner[level] + 1)
        least, choice = np.full(inner[level], np.iinfo(np.int64).max), np.zeros(inner[level], np.int64)
        for bits in range(1, depth - level + 1):
            below = int(leaves[level + bits])
            low, high = np.maximum(2 * low - below, 0), np.maximum(2 * high - below, 0)
            entries = (1 << bits) + sums[level + bits][high] - sums[level + bits][low]
            better = entries <= least
            least, choice = np.where(better, entries, least), np.where(better, bits, choice)
        sums[level] = np.concatenate([np.zeros(1, np.int64), np.cumsum(least)])
        splits[level] = choice
    return tuple(splits), int(sums[0][-1])


def _tables(code: _Code, codewords: np.ndarray, entries: _Entries) -> tuple[int, np.ndarray]:
    """The bits of the first look-up, and all tables one behind the other."""
    leaves = _leaves(code.lengths)
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


def _pack(codewords: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The codewords one behind the other in words of 32 bits, and the spare word; uint32, in the machine's order."""
    ends = np.cumsum(lengths)
    starts = ends - lengths
    words = np.zeros(-(-int(ends[-1]) // _WORD_BITS) + 1, np.uint32)
    word, offset = starts // _WORD_BITS, starts % _WORD_BITS
    shifted = codewords.astype(np.uint64) << (2 * _WORD_BITS - offset - lengths).astype(np.uint64)
    # In every word a codeword begins, and at most one reaches into the next.
    first = np.flatnonzero(np.diff(word, prepend=-1))
    words[:-1] = np.bitwise_or.reduceat(shifted >> np.uint64(_WORD_BITS), first)[: words.size - 1]
    over = np.flatnonzero(offset + lengths > _WORD_BITS)
    words[word[over] + 1] |= (shifted[over] & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    return words


# Reading


def _check_tables(tables: np.ndarray, first: int, entries: _Entries, value_bits: int) -> None:
    """Walk through all tables; each entry must be reached once, so that the walk ends."""
    reached = np.zeros(tables.size, np.bool_)
    waiting = [(0, first, 0)]  # where the table begins, bits of its look-up, bits before
    while waiting:
        begin, bits, depth = waiting.pop()
        end = begin + (1 << bits)
        if end > tables.size or np.any(reached[begin:end]) or depth + bits > _LONGEST_IN_FILES:
            raise ValueError("a table lies outside the others, or over one of them")
        reached[begin:end] = True
        table = tables[begin:end]
        counts = (table >> entries.count_shift) & 15
        found = table & entries.found != 0
        rest = table & entries.most
        if np.any(counts[found] < 1) or np.any(counts[found] > bits) or np.any(rest[found] >> value_bits):
            raise ValueError("an entry of a table has a value or a number of bits that cannot be")
        places = np.arange(table.size)
        heads = np.where(found, places >> (bits - counts) << (bits - counts), places)
        if np.any(table[heads] != table):
            raise ValueError("entries of a table that stand for the same codeword disagree")
        for place in np.flatnonzero(~found):
            waiting.append((begin + int(place) + int(rest[place]), int(counts[place]) + 1, depth + bits))
    if not reached.all():
        raise ValueError("it has entries of tables that no codeword reaches")


@dataclass(frozen=True, slots=True)
class _Reader:
    """A stream with the tables that read it; all numbers in 64 bits."""

    words: np.ndarray
    tables: np.ndarray
    first: int
    entries: _Entries

    def look_up(self, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The values and lengths of the codewords that begin at these bits of the stream, the spare word excepted."""
        values, lengths = np.empty(starts.size, np.int64), np.empty(starts.size, np.int64)
        open_ = np.arange(starts.size)
        begin = np.zeros(starts.size, np.int64)  # of the table
        bits = np.full(starts.size, self.first)
        depth = np.zeros(starts.size, np.int64)
        while open_.size:
            place = begin + self._peek(starts[open_] + depth, bits)
            entry = self.tables[place]
            counts, rest = (entry >> self.entries.count_shift) & 15, entry & self.entries.most
            found = entry & self.entries.found != 0
            values[open_[found]] = rest[found]
            lengths[open_[found]] = (depth + counts)[found]
            more = ~found
            open_, begin, depth = open_[more], (place + rest)[more], (depth + bits)[more]
            bits = counts[more] + 1
        return values, lengths

    def _peek(self, starts: np.ndarray, bits: np.ndarray) -> np.ndarray:
        """That many bits from there on; zeros behind the end."""
        word = np.minimum(starts // _WORD_BITS, self.words.size - 1)
        after = np.minimum(word + 1, self.words.size - 1)
        pair = (self.words[word] << np.uint64(_WORD_BITS)) | self.words[after]
        shift = (2 * _WORD_BITS - starts % _WORD_BITS - bits).astype(np.uint64)
        mask = (np.int64(1) << bits) - 1
        return (pair >> shift).astype(np.int64) & mask


def _starts(reader: _Reader, used: int, size: int) -> tuple[np.ndarray, int]:
    """Where each of ``size`` codewords begins, and where the last one ends.

    From every bit of the stream a codeword is read; then these are followed from the first on, eight codewords a step.
    """
    beyond = used + 1
    following = np.full(used + 2, beyond)
    for begin in range(0, used, _CHUNK):
        places = np.arange(begin, min(begin + _CHUNK, used))
        following[places] = np.minimum(places + reader.look_up(places)[1], beyond)
    two = following[following]
    four = two[two]
    leap = memoryview(four[four])
    anchors = np.empty(-(-size // 8), np.int64)
    place = 0
    for number in range(anchors.size):
        anchors[number] = place
        place = leap[place]
    starts = np.empty((anchors.size, 8), np.int64)
    starts[:, 0] = anchors
    for column in range(1, 8):
        starts[:, column] = following[starts[:, column - 1]]
    flat = starts.reshape(-1)[:size]
    end = int(following[flat[-1]])
    if end > used:
        raise ValueError("its stream ends before its last value")
    return flat, end
