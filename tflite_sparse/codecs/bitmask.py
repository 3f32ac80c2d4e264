"""Encode pruned tensors as a bitmask and the kept values.

Format, from ``decode_state_prune.cc`` of tflite-micro: the encoded vector is a mask in row-major order, the first
value in the most significant bit, 1 for kept; the ancillary vector holds the kept values in the same order. All other
values are the zero point, that of the channel where channels differ. The runtime ignores byte 5 of the header today; a
pending change reads the axis of the channels from its upper half.
"""

from __future__ import annotations

import numpy as np

from tflite_sparse.codecs.decodable import (
    DTYPES,
    HEADER_BYTES,
    WHOLE,
    Channels,
    Decodable,
    bits_of,
    check_padding,
    check_size,
    shape_refusal,
    with_header,
)
from tflite_sparse.codecs.layout import element_count
from tflite_sparse.codecs.names import PRUNE


def refusal(values: np.ndarray, channels: Channels = WHOLE) -> str | None:
    """Return why the runtime does not take a tensor in this codec, or None."""
    return _refusal_of_kind(values.shape, values.dtype, channels)


def encode(values: np.ndarray, channels: Channels = WHOLE) -> Decodable:
    """Encode the values that differ from the zero point.

    Args:
        values: an array that :func:`refusal` does not refuse.
        channels: holds the zero points.

    Raises:
        ValueError: the runtime would not take it.
    """
    kept = _kept(values, channels)
    return with_header(PRUNE, channels.nibble, np.packbits(kept), np.ascontiguousarray(values)[kept])


def nbytes(values: np.ndarray, channels: Channels = WHOLE) -> int:
    """Return the bytes of the result of :func:`encode`, without encoding.

    Raises:
        ValueError: the runtime would not take it.
    """
    kept = int(np.count_nonzero(_kept(values, channels)))
    return -(-values.size // 8) + HEADER_BYTES + kept * values.itemsize


def decode(decodable: Decodable, shape: tuple[int, ...], dtype: np.dtype, channels: Channels = WHOLE) -> np.ndarray:
    """Return the array of this shape and dtype.

    Raises:
        ValueError: the runtime would not take it, a length is wrong, or bits behind the mask are set. Lengths are
            checked before memory is allocated.
    """
    _check(shape, dtype, channels)
    size = element_count(shape)
    check_size("mask", decodable.encoded, -(-size // 8))
    check_padding(decodable.encoded, size)
    kept = np.unpackbits(decodable.encoded, count=size).view(np.bool_)
    check_size("list of values", decodable.contents, int(np.count_nonzero(kept)) * dtype.itemsize)
    if decodable.ancillary[6]:
        raise ValueError("bytes of its header that must be zero are not")
    array = np.empty(shape, f"u{dtype.itemsize}")  # as bits: the bytes of a bool may be other than 0 and 1
    array[...] = bits_of(_zeros(channels, len(shape), dtype))
    array.reshape(-1)[kept] = np.ascontiguousarray(decodable.contents).view(array.dtype)
    return array.view(dtype)


def _kept(values: np.ndarray, channels: Channels) -> np.ndarray:
    _check(values.shape, values.dtype, channels)
    return np.asarray(bits_of(values) != bits_of(_zeros(channels, values.ndim, values.dtype)))


def _refusal_of_kind(shape: tuple[int, ...], dtype: np.dtype, channels: Channels) -> str | None:
    if dtype not in DTYPES:
        return f"{dtype} cannot be pruned"
    if dtype != np.int8 and any(channels.zero_points):
        return f"a zero point other than 0 is taken for int8 only, not for {dtype}"
    if any(not -128 <= point <= 127 for point in channels.zero_points):
        return "a zero point does not fit in int8"
    return shape_refusal(shape) or channels.refusal(shape)


def _check(shape: tuple[int, ...], dtype: np.dtype, channels: Channels) -> None:
    reason = _refusal_of_kind(shape, dtype, channels)
    if reason is not None:
        raise ValueError(reason)


def _zeros(channels: Channels, rank: int, dtype: np.dtype) -> np.ndarray:
    """Return the zero points in a shape that broadcasts to the tensor."""
    zeros = np.array(channels.zero_points, dtype)
    return zeros.reshape([-1 if axis == channels.axis else 1 for axis in range(rank)])
