"""Streams of shared values: bytes by hand, how far values reach, limits, damage."""

import itertools

import numpy as np
import pytest

from helpers import tiny_models
from tflite_sparse.codecs.streams import shared, stream
from tflite_sparse.codecs.streams.kernels import MAX_SHARED_WIDTH, SHARED_KERNELS, Filter, Kernel
from tflite_sparse.codecs.streams.shared_codes import Code, Kept, shortest


def row(places, weights, size):
    matrix = np.zeros((1, size), np.int8)
    matrix[0, places] = weights
    return matrix


def test_one_value_by_hand():
    """It reaches 252 places; 300 and 301 are behind one bridge of 252, a gap of 1,700 behind two."""
    matrix = row([0, 252, 553, 2253], 7, 2300)
    found = list(shared.encode(matrix))
    assert found[:3] == [1, 7, 252]
    assert found[3:] == [7, 0, 251, 252, 301 - 252 - 1, 255, 252 + 1, 1700 - 4 * 252 - 2 * 252 - 1]
    assert shared.entries(matrix) == 7
    assert np.array_equal(shared.decode(np.array(found, np.uint8), 1, 2300), matrix)


def test_seven_bits_by_hand():
    """One value reaches 124 places; of ten symbols eight take seven bytes, the others a byte each."""
    places = [0, 1, 3, 127, 130, 131, 132, 133, 134, 200]
    found = list(shared.encode(row(places, 7, 300), bits=7))
    symbols = [0, 0, 1, 123, 2, 0, 0, 0]
    packed = sum(symbol << 7 * number for number, symbol in enumerate(symbols)).to_bytes(7, "little")
    assert found == [1, 7, 124, 10, *packed, 0, 65]
    assert shared.nbytes(row(places, 7, 300), bits=7) == len(found)
    assert np.array_equal(shared.decode(np.array(found, np.uint8), 1, 300, bits=7), row(places, 7, 300))


def test_seven_bits_of_far_weights():
    """One value reaches 120 places, so that eight bridges remain: of 1,501 places 12 times 120 are bridged by two."""
    matrix = row([1500], 7, 1501)
    found = list(shared.encode(matrix, bits=7))
    assert found == [1, 7, 120, 3, 127, 120 + 4 - 1, 1501 - 12 * 120 - 1]
    assert np.array_equal(shared.decode(np.array(found, np.uint8), 1, 1501, bits=7), matrix)


def test_fewer_values_take_fewer_bits():
    """Seven of eight weights zero, eight values, some of them frequent: 7.3 bits in place of 8.1."""
    rng = np.random.default_rng(0)
    values = np.array([-40, -20, -8, -2, 2, 8, 20, 40], np.int8)
    weights = rng.choice(values, (96, 1024), p=[0.01, 0.05, 0.14, 0.3, 0.3, 0.14, 0.05, 0.01])
    matrix = np.where(rng.random(weights.shape) < 0.8, 0, weights).astype(np.int8)
    seven, eight = (8 * shared.nbytes(matrix, bits=bits) / np.count_nonzero(matrix) for bits in (7, 8))
    assert 7.2 < seven < 7.4
    assert 8.05 < eight < 8.15


def test_two_equally_frequent_values_by_hand():
    matrix = row([1, 2, 3, 4], [-3, 5, -3, 5], 6)
    values, *symbols = np.split(np.frombuffer(shared.encode(matrix), np.uint8), [5, 6])
    assert values[:3].view(np.int8).tolist() == [2, -3, 5]
    reach = int(values[3])
    assert np.concatenate(symbols).tolist() == [4, 1, reach, 0, reach]


def test_frequent_values_reach_further():
    rng = np.random.default_rng(0)
    values = np.array([-40, -8, -2, 2, 8, 40], np.int8)
    weights = rng.choice(values, (64, 512), p=[0.02, 0.08, 0.4, 0.4, 0.08, 0.02])
    matrix = np.where(rng.random(weights.shape) < 0.97, 0, weights).astype(np.int8)
    reaches = np.frombuffer(shared.encode(matrix), np.uint8)[7:13]
    assert min(reaches[2:4]) > max(reaches[1], reaches[4]) > max(reaches[0], reaches[5])
    assert 224 <= reaches.sum() <= 252


