"""The struct that an operator checks: every field comes back, damage is refused."""

import dataclasses

import numpy as np
import pytest

from tflite_sparse.codecs.streams import options
from tflite_sparse.codecs.streams.kernels import Filter, Kernel
from tflite_sparse.codecs.streams.options import Bias, Options

OPTIONS = Options(
    operator="CONV_2D",
    kernel=Kernel.PAIR_DELTA4,
    shape=Filter(300, 3, 5, 70000, strides=(2, 1), dilations=(1, 4)),
    one_scale=False,
    valid=True,
    input_zero_point=-128,
    output_zero_point=127,
    output_range=(-7, 100),
    version=5,
    activation=3,
    keep_num_dims=False,
    asymmetric_quantize_inputs=True,
    bias_type=2,
    bias=Bias.ABSENT,
    filter_scale=0.0,
)
MATRIX = dataclasses.replace(
    OPTIONS,
    operator="FULLY_CONNECTED",
    kernel=Kernel.ROW_INDEX8,
    shape=Filter(10, 1, 1, 64),
    one_scale=True,
    keep_num_dims=True,
    filter_scale=0.5,
)


def small(**changes):
    return dataclasses.replace(OPTIONS, shape=Filter(3, 3, 3, 4), **changes)


@pytest.mark.parametrize("given", [small(), MATRIX, small(bias=Bias.NOT_AN_INPUT, valid=False)])
def test_options_come_back(given):
    packed = options.pack(given)
    assert packed.size == options.NBYTES
    assert options.unpack(packed) == given


@pytest.mark.parametrize("shape", [Filter(1, 1, 1, 2**20 + 1), Filter(65, 1, 1, 2**20)])
def test_filters_beyond_a_microcontroller_are_refused(shape):
    with pytest.raises(ValueError, match="its filter would have"):
        options.unpack(options.pack(dataclasses.replace(OPTIONS, shape=shape)))


def test_bytes_are_little_endian_and_versioned():
    packed = options.pack(dataclasses.replace(OPTIONS, shape=Filter(258, 3, 5, 70000)))
    assert packed[:12].tolist() == [1, 6, 2, 0, 0x70, 0x11, 1, 0, 2, 1, 0, 0]


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (0, 2, "version 2"),
        (1, 0, "number 0"),
        (1, 18, "number 18"),
        (2, 8, "must be zero"),
        (3, 1, "must be zero"),
        (33, 1, "must be zero"),
        (4, 0, "a size in its options is 0"),
        (12, 0, "a size in its options is 0"),
        (32, 3, "place of its bias"),
        (7, 255, "values"),
    ],
)
def test_damage_is_refused(place, value, words):
    packed = options.pack(small()).copy()
    packed[place] = value
    with pytest.raises(ValueError, match=words):
        options.unpack(packed)


def test_other_lengths_are_refused():
    with pytest.raises(ValueError, match="39 bytes instead of 40"):
        options.unpack(options.pack(small())[:-1])
    with pytest.raises(ValueError, match="0 bytes instead of 40"):
        options.unpack(np.zeros(0, np.uint8))


def test_what_does_not_fit_a_field_is_refused():
    with pytest.raises(ValueError, match="do not fit"):
        options.pack(small(input_zero_point=200))
