"""The codec of tensors whose values are not equally frequent: a prefix code, and the tables that read it.

Format, from ``decode_state_huffman.cc`` and its header in tflite-micro: the encoded vector is one stream of bits, most
significant first, read as big-endian words of 32 bits. A codeword is read through one table after the other. The first
has ``2 ** ((byte 5 >> 4) + 1)`` entries, looked up with as many bits of the stream as that takes. An entry of 16 bits:

    bit 15      1: the value is found; 0: another table follows
    bits 14-11  found: how many of the bits looked up belong to the codeword, the others are read again;
                else: the bits of the next table's look-up, less one
    bits 10-0   found: the value; else: how far behind this entry the next table begins

With bit 0 of byte 5 set, entries have 32 bits, 27 of them below the count; int16 needs that. Behind the last word of
the stream there is a spare one, because a look-up may reach beyond the last codeword.

The code is the best one with codewords of at most :data:`LONGEST` bits (package-merge: Larmore and Hirschberg 1990), in
canonical order. Of all limits and of all ways to split its tree into tables, the smallest is taken, where a look-up
more for each of :data:`LOOK_UPS_PER_BYTE` values counts as a byte: the runtime decodes again in every run.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tflite_sparse.codecs.decodable import (
    HEADER_BYTES,
    Decodable,
    as_bytes,
    bits_of,
    check_padding,
    check_size,
    shape_refusal,
    with_header,
)
from tflite_sparse.codecs.layout import element_count

DTYPES = frozenset(map(np.dtype, (np.int8, np.int16)))
"""What the runtime decodes."""
LONGEST = 15
"""Bits of a codeword. What longer ones would save is lost in their tables."""
LOOK_UPS_PER_BYTE = 512
"""How many look-ups in a run are worth a byte of the file: up to half of them then go, for some 0.1 % of the size."""

_WORD_BITS = 32
_WINDOW = 16  # bits of the longest codeword that is read
_PIECE = 1 << 22  # bits of the stream that are read at a time


@dataclass(frozen=True, slots=True)
class _Entries:
    """How an entry of a table is put together."""

    dtype: np.dtype
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


def refusal(values: np.ndarray) -> str | None:
    """Why the runtime does not take a tensor so, or None. Channels and zero points do not matter."""
    reason = _refusal_of_kind(values.shape, values.dtype)
    if reason is None and np.count_nonzero(_counts(bits_of(values).reshape(-1))) > 1 << LONGEST:
        reason = f"it has more than {1 << LONGEST} distinct values"
    return reason


def encode(values: np.ndarray) -> Decodable:
    """Store the stream and the tables.

    Args:
        values: int8 or int16, at least one, of at most 32768 distinct values.

    Raises:
        ValueError: it is something else.
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


