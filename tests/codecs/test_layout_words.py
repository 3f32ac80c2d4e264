"""Test layouts in plain words."""

import pytest

from tflite_sparse.codecs.layout import Layout
from tflite_sparse.codecs.layout_words import in_plain_words


@pytest.mark.parametrize(
    ("layout", "operators", "words"),
    [
        (Layout((3, 4)), (), "dense"),
        (Layout((3, 4), (0, 1), (False, True)), (), "one-byte indices along the inputs"),
        (Layout((3, 300), (0, 1), (False, True)), (), "two-byte indices along the inputs"),
        (Layout((300, 4), (1, 0), (False, True)), (), "two-byte indices along the outputs"),
        (
            Layout((300, 4), (0, 1), (True, True)),
            (),
            "two-byte indices along the outputs and one-byte indices along the inputs",
        ),
        (
            Layout((3, 4096), (0, 1, 2), (False, True, False), (1,), (16,)),
            (),
            "one-byte indices along the inputs, in blocks of 1x16",
        ),
        (
            Layout((1, 3, 3, 64), (0, 1, 2, 3), (False, False, False, True)),
            ("DEPTHWISE_CONV_2D",),
            "one-byte indices along the channels",
        ),
        (
            Layout((8, 3, 3, 64), (0, 1, 2, 3), (False,) * 3 + (True,)),
            ("CONV_2D",),
            "one-byte indices along the inputs",
        ),
        (Layout((2, 2, 2, 2, 70_000), (0, 1, 2, 3, 4), (False,) * 4 + (True,)), (), "four-byte indices along axis 4"),
    ],
)
def test_words(layout, operators, words):
    assert in_plain_words(layout, operators) == words
