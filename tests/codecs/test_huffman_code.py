"""The choice of a Huffman code: its lengths and its codewords."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from helpers.huffman_bound import bits_of_a_huffman_code
from tflite_sparse.codecs import huffman_code


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


def test_codewords_are_canonical():
    words = huffman_code.codewords(np.array([1, 3, 3, 3, 4, 4]))
    assert [f"{word:b}".zfill(length) for word, length in zip(words.tolist(), [1, 3, 3, 3, 4, 4], strict=True)] == [
        "0",
        "100",
        "101",
        "110",
        "1110",
        "1111",
    ]
