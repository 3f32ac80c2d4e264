"""Bias, multiplier and shift of each output, and what the file loses worked out again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tflite_sparse.codecs.streams import parameters
from tflite_sparse.codecs.streams.parameters import Scales

SCALES = st.floats(2.0**-20, 2.0**6, width=32)


def of(filter_scales, bias=None, weights=None, zero_point=0):
    count = max(len(filter_scales), 1)
    weights = np.ones((count, 3), np.int8) if weights is None else weights
    scales = Scales(np.float32(0.05), np.float32(0.3), np.asarray(filter_scales, np.float32))
    return parameters.of(scales, bias, weights, zero_point)


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        (0.0, (0, 0)),
        (0.5, (2**30, 0)),
        (1.0, (2**30, 1)),
        (0.25, (2**30, -1)),
        (1 - 2**-40, (2**30, 1)),
        (2**-40, (0, 0)),
    ],
)
def test_multipliers(factor, expected):
    assert parameters.quantised_multiplier(factor) == expected


@given(st.lists(SCALES, min_size=1, max_size=4), SCALES, SCALES)
def test_scales_come_back_to_the_bit(filter_scales, source, result):
    scales = Scales(np.float32(source), np.float32(result), np.asarray(filter_scales, np.float32))
    factors = scales.effective()
    if factors.min() < 2.0**-30 or factors.max() >= 2**15:
        return
    found = parameters.of(scales, None, np.ones((len(filter_scales), 3), np.int8), 0)
    assert np.array_equal(parameters.filter_scales(found, scales.input, scales.output), scales.filter)


@given(st.integers(-(2**20), 2**20), st.integers(-128, 127), st.integers(0, 2**16))
def test_the_bias_comes_back(bias, zero_point, seed):
    weights = np.random.default_rng(seed).integers(-127, 128, (1, 40)).astype(np.int8)
    found = of([0.01], np.array([bias], np.int32), weights, zero_point)
    assert found.bias[0] == bias - zero_point * int(weights.sum(dtype=np.int64))
    assert parameters.dense_bias(found, weights, zero_point).tolist() == [bias]


def test_scales_are_multiplied_in_float64():
    """In float32 the multiplier is another one."""
    scale = np.float32(0.123456)
    exact = float(np.float32(0.05)) * float(scale) / float(np.float32(0.3))
    rounded = float(np.float32(0.05) * scale) / float(np.float32(0.3))
    found = of([scale])
    assert (found.multipliers[0], found.shifts[0]) == parameters.quantised_multiplier(exact)
    assert found.multipliers[0] != parameters.quantised_multiplier(rounded)[0]


def test_nine_bytes_an_output():
    found = of([0.01, 0.02, 0.03], np.array([1, -2, 3], np.int32))
    content = found.to_bytes()
    assert content.size == parameters.nbytes(3, 3) == 27
    back = parameters.from_bytes(content, 3, 3)
    assert back.bias.tolist() == found.bias.tolist()
    assert back.multipliers.tolist() == found.multipliers.tolist()
    assert back.shifts.tolist() == found.shifts.tolist()
    with pytest.raises(ValueError, match="26 bytes instead of 27"):
        parameters.from_bytes(content[:-1], 3, 3)


def test_sums_that_could_overflow_are_refused():
    limit = parameters.ACCUMULATOR_LIMIT - 3 * 128
    assert of([0.01], np.array([limit - 1], np.int32)).bias[0] == limit - 1
    with pytest.raises(ValueError, match="could reach"):
        of([0.01], np.array([limit], np.int32))
    with pytest.raises(ValueError, match="could reach"):
        of([12.0], np.array([2**30], np.int32))  # doubled by a shift to the left
