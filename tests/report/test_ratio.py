"""Test the words for a ratio."""

import pytest

from tflite_sparse.report.text import ratio


@pytest.mark.parametrize(
    ("number", "beside", "cell"),
    [
        (4.5, "4.50x smaller than dense", "4.50x"),
        (1 / 4.5, "4.50x larger than dense", "4.50x larger"),
        (1.0, "as large as dense", "1.00x"),
        (1.003, "about as large as dense", "1.00x"),
        (0.997, "about as large as dense", "1.00x"),
    ],
)
def test_smaller_larger_and_neither(number, beside, cell):
    assert ratio.beside("dense", number) == beside
    assert ratio.cell(number) == cell
