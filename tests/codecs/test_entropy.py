import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import tiny_models
from helpers.random_layouts import arrays
from tflite_sparse.codecs import csr, search
from tflite_sparse.codecs.entropy import entropy_bytes
from tflite_sparse.codecs.layout import Layout


def bits_of_a_perfect_code(symbols):
    """Count each symbol as ``-log2`` of its share, one by one."""
    counts = Counter(symbols)
    return sum(-math.log2(counts[symbol] / len(symbols)) for symbol in symbols)


def by_brute_force(array):
    values = [value.tobytes() for value in array.reshape(-1)]  # by their bits: a NaN is a symbol like any other
    zero = bytes(array.itemsize)
    kept = [value for value in values if value != zero]
    coded = bits_of_a_perfect_code(kept)
    if array.itemsize > 1:  # with the list of the values, or each as it is
        coded = min(coded + 8 * array.itemsize * len(set(kept)), 8 * array.itemsize * len(kept))
    return (bits_of_a_perfect_code([value != zero for value in values]) + coded) / 8


@given(arrays())
def test_is_the_sum_over_symbols(array):
    exact = by_brute_force(array)
    # Rounded up; sums of floats may land on either side of a whole number.
    assert math.ceil(exact - 1e-6) <= entropy_bytes(array) <= math.ceil(exact + 1e-6)


@given(st.sampled_from(("int8", "float32")), st.floats(0.01, 0.99), st.integers(0, 99))
def test_no_unstructured_layout_goes_below_it(dtype, density, seed):
    array = tiny_models.sparse_weights((60, 100), dtype, density, seed)
    rows = csr.encode(array, Layout((60, 100), (0, 1), (False, True)))
    assert entropy_bytes(array) <= rows.nbytes
    assert entropy_bytes(array) <= search.cheapest(array).nbytes


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.zeros((8, 8), np.int8), 0),
        (np.ones((8, 8), np.int8), 0),  # one symbol carries nothing
        (np.tile(np.array([0, 1], np.int8), 64), 16),  # a fair bit for each of 128 places
        (np.tile(np.array([0, 1, 0, 2], np.int8), 32), 16 + 8),  # and one for each of the 64 kept values
        (np.arange(256, dtype=np.uint8)[1:].view(np.int8), math.ceil(255 * math.log2(255) / 8)),
        (np.array([5], np.int8), 0),
        (np.zeros(0, np.int8), 0),
        (np.zeros((3, 0), np.float32), 0),
        (np.array(-5, np.int8), 0),
        (np.array(0, np.int8), 0),
        (np.array(-5, np.float32), 4),
        (np.arange(1, 257, dtype=np.float32), 4 * 256),  # each value another one
        (np.tile(np.array([0, 1.5], np.float32), 64), 16 + 4),  # the mask, and the one value there is
        (np.tile(np.array([1, 2], np.int16), 64), 2 * 2 + 16),
    ],
)
def test_known_values(array, expected):
    assert entropy_bytes(array) == expected


def test_does_not_depend_on_memory_order():
    array = tiny_models.sparse_weights((30, 40))
    assert entropy_bytes(array.T) == entropy_bytes(array)
    assert entropy_bytes(array[:, ::2]) == entropy_bytes(array[:, ::2].copy())


def test_zeros_are_those_of_the_zero_point():
    signed = tiny_models.sparse_weights((8, 32), density=0.25)
    shifted = (signed.astype(np.int16) + 131).clip(0, 255).astype(np.uint8)
    assert np.count_nonzero(shifted != 131) == np.count_nonzero(signed)
    assert entropy_bytes(np.where(signed, 7, 131).astype(np.uint8), np.array(131)) == entropy_bytes(signed != 0)
    moved = (shifted.astype(np.int16) - 131).astype(np.int8)  # modulo 256: other symbols, as often
    assert entropy_bytes(shifted, np.array(131)) == entropy_bytes(moved)
