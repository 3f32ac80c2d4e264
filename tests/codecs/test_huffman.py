import numpy as np
import pytest
from hypothesis import given

from helpers import micro_process
from helpers.huffman_bound import bits_of_a_huffman_code
from helpers.random_constants import constants, damaged
from helpers.random_layouts import same_bits
from helpers.tally import tally
from tflite_sparse.codecs import decodable, huffman, huffman_code, huffman_stream
from tflite_sparse.codecs.decodable import WHOLE, Decodable


def brute_force(encoded, shape, dtype):
    """Decode bit by bit, as the runtime does: look up, follow the tables, put back unused bits.

    Returns the array, the bits of all codewords, and the number of look-ups.
    """
    parameters = int(encoded.ancillary[5])
    size, shift = (4, 27) if parameters & 1 else (2, 11)
    tables = encoded.ancillary[16:].tobytes()
    stream = "".join(f"{byte:08b}" for byte in encoded.encoded)
    place = look_ups = 0
    result = []
    for _ in range(int(np.prod(shape))):
        bits, entry_number = (parameters >> 4) + 1, 0
        while True:
            assert place + bits <= len(stream), "the look-up reaches beyond the spare word"
            entry_number += int(stream[place : place + bits], 2)
            place, look_ups = place + bits, look_ups + 1
            entry = int.from_bytes(tables[entry_number * size : (entry_number + 1) * size], "little")
            count, rest = entry >> shift & 15, entry & ((1 << shift) - 1)
            if entry >> (shift + 4):
                break
            bits, entry_number = count + 1, entry_number + rest
        place -= bits - count
        result.append(rest)
    return np.array(result, f"u{np.dtype(dtype).itemsize}").view(dtype).reshape(shape), place, look_ups


@given(constants(("int8", "int16"), 2000))
def test_what_is_decoded_is_what_was_encoded(array):
    encoded = huffman.encode(array)
    assert encoded.nbytes == huffman.nbytes(array)
    assert same_bits(huffman.decode(encoded, array.shape, array.dtype), array)
    found, end, _ = brute_force(encoded, array.shape, array.dtype)
    assert same_bits(found, array)
    assert encoded.encoded.size == 4 * (-(-end // 32) + 1)  # whole words and the spare one


def test_bytes_of_a_small_tensor():
    encoded = huffman.encode(np.array([0, 0, 0, 0, 5, -1, 0], np.int8))
    found, one, long = 1 << 15, 1 << 11, 2 << 11
    tables = [found | one | 0, found | one | 0, found | long | 5, found | long | 255]
    assert encoded.codec == "huffman"
    assert encoded.ancillary.tolist() == [1, 1, 0, 0, 1, 0x10, *[0] * 10, *np.array(tables, "<u2").tobytes()]
    assert encoded.encoded.tolist() == [0b00001011, 0b0_0000000, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("size", [1, 31, 32, 33, 1000])
def test_one_value_takes_a_bit_each(size):
    array = np.full(size, -7, np.int8)
    encoded = huffman.encode(array)
    assert encoded.encoded.size == 4 * (-(-size // 32) + 1)
    assert not encoded.encoded.any()
    assert encoded.contents.size == 4
    assert type(huffman.nbytes(array)) is int  # as reports have it
    assert same_bits(huffman.decode(encoded, (size,), array.dtype), array)


def fibonacci_array(letters=26):
    """Counts for which a code without a limit has its longest codeword: the number of letters minus one."""
    counts = [1, 1]
    while len(counts) < letters:
        counts.append(counts[-1] + counts[-2])
    return np.random.default_rng(0).permutation(np.repeat(np.arange(letters) - 10, counts)).astype(np.int8)


def test_codewords_are_at_most_fifteen_bits():
    array = fibonacci_array()
    encoded = huffman.encode(array)
    assert same_bits(huffman.decode(encoded, array.shape, array.dtype), array)
    counts = np.unique(array, return_counts=True)[1]
    assert encoded.encoded.size < 1.001 * bits_of_a_huffman_code(counts) / 8 + 8


def gaussian(size, sparsity, seed=0):
    """int8 weights like those after training, the smallest pruned."""
    values = np.random.default_rng(seed).standard_normal(size)
    values[np.abs(values) < np.quantile(np.abs(values), sparsity)] = 0
    return np.rint(values / np.abs(values).max() * 127).astype(np.int8)


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.875, 0.95])
def test_it_is_as_small_as_a_code_of_single_values_can_be(sparsity):
    array = gaussian(100_000, sparsity)
    encoded = huffman.encode(array)
    best = bits_of_a_huffman_code(np.unique(array, return_counts=True)[1]) / 8
    values = np.unique(array).size
    assert best + 2 * values <= encoded.nbytes <= 1.005 * best + 5 * values


def test_most_weights_are_found_at_the_first_look_up():
    array = gaussian(20_000, 0.875)
    assert brute_force(huffman.encode(array), array.shape, array.dtype)[2] < 1.25 * array.size


def test_tables_stay_in_reach_of_each_other_where_look_ups_are_dear(monkeypatch):
    """Look-ups are dear with tens of millions of weights."""
    monkeypatch.setattr(huffman_code, "LOOK_UPS_PER_BYTE", 1)
    array = np.concatenate([gaussian(400_000, 0.5), np.arange(-128, 128).astype(np.int8)])
    encoded = huffman.encode(array)
    assert encoded.nbytes == huffman.nbytes(array)
    assert 1000 < encoded.contents.size <= 2 * 2048
    assert same_bits(huffman.decode(encoded, array.shape, array.dtype), array)


@pytest.mark.parametrize("piece", [8, 64, 1024])
def test_a_stream_is_read_in_pieces_as_in_one(monkeypatch, piece):
    monkeypatch.setattr(huffman_stream, "_PIECE", piece)
    for array in (gaussian(5000, 0.5), np.full(piece + 2, 3, np.int8)):  # more codewords would fit into the last piece
        encoded = huffman.encode(array)
        assert same_bits(huffman.decode(encoded, array.shape, array.dtype), array)


def test_no_table_is_larger_than_one_that_holds_every_codeword():
    array = np.arange(-128, 128).astype(np.int8)
    encoded = huffman.encode(array)
    assert encoded.ancillary[5] == 0x70
    assert encoded.contents.size == 2 * 256
    assert encoded.encoded.size == 256 + 4


@pytest.mark.parametrize("size", [1, 2, 1000, 1_000_000])
def test_sizes_up_to_a_million(size):
    array = gaussian(size, 0.875) if size > 2 else np.arange(size).astype(np.int8)
    encoded = huffman.encode(array)
    assert same_bits(huffman.decode(encoded, (size,), array.dtype), array)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros(4, np.float32), "float32 cannot"),
        (np.zeros(4, np.int32), "int32 cannot"),
        (np.zeros((0, 4), np.int8), "no values"),
        (np.zeros((), np.int8), "a scalar"),
        (np.arange(32769).astype(np.int16), "more than 32768 distinct"),
    ],
)
def test_what_the_runtime_or_the_code_does_not_take_is_refused(array, words):
    assert words in huffman.refusal(array)
    with pytest.raises(ValueError, match=words):
        huffman.encode(array)
    with pytest.raises(ValueError, match=words):
        huffman.nbytes(array)


