import numpy as np
import pytest
from hypothesis import given

from helpers.random_layouts import arrays_with_layouts, same_bits
from tflite_sparse.codecs.layout import Layout, element_count, kept_mask, narrowest_index_dtype, nonzero_mask


@given(arrays_with_layouts())
def test_from_levels_undoes_to_levels(case):
    array, layout = case
    levels = layout.to_levels(array)
    assert levels.shape == layout.level_sizes
    assert same_bits(layout.from_levels(np.ascontiguousarray(levels).reshape(-1)), array)


def test_levels_of_an_order_without_blocks_are_a_transpose():
    array = np.arange(24).reshape(2, 3, 4)
    levels = Layout((2, 3, 4), (2, 0, 1), (False, True, False)).to_levels(array)
    np.testing.assert_array_equal(levels, array.transpose(2, 0, 1))


def test_levels_of_blocks_put_what_is_inside_a_block_last():
    array = np.arange(4 * 6).reshape(4, 6)
    layout = Layout((4, 6), (0, 1, 2, 3), (False, True, False, False), (0, 1), (2, 3))
    levels = layout.to_levels(array)
    assert layout.expanded_shape == levels.shape == (2, 2, 2, 3)
    for row in range(4):
        for column in range(6):
            assert levels[row // 2, column // 3, row % 2, column % 3] == array[row, column]


def test_level_sizes_follow_the_traversal_order():
    layout = Layout((4, 6), (1, 0, 3, 2), (True, True, False, False), (0, 1), (2, 3))
    assert layout.expanded_shape == (2, 2, 2, 3)
    assert layout.level_sizes == (2, 2, 3, 2)
    assert Layout((5, 6), (1, 0), (True, False)).level_sizes == (6, 5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (((2, 3), (), (True,)), "dense layout has no levels"),
        (((2, 3), (), (), (0,), (2,)), "dense layout has no levels"),
        (((2, 3), (), (), (0,), ()), "dense layout has no levels"),
        (((2, 3), (), (), (), (2,)), "dense layout has no levels"),
        (((2, 3), (0, 1), (True,)), "equal length"),
        (((2, 3), (0, 1, 2), (True, False, False), (0,), ()), "equal length"),
        (((2, 3), (0, 0), (True, False)), "permutation of 2 axes"),
        (((2, 3), (0,), (True, False)), "permutation of 2 axes"),
        (((2, 3), (1, 2), (True, False)), "permutation of 2 axes"),
        (((2, 3), (0, 2, 1), (False, False, True), (0,), (2,)), "permutation of 2 axes"),  # an interleaved block
        (((2, 3), (0, 1, 3), (False, False, False), (0,), (2,)), "block dimensions"),
        (((2, 3), (0, 1, 2), (False, False, True), (0,), (2,)), "must be dense"),
        (((2, 3), (0, 1, 2), (False, True, False), (2,), (1,)), "own axes"),
        (((2, 3), (0, 1, 2), (False, True, False), (-1,), (1,)), "own axes"),
        (((2, 3), (0, 1, 2, 3), (False, True, False, False), (1, 1), (3, 1)), "each once"),
        (((2, 3), (0, 1, 2), (False, True, False), (1,), (2,)), "do not divide"),
        (((2, 3), (0, 1, 2), (False, True, False), (1,), (0,)), "do not divide"),
    ],
)
def test_parts_that_do_not_fit_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        Layout(*arguments)


def test_a_block_map_that_does_not_ascend_is_refused():
    # LiteRT 2.3.0 loads such a file without a word and rebuilds another tensor.
    Layout((4, 6), (0, 1, 3, 2), (False, True, False, False), (0, 1), (2, 3))
    with pytest.raises(ValueError, match="block map"):
        Layout((4, 6), (0, 1, 2, 3), (False, True, False, False), (1, 0), (3, 2))


def test_dense_is_the_layout_without_levels():
    assert Layout((3, 4)).is_dense
    assert not Layout((3, 4), (0, 1), (False, False)).is_dense


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        (Layout((3, 4)), "dense"),
        (Layout((3, 4), (0, 1), (False, True)), "CSR over axis 1"),
        (Layout((3, 4), (1, 0), (True, True)), "CSR over axis 1+0, order 1,0"),
        (Layout((3, 4), (0, 1, 2), (False, True, False), (1,), (4,)), "CSR over axis 1, blocks 1x4"),
        (Layout((3, 4), (1, 0), (False, False)), "dense levels, order 1,0"),
    ],
)
def test_in_words(layout, words):
    assert layout.in_words() == words


@pytest.mark.parametrize(
    ("largest", "dtype"),
    [(0, "u1"), (255, "u1"), (256, "u2"), (65535, "u2"), (65536, "i4"), (2**31 - 1, "i4")],
)
def test_narrowest_index_dtype(largest, dtype):
    assert narrowest_index_dtype(largest) == np.dtype(dtype)


def test_nonzero_mask_keeps_every_value_with_a_bit_set():
    tiniest = np.finfo(np.float32).smallest_subnormal
    floats = np.array([[0.0, -0.0, np.nan], [1.0, tiniest, 0.0]], np.float32)
    assert nonzero_mask(floats).tolist() == [[False, True, True], [True, True, False]]
    assert nonzero_mask(floats.astype(np.float16))[0].tolist() == [False, True, True]
    assert nonzero_mask(floats.T).tolist() == nonzero_mask(floats).T.tolist()
    assert nonzero_mask(np.array([-128, 0, 1], np.int8)).tolist() == [True, False, True]
    assert nonzero_mask(np.array([True, False])).tolist() == [True, False]


@pytest.mark.parametrize("dtype", ["int8", "float16", "float32", "bool"])
def test_masks_of_rank_0_and_of_nothing(dtype):
    for mask in (nonzero_mask, kept_mask):
        assert [mask(np.array(value, dtype)).tolist() for value in (0, 1)] == [False, True]
        assert mask(np.zeros((3, 0), dtype)).shape == (3, 0)


def test_kept_is_what_differs_from_the_zero_point():
    values = np.array([[0, 131, 5], [131, 131, 255]], np.uint8)
    assert kept_mask(values).tolist() == [[False, True, True], [True, True, True]]
    assert kept_mask(values, np.array(131)).tolist() == [[True, False, True], [False, False, True]]
    assert kept_mask(values, np.array([[131], [255]])).tolist() == [[True, False, True], [True, True, False]]
    assert kept_mask(values, np.array(2**40)).all()  # a zero point that no value can have
    floats = np.array([0.0, -0.0, 131.0], np.float32)  # not quantised, whatever the file says
    assert kept_mask(floats, np.array(131)).tolist() == [False, True, True]


def test_element_count():
    assert element_count((3, 1, 5)) == 15
    assert element_count(()) == 1
