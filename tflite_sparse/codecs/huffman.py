"""Encode tensors of unequally frequent values with a Huffman code and its decoding tables.

:mod:`huffman_format` describes the format, :mod:`huffman_code` chooses the code, :mod:`huffman_tables` and
:mod:`huffman_stream` write and read the two stored parts.
"""

from __future__ import annotations

import numpy as np

from tflite_sparse.codecs import huffman_code, huffman_stream, huffman_tables
from tflite_sparse.codecs.decodable import (
    WHOLE,
    Channels,
    Decodable,
    as_bytes,
    bits_of,
    check_padding,
    check_size,
    shape_refusal,
    with_header,
)
from tflite_sparse.codecs.huffman_code import LONGEST
from tflite_sparse.codecs.huffman_format import NARROW, WIDE, WORD_BITS, entries_for
from tflite_sparse.codecs.layout import element_count
from tflite_sparse.codecs.names import HUFFMAN

DTYPES = frozenset(map(np.dtype, (np.int8, np.int16)))
"""Dtypes that the runtime decodes."""


def refusal(values: np.ndarray, channels: Channels = WHOLE) -> str | None:
    """Return why the runtime does not take a tensor in this codec, or None. Ignores channels and zero points."""
    del channels
    reason = _refusal_of_kind(values.shape, values.dtype)
    if reason is None and np.count_nonzero(huffman_code.counts_of(bits_of(values).reshape(-1))) > 1 << LONGEST:
        reason = f"it has more than {1 << LONGEST} distinct values"
    return reason


def encode(values: np.ndarray, channels: Channels = WHOLE) -> Decodable:
    """Encode values as stream and tables.

    Args:
        values: int8 or int16, at least one, of at most 32768 distinct values.
        channels: ignored, here and below: all channels share the tables.

    Raises:
        ValueError: dtype, size or number of distinct values are others.
    """
    del channels
    bits = _checked(values)
    code = huffman_code.best(bits)
    codewords = huffman_code.codewords(code.lengths)
    places = np.zeros(1 << (8 * values.itemsize), np.intp)
    places[code.symbols] = np.arange(code.symbols.size)
    order = places[bits]
    stream = huffman_stream.pack(codewords[order], code.lengths[order])
    entries = entries_for(values.dtype)
    first, tables = huffman_tables.write(code, codewords, entries)
    parameters = ((first - 1) << 4) | (entries is WIDE)
    return with_header(HUFFMAN, parameters, as_bytes(stream.astype(">u4").view("<u4")), tables)


def nbytes(values: np.ndarray, channels: Channels = WHOLE) -> int:
    """Return the bytes of the result of :func:`encode`, without making the stream.

    Raises:
        ValueError: as :func:`encode`.
    """
    del channels
    return huffman_code.best(_checked(values)).nbytes


def decode(decodable: Decodable, shape: tuple[int, ...], dtype: np.dtype, channels: Channels = WHOLE) -> np.ndarray:
    """Return the array of this shape and dtype.

    Raises:
        ValueError: the runtime would not take it, a table is cut off or has entries that no codeword reaches, that
            contradict each other or are out of the dtype's range, the stream ends early or late, or bits behind it are
            set. Memory is allocated for at most as many values as the stream has bits.
    """
    del channels
    reason = _refusal_of_kind(shape, dtype)
    if reason is not None:
        raise ValueError(reason)
    size = element_count(shape)
    parameters = int(decodable.ancillary[5])
    entries = WIDE if parameters & 1 else NARROW
    if parameters & 0x0E or decodable.ancillary[6]:
        raise ValueError("bits of its header that must be zero are not")
    if entries is NARROW and dtype != np.int8:
        raise ValueError(f"it has tables for int8, not for {dtype}")
    if decodable.contents.size % entries.dtype.itemsize:
        raise ValueError("its tables end inside an entry")
    tables = np.ascontiguousarray(decodable.contents).view(entries.dtype).astype(np.int64)
    lengths, found = huffman_tables.read(tables, (parameters >> 4) + 1, entries, dtype.itemsize * 8)
    # Every value takes at least one bit.
    if decodable.encoded.size % 4 or decodable.encoded.size * 8 < size + WORD_BITS:
        raise ValueError(f"its stream of {decodable.encoded.size:,} bytes is too short or no whole number of words")
    values, end = huffman_stream.follow(decodable.encoded, lengths, found.astype(f"u{dtype.itemsize}"), size)
    check_size("stream", decodable.encoded, 4 * (-(-end // WORD_BITS) + 1))
    check_padding(decodable.encoded, end)
    return values.view(dtype).reshape(shape)


def _refusal_of_kind(shape: tuple[int, ...], dtype: np.dtype) -> str | None:
    if dtype not in DTYPES:
        return f"{dtype} cannot be Huffman-coded"
    return shape_refusal(shape)


def _checked(values: np.ndarray) -> np.ndarray:
    """Return the values as unsigned integers, one-dimensional."""
    reason = refusal(values)
    if reason is not None:
        raise ValueError(reason)
    return bits_of(values).reshape(-1)