def test_as_many_distinct_values_as_there_are_codewords():
    array = np.arange(32768).astype(np.int16)
    assert huffman.refusal(array) is None
    encoded = huffman.encode(array)
    assert encoded.encoded.size == 15 * 32768 // 8 + 4  # none is shorter than the longest
    assert same_bits(huffman.decode(encoded, array.shape, array.dtype), array)


def test_thousands_of_int16_values():
    array = np.random.default_rng(0).integers(-9000, 9000, 30_000).astype(np.int16)
    encoded = huffman.encode(array)
    assert encoded.ancillary[5] & 1
    assert same_bits(huffman.decode(encoded, array.shape, array.dtype), array)


SMALL = np.array([0, 0, 0, 0, 5, -1, 0], np.int8)


def changed(array=SMALL, stream=None, tables=None, byte5=None, byte6=0):
    encoded = huffman.encode(array)
    ancillary = encoded.ancillary.copy()
    if tables is not None:
        ancillary = np.concatenate([ancillary[:16], np.array(tables, "<u2").view(np.uint8)])
    if byte5 is not None:
        ancillary[5] = byte5
    ancillary[6] = byte6
    return Decodable("huffman", encoded.encoded if stream is None else np.array(stream, np.uint8), ancillary)


FOUND, ONE = 1 << 15, 1 << 11


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stream": [0b00001011, 0, 0, 0]}, "too short"),
        ({"stream": [0b00001011, 0, 0, 0, 0, 0, 0]}, "too short or no whole number"),
        ({"stream": [0b00001011, 0, 0, 0] + [0] * 8}, "stream takes 12 bytes instead of 8"),
        ({"stream": [0b00001011, 0, 0, 1] + [0] * 4}, "bits behind"),
        ({"stream": [0b00001011, 0, 0, 0, 0, 0, 0, 9]}, "bits behind"),
        ({"tables": [FOUND | ONE] * 3}, "outside the others"),
        ({"tables": [FOUND | ONE] * 5}, "no codeword reaches"),
        ({"tables": [FOUND | ONE, FOUND | ONE | 1, FOUND | ONE, FOUND | ONE]}, "disagree"),
        ({"tables": [FOUND] * 4}, "cannot be"),
        ({"tables": [FOUND | 3 * ONE] * 4}, "cannot be"),
        ({"tables": [FOUND | ONE | 256] * 4}, "cannot be"),
        ({"tables": [0, FOUND | ONE], "byte5": 0}, "over one of them"),
        ({"tables": [2, FOUND | ONE, 15 * ONE | 2, FOUND | ONE], "byte5": 0}, "outside the others"),
        ({"byte5": 0x12}, "must be zero"),
        ({"byte5": 0x14}, "must be zero"),
        ({"byte5": 0x18}, "must be zero"),
        ({"byte6": 1}, "must be zero"),
        ({"byte5": 0x11}, "outside the others"),
        ({"tables": [FOUND | ONE] * 3, "byte5": 0x11}, "end inside an entry"),
    ],
)
def test_damage_is_refused(change, words):
    assert same_bits(huffman.decode(changed(), (7,), np.dtype(np.int8)), SMALL)  # undamaged, it decodes
    with pytest.raises(ValueError, match=words):
        huffman.decode(changed(**change), (7,), np.dtype(np.int8))


