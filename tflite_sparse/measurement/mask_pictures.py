"""Draw which weights are zero."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

_LARGEST_SIDE = 256  # weights, one pixel each: a mean over blocks would hide their pattern
_KEPT = (43, 123, 187)  # RGB: visible on white and on black


@dataclass(frozen=True, eq=False, slots=True)
class MaskPicture:
    """The mask of one weight: its first axis vertically, the others horizontally.

    Attributes:
        name: of the tensor.
        shape: of the tensor.
        rows: number of entries of the first axis in the picture, from the first on.
        columns: number of entries of the others in it.
        is_whole: whether the picture shows all of the weight.
        png: a pixel for each weight: kept ones in colour, zeros transparent.
    """

    name: str
    shape: tuple[int, ...]
    rows: int
    columns: int
    is_whole: bool
    png: bytes


def of_weights(weights: Iterable[tuple[str, np.ndarray]], most: int) -> list[MaskPicture]:
    """Draw the masks of the first ``most`` weights that have zeros; each has a name and values of rank 2 or more."""
    sparse = ((name, values) for name, values in weights if not np.all(values))
    return [_picture(name, values) for name, values in itertools.islice(sparse, most)]


def _picture(name: str, values: np.ndarray) -> MaskPicture:
    mask = values.reshape(len(values), -1) != 0
    shown = mask[:_LARGEST_SIDE, :_LARGEST_SIDE]
    rows, columns = shown.shape
    return MaskPicture(name, values.shape, rows, columns, shown.shape == mask.shape, _png(shown))


def _png(mask: np.ndarray) -> bytes:
    from PIL import Image

    image = Image.fromarray(mask.astype(np.uint8), mode="P")
    image.putpalette(bytes((0, 0, 0, *_KEPT)))
    stream = io.BytesIO()
    image.save(stream, "PNG", bits=1, transparency=0, optimize=True)
    return stream.getvalue()
