import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import micro_process
from helpers.random_constants import channel_numbers, channels_of, constants, damaged
from helpers.random_layouts import same_bits
from helpers.tally import tally
from tflite_sparse.codecs import bitmask, decodable
from tflite_sparse.codecs.decodable import WHOLE, Channels, Decodable

DTYPES = ("int8", "int16", "int32", "int64", "float32", "bool")


def brute_force(encoded, shape, dtype, channels):
    """Decode bit by bit, following the format's description."""
    dtype = np.dtype(dtype)
    points = np.broadcast_to(channels.zero_points, 1 if channels.axis is None else shape[channels.axis])
    kept = encoded.ancillary[16:].tobytes()
    result, taken = bytearray(), 0
    for place, channel in enumerate(channel_numbers(shape, channels)):
        if encoded.encoded[place // 8] >> (7 - place % 8) & 1:
            result += kept[taken : taken + dtype.itemsize]
            taken += dtype.itemsize
        else:
            result += np.array(points[channel], dtype).tobytes()
    assert taken == len(kept)
    return np.frombuffer(bytes(result), dtype).reshape(shape)


@st.composite
def cases(draw):
    array = draw(constants(DTYPES))
    return array, draw(channels_of(array))


@given(cases())
def test_what_is_decoded_is_what_was_encoded(case):
    array, channels = case
    encoded = bitmask.encode(array, channels)
    assert encoded.nbytes == bitmask.nbytes(array, channels)
    assert same_bits(bitmask.decode(encoded, array.shape, array.dtype, channels), array)
    assert same_bits(brute_force(encoded, array.shape, array.dtype, channels), array)


def test_bytes_of_a_small_tensor():
    array = np.array([0, 3, 0, 0, -5, 0, 0, 0, 0, 7], np.int8)
    encoded = bitmask.encode(array)
    assert encoded.codec == "prune"
    assert encoded.encoded.tolist() == [0b01001000, 0b01000000]
    assert encoded.ancillary.tolist() == [2, 1, 0, 0, 1, 0xF0, *[0] * 10, 3, 251, 7]


@pytest.mark.parametrize(("axis", "nibble"), [(None, 0xF0), (0, 0x00), (3, 0x30)])
def test_byte_five_names_the_axis_as_the_coming_runtime_reads_it(axis, nibble):
    channels = Channels(axis, (0,) * (1 if axis is None else 3))
    assert bitmask.encode(np.ones((3, 2, 2, 3), np.int8), channels).ancillary[5] == nibble


def test_zero_points_are_left_out_each_in_its_channel():
    array = np.array([[1, 2], [1, 2]], np.int8)
    assert bitmask.encode(array, Channels(1, (1, 2))).encoded.tolist() == [0]
    assert bitmask.encode(array, Channels(0, (1, 2))).encoded.tolist() == [0b01100000]
    assert bitmask.encode(array, Channels(0, (1, 2))).contents.tolist() == [2, 1]


def test_zero_points_at_the_ends_of_int8_and_none_in_the_first_channel():
    array, channels = np.array([[0, -128, -128], [127, 0, 127]], np.int8), Channels(1, (0, -128, 127))
    encoded = bitmask.encode(array, channels)
    assert encoded.encoded.tolist() == [0b001110_00]
    assert encoded.contents.tolist() == [128, 127, 0]
    assert same_bits(bitmask.decode(encoded, (2, 3), array.dtype, channels), array)


def test_minus_zero_and_nan_are_kept():
    array = np.array([0.0, -0.0, np.nan, -np.nan], np.float32)
    encoded = bitmask.encode(array)
    assert encoded.encoded.tolist() == [0b01110000]
    assert same_bits(bitmask.decode(encoded, (4,), array.dtype), array)


@pytest.mark.parametrize(
    ("shape", "dtype", "channels", "words"),
    [
        ((4,), "float16", WHOLE, "float16 cannot"),
        ((4,), "uint8", WHOLE, "uint8 cannot"),
        ((0, 3), "int8", WHOLE, "no values"),
        ((), "int8", WHOLE, "a scalar"),
        ((4,), "int16", Channels(None, (1,)), "int8 only"),
        ((2, 3), "int16", Channels(1, (0, 0, 1)), "int8 only"),
        ((2, 3), "float32", Channels(1, (0, -1, 0)), "int8 only"),
        ((2, 3), "bool", Channels(0, (1, 0)), "int8 only"),
        ((4,), "int8", Channels(None, (128,)), "does not fit"),
        ((2, 3), "int8", Channels(1, (127, -128, 128)), "does not fit"),
        ((2, 3), "int8", Channels(1, (127, -129, 0)), "does not fit"),
        ((2, 3), "int8", Channels(0, (-129, 0)), "does not fit"),
        ((4,), "int8", Channels(0, (-128, 127, 0, -129)), "does not fit"),
        ((2, 3, 4), "int8", Channels(1, (0,) * 3), "neither the first nor the last"),
    ],
)
def test_what_the_runtime_refuses_is_refused(shape, dtype, channels, words):
    array = np.zeros(shape, dtype)
    assert words in bitmask.refusal(array, channels)
    with pytest.raises(ValueError, match=words):
        bitmask.encode(array, channels)
    with pytest.raises(ValueError, match=words):
        bitmask.nbytes(array, channels)
    with pytest.raises(ValueError, match=words):
        bitmask.decode(bitmask.encode(np.ones(1, np.int8)), shape, array.dtype, channels)


@pytest.mark.parametrize(
    ("encoded", "contents", "words"),
    [
        ([0b01001000], [3, 251], "mask takes 1 bytes instead of 2"),
        ([0b01001000, 0b01000000, 0], [3, 251, 7], "mask takes 3 bytes instead of 2"),
        ([0b01001000, 0b01000000], [3, 251], "values takes 2 bytes instead of 3"),
        ([0b01001000, 0b01000000], [3, 251, 7, 0], "values takes 4 bytes instead of 3"),
        ([0b01001000, 0b01000001], [3, 251, 7], "bits behind"),
    ],
)
def test_damage_is_refused(encoded, contents, words):
    header = bitmask.encode(np.zeros(10, np.int8)).ancillary
    vectors = Decodable("prune", np.array(encoded, np.uint8), np.array([*header, *contents], np.uint8))
    with pytest.raises(ValueError, match=words):
        bitmask.decode(vectors, (10,), np.dtype(np.int8))


@pytest.mark.parametrize("value", [1, 255])
def test_byte_six_of_the_header_is_zero(value):
    encoded = bitmask.encode(np.array([0, 3], np.int8))
    assert encoded.ancillary[6] == 0
    encoded.ancillary[6] = value
    read = decodable.read(encoded.encoded, encoded.ancillary)  # a codec may use the byte; this one ignores it
    with pytest.raises(ValueError, match="bytes of its header that must be zero are not"):
        bitmask.decode(read, (2,), np.dtype(np.int8))


def test_byte_five_of_the_header_is_not_read():
    encoded = bitmask.encode(np.array([0, 3], np.int8))
    encoded.ancillary[5] = 0x31
    assert bitmask.decode(decodable.read(encoded.encoded, encoded.ancillary), (2,), np.dtype(np.int8)).tolist() == [
        0,
        3,
    ]


def test_a_huge_shape_over_few_bytes_allocates_nothing():
    with pytest.raises(ValueError, match="mask takes"):
        bitmask.decode(bitmask.encode(np.ones(8, np.int8)), (2**20, 2**20), np.dtype(np.int64))


def test_random_damage_is_refused_or_read_as_the_format_says():
    def outcome(draw):
        array, channels = draw(cases())
        vectors = draw(damaged(bitmask.encode(array, channels)))
        try:
            encoded = decodable.read(*vectors)
            if encoded.codec != "prune":
                return "another codec"
            found = bitmask.decode(encoded, array.shape, array.dtype, channels)
        except ValueError:
            return "refused"
        assert same_bits(found, brute_force(encoded, array.shape, array.dtype, channels))
        return "read"

    seen = tally(outcome)
    assert seen["refused"] > 30
    assert seen["read"] > 1


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (0, 3, "number 3"),
        (0, 127, "number 127"),
        *((place, value, "versions") for place in (1, 4) for value in (0, 2, 255)),
        *((place, value, "zero") for place in (2, 3, *range(7, 16)) for value in (1, 128)),
    ],
)
def test_a_header_that_is_not_known_is_refused(place, value, words):
    encoded = bitmask.encode(np.ones(8, np.int8))
    encoded.ancillary[place] = value
    with pytest.raises(ValueError, match=words):
        decodable.read(encoded.encoded, encoded.ancillary)
    with pytest.raises(ValueError, match="15 bytes instead of 16"):
        decodable.read(encoded.encoded, encoded.ancillary[:15])


