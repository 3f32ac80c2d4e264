"""Fixed-point functions beside real ones."""

import numpy as np

from tflite_sparse.standalone_c import fixed_point


def test_functions_are_near_the_real_ones():
    x = np.linspace(-15.9, 15.9, 4001)
    q4 = np.round(x * 2**27).astype(np.int64)
    assert np.abs(fixed_point.logistic(q4) / 2**31 - 1 / (1 + np.exp(-x))).max() < 1e-7
    assert np.abs(fixed_point.tanh(q4) / 2**31 - np.tanh(x)).max() < 2e-7
    negative = -np.abs(x)
    exponentials = fixed_point.exp_on_negative_values(np.round(negative * 2**26).astype(np.int64), 5)
    assert np.abs(exponentials / 2**31 - np.exp(negative)).max() < 3e-7
    assert fixed_point.exp_on_negative_values(np.array([0, -(2**31) + 1]), 5).tolist() == [2**31 - 1, 0]


def test_rounding_is_to_nearest_and_halves_go_away_from_zero():
    assert fixed_point.divided_by_power(np.array([5, -5, 6, -6, 7, -7]), 2).tolist() == [1, -1, 2, -2, 2, -2]
    half = np.array([1, -1]) << 30
    assert fixed_point.doubling_high_product(half, 1).tolist() == [1, 0]  # C's division cuts the negative half
    assert fixed_point.doubling_high_product(np.array([-(2**31)]), -(2**31)).tolist() == [2**31 - 1]