def decode(decodable: Decodable, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """The array of this shape and dtype.

    Raises:
        ValueError: the runtime would not take it, a table is cut off, has entries that no codeword reaches, that
            disagree, or whose value is none of the dtype, the stream ends early or late, or bits behind it are set.
            Nothing is allocated for more values than the stream has bits.
    """
    reason = _refusal_of_kind(shape, dtype)
    if reason is not None:
        raise ValueError(reason)
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
    lengths, found = _read_tables(tables, (parameters >> 4) + 1, entries, dtype.itemsize * 8)
    # Every value takes a bit at least.
    if decodable.encoded.size % 4 or decodable.encoded.size * 8 < size + _WORD_BITS:
        raise ValueError(f"its stream of {decodable.encoded.size:,} bytes is too short or no whole number of words")
    values, end = _follow(decodable.encoded, lengths, found.astype(f"u{dtype.itemsize}"), size)
    check_size("stream", decodable.encoded, 4 * (-(-end // _WORD_BITS) + 1))
    check_padding(decodable.encoded, end)
    return values.view(dtype).reshape(shape)


def _entries_for(dtype: np.dtype) -> _Entries:
    """int8 has narrow ones: tables for 256 values need not be further apart than these can tell."""
    return _NARROW if dtype.itemsize == 1 else _WIDE


def _refusal_of_kind(shape: tuple[int, ...], dtype: np.dtype) -> str | None:
    if dtype not in DTYPES:
        return f"{dtype} cannot be Huffman-coded"
    return shape_refusal(shape)


def _checked(values: np.ndarray) -> np.ndarray:
    """The values as bits, one-dimensional."""
    reason = refusal(values)
    if reason is not None:
        raise ValueError(reason)
    return bits_of(values).reshape(-1)


# The code


def _counts(bits: np.ndarray) -> np.ndarray:
    """How often each value that the dtype has occurs."""
    return np.bincount(bits, minlength=1 << (8 * bits.itemsize))


def _best_code(bits: np.ndarray) -> _Code:
    counts = _counts(bits)
    symbols = np.flatnonzero(counts)
    symbols = symbols[np.argsort(-counts[symbols], kind="stable")]
    counts = counts[symbols]
    entries = _entries_for(bits.dtype)
    item = entries.dtype.itemsize
    best, least = None, 0
    previous = None
    for limit in range(max((symbols.size - 1).bit_length(), 1), LONGEST + 1):
        lengths = _lengths(counts, limit)
        if previous is not None and np.array_equal(lengths, previous):
            break  # no codeword wants to be longer
        previous = lengths
        splits, table_entries, look_ups = _splits_in_reach(lengths, counts, entries)
        stream = -(-int(counts @ lengths) // _WORD_BITS) * 4 + 4
        total = HEADER_BYTES + stream + table_entries * item
        cost = total * LOOK_UPS_PER_BYTE + look_ups
        if best is None or cost < least:
            best, least = _Code(symbols, lengths, splits, total), cost
    assert best is not None
    return best


def _lengths(counts: np.ndarray, limit: int) -> np.ndarray:
    """Bits of each codeword of the best code of at most ``limit`` bits, for ``counts`` in descending order.

    Package-merge: of ``limit`` lists, each the symbols merged with the pairs of the list before, the first ``2n - 2``
    items of the last are taken, and so on down; a symbol's length is the number of lists in which it is taken.
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


def _splits_in_reach(
    lengths: np.ndarray, counts: np.ndarray, entries: _Entries
) -> tuple[tuple[np.ndarray, ...], int, int]:
    """The cheapest tables of which every one can be reached from every other; returns as :func:`_cheapest_splits`.

    Where very many values make look-ups dear, tables grow too far apart. The smallest for 256 values have 510 entries.
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
    """Split the tree of a canonical code into the cheapest tables, an entry costing as much as so many look-ups.

    At each depth of the tree the leaves come first, then the inner nodes; child ``k`` of the nodes above is a leaf if
    ``k`` is below the number of leaves. The inner nodes ``b`` levels below a node are therefore a range, and what the
    tables from there on cost is a difference of two sums.

    Returns:
        For each depth the bits of a table that begins at each inner node; the number of entries; that of look-ups.
    """
    leaves = _leaves(lengths)
    depth = leaves.size - 1
    inner = [1]
    for level in range(1, depth + 1):
        inner.append(2 * inner[-1] - int(leaves[level]))
    ends = np.append(np.searchsorted(lengths, np.arange(depth + 1)), lengths.size)
    nothing = np.zeros((3, 1), np.int64)
    sums = [nothing] * (depth + 1)  # cost, entries, look-ups of the tables that begin at the first k inner nodes
    splits: list[np.ndarray] = [np.zeros(0, np.int64)] * depth
    weights = np.zeros(0, np.int64)  # how often each inner node is passed
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
    # At most one codeword reaches from a word into the next.
    first = np.flatnonzero(np.diff(word, prepend=-1))
    words[word[first]] = np.bitwise_or.reduceat(shifted >> np.uint64(_WORD_BITS), first)
    over = np.flatnonzero(offset + lengths > _WORD_BITS)
    words[word[over] + 1] |= (shifted[over] & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    return words


# Reading


def _read_tables(tables: np.ndarray, first: int, entries: _Entries, value_bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Walk through all tables; each entry must be reached once, so that the walk ends.

    Returns:
        For all that the next :data:`_WINDOW` bits of the stream can be, the bits of the codeword with which they begin,
        and its value.
    """
    lengths, values = np.zeros(1 << _WINDOW, np.uint8), np.zeros(1 << _WINDOW, np.int64)
    reached = np.zeros(tables.size, np.bool_)
    waiting = [(0, first, 0, 0)]  # where the table begins, bits of its look-up, the bits before and how many they are
    while waiting:
        begin, bits, prefix, depth = waiting.pop()
        end, rest_bits = begin + (1 << bits), _WINDOW - depth - bits
        if end > tables.size or np.any(reached[begin:end]):
            raise ValueError("a table lies outside the others, or over one of them")
        if rest_bits < 0:
            raise ValueError(f"it has codewords of more than {_WINDOW} bits")
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


def _follow(stream: np.ndarray, lengths: np.ndarray, values: np.ndarray, size: int) -> tuple[np.ndarray, int]:
    """Read ``size`` values; return them and the bit where the last codeword ends. It begins before the spare word.

    In a piece of the stream, a codeword is read from every bit; then these are followed, eight codewords a step.
    """
    used = (stream.size - _WORD_BITS // 8) * 8
    found = np.empty(size, values.dtype)
    done = place = 0
    for begin in range(0, used, _PIECE):
        windows = _windows(stream[begin // 8 : min(begin + _PIECE, used) // 8 + 2])
        count = windows.size
        # The last codeword may end behind the piece; steps from there lead nowhere else.
        following = np.arange(count + _WINDOW, dtype=np.int32)
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
    """The :data:`_WINDOW` bits that begin at each bit of these bytes, the last two bytes excepted."""
    wide = stream.astype(np.uint32)
    three = (wide[:-2] << 16) | (wide[1:-1] << 8) | wide[2:]
    return (three[:, None] >> np.arange(8, 0, -1, dtype=np.uint32)).astype(np.uint16).reshape(-1)