def one_bit_after_the_other(bits):
    """Tables of a bit each, every one behind the one that leads to it; the codeword of ones stands for 5."""
    steps = [entry for _ in range(bits - 1) for entry in (FOUND | ONE, 1)]
    return changed(stream=[0xFF, 0xFF, 0, 0, 0, 0, 0, 0], tables=[*steps, FOUND | ONE, FOUND | ONE | 5], byte5=0)


def test_tables_as_deep_as_a_window_are_read_and_deeper_ones_refused():
    read = huffman.decode(one_bit_after_the_other(16), (1,), np.dtype(np.int8))
    assert read.tolist() == [5]
    assert same_bits(read, brute_force(one_bit_after_the_other(16), (1,), np.int8)[0])
    with pytest.raises(ValueError, match="more than 16 bits"):
        huffman.decode(one_bit_after_the_other(17), (1,), np.dtype(np.int8))


def test_a_stream_that_ends_inside_a_codeword_is_refused():
    array = np.array([0] * 31 + [5], np.int8)
    array[:3] = (1, 2, 3)
    encoded = huffman.encode(array)
    short = Decodable("huffman", encoded.encoded[:-4], encoded.ancillary)
    with pytest.raises(ValueError, match="ends before its last value"):
        huffman.decode(short, (32,), array.dtype)


@pytest.mark.parametrize(
    ("shape", "dtype", "words"),
    [
        ((2**20, 2**10), "int8", "too short"),
        ((33,), "int8", "too short"),  # one value more than there are bits in front of the spare word
        ((7,), "int16", "tables for int8"),
        ((7,), "float32", "cannot be Huffman-coded"),
    ],
)
def test_another_shape_or_type_than_was_encoded_is_refused(shape, dtype, words):
    with pytest.raises(ValueError, match=words):
        huffman.decode(changed(), shape, np.dtype(dtype))


def test_random_damage_is_refused_or_read_as_the_runtime_reads_it():
    def outcome(draw):
        array = draw(constants(("int8", "int16"), 40))
        try:
            encoded = decodable.read(*draw(damaged(huffman.encode(array))))
            if encoded.codec != "huffman":
                return "another codec"
            found = huffman.decode(encoded, array.shape, array.dtype)
        except ValueError:
            return "refused"
        assert same_bits(found, brute_force(encoded, array.shape, array.dtype)[0])
        return "read"

    seen = tally(outcome)
    assert seen["refused"] > 30
    assert seen["read"] > 1


@micro_process.needed
def test_the_runtime_decodes_the_same():
    generator = np.random.default_rng(0)
    arrays = [
        SMALL,
        np.array([3], np.int8),
        np.array([-3], np.int16),
        np.full((5, 13), -7, np.int8),
        np.full(64, -700, np.int16),
        np.arange(-128, 128).astype(np.int8),
        fibonacci_array(18),
        gaussian(1_000_000, 0.875),
        generator.integers(-9000, 9000, 30_000).astype(np.int16),
    ]
    for size in (2, 31, 33, 100, 1000, 30_000):
        for sparsity in (0.0, 0.5, 0.875, 0.99):
            arrays.append(gaussian(size, sparsity, seed=size))
            arrays.append(gaussian(size, sparsity, seed=size + 1).astype(np.int16) * 256)
    items = [(huffman.encode(array), array.shape, array.dtype, WHOLE) for array in arrays]
    for found, array in zip(micro_process.decoded(items), arrays, strict=True):
        assert same_bits(found, array)


@micro_process.needed
@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_the_runtime_refuses_what_is_refused_here(dtype):
    array = np.zeros(8, dtype)
    assert huffman.refusal(array) is not None
    with pytest.raises(micro_process.RefusedError):
        micro_process.decoded([(huffman.encode(np.zeros(8, np.int8)), array.shape, array.dtype, WHOLE)])
