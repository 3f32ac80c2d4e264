"""A tensor as TensorFlow Lite Micro's DECODE operator reads it: two vectors of bytes.

Format, from ``tensorflow/lite/micro/kernels/decode_state*`` and ``compression/decode.py`` of tflite-micro: the encoded
vector, and an ancillary vector that starts with a header of 16 bytes. Byte 0 of the header names the codec, byte 1 is
the version of the header and byte 4 that of the codec, both 1; bytes 5 and 6 belong to the codec, the others are zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tflite_sparse.codecs.layout import element_count
from tflite_sparse.codecs.names import CODECS, Named

DTYPES = frozenset(map(np.dtype, (np.int8, np.int16, np.int32, np.int64, np.float32, np.bool_)))
"""Of the tensors that the runtime decodes from tables and from masks; Huffman codes take fewer."""

HEADER_BYTES = 16
NO_AXIS = 15
"""In the upper half of byte 5: all channels are coded alike."""

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Channels:
    """What the runtime takes from a tensor's quantisation to decode it.

    Attributes:
        axis: the dimension that has one scale for each of its entries; None where one scale, or none, is for all.
        zero_points: one for each entry of that dimension, or one for all.
    """

    axis: int | None = None
    zero_points: tuple[int, ...] = (0,)

    def refusal(self, shape: tuple[int, ...]) -> str | None:
        """Why the runtime cannot take a tensor of this shape channel by channel, or None (``Setup`` of the codecs)."""
        if self.axis is not None and self.axis not in (0, len(shape) - 1):
            return f"it has scales along dimension {self.axis}, which is neither the first nor the last"
        return None

    @property
    def nibble(self) -> int:
        """The axis as the upper half of byte 5 of the header tells it."""
        return (NO_AXIS if self.axis is None else self.axis) << 4


WHOLE = Channels()
"""A tensor without quantisation, or with one scale and the zero point 0."""


@dataclass(frozen=True, slots=True)
class Decodable:
    """A tensor, encoded.

    Attributes:
        codec: the name of its codec.
        encoded: uint8, one-dimensional.
        ancillary: uint8, one-dimensional, with its header.
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
        """What follows the header, uint8."""
        return self.ancillary[HEADER_BYTES:]


def with_header(codec: Named, parameters: int, encoded: np.ndarray, contents: np.ndarray, stride: int = 0) -> Decodable:
    """Put a header in front of ``contents``.

    Args:
        codec: its number is byte 0.
        parameters: byte 5.
        encoded: the encoded vector, uint8.
        contents: what follows the header, of any dtype.
        stride: byte 6.
    """
    header = np.zeros(HEADER_BYTES, np.uint8)
    header[[0, 1, 4, 5, 6]] = codec.number, _VERSION, _VERSION, parameters, stride
    return Decodable(codec.name, encoded, np.concatenate([header, as_bytes(contents)]))


def read(encoded: np.ndarray, ancillary: np.ndarray) -> Decodable:
    """Two vectors of a file; the codec is checked when they are decoded, the header here.

    Raises:
        ValueError: the header is cut off, of another version, or names a codec that this package does not know.
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
    """Why no codec takes a tensor of this shape, or None."""
    if not shape:
        return "it is a scalar"
    return None if element_count(shape) else "it has no values"


def as_bytes(values: np.ndarray) -> np.ndarray:
    """The bytes of an array, row-major and little-endian, uint8."""
    values = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    return values.reshape(-1).view(np.uint8)


def bits_of(values: np.ndarray) -> np.ndarray:
    """The values as unsigned integers of their width, so that equal means equal to the bit."""
    return np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}")


def check_size(what: str, vector: np.ndarray, expected: int) -> None:
    """Refuse a vector of another length.

    Raises:
        ValueError: tells both lengths.
    """
    if vector.size != expected:
        raise ValueError(f"its {what} takes {vector.size:,} bytes instead of {expected:,}")


def check_padding(encoded: np.ndarray, used_bits: int) -> None:
    """Refuse a bit behind the first ``used_bits`` that is set; the vector must reach that far.

    Raises:
        ValueError: one is.
    """
    whole, rest = divmod(used_bits, 8)
    behind = encoded[whole:]
    if np.any(behind[1:]) or (behind.size and int(behind[0]) & (0xFF >> rest)):
        raise ValueError("bits behind its last value are set")
