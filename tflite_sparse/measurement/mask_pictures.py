"""Draw which weights of a file are zero."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs, text
from tflite_sparse.rewrites import decode_op, sparse_operator
from tflite_sparse.verification.weights import weights_of

_MOST_PICTURES = 8
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


def of_file(path: Path) -> list[MaskPicture]:
    """Draw the masks of the largest weights with zeros in a ``.tflite`` file, the largest first.

    Raises:
        FlatbufferError: the file cannot be read or is damaged.
    """
    model = serde.read(path)
    all_graphs = list(graphs(model))
    for graph in all_graphs:
        sparse_operator.undo(graph)
        decode_op.undo(graph)
    sparse = [(key, values) for key, values in weights_of(model).items() if values.size and not np.all(values)]
    sparse.sort(key=lambda entry: -entry[1].size)
    return [
        _picture(text(all_graphs[number].tensor(index).name), values)
        for (number, index), values in sparse[:_MOST_PICTURES]
    ]


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
