"""The choice of a Huffman code: its lengths and its codewords."""

import functools
import itertools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from helpers.huffman_bound import bits_of_a_huffman_code
from tflite_sparse.codecs import huffman_code
from tflite_sparse.codecs.huffman_format import NARROW


@given(st.lists(st.integers(1, 10**6), min_size=2, max_size=256).map(lambda counts: sorted(counts, reverse=True)))
def test_no_code_is_shorter_where_the_limit_does_not_bind(counts):
    lengths = huffman_code.best_lengths(np.array(counts), 40)
    assert int(np.array(counts) @ lengths) == bits_of_a_huffman_code(counts)
    assert sum(2.0**-length for length in lengths.tolist()) == 1


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=6), st.integers(3, 5))
def test_no_code_within_the_limit_is_shorter(counts, limit):
    counts = sorted(counts, reverse=True)
    lengths = huffman_code.best_lengths(np.array(counts), limit)
    assert lengths.max() <= limit
    assert np.all(np.diff(lengths) >= 0)
    every = itertools.combinations_with_replacement(range(1, limit + 1), len(counts))
    feasible = [code for code in every if sum(2.0**-length for length in code) <= 1]
    assert int(np.array(counts) @ lengths) == min(int(np.dot(counts, code)) for code in feasible)


def test_counts_are_those_of_every_value_of_the_type():
    assert huffman_code.counts_of(np.array([3, 0, 3], np.uint8)).tolist() == [1, 0, 0, 2, *[0] * 252]
    assert huffman_code.counts_of(np.array([3], np.uint16)).size == 1 << 16


def test_equally_frequent_values_stand_in_rising_order():
    """Else files would differ from machine to machine."""
    bits = np.r_[np.arange(200), np.arange(50, 150)].astype(np.uint8)
    assert huffman_code.best(bits).symbols.tolist() == [*range(50, 150), *range(50), *range(150, 200)]


def test_codewords_are_canonical():
    words = huffman_code.codewords(np.array([1, 3, 3, 3, 4, 4]))
    assert words.dtype == np.uint32
    assert [f"{word:b}".zfill(length) for word, length in zip(words.tolist(), [1, 3, 3, 3, 4, 4], strict=True)] == [
        "0",
        "100",
        "101",
        "110",
        "1110",
        "1111",
    ]


def written(lengths):
    """The canonical codewords as strings."""
    words = huffman_code.codewords(lengths)
    return [f"{word:b}".zfill(length) for word, length in zip(words.tolist(), lengths.tolist(), strict=True)]


def cost_of_tables(words, counts, price):
    """The least of look-ups and entries, each of which costs so many, by trying every table at every node."""

    @functools.cache
    def of(prefix):
        below = {word: count for word, count in zip(words, counts, strict=True) if word.startswith(prefix)}

        def with_table(bits):
            end = len(prefix) + bits
            inner = {word[:end] for word in below if len(word) > end}
            return (price << bits) + sum(map(of, sorted(inner)))

        return sum(below.values()) + min(map(with_table, range(1, max(map(len, below)) - len(prefix) + 1)))

    return of("")


COUNTS = st.lists(st.integers(1, 60), min_size=1, max_size=8).map(lambda counts: sorted(counts, reverse=True))


@example([30, 26, 12, 8, 7, 6, 4, 4, 3, 3, *[2] * 8], 30)  # a table starts at a node behind others that have tables
@given(COUNTS, st.sampled_from((1, 5, 30, 1000)))
def test_no_tables_are_cheaper(counts, price):
    lengths = huffman_code.best_lengths(np.array(counts), 15)
    _, entries, look_ups = huffman_code._cheapest_splits(lengths, np.array(counts), price)
    assert entries * price + look_ups == cost_of_tables(written(lengths), counts, price)


@pytest.mark.parametrize(("entries", "prices"), [(2048, [1024]), (2049, [1024, 2048])])
def test_tables_may_have_one_entry_more_than_the_longest_distance(entries, prices, monkeypatch):
    found, asked = iter([((), entries, 0), ((), 8, 0)]), []

    def splits(lengths, counts, price):
        asked.append(price)
        return next(found)

    monkeypatch.setattr(huffman_code, "_cheapest_splits", splits)
    huffman_code._splits_in_reach(np.ones(2, int), np.ones(2, int), NARROW)
    assert asked == prices


def test_of_equally_cheap_tables_those_of_fewer_look_ups_are_taken():
    """8 entries and 7 look-ups, or 6 and 9."""
    counts = np.array([4, 1, 1, 1])
    splits, entries, look_ups = huffman_code._cheapest_splits(huffman_code.best_lengths(counts, 15), counts, 1)
    assert (splits[0].tolist(), entries, look_ups) == ([3], 8, 7)


@given(COUNTS)
def test_no_limit_of_codewords_is_cheaper(counts):
    """A byte counts as 512 look-ups; the header takes 16 bytes, an entry 2, and a spare word ends the stream."""
    code = huffman_code.best(np.repeat(np.arange(len(counts)), counts).astype(np.uint8))
    _, entries, look_ups = huffman_code._cheapest_splits(code.lengths, np.array(counts), 2 * 512)

    def cost(limit):
        lengths = huffman_code.best_lengths(np.array(counts), limit)
        stream = -(-int(np.array(counts) @ lengths) // 32) * 4 + 4
        return (16 + stream) * 512 + cost_of_tables(written(lengths), counts, 2 * 512)

    assert code.nbytes * 512 + look_ups == min(map(cost, range(max((len(counts) - 1).bit_length(), 1), 16)))
    assert code.nbytes == 16 + -(-int(np.array(counts) @ code.lengths) // 32) * 4 + 4 + 2 * entries


def test_of_equally_cheap_codes_that_of_the_shorter_limit_is_taken():
    counts = [35, 24, 9, 3, 2, 1, 1, 1]
    code = huffman_code.best(np.repeat(np.arange(8), counts).astype(np.uint8))
    assert code.lengths.tolist() == [2, 2, 3, 3, 4, 4, 4, 4]  # and not 1, 2, 4, 4 and four times 5


def test_no_codeword_is_longer_than_fifteen_bits():
    """One value is half of all, and the 20,000 others would take 16 bits each."""
    bits = np.concatenate([np.zeros(20_000), np.arange(1, 20_001)]).astype(np.uint16)
    assert huffman_code.best(bits).lengths.max() == 15
    assert huffman_code.best_lengths(np.r_[20_000, np.ones(20_000, int)], 16).max() == 16