def test_about_a_byte_a_weight():
    """Sixteen values, seven of eight weights zero: 8.9 bits; in one run, with the table of values."""
    rng = np.random.default_rng(0)
    weights = np.rint(rng.normal(size=(96, 1024)) * 3).clip(-8, 7)
    weights = np.where(weights >= 0, weights + 1, weights)
    matrix = np.where(rng.random(weights.shape) < 0.875, 0, weights).astype(np.int8)
    bits = 8 * shared.nbytes(matrix) / np.count_nonzero(matrix)
    assert 8.5 < bits < 9.1


def test_a_count_of_two_bytes_from_128_symbols_on():
    for count, head in ((127, [127]), (128, [128, 128]), (300, [129, 44])):
        matrix = np.full((1, count), 3, np.int8)
        found = shared.encode(matrix)
        assert list(found[3 : 3 + len(head)]) == head
        assert np.array_equal(shared.decode(np.frombuffer(found, np.uint8), 1, count), matrix)


def test_runs_of_strips_are_columns():
    shape = Filter(1, 2, 3, 2)
    weights = np.zeros(shape.shape, np.int8)
    weights[0, 0, 2, 1] = weights[0, 1, 2, 0] = 9
    found = stream.encode(Kernel.STRIP_SHARED, shape, weights)
    assert found[3:].tolist() == [0, 0, 2, 1, 0]  # two empty columns; then the places 1 and 2 of the third


@pytest.mark.parametrize("kernel", sorted(SHARED_KERNELS))
def test_more_than_64_values_are_refused(kernel):
    shape = Filter(1, 1, 1, 80)
    weights = (np.arange(80) % 64 + 1).astype(np.int8).reshape(shape.shape)
    assert stream.refusal(kernel, shape, weights) is None
    weights[0, 0, 0, 79] = 65
    assert "65 values" in stream.refusal(kernel, shape, weights)
    with pytest.raises(ValueError, match="65 values"):
        stream.encode(kernel, shape, weights)


def test_more_symbols_than_a_count_holds_are_refused():
    """The head of a longer one would be the byte that changes tables."""
    assert shared.refusal(np.ones((1, 32511), np.int8)) is None
    assert "32,512 symbols" in shared.refusal(np.ones((1, 32512), np.int8))


def test_two_tables_by_hand():
    """Runs begin with the first table; 255 changes to the other one until it comes again."""
    first, second = [128 + 1, 5, 252], [1, 249, 252]
    found = np.array([*first, *second, 1, 0, 255, 2, 3, 0, 1, 1, 255, 0], np.uint8)
    matrix = shared.decode(found, 4, 6)
    assert matrix.tolist() == [[5, 0, 0, 0, 0, 0], [0, 0, 0, -7, -7, 0], [0, -7, 0, 0, 0, 0], [0] * 6]
    assert shared.tables(found) == 2


def test_rows_of_two_kinds_take_two_tables():
    matrix = tiny_models.two_kinds_of_rows()
    one, two = (np.frombuffer(shared.encode(matrix, tables), np.uint8) for tables in (1, 2))
    assert (shared.tables(one), shared.tables(two)) == (1, 2)
    assert two[0] == 128 + 8
    assert two.size == shared.nbytes(matrix, 2) < 0.93 * one.size
    assert shared.entries(matrix, 2) < 0.92 * shared.entries(matrix, 1)
    assert np.array_equal(shared.decode(two, *matrix.shape), matrix)


def test_a_second_table_that_does_not_pay_is_left_out():
    one_kind = np.abs(tiny_models.two_kinds_of_rows()[1::3][:8])
    assert shared.encode(one_kind, 2) == shared.encode(one_kind, 1)


def test_wide_filters_have_no_strips():
    for width, refused in ((MAX_SHARED_WIDTH, False), (MAX_SHARED_WIDTH + 1, True)):
        shape = Filter(1, 1, width, 2)
        assert (stream.refusal(Kernel.STRIP_SHARED, shape, np.ones(shape.shape, np.int8)) is not None) is refused


