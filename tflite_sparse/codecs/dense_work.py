"""How often the loops of the dense operators of generated C run.

Of ``tfls_conv.c``, ``tfls_conv_3x3x1.c`` and ``tfls_fully_connected.c``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tflite_sparse.codecs import dense_weights
from tflite_sparse.codecs.streams.kernels import Filter
from tflite_sparse.codecs.streams.names import Extension
from tflite_sparse.codecs.streams.parameters import Parameters
from tflite_sparse.codecs.streams.work import Pixels


@dataclass(frozen=True, slots=True)
class Loops:
    """Which loops the numbers of an operator ask for.

    Attributes:
        paired: no weight is -128, so that CPUs that pair weights pair these.
        wide: its sums need the slower requantisation.
    """

    paired: bool = True
    wide: bool = False

    def suffix(self, extensions: frozenset[Extension]) -> str:
        """What the name of a kind of operator ends in on a CPU: loops that differ have costs of their own."""
        return ("" if self.paired or not pairs_weights(extensions) else "_PLAIN") + ("_WIDE" if self.wide else "")


USUAL = Loops()
"""The loops of what converters write."""


def loops_of(parameters: Parameters, weights: np.ndarray) -> Loops:
    """The loops of an operator; arguments as for :func:`tflite_sparse.codecs.dense_weights.is_wide`."""
    return Loops(dense_weights.can_be_paired(weights), dense_weights.is_wide(parameters, weights))


def pairs_weights(extensions: frozenset[Extension]) -> bool:
    """Whether a CPU computes on paired weights: Helium takes plain ones, other CPUs with DSP instructions pairs."""
    return "dsp" in extensions and "helium" not in extensions


def every_loops(extensions: frozenset[Extension]) -> list[Loops]:
    """All that differ on a CPU, the usual ones first."""
    layouts = (True, False) if pairs_weights(extensions) else (True,)
    return [Loops(paired, wide) for paired in layouts for wide in (False, True)]


_VECTOR = 16
_SHORT_TAPS, _LEAST_OUTPUTS, _OUTPUTS_AT_ONCE = 64, 4, 48
"""With Helium: windows that stay in registers, outputs that are computed in fours, sums that are kept of a pixel."""


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


def tiles(extensions: frozenset[Extension], loops: Loops = USUAL, *, is_matrix: bool) -> Tiles:
    """The tiles of a CPU. Wide sums of paired convolutions are those of one pixel at a time."""
    if "helium" in extensions:
        return Tiles(outputs=4, rest=1, pixels=1, inputs=16)
    if pairs_weights(extensions) and loops.paired:
        if is_matrix:
            return Tiles(outputs=8, rest=2, pixels=1, inputs=4)
        return Tiles(outputs=2, rest=2, pixels=1 if loops.wide else 4, inputs=4)
    return Tiles(outputs=4, rest=1, pixels=1, inputs=1) if is_matrix else Tiles(2, rest=2, pixels=2, inputs=1)


def parts(
    shape: Filter, pixels: Pixels, extensions: frozenset[Extension], loops: Loops = USUAL, *, is_matrix: bool
) -> np.ndarray:
    """How often each part runs, float64 (9,).

    Multiply-adds in whole tiles and of outputs that are left over, tiles, outputs, inputs gathered in fours and one by
    one, rows of filters that they are gathered for, columns where these are gathered one by one, once. Of convolutions
    with Helium, see :func:`_by_vectors`.
    """
    if "helium" in extensions and not is_matrix:
        return _by_vectors(shape, pixels)
    tile = tiles(extensions, loops, is_matrix=is_matrix)
    groups = -(-pixels.count // tile.pixels)
    inputs = -(-shape.taps // tile.inputs) * tile.inputs * groups * tile.pixels
    whole, left = divmod(shape.outputs, tile.outputs)
    left = -(-left // tile.rest)
    gathered = 0 if is_matrix else shape.taps * pixels.count
    in_fours = shape.channels % 4 == 0
    by_columns = shape.dilations[1] > 1
    return np.array(
        [
            inputs * whole * tile.outputs,
            inputs * left * tile.rest,
            (whole + left) * groups,
            shape.outputs * pixels.count,
            gathered if in_fours else 0,
            0 if in_fours else gathered,
            0 if is_matrix else shape.height * pixels.count,
            shape.height * shape.width * pixels.count if by_columns else 0,
            1,
        ],
        np.float64,
    )


def _by_vectors(shape: Filter, pixels: Pixels) -> np.ndarray:
    """Of two pixels and sixteen inputs at once, float64 (9,).

    Vectors of windows that stay in registers and of longer ones, outputs of both pixels, of these all that begin
    anew, outputs where there are fewer than four, vectors gathered, rows of filters that they are gathered for, columns
    where these are gathered one by one, once.
    """
    pairs, vectors = -(-pixels.count // 2), -(-shape.taps // _VECTOR)
    begun = _begun_outputs(shape.outputs)
    few = 0 if begun else shape.outputs * pixels.count
    in_vectors = (sum(begun) * pairs + few) * vectors
    is_short, by_columns = shape.taps <= _SHORT_TAPS, shape.dilations[1] > 1
    gathered = 0 if shape.height == shape.width == 1 else pixels.count * shape.height
    return np.array(
        [
            in_vectors if is_short else 0,
            0 if is_short else in_vectors,
            sum(begun) * pairs,
            len(begun) * pairs,
            few,
            0 if by_columns else gathered * -(-shape.width * shape.channels // _VECTOR),
            gathered,
            gathered * shape.width if by_columns else 0,
            1,
        ],
        np.float64,
    )


def _begun_outputs(outputs: int) -> list[int]:
    """How many outputs are computed together, each time: the last four may be computed again."""
    found, at = [], 0
    while outputs >= _LEAST_OUTPUTS and at < outputs:
        first = min(at, outputs - _LEAST_OUTPUTS)
        found.append(min((outputs - first) // _LEAST_OUTPUTS * _LEAST_OUTPUTS, _OUTPUTS_AT_ONCE))
        at += found[-1]
    return found


TILED = "conv_3x3x1"
"""The kind of ``tfls_conv_2d_3x3x1``; with a pool behind it, :data:`TILED_POOL`."""

TILED_POOL = f"{TILED}_max_pool"
TILE_SIDE = 2


def has_tiles(shape: Filter, pixels: Pixels, loops: Loops) -> bool:
    """Whether ``tfls_conv_2d_3x3x1`` computes a convolution, whose scales shift to the right as they usually do."""
    return (
        (shape.height, shape.width, shape.channels) == (3, 3, 1)
        and shape.steps_by_one
        and not loops.wide
        and min(pixels.height, pixels.width) >= TILE_SIDE
    )


def tile_parts(outputs: int, batches: int, inner: tuple[int, int], tiles: tuple[int, int]) -> np.ndarray:
    """How often each part of it runs, float64 (5,): outputs of tiles, tiles, tiles at borders, outputs, once.

    Args:
        outputs: of a pixel.
        batches: images.
        inner: tiles down and across whose inputs lie within the image.
        tiles: all of them, down and across.
    """
    count, within = (batches * down * across for down, across in (tiles, inner))
    return np.array([count * outputs, count, count - within, outputs, 1], np.float64)
