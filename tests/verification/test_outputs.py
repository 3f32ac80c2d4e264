"""Outputs of two files: which differ, and how large differences are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tflite_sparse.runtime.litert import SeparateOutputs
from tflite_sparse.verification.outputs import differences, largest_difference, range_of, ranges, same_bits, vary


def outputs(*rows):
    return SeparateOutputs(
        tuple(f"output {i}" for i in range(len(rows[0]))), tuple(range(len(rows[0]))), tuple(map(tuple, rows))
    )


def test_differences():
    a, b = np.array([1, 2], np.int8), np.array([-128, 127], np.int8)
    expected = outputs([a, b], [a, b], [b, a])
    assert differences(expected, expected) == ()
    found = outputs([a, b], [a, b + np.array([0, -3], np.int8)], [b, b])
    (only,) = differences(found, expected)
    assert (only.name, only.index, only.samples, only.largest, only.first_sample) == ("output 1", 1, 2, 129, 1)


def test_a_difference_without_a_number():
    a, nan = np.ones(2, np.float32), np.array([1, np.nan], np.float32)
    for other in (nan, np.ones(3, np.float32), np.ones(2, np.float64), np.array([1, np.inf], np.float32)):
        (only,) = differences(outputs([other], [a + 1]), outputs([a], [a]))
        assert (only.samples, only.largest) == (2, None)


@pytest.mark.parametrize(
    ("a", "b", "dtype", "largest"),
    [
        ([-128, 5], [127, 5], "int8", 255),
        ([0], [255], "uint8", 255),
        ([2**40 + 1], [2**40], "int64", 1),
        ([-(2**63)], [2**63 - 1], "int64", 2.0**64),
        ([True], [False], "bool", 1),
        ([0.0], [-0.0], "float32", 0),
        ([np.nan, 1.5], [np.nan, 1], "float32", 0.5),
        ([np.inf, 1.5], [np.inf, 1], "float16", 0.5),
        ([np.inf], [-np.inf], "float32", None),
        ([], [], "float32", 0),
        ([], [], "int8", 0),
    ],
)
def test_largest_difference(a, b, dtype, largest):
    for one, two in ((a, b), (b, a)):
        found = largest_difference(np.array(one, dtype), np.array(two, dtype))
        assert found == largest


@given(hnp.arrays(st.sampled_from([np.int8, np.int32, np.float32]), st.integers(1, 20)), st.data())
def test_same_bits_is_what_bytes_say(a, data):
    b = data.draw(st.one_of(st.just(a.copy()), hnp.arrays(a.dtype, a.shape)))
    assert same_bits(a, b) == (a.tobytes() == b.tobytes())
    assert same_bits(a, a.copy())
    assert largest_difference(a, a.copy()) == 0


@pytest.mark.parametrize("other", [np.zeros((3, 2), np.int8), np.zeros((2, 3), np.uint8), np.zeros((2, 2), np.int8)])
def test_the_same_bytes_in_another_shape_or_type_are_not_the_same(other):
    assert not same_bits(np.zeros((2, 3), np.int8), other)


def test_a_zero_of_the_other_sign_is_a_difference():
    """0.0 and -0.0 are no distance apart and not the same bits."""
    zeros = np.zeros((2, 3), np.float32)
    (only,) = differences(outputs([-zeros]), outputs([zeros]))
    assert (only.samples, only.largest) == (1, 0)


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([1, 1], "int8", 255),
        ([0, 3], "uint8", 255),
        ([0, 3], "int16", 65_535),
        ([-1.5, 2, np.inf, np.nan], "float32", 3.5),
        ([7, 7], "float32", 1),
        ([np.nan], "float32", 1),
        ([], "float32", 1),
    ],
)
def test_range_of(values, dtype, expected):
    assert range_of(np.array(values, dtype)) == expected


def test_the_range_of_an_output_is_that_over_all_samples():
    found = outputs([np.array([1.0, 2.0]), np.int8([3])], [np.array([5.5, 2.0]), np.int8([4])])
    assert ranges(found) == [4.5, 255]


@pytest.mark.parametrize("place", [None, 1, 2])
def test_outputs_vary_where_one_of_them_does_on_one_sample(place):
    rows = [[np.zeros(2), np.array([float(number == place)])] for number in range(3)]
    assert vary(outputs(*rows)) is (place is not None)
