"""Pieces of C text."""

import numpy as np
import pytest

from tflite_sparse.standalone_c import c_text


@pytest.mark.parametrize(
    ("words", "written"),
    [
        ("conv/relu", "conv/relu"),
        ("a */ b", "a * / b"),
        ("a /* b", "a / * b"),
        ("*/*/", "* / * "),
        ("two\nlines", r"two\x0alines"),
        ("größe", r"gr\xf6\xdfe"),
        ("ends in \\", "ends in "),
    ],
)
def test_a_comment_stays_one(words, written):
    found = c_text.comment(words)
    assert found == written
    assert not {"*/", "/*", "\n"} & {found[start : start + size] for start in range(len(found)) for size in (1, 2)}


def test_strings_hold_any_label():
    assert c_text.string('a"b\\c??/') == r'"a\042b\134c\077\077/"'
    assert c_text.string("é1") == r'"\303\2511"'


def test_numbers_read_back_to_the_same_bits():
    assert c_text.integer(-(2**31)) == "(-2147483647 - 1)"
    for value in np.array([0.1, 1, 1 / 256, 3.4e38, 1e-45], np.float32):
        assert np.float32(c_text.floating(value).removesuffix("f")) == value
        assert "." in c_text.floating(value)


def test_arrays_are_broken_at_commas():
    text = c_text.array("x", np.arange(-500, 500, dtype=np.int32), aligned=True)
    assert text.startswith("static const int32_t x[1000] TFLS_ALIGNED = {\n")
    assert max(map(len, text.splitlines())) <= c_text.WIDTH
    body = text[text.index("{") + 1 : text.index("}")]
    assert [int(each) for each in body.split(",")] == list(range(-500, 500))