@pytest.mark.parametrize(
    ("encoded", "used_bits", "is_clean"),
    [
        ([0xFF, 0b11000000], 10, True),
        ([0xFF, 0b11100000], 10, False),
        ([0xFF, 0b11000001], 10, False),
        ([0xFF], 8, True),
        ([0xFF, 0, 0], 8, True),
        ([0xFF, 0b10000000], 8, False),
        ([0xFF, 0, 1], 8, False),
        ([0xFF, 0, 1], 9, False),
        ([0xFF, 0, 0, 1], 9, False),
        ([], 0, True),
    ],
)
def test_bits_behind_the_last_value_are_zero(encoded, used_bits, is_clean):
    vector = np.array(encoded, np.uint8)
    if is_clean:
        decodable.check_padding(vector, used_bits)
    else:
        with pytest.raises(ValueError, match="bits behind"):
            decodable.check_padding(vector, used_bits)


def drawn(generator, shape, dtype, density):
    size = int(np.prod(shape))
    bits = (
        np.frombuffer(generator.bytes(size * np.dtype(dtype).itemsize), dtype)
        if dtype != "bool"
        else np.ones(size, bool)
    )
    return np.where(generator.random(size) < density, bits, np.zeros(1, dtype)).astype(dtype).reshape(shape)


