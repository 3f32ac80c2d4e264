"""What the dense loops of generated C do, worked out by hand for layers that do not fill their tiles."""

import numpy as np
import pytest

from tflite_sparse.codecs import dense_work
from tflite_sparse.codecs.dense_work import USUAL, Loops
from tflite_sparse.codecs.streams.kernels import Filter
from tflite_sparse.codecs.streams.parameters import Parameters
from tflite_sparse.codecs.streams.work import Pixels

PLAIN, DSP, HELIUM = frozenset(), frozenset({"dsp"}), frozenset({"dsp", "helium"})
CONV, IN_FOURS = Filter(5, 3, 3, 3), Filter(6, 1, 1, 8)
ROWS_APART, COLUMNS_APART = (Filter(5, 3, 3, 3, dilations=dilations) for dilations in ((2, 1), (1, 2)))
UNPAIRED, WIDE = Loops(paired=False), Loops(wide=True)


@pytest.mark.parametrize(
    ("shape", "extensions", "expected"),
    [
        # 27 inputs of 5 outputs of 9 pixels: two pairs of outputs and one that is left, pixels in pairs
        (CONV, PLAIN, [27 * 4 * 10, 27 * 2 * 10, 3 * 5, 45, 0, 27 * 9, 27, 0, 1]),
        (CONV, DSP, [28 * 4 * 12, 28 * 2 * 12, 3 * 3, 45, 0, 27 * 9, 27, 0, 1]),
        (IN_FOURS, DSP, [8 * 6 * 12, 0, 3 * 3, 54, 8 * 9, 0, 9, 0, 1]),
        # five pairs of pixels, vectors of 16 inputs; of five or six outputs four and then the last four
        (CONV, HELIUM, [2 * 8 * 5, 0, 8 * 5, 2 * 5, 0, 27, 27, 0, 1]),
        (IN_FOURS, HELIUM, [8 * 5, 0, 8 * 5, 2 * 5, 0, 0, 0, 0, 1]),
        (COLUMNS_APART, HELIUM, [2 * 8 * 5, 0, 8 * 5, 2 * 5, 0, 0, 27, 81, 1]),
        (Filter(101, 1, 3, 30), HELIUM, [0, 6 * 104 * 5, 104 * 5, 4 * 5, 0, 6 * 9, 9, 0, 1]),
        (Filter(3, 2, 2, 5), HELIUM, [2 * 3 * 9, 0, 0, 0, 27, 18, 18, 0, 1]),
    ],
)
def test_convolutions_of_nine_pixels(shape, extensions, expected):
    assert dense_work.parts(shape, Pixels(1, 3, 3), extensions, is_matrix=False).tolist() == expected


@pytest.mark.parametrize(
    ("extensions", "expected"),
    [
        (PLAIN, [33 * 8 * 2, 33 * 3 * 2, 5 * 2, 22, 0, 0, 0, 0, 1]),
        (DSP, [36 * 8 * 2, 36 * 4 * 2, 3 * 2, 22, 0, 0, 0, 0, 1]),
        (HELIUM, [48 * 8 * 2, 48 * 3 * 2, 5 * 2, 22, 0, 0, 0, 0, 1]),
    ],
)
def test_two_rows_of_eleven_outputs(extensions, expected):
    found = dense_work.parts(Filter(11, 1, 1, 33), Pixels(2, 1, 1), extensions, is_matrix=True)
    assert found.tolist() == expected


@pytest.mark.parametrize(("shape", "columns"), [(CONV, 0), (ROWS_APART, 0), (COLUMNS_APART, 3 * 3 * 9)])
def test_columns_that_lie_apart_are_gathered_one_by_one(shape, columns):
    found = dense_work.parts(shape, Pixels(1, 3, 3), DSP, is_matrix=False).tolist()
    assert found == [28 * 4 * 12, 28 * 2 * 12, 3 * 3, 45, 0, 27 * 9, 27, columns, 1]


def test_loops_of_rare_numbers_on_dsp_cores():
    unpaired, on_plain_cores = (
        dense_work.parts(CONV, Pixels(1, 3, 3), *on, is_matrix=False).tolist() for on in ((DSP, UNPAIRED), (PLAIN,))
    )
    assert unpaired == on_plain_cores
    wide = dense_work.parts(CONV, Pixels(1, 3, 3), DSP, WIDE, is_matrix=False).tolist()
    assert wide == [28 * 4 * 9, 28 * 2 * 9, 3 * 9, 45, 0, 27 * 9, 27, 0, 1]


@pytest.mark.parametrize(
    ("extensions", "suffixes"),
    [(PLAIN, ["", "_WIDE"]), (HELIUM, ["", "_WIDE"]), (DSP, ["", "_WIDE", "_PLAIN", "_PLAIN_WIDE"])],
)
def test_loops_that_differ_have_kinds_of_their_own(extensions, suffixes):
    assert [each.suffix(extensions) for each in dense_work.every_loops(extensions)] == suffixes
    assert Loops(paired=False).suffix(extensions) == ("_PLAIN" if extensions == DSP else "")


def test_numbers_choose_the_loops():
    weights = np.array([[127, -127], [3, 4]], np.int8)
    scales = np.array([2**30], np.int32), np.array([-3], np.int8)
    usual, large = (Parameters(np.array([5, bias], np.int32), *scales) for bias in (6, 2**30))
    assert dense_work.loops_of(usual, weights) == USUAL
    assert dense_work.loops_of(large, weights) == WIDE
    weights[1, 0] = -128
    assert dense_work.loops_of(usual, weights) == UNPAIRED
