"""Data made for the inputs of a file, and outputs as real numbers."""

import numpy as np
import pytest

from tflite_sparse.runtime.inputs_and_outputs import InputDetails, Outputs


@pytest.mark.parametrize(
    ("real", "stored"), [(0.0, 10), (0.5, 11), (0.7, 11), (0.8, 12), (-3.0, 4), (1e6, 127), (-1e6, -128), (58.5, 127)]
)
def test_quantised(real, stored):
    detail = InputDetails("x", (1,), np.dtype(np.int8), 0.5, 10)
    found = detail.quantised(np.array([real], np.float32))
    assert found.dtype == np.int8
    assert found.tolist() == [stored]


def test_quantised_leaves_what_needs_nothing():
    int8 = InputDetails("x", (1,), np.dtype(np.int8), 0.5, 10)
    values = np.array([-5, 7], np.int8)
    np.testing.assert_array_equal(int8.quantised(values), values)
    float32 = InputDetails("x", (1,), np.dtype(np.float32), 0.0, 0)
    assert float32.quantised(np.array([1.5])).dtype == np.float32
    assert float32.quantised(np.array([1.5])).tolist() == [1.5]
    tokens = InputDetails("x", (1,), np.dtype(np.int32), 0.0, 0)
    assert tokens.quantised(np.array([3, 4])).tolist() == [3, 4]


def test_real_outputs():
    integers = np.array([[-128, 0, 127]], np.int8)
    outputs = Outputs((integers, np.array([[2.5]], np.float32), integers), (0.5, 0.0, 2.0), (-28, 0, 3))
    np.testing.assert_array_equal(outputs.real(), [[-50, 14, 77.5]])
    np.testing.assert_array_equal(outputs.real(1), [[2.5]])
    np.testing.assert_array_equal(outputs.real(2), [[-262, -6, 248]])
    assert outputs.real().dtype == outputs.real(1).dtype == np.float32


def test_samples_of_any_number_and_shape_are_quantised_alike():
    detail = InputDetails("x", (1, 7), np.dtype(np.int8), 0.5, -3)
    samples = np.linspace(-90, 90, 7 * 20_000, dtype=np.float32).reshape(-1, 7)  # more than are done at once
    found = detail.quantised(samples)
    assert (found.shape, found.dtype) == (samples.shape, np.int8)
    np.testing.assert_array_equal(found, np.clip(np.rint(2 * samples) - 3, -128, 127))
    assert detail.quantised(samples[::2].T).tolist() == found[::2].T.tolist()  # not contiguous
    assert detail.quantised(samples[:0]).shape == (0, 7)
    assert detail.quantised(np.float32(4)) == 5