@micro_process.needed
def test_the_runtime_decodes_the_same():
    generator = np.random.default_rng(0)
    items, expected = [], []
    for dtype in DTYPES:
        for shape in ((1,), (7,), (8,), (33,), (4, 3, 5), (40, 101), (3, 3, 3, 16)):
            channels = [WHOLE, Channels(0, (0,) * shape[0]), Channels(len(shape) - 1, (0,) * shape[-1])]
            if dtype == "int8":
                points = generator.integers(-128, 128, max(shape)).tolist()
                channels.append(Channels(None, (points[0],)))
                channels += [Channels(a, tuple(points[: shape[a]])) for a in (0, len(shape) - 1)]
            for one in channels:
                if one.axis is not None and shape[one.axis] == 1:
                    continue
                array = drawn(generator, shape, dtype, generator.choice((0.0, 0.1, 0.5, 1.0)))
                items.append((bitmask.encode(array, one), shape, array.dtype, one))
                expected.append(array)
    million = drawn(generator, (1_000_000,), "int8", 0.125)
    items.append((bitmask.encode(million), million.shape, million.dtype, WHOLE))
    expected.append(million)
    assert len(items) > 100
    for found, array in zip(micro_process.decoded(items), expected, strict=True):
        assert same_bits(found, array)


@micro_process.needed
def test_the_runtime_refuses_what_is_refused_here():
    array = np.ones((2, 3, 4), np.int8)
    channels = Channels(1, (0,) * 3)
    assert bitmask.refusal(array, channels) is not None
    with pytest.raises(micro_process.RefusedError, match="unsupported quantization axis"):
        micro_process.decoded([(bitmask.encode(array), array.shape, array.dtype, channels)])
