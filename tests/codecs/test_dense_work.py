"""What the dense loops of generated C do, worked out by hand for layers that do not fill their tiles."""

import pytest

from tflite_sparse.codecs import dense_work
from tflite_sparse.codecs.streams.kernels import Filter
from tflite_sparse.codecs.streams.work import Pixels

PLAIN, DSP, HELIUM = frozenset(), frozenset({"dsp"}), frozenset({"dsp", "helium"})
CONV, IN_FOURS = Filter(5, 3, 3, 3), Filter(6, 1, 1, 8)


@pytest.mark.parametrize(
    ("shape", "extensions", "expected"),
    [
        # 27 inputs of 5 outputs of 9 pixels: two pairs of outputs and one that is left, pixels in pairs
        (CONV, PLAIN, [27 * 4 * 10, 27 * 2 * 10, 3 * 5, 45, 0, 27 * 9, 27, 1]),
        (CONV, DSP, [28 * 4 * 12, 28 * 2 * 12, 3 * 3, 45, 0, 27 * 9, 27, 1]),
        (CONV, HELIUM, [32 * 4 * 9, 32 * 9, 2 * 9, 45, 0, 27 * 9, 27, 1]),
        (IN_FOURS, DSP, [8 * 6 * 12, 0, 3 * 3, 54, 8 * 9, 0, 9, 1]),
    ],
)
def test_convolutions_of_nine_pixels(shape, extensions, expected):
    assert dense_work.parts(shape, Pixels(1, 3, 3), extensions, is_matrix=False).tolist() == expected


@pytest.mark.parametrize(
    ("extensions", "expected"),
    [
        (PLAIN, [33 * 8 * 2, 33 * 3 * 2, 5 * 2, 22, 0, 0, 0, 1]),
        (DSP, [36 * 8 * 2, 36 * 4 * 2, 3 * 2, 22, 0, 0, 0, 1]),
        (HELIUM, [48 * 8 * 2, 48 * 3 * 2, 5 * 2, 22, 0, 0, 0, 1]),
    ],
)
def test_two_rows_of_eleven_outputs(extensions, expected):
    found = dense_work.parts(Filter(11, 1, 1, 33), Pixels(2, 1, 1), extensions, is_matrix=True)
    assert found.tolist() == expected