@pytest.mark.parametrize(
    ("damaged", "words"),
    [
        ([0], "0 values"),
        ([65, *[1] * 200], "65 values"),
        ([2, 1, 2, 100], "2 values in 4 bytes"),
        ([1, 1, 0, 0], "reaches"),
        ([2, 1, 2, 128, 128, 0], "reaches"),
        ([1, 1, 20, 0], "reaches"),  # 236 bridges of 20 and more places
        ([1, 1, 252, 1, 8], "leads out of its 8 places"),
        ([1, 1, 252, 1, 252], "leads out of its 8 places"),
        ([1, 1, 252, 2, 0], "ends inside run 0"),
        ([1, 1, 252, 129], "ends before run 0"),
        ([1, 1, 252, 1, 0, 0], "behind its last output"),
        ([1, 1, 252, 255, 0, 0], "a table that it does not have"),
        ([129, 1, 252, 1, 2, 252, 255, 255, 0], "a table that it does not have"),
        ([129, 1, 252, 1, 2, 252, 255], "ends before run 0"),
        ([129, 1, 252], "0 values in 3 bytes"),
        ([129, 1, 252, 1, 2, 0, 0], "reaches"),
        ([129, 1, 252, 129, 2, 252, 1, 3, 252, 0], "more than 2 tables"),
    ],
)
def test_damage_is_refused(damaged, words):
    with pytest.raises(ValueError, match=words):
        shared.decode(np.array(damaged, np.uint8), 1, 8)


@pytest.mark.parametrize(
    ("damaged", "words"),
    [
        ([1, 1, 128, 0], "reaches"),
        ([1, 1, 124, 1, 128], "a symbol of more than 7 bits in run 0"),
        ([1, 1, 124, 8, 0, 0, 0, 0, 0, 0], "ends inside run 0"),
        ([1, 1, 124, 8, 1, 0, 0, 0, 0, 0, 0], "leads out of its 8 places"),
        ([1, 1, 124, 8, 0, 0, 0, 0, 0, 0, 0, 0], "behind its last output"),
    ],
)
def test_damage_of_seven_bits_is_refused(damaged, words):
    with pytest.raises(ValueError, match=words):
        shared.decode(np.array(damaged, np.uint8), 1, 8, bits=7)


@pytest.mark.parametrize("bits", [7, 8])
@pytest.mark.parametrize(("density", "count"), [(0.5, 64), (0.125, 16), (0.125, 3), (0.02, 16), (0.002, 5)])
def test_no_code_of_those_known_has_fewer_symbols(density, count, bits):
    """By the definition of a code, one at a time; gaps are short and long."""
    rng = np.random.default_rng(count)
    values = rng.permutation(np.r_[-100:0, 1:100])[:count].astype(np.int8)
    weights = values[np.minimum(rng.geometric(3 / count, (40, 700)) - 1, count - 1)]
    kept = Kept.of(np.where(rng.random(weights.shape) < density, weights, 0).astype(np.int8))
    helped = [
        (-np.count_nonzero(kept.numbers == number) * np.count_nonzero(kept.gaps > reach), number, reach)
        for number in range(len(kept.values))
        for reach in range(257)
    ]
    fewest = 2**62
    for bridges, least in itertools.product((4, 8, 16, 32), (1, 2, 4, 6, 8, 10, 12, 15, 20, 30)):
        left = 2**bits - bridges - least * len(kept.values)
        if left >= 0:
            longer = [number for _, number, reach in sorted(helped) if reach >= least][:left]
            code = Code(kept.values, least + np.bincount(longer, minlength=len(kept.values)), bits)
            if code.is_valid:
                fewest = min(fewest, int(kept.counts(code).sum()))
    assert int(kept.counts(shortest(kept, bits)).sum()) == fewest


def test_what_is_remembered_is_of_the_same_weights():
    """Weights that are changed in place, and other shapes of the same bytes, are worked out anew."""
    matrix = tiny_models.two_kinds_of_rows()
    first = shared.nbytes(matrix, 2)
    matrix[::2] = 0
    assert shared.nbytes(matrix, 2) == len(shared.encode(matrix, 2)) < first
    matrix[:] = tiny_models.two_kinds_of_rows()
    assert shared.nbytes(matrix, 2) == first
    assert shared.nbytes(matrix.reshape(1, -1), 2) != first
