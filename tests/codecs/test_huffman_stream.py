"""The stream of a Huffman code: words, and the way back."""

import numpy as np
import pytest

from tflite_sparse.codecs import huffman_stream
from tflite_sparse.codecs.huffman_format import WINDOW

LENGTHS = np.where(np.arange(1 << WINDOW) >> (WINDOW - 1), 2, 1).astype(np.uint8)  # codewords 0, 10 and 11
VALUES = np.array([7, 7, 8, 9], np.uint8)[np.arange(1 << WINDOW) >> (WINDOW - 2)]


def in_bytes(words):
    return words.astype(">u4").view(np.uint8)


def test_a_codeword_reaches_into_the_next_word_and_a_spare_one_follows():
    words = huffman_stream.pack(np.array([5] * 11, np.uint32), np.array([3] * 11))
    assert [f"{word:032b}" for word in words.tolist()] == ["101" * 10 + "10", "1" + "0" * 31, "0" * 32]


@pytest.mark.parametrize("count", [1, 31, 32, 1000])
def test_what_is_followed_is_what_was_packed(count):
    symbols = np.random.default_rng(count).integers(0, 3, count)
    lengths = np.array([1, 2, 2])[symbols]
    stream = in_bytes(huffman_stream.pack(np.array([0, 2, 3], np.uint32)[symbols], lengths))
    values, end = huffman_stream.follow(stream, LENGTHS, VALUES, count)
    assert values.tolist() == (symbols + 7).tolist()
    assert end == lengths.sum()


@pytest.mark.parametrize("words", [1, 2])
def test_a_stream_that_ends_early_is_refused(words):
    """A word holds 16 codewords of 2 bits; none begins in the spare word."""
    stream = np.full(4 * words + 4, 255, np.uint8)
    assert huffman_stream.follow(stream, LENGTHS, VALUES, 16 * words)[1] == 32 * words
    with pytest.raises(ValueError, match="ends before its last value"):
        huffman_stream.follow(stream, LENGTHS, VALUES, 16 * words + 1)
