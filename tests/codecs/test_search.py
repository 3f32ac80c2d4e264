import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import tiny_models
from helpers.random_layouts import arrays, same_bits
from helpers.tally import tally
from tflite_sparse.codecs import csr, search
from tflite_sparse.codecs.layout import Layout


@given(arrays(st.lists(st.integers(1, 7), min_size=1, max_size=4).map(tuple)))
def test_costs_are_the_real_sizes_and_cheapest_is_least(array):
    priced = list(search.costs(array))
    for cost in priced:
        assert cost.nbytes == csr.encode(array, cost.layout).nbytes
    cheapest = search.cheapest(array)
    if array.size == 1:
        assert cheapest is None
    else:
        assert cheapest.nbytes <= min(cost.nbytes for cost in priced)
        assert cheapest.nbytes == csr.encode(array, cheapest.layout).nbytes


@given(arrays(st.lists(st.integers(1, 7), min_size=1, max_size=3).map(tuple)))
def test_cheapest_is_not_beaten_by_any_order_at_all(array):
    """This includes orders that ``costs`` leaves out, with axes of size 1 in other places or compressed."""
    cheapest = search.cheapest(array)
    if array.size == 1:
        assert cheapest is None
        return
    rank = array.ndim
    for order in itertools.permutations(range(rank)):
        for compressed in itertools.product((False, True), repeat=rank):
            if any(compressed[i] for i, axis in enumerate(order) if array.shape[axis] > 1):
                assert cheapest.nbytes <= csr.encode(array, Layout(array.shape, order, compressed)).nbytes


def test_costs_yield_every_order_and_level_once():
    priced = list(search.costs(tiny_models.sparse_weights((4, 1, 3, 5))))
    assert len({cost.layout for cost in priced}) == len(priced) == 6 * 7
    assert {cost.layout.traversal_order[0] for cost in priced} == {1}
    assert not any(cost.layout.compressed[0] for cost in priced)


def test_cheapest_of_a_convolution_kernel_compresses_an_axis_that_one_byte_reaches():
    array = tiny_models.sparse_weights((64, 3, 3, 32))
    cost = search.cheapest(array)
    assert cost.layout == Layout((64, 3, 3, 32), (1, 2, 3, 0), (False, False, False, True))
    kept = np.count_nonzero(array)
    assert cost.nbytes == 2 * kept + 2 * (3 * 3 * 32 + 1)


def test_cheapest_prefers_the_simplest_of_equals():
    array = np.zeros((5, 5), np.int8)
    array[0, 0] = 1
    best = search.cheapest(array)
    equals = [c.layout for c in search.costs(array) if c.nbytes == best.nbytes]
    assert sum(best.layout.compressed) == min(sum(layout.compressed) for layout in equals)


def block_weights(shape, block, density, fill=1.0, dtype="int8", seed=0):
    """Weights with kept values in blocks; a share ``fill`` of a kept block is not zero."""
    generator = np.random.default_rng(seed)
    grid = [size // part for size, part in zip(shape, block, strict=True)]
    kept = generator.random(grid) < density
    for axis, part in enumerate(block):
        kept = kept.repeat(part, axis)
    values = generator.integers(1, 127, shape).astype(dtype)
    return values * (kept & (generator.random(shape) < fill)).astype(dtype)


BLOCKS = [(1, 2), (1, 4), (4, 1), (1, 16), (16, 1), (4, 4), (2, 8), (1, 1, 1, 4), (8, 1, 1, 1), (4, 1, 1, 4), (1, 2, 1)]


@pytest.mark.parametrize("fill", [1.0, 0.95])
@pytest.mark.parametrize("dtype", ["int8", "float32"])
@pytest.mark.parametrize("block", BLOCKS)
def test_blocks_are_found_also_when_they_are_not_full(block, dtype, fill):
    shape = tuple(part * (16 if part > 1 else 48 if len(block) == 2 else 5) for part in block)
    array = block_weights(shape, block, 0.125, fill, dtype)
    cost = search.cheapest(array)
    plain = min(search.costs(array), key=lambda cost: cost.nbytes)
    assert cost.layout.block_map, cost
    assert cost.nbytes < plain.nbytes
    encoded = csr.encode(array, cost.layout)
    assert encoded.nbytes == cost.nbytes
    assert same_bits(csr.decode(encoded), array)
    if fill == 1.0:
        sizes = dict(zip(cost.layout.block_map, cost.layout.block_shape, strict=True))
        assert tuple(sizes.get(axis, 1) for axis in range(len(shape))) == block


def test_scattered_zeros_get_no_blocks():
    assert search.cheapest(tiny_models.sparse_weights((64, 256))).layout.block_map == ()


def layouts_in_blocks(shape):
    """Yield every block of the searched sizes, on one axis or two, in every order."""
    rank = len(shape)
    for sizes in itertools.product((1, 2, 4, 8), repeat=rank):
        split = [axis for axis, size in enumerate(sizes) if size > 1]
        if not 1 <= len(split) <= 2 or any(n % size for n, size in zip(shape, sizes, strict=True)):
            continue
        grid = [n // size for n, size in zip(shape, sizes, strict=True)]
        inner = range(rank, rank + len(split))
        for own in itertools.permutations(range(rank)):
            for compressed in itertools.product((False, True), repeat=rank):
                if any(compressed[i] for i, axis in enumerate(own) if grid[axis] > 1):
                    flags = (*compressed, *[False] * len(split))
                    yield Layout(shape, (*own, *inner), flags, tuple(split), tuple(sizes[axis] for axis in split))


def test_no_block_layout_beats_the_cheapest():
    def is_in_blocks(draw):
        array = draw(arrays(st.lists(st.sampled_from([1, 2, 4, 6, 8]), min_size=1, max_size=3).map(tuple)))
        cheapest = search.cheapest(array)
        if array.size == 1:
            assert cheapest is None
            return None
        for layout in layouts_in_blocks(array.shape):
            assert cheapest.nbytes <= csr.encode(array, layout).nbytes
        return bool(cheapest.layout.block_map)

    seen = tally(is_in_blocks)
    assert seen[True] > 0
    assert seen[False] > 20


def test_many_axes_are_not_searched():
    """The number of layouts grows with the factorial of the rank; a constant of rank 12 must not hang."""
    assert search.cheapest(np.zeros((2,) * 12, np.int8)) is None
    assert list(search.costs(np.zeros((2,) * 6, np.int8))) == []
    assert search.cheapest(np.zeros((1, 2) * 5, np.int8)).nbytes < math.prod((1, 2) * 5)


def test_of_equally_small_layouts_that_of_fewer_blocks_is_taken():
    """Blocks of both axes, which are found first, take as many bytes."""
    array = np.zeros((2, 8), np.int8)
    array[:, 6:] = 1
    found = search.cheapest(array).layout
    assert (found.traversal_order, found.block_map, found.block_shape) == ((1, 0, 2), (1,), (2,))
