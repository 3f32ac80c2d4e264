"""The two byte vectors from which TensorFlow Lite Micro's DECODE operator rebuilds a tensor.

Format, from ``tensorflow/lite/micro/kernels/decode_state*`` and ``compression/decode.py`` of tflite-micro: the encoded
vector, and an ancillary vector that starts with a header of 16 bytes. Byte 0 of the header is the number of the codec,
byte 1 the version of the header, byte 4 that of the codec, both 1; bytes 5 and 6 are parameters of the codec, the
others are zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tflite_sparse.codecs.layout import element_count
from tflite_sparse.codecs.names import CODECS, Named

DTYPES = frozenset(map(np.dtype, (np.int8, np.int16, np.int32, np.int64, np.float32, np.bool_)))
"""Dtypes that the runtime decodes from look-up tables and masks; Huffman codes take fewer."""

HEADER_BYTES = 16
NO_AXIS = 15
"""Upper half of byte 5 if all channels share one coding."""

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Channels:
    """The part of a tensor's quantisation that the runtime uses for decoding.

    Attributes:
        axis: the dimension with one scale for each entry; None with one scale or none.
        zero_points: one for each entry of that dimension, or one for all.
    """

    axis: int | None = None
    zero_points: tuple[int, ...] = (0,)

    def refusal(self, shape: tuple[int, ...]) -> str | None:
        """Return why the runtime cannot decode this shape channel by channel, or None (``Setup`` of the codecs)."""
        if self.axis is not None and self.axis not in (0, len(shape) - 1):
            return f"it has scales along dimension {self.axis}, which is neither the first nor the last"
        return None

    @property
    def nibble(self) -> int:
        """The axis as the upper half of byte 5 of the header."""
        return (NO_AXIS if self.axis is None else self.axis) << 4


WHOLE = Channels()
"""Channels of a tensor without quantisation, or with one scale and zero point 0."""


@dataclass(frozen=True, slots=True)
class Decodable:
    """An encoded tensor.

    Attributes:
        codec: name of the codec.
        encoded: uint8, one-dimensional.
        ancillary: uint8, one-dimensional, header included.
    """

    codec: str
    encoded: np.ndarray
    ancillary: np.ndarray

    @property
    def nbytes(self) -> int:
        """Bytes of both vectors."""
        return self.encoded.nbytes + self.ancillary.nbytes

    @property
    def contents(self) -> np.ndarray:
        """The ancillary vector behind its header, uint8."""
        return self.ancillary[HEADER_BYTES:]


def with_header(codec: Named, parameters: int, encoded: np.ndarray, contents: np.ndarray, stride: int = 0) -> Decodable:
    """Return a tensor whose ancillary vector is a header and ``contents``.

    Args:
        codec: its number becomes byte 0.
        parameters: byte 5.
        encoded: the encoded vector, uint8.
        contents: the rest of the ancillary vector, of any dtype.
        stride: byte 6.
    """
    header = np.zeros(HEADER_BYTES, np.uint8)
    header[[0, 1, 4, 5, 6]] = codec.number, _VERSION, _VERSION, parameters, stride
    return Decodable(codec.name, encoded, np.concatenate([header, as_bytes(contents)]))


def read(encoded: np.ndarray, ancillary: np.ndarray) -> Decodable:
    """Return both vectors of a file as a tensor. Checks the header; decoding checks the codec's data.

    Raises:
        ValueError: the header is cut off, of another version, or has the number of an unknown codec.
    """
    if ancillary.size < HEADER_BYTES:
        raise ValueError(f"its header has {ancillary.size} bytes instead of {HEADER_BYTES}")
    number = int(ancillary[0])
    name = next((codec.name for codec in CODECS.values() if codec.number == number), None)
    if name is None:
        raise ValueError(f"its codec has the number {number}, which is not known")
    if (int(ancillary[1]), int(ancillary[4])) != (_VERSION, _VERSION):
        raise ValueError(f"its header has versions {ancillary[1]} and {ancillary[4]} instead of 1")
    if np.any(ancillary[[2, 3]]) or np.any(ancillary[7:HEADER_BYTES]):
        raise ValueError("bytes of its header that must be zero are not")
    return Decodable(name, encoded, ancillary)


def shape_refusal(shape: tuple[int, ...]) -> str | None:
    """Return why no codec takes a tensor of this shape, or None."""
    if not shape:
        return "it is a scalar"
    return None if element_count(shape) else "it has no values"


def as_bytes(values: np.ndarray) -> np.ndarray:
    """Return the bytes of an array, row-major and little-endian, uint8."""
    values = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    return values.reshape(-1).view(np.uint8)


def bits_of(values: np.ndarray) -> np.ndarray:
    """Return the values as unsigned integers of the same width, for comparison bit by bit."""
    return np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}")


def check_size(what: str, vector: np.ndarray, expected: int) -> None:
    """Check the length of a vector.

    Raises:
        ValueError: it differs from ``expected``; names both lengths.
    """
    if vector.size != expected:
        raise ValueError(f"its {what} takes {vector.size:,} bytes instead of {expected:,}")


def check_padding(encoded: np.ndarray, used_bits: int) -> None:
    """Check that all bits after the first ``used_bits`` are zero; the vector must have at least that many.

    Raises:
        ValueError: one is set.
    """
    whole, rest = divmod(used_bits, 8)
    behind = encoded[whole:]
    if np.any(behind[1:]) or (behind.size and int(behind[0]) & (0xFF >> rest)):
        raise ValueError("bits behind its last value are set")
