"""Choices of samples."""

import numpy as np

from tflite_sparse.sources import arrays


def test_all_samples_are_not_copied():
    x = np.arange(6)
    assert arrays.at_random(x, 6, 0) is arrays.at_random(x, 7, 0) is x


def test_some_samples_at_random_keep_their_order():
    x = {"a": np.arange(100), "b": 2 * np.arange(100)}
    for most in (5, 99):
        first, second = (arrays.at_random(x, most, seed) for seed in (0, 1))
        assert arrays.count(first) == most
        assert (np.diff(first["a"]) > 0).all()
        assert np.array_equal(first["b"], 2 * first["a"])
        assert not np.array_equal(first["a"], second["a"])
