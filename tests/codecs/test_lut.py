import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import micro_process
from helpers.random_constants import channel_numbers, channels_of, constants, damaged
from helpers.random_layouts import same_bits
from helpers.tally import tally
from tflite_sparse.codecs import decodable, lut
from tflite_sparse.codecs.decodable import WHOLE, Channels, Decodable, bits_of

DTYPES = ("int8", "int16", "int32", "int64", "float32", "bool")


def brute_force(encoded, shape, dtype, channels):
    """Decode bit by bit, following the format's description."""
    bits = f"u{np.dtype(dtype).itemsize}"
    width, length = int(encoded.ancillary[5]) & 7, int(encoded.ancillary[6])
    tables = np.frombuffer(encoded.ancillary[16:].tobytes(), bits).reshape(-1, length)
    stream = "".join(f"{byte:08b}" for byte in encoded.encoded)
    result = [
        tables[channel, int(stream[place * width : (place + 1) * width], 2)]
        for place, channel in enumerate(channel_numbers(shape, channels))
    ]
    return np.array(result, bits).view(dtype).reshape(shape)


@st.composite
def cases(draw):
    array = draw(constants(DTYPES, 128).filter(lambda array: np.unique(bits_of(array)).size <= 128))
    return array, draw(channels_of(array))


@given(cases())
def test_what_is_decoded_is_what_was_encoded(case):
    array, channels = case
    encoded = lut.encode(array, channels)
    assert encoded.nbytes == lut.nbytes(array, channels)
    assert same_bits(lut.decode(encoded, array.shape, array.dtype, channels), array)
    assert same_bits(brute_force(encoded, array.shape, array.dtype, channels), array)


def test_bytes_of_a_small_tensor():
    encoded = lut.encode(np.array([9, 9, -4, 0, 9], np.int8))
    assert encoded.codec == "lut"
    assert encoded.encoded.tolist() == [0b10_10_00_01, 0b10_000000]
    assert encoded.ancillary.tolist() == [0, 1, 0, 0, 1, 0xF2, 3, *[0] * 9, 252, 0, 9]


@pytest.mark.parametrize(
    ("axis", "byte5", "tables"), [(0, 0x01, [1, 2, 3, 0]), (1, 0x11, [1, 3, 2, 3])], ids=["first", "last"]
)
def test_each_channel_has_its_table(axis, byte5, tables):
    encoded = lut.encode(np.array([[1, 2], [3, 3]], np.int8), Channels(axis, (0, 0)))
    assert encoded.ancillary[5:7].tolist() == [byte5, 2]
    assert encoded.contents.tolist() == tables  # filled up with zeros to the longest


