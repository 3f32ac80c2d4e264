"""Encode tensors of few distinct values as a look-up table and an index for each weight.

Format, from ``decode_state_lut.cc`` and ``compression/lut.py`` of tflite-micro: the encoded vector holds indices of 1
to 7 bits in row-major order, the most significant bit first; the ancillary vector holds one table, or one for each
channel if the tensor has several scales, all of the length in byte 6 of the header. Byte 5 has the axis of the channels
in its upper half (15: one table) and the bits of an index in the lower three.
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
from tflite_sparse.codecs.names import LUT

MOST_VALUES = 128
"""Largest table: an index has at most 7 bits."""


def refusal(values: np.ndarray, channels: Channels = WHOLE) -> str | None:
    """Return why the runtime does not take a tensor in this codec, or None."""
    reason = _refusal_of_kind(values.shape, values.dtype, channels)
    if reason is None and _distinct(values, channels) > MOST_VALUES:
        where = "" if channels.axis is None else " in a channel"
        reason = f"it has more than {MOST_VALUES} distinct values{where}"
    return reason


def encode(values: np.ndarray, channels: Channels = WHOLE) -> Decodable:
    """Encode values as the table of each channel, in ascending order (floats: of their bits), and indices.

    Args:
        values: an array that :func:`refusal` does not refuse.
        channels: the axis with one table for each entry.

    Raises:
        ValueError: the runtime would not take it.
    """
    _check(values, channels)
    rows = _rows(values if values.dtype.kind == "i" else bits_of(values), channels)
    found = [np.unique(row, return_inverse=True) for row in rows]
    length = max(table.size for table, _ in found)
    tables = np.zeros((len(found), length), rows.dtype)
    places = np.empty(rows.shape, np.uint8)
    for number, (table, inverse) in enumerate(found):
        tables[number, : table.size] = table
        places[number] = inverse.reshape(-1)
    width = _width(length)
    bits = np.unpackbits(_unrows(places, values.shape, channels).reshape(-1, 1), axis=1)[:, 8 - width :]
    return with_header(LUT, channels.nibble | width, np.packbits(bits), tables, stride=length)


def nbytes(values: np.ndarray, channels: Channels = WHOLE) -> int:
    """Return the bytes of the result of :func:`encode`, without encoding.

    Raises:
        ValueError: the runtime would not take it.
    """
    _check(values, channels)
    length = _distinct(values, channels)
    tables = 1 if channels.axis is None else values.shape[channels.axis]
    return -(-values.size * _width(length) // 8) + HEADER_BYTES + tables * length * values.itemsize


def decode(decodable: Decodable, shape: tuple[int, ...], dtype: np.dtype, channels: Channels = WHOLE) -> np.ndarray:
    """Return the array of this shape and dtype.

    Raises:
        ValueError: the runtime would not take it, the header contradicts itself or the channels, a length is wrong, an
            index lies outside its table, or bits behind the last are set. Lengths are checked before memory is
            allocated.
    """
    reason = _refusal_of_kind(shape, dtype, channels)
    if reason is not None:
        raise ValueError(reason)
    parameters, length = int(decodable.ancillary[5]), int(decodable.ancillary[6])
    width, size = parameters & 7, element_count(shape)
    if parameters & 8 or not width or not 1 <= length <= 1 << width:
        raise ValueError(f"its header tells of places of {width} bits in tables of {length} values")
    if parameters & 0xF0 not in (channels.nibble, 0):  # older encoders wrote 0, and their runtimes ignore the axis
        raise ValueError(f"its tables are along dimension {parameters >> 4}, its scales are not")
    check_size("list of places", decodable.encoded, -(-size * width // 8))
    check_padding(decodable.encoded, size * width)
    count = 1 if channels.axis is None else shape[channels.axis]
    check_size("list of tables", decodable.contents, count * length * dtype.itemsize)
    bits = np.zeros((size, 8), np.uint8)
    bits[:, 8 - width :] = np.unpackbits(decodable.encoded, count=size * width).reshape(size, width)
    places = _rows(np.packbits(bits, axis=1).reshape(shape), channels)
    if int(places.max()) >= length:
        raise ValueError(f"a place lies outside its table of {length} values")
    tables = np.ascontiguousarray(decodable.contents).view(f"u{dtype.itemsize}").reshape(count, length)
    return _unrows(np.take_along_axis(tables, places.astype(np.intp), axis=1), shape, channels).view(dtype)


def _check(values: np.ndarray, channels: Channels) -> None:
    reason = refusal(values, channels)
    if reason is not None:
        raise ValueError(reason)


def _refusal_of_kind(shape: tuple[int, ...], dtype: np.dtype, channels: Channels) -> str | None:
    if dtype not in DTYPES:
        return f"{dtype} cannot be read through a table"
    return shape_refusal(shape) or channels.refusal(shape)


def _distinct(values: np.ndarray, channels: Channels) -> int:
    """Return the most distinct values in one channel."""
    rows = _rows(bits_of(values), channels)
    if rows.itemsize == 1:
        seen = np.zeros((rows.shape[0], 256), np.bool_)
        seen[np.arange(rows.shape[0])[:, None], rows] = True
        return int(seen.sum(axis=1).max())
    ordered = np.sort(rows, axis=1)
    return 1 + int(np.count_nonzero(ordered[:, 1:] != ordered[:, :-1], axis=1).max())


def _width(length: int) -> int:
    """Return the bits of an index into a table of this length."""
    return max((length - 1).bit_length(), 1)


def _rows(array: np.ndarray, channels: Channels) -> np.ndarray:
    """Return the array as one row for each channel."""
    if channels.axis is None:
        return array.reshape(1, -1)
    return np.ascontiguousarray(np.moveaxis(array, channels.axis, 0)).reshape(array.shape[channels.axis], -1)


def _unrows(rows: np.ndarray, shape: tuple[int, ...], channels: Channels) -> np.ndarray:
    """Return the inverse of :func:`_rows`."""
    if channels.axis is None:
        return rows.reshape(shape)
    moved = (shape[channels.axis], *shape[: channels.axis], *shape[channels.axis + 1 :])
    return np.ascontiguousarray(np.moveaxis(rows.reshape(moved), 0, channels.axis))
