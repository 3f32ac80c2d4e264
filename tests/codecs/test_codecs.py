"""Test that the front of the codecs passes everything to the named codec."""

import numpy as np
import pytest

from helpers.random_layouts import same_bits
from tflite_sparse.codecs import codecs
from tflite_sparse.codecs.decodable import Channels
from tflite_sparse.codecs.names import CODECS

# Each channel has its own zero point and table, so that a codec that ignored them would show.
ARRAY = np.array([[1, 1, 1, 9, 1, 1, 1, 8] * 8, [2, 2, 2, 2, 7, 2, 2, 2] * 8], np.int8)
CHANNELS = Channels(0, (1, 2))
INNER = Channels(1, (0, 0, 0))


@pytest.mark.parametrize("codec", CODECS)
def test_each_codec_is_its_own_in_both_directions_and_its_bytes_are_known_before(codec):
    channels = CHANNELS if codec != "huffman" else Channels()
    encoded = codecs.encode(codec, ARRAY, channels)
    assert encoded.codec == codec
    assert codecs.nbytes(codec, ARRAY, channels) == encoded.nbytes
    assert same_bits(codecs.decode(encoded, ARRAY.shape, ARRAY.dtype, channels), ARRAY)


def test_bytes_of_each_codec_and_what_channels_change():
    """16 of header; 128 bits of mask and one byte for each of 24 kept values, or for all 128."""
    assert codecs.nbytes("prune", ARRAY, CHANNELS) == 16 + 16 + 24
    assert codecs.nbytes("prune", ARRAY) == 16 + 16 + 128
    # Indices of 2 bits in tables of 3 values, the second channel's filled up; one table takes 3 bits and 5.
    assert codecs.nbytes("lut", ARRAY, CHANNELS) == 16 + 32 + 6
    assert codecs.nbytes("lut", ARRAY) == 16 + 48 + 5


def test_what_is_refused_depends_on_codec_and_channels():
    cube = np.ones((2, 3, 2), np.int8)
    for codec in ("prune", "lut"):
        assert codecs.refusal(codec, cube) is None
        assert "neither the first nor the last" in codecs.refusal(codec, cube, INNER)
    assert codecs.refusal("huffman", cube, INNER) is None
    floats = np.ones((2, 3), np.float32)
    assert codecs.refusal("prune", floats) is None
    assert codecs.refusal("prune", floats.astype(np.float16)) is not None
    many = np.arange(200, dtype=np.int16)
    assert codecs.refusal("prune", many) is None
    assert "distinct values" in codecs.refusal("lut", many)