@pytest.mark.parametrize(
    ("values", "width"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (16, 4), (17, 5), (64, 6), (65, 7), (128, 7)]
)
def test_places_are_as_narrow_as_they_can_be(values, width):
    encoded = lut.encode(np.arange(values).astype(np.int8))
    assert int(encoded.ancillary[5]) & 7 == width
    assert encoded.ancillary[6] == values
    assert encoded.encoded.size == -(-values * width // 8)


@pytest.mark.parametrize(
    ("array", "channels", "words"),
    [
        (np.arange(129).astype(np.uint8).view(np.int8), WHOLE, "more than 128 distinct values$"),
        (np.arange(258).reshape(2, 129).astype(np.int16), Channels(0, (0, 0)), "distinct values in a channel"),
        (np.zeros(3, np.float16), WHOLE, "float16 cannot"),
        (np.zeros((3, 0), np.int8), WHOLE, "no values"),
        (np.zeros((), np.int8), WHOLE, "a scalar"),
        (np.zeros((2, 3, 4), np.int8), Channels(1, (0,) * 3), "neither the first nor the last"),
    ],
)
def test_what_the_runtime_does_not_take_is_refused(array, channels, words):
    with pytest.raises(ValueError, match=words):
        lut.encode(array, channels)
    with pytest.raises(ValueError, match=words):
        lut.nbytes(array, channels)
    assert lut.refusal(array, channels) is not None
    if "distinct" not in words:  # those of an encoded tensor are fewer
        with pytest.raises(ValueError, match=words):
            lut.decode(lut.encode(np.zeros(1, np.int8)), array.shape, array.dtype, channels)


def test_minus_zero_and_nan_have_entries_of_their_own():
    array = np.array([0.0, -0.0, np.nan, -np.nan, 0.0], np.float32)
    encoded = lut.encode(array)
    assert encoded.ancillary[6] == 4
    assert same_bits(lut.decode(encoded, array.shape, array.dtype), array)


def test_many_values_are_taken_where_no_channel_has_many():
    array = np.arange(256).reshape(4, 64).astype(np.uint8).view(np.int8)
    assert lut.refusal(array) is not None
    assert lut.refusal(array, Channels(0, (0,) * 4)) is None


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
@pytest.mark.parametrize("axis", [0, 1])
def test_the_channel_with_the_most_values_counts(dtype, axis):
    one, most, too_many = np.zeros(129), np.minimum(np.arange(129), 127), np.arange(129)
    channels = Channels(axis, (0, 0))
    for others in (most, too_many):
        for rows in ([one, others], [others, one]):
            array = np.array(rows).astype(np.uint8).view(np.int8).astype(dtype)
            array = np.ascontiguousarray(array if axis == 0 else array.T)
            if others is too_many:
                assert lut.refusal(array, channels) == "it has more than 128 distinct values in a channel"
                continue
            assert lut.refusal(array, channels) is None
            encoded = lut.encode(array, channels)
            assert encoded.ancillary[5:7].tolist() == [axis << 4 | 7, 128]
            assert same_bits(lut.decode(encoded, array.shape, array.dtype, channels), array)


SMALL = np.array([9, 9, -4, 0, 9], np.int8)


@pytest.mark.parametrize(
    ("encoded", "byte5", "byte6", "tables", "words"),
    [
        ([0b01011000], 0xF2, 3, [0, 9, 252], "places takes 1 bytes instead of 2"),
        ([0b01011000, 0b01000000, 0], 0xF2, 3, [0, 9, 252], "places takes 3 bytes instead of 2"),
        ([0b01011000, 0b01000001], 0xF2, 3, [0, 9, 252], "bits behind"),
        ([0b01011100, 0b01000000], 0xF2, 3, [0, 9, 252], "outside its table"),
        ([0b01011000, 0b01000000], 0xF2, 3, [0, 9], "tables takes 2 bytes instead of 3"),
        ([0b01011000, 0b01000000], 0xF2, 3, [0, 9, 252, 0], "tables takes 4 bytes instead of 3"),
        ([0b01011000, 0b01000000], 0xF0, 3, [0, 9, 252], "places of 0 bits"),
        ([], 0xF0, 1, [9], "places of 0 bits in tables of 1"),
        ([0b01011000, 0b01000000], 0xFA, 3, [0, 9, 252], "tables of 3"),
        ([0b01011000, 0b01000000], 0xF2, 5, [0, 9, 252, 0, 0], "places of 2 bits in tables of 5"),
        ([0b01011000, 0b01000000], 0xF2, 0, [], "tables of 0"),
        ([0b01011000, 0b01000000], 0x12, 3, [0, 9, 252], "along dimension 1"),
    ],
)
def test_damage_is_refused(encoded, byte5, byte6, tables, words):
    assert same_bits(lut.decode(lut.encode(SMALL), (5,), SMALL.dtype), SMALL)
    ancillary = np.array([0, 1, 0, 0, 1, byte5, byte6, *[0] * 9, *tables], np.uint8)
    with pytest.raises(ValueError, match=words):
        lut.decode(Decodable("lut", np.array(encoded, np.uint8), ancillary), (5,), SMALL.dtype)


def test_files_of_encoders_that_wrote_no_axis_are_read():
    encoded = lut.encode(SMALL)
    encoded.ancillary[5] &= 0x0F
    assert same_bits(lut.decode(encoded, (5,), SMALL.dtype), SMALL)


def test_random_damage_is_refused_or_read_as_the_format_says():
    def outcome(draw):
        array, channels = draw(cases())
        try:
            encoded = decodable.read(*draw(damaged(lut.encode(array, channels))))
            if encoded.codec != "lut":
                return "another codec"
            found = lut.decode(encoded, array.shape, array.dtype, channels)
        except ValueError:
            return "refused"
        assert same_bits(found, brute_force(encoded, array.shape, array.dtype, channels))
        return "read"

    seen = tally(outcome)
    assert seen["refused"] > 30
    assert seen["read"] > 1


@micro_process.needed
def test_the_runtime_decodes_the_same():
    """The runtime has special code for some widths, and reads some lengths at once."""
    generator = np.random.default_rng(0)
    items, expected = [], []
    for dtype in DTYPES:
        for letters in (2,) if dtype == "bool" else (1, 2, 3, 7, 13, 30, 60, 128):
            alphabet = np.frombuffer(generator.bytes(letters * np.dtype(dtype).itemsize), dtype)
            alphabet = np.array([False, True]) if dtype == "bool" else alphabet
            for shape in ((1,), (31,), (4, 3, 5), (6, 67), (3, 3, 3, 16)):
                for channels in (WHOLE, Channels(0, (0,) * shape[0]), Channels(len(shape) - 1, (0,) * shape[-1])):
                    if channels.axis is not None and shape[channels.axis] == 1:
                        continue
                    array = generator.choice(alphabet, shape)
                    items.append((lut.encode(array, channels), shape, array.dtype, channels))
                    expected.append(array)
    for found, array in zip(micro_process.decoded(items), expected, strict=True):
        assert same_bits(found, array)
