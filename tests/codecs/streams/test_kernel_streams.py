"""Weights to the streams of the sparse kernels and back, their sizes, the limits of each format, damaged streams."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tflite_sparse.codecs.streams import stream
from tflite_sparse.codecs.streams.kernels import (
    DISTANCE_BITS,
    PAIR_KERNELS,
    POINTWISE_KERNELS,
    SHARED_KERNELS,
    STRIP_KERNELS,
    SUM_LIMIT,
    Filter,
    Kernel,
)

POINTWISE = st.builds(
    Filter, st.integers(1, 5), st.just(1), st.just(1), st.sampled_from([1, 16, 48, 255, 256, 257, 4112])
)
CONVOLUTION = st.builds(Filter, st.integers(1, 5), st.integers(1, 4), st.integers(1, 5), st.integers(1, 30))


def weights_of(shape, zeros, seed=0, kernel=None):
    """Random weights; for kernels of shared values, of a few values that are unequally frequent."""
    rng = np.random.default_rng(seed)
    if kernel in SHARED_KERNELS:
        few = rng.choice(np.arange(1, 256, dtype=np.uint8).view(np.int8), rng.choice([1, 2, 15, 16, 64]), replace=False)
        weights = few[np.minimum(rng.geometric(0.2, shape.shape) - 1, few.size - 1)]
    else:
        weights = rng.integers(-127, 128, shape.shape)
    return np.where(rng.random(shape.shape) < zeros, 0, weights).astype(np.int8)


@settings(max_examples=60, deadline=None)
@given(
    POINTWISE | CONVOLUTION, st.sampled_from(Kernel), st.sampled_from([0.0, 0.5, 0.9, 0.99, 1.0]), st.integers(0, 99)
)
def test_weights_come_back_and_their_size_is_known(shape, kernel, zeros, seed):
    weights = weights_of(shape, zeros, seed, kernel)
    if stream.refusal(kernel, shape, weights) is not None:
        return
    for tables in (1, 2):
        encoded = stream.encode(kernel, shape, weights, tables)
        assert encoded.size == stream.nbytes(kernel, shape, weights, tables)
        assert np.array_equal(stream.decode(kernel, shape, encoded), weights)


def test_distances_by_hand():
    """Places 0, 3 and 300: a distance of 297 takes a bridge of 255; the last pair is filled."""
    shape = Filter(1, 1, 1, 301)
    weights = np.zeros(shape.shape, np.int8)
    weights[0, 0, 0, [0, 3, 300]] = 5, -1, 7
    found = stream.encode(Kernel.DIRECT_DELTA8, shape, weights)
    assert found.tolist() == [2, 0, 0, 5, 3, 255, 255, 0, 42, 7]
    assert stream.entries(Kernel.DIRECT_DELTA8, shape, weights) == 4


def test_places_by_hand():
    shape = Filter(1, 1, 1, 300)
    weights = np.zeros(shape.shape, np.int8)
    weights[0, 0, 0, [2, 299]] = -1, 9
    expected = [1, 255, 2, 0, 0, 0, 0, 0, 0, 1, 9, 43, 0, 0, 0, 0, 0, 0]
    assert stream.encode(Kernel.ROW_INDEX8, shape, weights).tolist() == expected


def test_strips_put_pairs_of_columns_side_by_side():
    """Of a filter of three columns, a channel has ten words: columns 0 and 2 are neighbours, column 1 five words on."""
    shape = Filter(1, 1, 3, 2)
    weights = np.array([1, 4, 2, 5, 3, 6], np.int8).reshape(shape.shape)
    found = stream.encode(Kernel.STRIP_DELTA8, shape, weights)
    assert found[2:].reshape(-1, 2).tolist() == [[0, 1], [1, 3], [4, 2], [5, 4], [1, 6], [4, 5]]


@pytest.mark.parametrize("kernel", sorted(PAIR_KERNELS))
def test_pairs_take_absolute_weights_up_to_the_limit(kernel):
    shape = Filter(2, 1, 1, 259)
    weights = np.zeros(shape.shape, np.int8)
    weights[1, 0, 0, :258] = -127
    weights[1, 0, 0, 258] = 1
    assert stream.absolute_sums(weights).tolist() == [0, SUM_LIMIT - 1]
    assert stream.refusal(kernel, shape, weights) is None
    weights[1, 0, 0, 258] = 2
    assert "32,768 or more" in stream.refusal(kernel, shape, weights)
    assert stream.refusal(Kernel.DIRECT_DELTA8, shape, weights) is None


@pytest.mark.parametrize("kernel", [Kernel.PIXEL_DELTA8, Kernel.ROW_DELTA4])
def test_more_pairs_than_a_count_holds_are_refused(kernel):
    shape = Filter(1, 1, 1, 2 * 65535)
    weights = np.ones(shape.shape, np.int8)
    assert stream.refusal(kernel, shape, weights) is None
    wider = Filter(1, 1, 1, 2 * 65535 + 1)
    assert "65,536 pairs" in stream.refusal(kernel, wider, np.ones(wider.shape, np.int8))
    with pytest.raises(ValueError, match="65,536 pairs"):
        stream.encode(kernel, wider, np.ones(wider.shape, np.int8))


@pytest.mark.parametrize("shape", [Filter(1, 1, 1, 16, strides=(2, 1)), Filter(1, 1, 3, 16), Filter(1, 3, 1, 16)])
def test_kernels_of_one_pixel_are_for_pointwise_filters(shape):
    for kernel in POINTWISE_KERNELS:
        assert stream.refusal(kernel, shape, np.ones(shape.shape, np.int8)) is not None


def test_strips_are_for_steps_of_one():
    for kernel in STRIP_KERNELS:
        for steps in ({"strides": (1, 2)}, {"dilations": (2, 1)}):
            assert stream.refusal(kernel, Filter(1, 3, 3, 4, **steps), np.ones((1, 3, 3, 4), np.int8)) is not None


def test_blocks_must_divide_the_inputs():
    assert stream.refusal(Kernel.ROW_BLOCK4, Filter(1, 1, 1, 12), np.ones((1, 1, 1, 12), np.int8)) is None
    assert stream.refusal(Kernel.ROW_BLOCK16, Filter(1, 1, 1, 12), np.ones((1, 1, 1, 12), np.int8)) is not None


def test_more_outputs_than_bytes_are_refused_before_anything_is_allocated():
    with pytest.raises(ValueError, match="3 bytes for 4,096 outputs"):
        stream.decode(Kernel.ROW_INDEX8, Filter(4096, 1, 1, 2**14), np.zeros(3, np.uint8))


@pytest.mark.parametrize("kernel", Kernel)
def test_streams_that_end_early_or_late_are_refused(kernel):
    shape = Filter(3, 1, 1, 32)
    encoded = stream.encode(kernel, shape, weights_of(shape, 0.5, kernel=kernel))
    for damaged in (encoded[:-1], encoded[:1], encoded[:0], np.append(encoded, np.uint8(0))):
        with pytest.raises(ValueError, match="stream"):
            stream.decode(kernel, shape, damaged)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(Kernel), st.integers(0, 10**6))
def test_damaged_streams_are_refused_or_are_weights(kernel, seed):
    """Nothing but ValueError; what is taken has a stream of its own that stands for the same."""
    rng = np.random.default_rng(seed)
    shape = Filter(3, 1, 1, 32) if kernel in POINTWISE_KERNELS else Filter(3, 2, 2, 4)
    damaged = stream.encode(kernel, shape, weights_of(shape, 0.6, seed, kernel)).copy()
    for _ in range(rng.integers(1, 5)):
        damaged[rng.integers(damaged.size)] = rng.integers(256)
    try:
        weights = stream.decode(kernel, shape, damaged)
    except ValueError:
        return
    assert weights.shape == shape.shape
    if kernel not in PAIR_KERNELS:
        assert np.array_equal(stream.decode(kernel, shape, stream.encode(kernel, shape, weights)), weights)


@pytest.mark.parametrize("kernel", sorted(DISTANCE_BITS))
def test_two_weights_at_one_place_are_refused(kernel):
    shape = Filter(1, 1, 1, 8)
    pair = [0, 5, 0, 6] if DISTANCE_BITS[kernel] == 8 else [0, 5, 6]
    with pytest.raises(ValueError, match="where another one lies"):
        stream.decode(kernel, shape, np.array([1, 0, *pair], np.uint8))


def test_a_weight_between_the_columns_of_a_strip_is_refused():
    shape = Filter(1, 1, 1, 8)  # eight words a channel, of which the filter reads the first
    with pytest.raises(ValueError, match="where no input is"):
        stream.decode(Kernel.STRIP_DELTA8, shape, np.array([1, 0, 1, 5, 0, 0], np.uint8))
