"""Paired weights: their bytes, and that both outputs come back from one product."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tflite_sparse.codecs import dense_weights
from tflite_sparse.codecs.streams.parameters import Parameters


def test_bytes_of_a_pair():
    weights = np.array([[1, 2, 3, 4], [5, -6, 7, 8]], np.int8)
    halves = [1 + 256 * 5, 3 + 256 * 7, 2 - 256 * 6, 4 + 256 * 8]  # inputs 0 and 2, then 1 and 3
    assert dense_weights.paired_matrix(weights).tobytes() == np.array(halves, "<i2").tobytes()


def test_groups_of_eight_come_before_pairs():
    weights = np.arange(10)[:, None].repeat(4, axis=1).astype(np.int8)
    found = dense_weights.paired_matrix(weights).view("<i2").reshape(-1, 2)
    pairs = [0 + 256, 2 + 256 * 3, 4 + 256 * 5, 6 + 256 * 7]
    assert found[:, 0].tolist() == [*pairs, *pairs, 8 + 256 * 9, 8 + 256 * 9]
    assert np.array_equal(found[:, 0], found[:, 1])


@given(st.integers(1, 5), st.integers(1, 13), st.integers(0, 2**32))
def test_sums_of_both_outputs_are_exact(outputs, inputs, seed):
    rng = np.random.default_rng(seed)
    weights = rng.integers(-127, 128, (outputs, 1, 1, inputs)).astype(np.int8)
    x = np.zeros(-(-inputs // 4) * 4, np.int64)
    x[:inputs] = rng.integers(-128, 128, inputs)
    paired = dense_weights.paired_convolution(weights)
    assert paired.size == (outputs + outputs % 2) * x.size
    words = paired.view("<i2").reshape(-1, x.size // 4, 2, 2).astype(np.int64)
    inputs_of_words = x.reshape(-1, 2, 2).transpose(0, 2, 1)
    both = (words * inputs_of_words).sum(axis=(1, 2, 3))
    first = (words.astype(np.int8) * inputs_of_words).sum(axis=(1, 2, 3))
    found = np.stack([first, (both - first) // 256], axis=1).reshape(-1)[:outputs]
    assert np.array_equal(found, weights.reshape(outputs, -1) @ x[:inputs])


def test_the_least_int8_is_refused():
    weights = np.array([[-128, 0]], np.int8)
    assert not dense_weights.can_be_paired(weights)
    with pytest.raises(ValueError, match="-128"):
        dense_weights.paired_matrix(weights)


@pytest.mark.parametrize(
    ("bias", "shift", "wide"),
    [(0, -5, False), (2**30 - 128 * 5, -5, True), (2**30 - 128 * 5 - 1, -5, False), (2**20, 10, True), (0, -21, True)],
)
def test_wide_sums_are_found(bias, shift, wide):
    parameters = Parameters(np.array([bias, 0], np.int32), np.full(2, 2**30, np.int32), np.full(2, shift, np.int8))
    assert dense_weights.is_wide(parameters, np.array([[2, -3], [1, 1]], np.int8)) is wide
