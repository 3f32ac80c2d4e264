"""The codecs of DECODE behind one front, for those who hold a codec's name."""

from __future__ import annotations

import numpy as np

from tflite_sparse.codecs import bitmask, huffman, lut
from tflite_sparse.codecs.decodable import WHOLE, Channels, Codec, Decodable


def refusal(codec: Codec, values: np.ndarray, channels: Channels = WHOLE) -> str | None:
    """Why the runtime does not take an array in this codec, or None."""
    if codec == "huffman":
        return huffman.refusal(values)
    if codec == "prune":
        return bitmask.refusal(values.shape, values.dtype, channels)
    return lut.refusal(values, channels)


def nbytes(codec: Codec, values: np.ndarray, channels: Channels = WHOLE) -> int:
    """Bytes of what :func:`encode` returns, without encoding.

    Raises:
        ValueError: the runtime would not take it.
    """
    if codec == "huffman":
        return huffman.nbytes(values)
    if codec == "prune":
        return bitmask.nbytes(values, channels)
    return lut.nbytes(values, channels)


def encode(codec: Codec, values: np.ndarray, channels: Channels = WHOLE) -> Decodable:
    """Encode an array.

    Raises:
        ValueError: the runtime would not take it.
    """
    if codec == "huffman":
        return huffman.encode(values)
    if codec == "prune":
        return bitmask.encode(values, channels)
    return lut.encode(values, channels)


def decode(decodable: Decodable, shape: tuple[int, ...], dtype: np.dtype, channels: Channels = WHOLE) -> np.ndarray:
    """The array of this shape and dtype.

    Raises:
        ValueError: it is damaged, or the runtime would not take it.
    """
    if decodable.codec == "huffman":
        return huffman.decode(decodable, shape, dtype)
    if decodable.codec == "prune":
        return bitmask.decode(decodable, shape, dtype, channels)
    return lut.decode(decodable, shape, dtype, channels)
