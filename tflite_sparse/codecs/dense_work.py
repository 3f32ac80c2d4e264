"""How often the loops of the dense operators of generated C run: ``tfls_conv.c`` and ``tfls_fully_connected.c``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tflite_sparse.codecs.streams.kernels import Filter
from tflite_sparse.codecs.streams.names import Extension
from tflite_sparse.codecs.streams.work import Pixels


@dataclass(frozen=True, slots=True)
class Tiles:
    """What the loops of a CPU compute together.

    Attributes:
        outputs: of one pixel.
        rest: of the outputs that are left over.
        pixels: with the same weights.
        inputs: of one output.
    """

    outputs: int
    rest: int
    pixels: int
    inputs: int


def tiles(extensions: frozenset[Extension], *, is_matrix: bool) -> Tiles:
    """The tiles of a CPU: Helium takes plain weights, other CPUs with DSP instructions pairs."""
    if "helium" in extensions:
        return Tiles(outputs=4, rest=1, pixels=1, inputs=16)
    if "dsp" in extensions:
        return Tiles(outputs=8, rest=2, pixels=1, inputs=4) if is_matrix else Tiles(2, rest=2, pixels=4, inputs=4)
    return Tiles(outputs=4, rest=1, pixels=1, inputs=1) if is_matrix else Tiles(2, rest=2, pixels=2, inputs=1)


def parts(shape: Filter, pixels: Pixels, extensions: frozenset[Extension], *, is_matrix: bool) -> np.ndarray:
    """How often each part runs, float64 (8,).

    Multiply-adds in whole tiles and of outputs that are left over, tiles, outputs, inputs gathered in fours and one by
    one, rows of filters that they are gathered for, once.
    """
    tile = tiles(extensions, is_matrix=is_matrix)
    groups = -(-pixels.count // tile.pixels)
    inputs = -(-shape.taps // tile.inputs) * tile.inputs * groups * tile.pixels
    whole, left = divmod(shape.outputs, tile.outputs)
    left = -(-left // tile.rest)
    gathered = 0 if is_matrix else shape.taps * pixels.count
    in_fours = shape.channels % 4 == 0
    return np.array(
        [
            inputs * whole * tile.outputs,
            inputs * left * tile.rest,
            (whole + left) * groups,
            shape.outputs * pixels.count,
            gathered if in_fours else 0,
            0 if in_fours else gathered,
            0 if is_matrix else shape.height * pixels.count,
            1,
        ],
        np.float64,
    )
