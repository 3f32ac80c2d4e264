"""List the codecs of TensorFlow Lite Micro's DECODE operator; each has its own module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class Named:
    """A codec.

    Attributes:
        name: its name in settings.
        number: byte 0 of the header of its ancillary vector (``tensorflow/lite/micro/kernels/decode_state.h``).
        words: its name in reports.
        module: the module with its functions, for :mod:`tflite_sparse.codecs.codecs`.
    """

    name: str
    number: int
    words: str
    module: str


LUT = Named("lut", 0, "look-up table", "tflite_sparse.codecs.lut")
HUFFMAN = Named("huffman", 1, "Huffman", "tflite_sparse.codecs.huffman")
PRUNE = Named("prune", 2, "pruning (bitmask)", "tflite_sparse.codecs.bitmask")

CODECS: dict[str, Named] = {codec.name: codec for codec in (LUT, HUFFMAN, PRUNE)}
"""All codecs, by name."""

AUTO = "auto"
"""The cheapest codec for each constant."""

DENSE = "dense"
"""No codec."""

if TYPE_CHECKING:
    MicroCodec: TypeAlias = str
else:  # the choices of settings and of the command line
    MicroCodec = Literal[(AUTO, *reversed(CODECS), DENSE)]
