"""Collect the contents of a file for the page: masks, histograms of weights, operators."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs, text
from tflite_sparse.measurement import histograms, mask_pictures, operators
from tflite_sparse.measurement.histograms import Histogram
from tflite_sparse.measurement.mask_pictures import MaskPicture
from tflite_sparse.measurement.operators import OperatorCost
from tflite_sparse.rewrites import decode_op, sparse_operator
from tflite_sparse.verification.weights import weights_of

_MOST_WEIGHTS = 8
_MOST_OPERATORS = 200


@dataclass(frozen=True, slots=True)
class FileContents:
    """Contents of a file, bounded in size.

    Attributes:
        masks: of the largest weights with zeros, the largest first.
        histograms: of the largest weights, the largest first.
        operators: the first ones in execution order.
        operators_in_all: number of all operators.
    """

    masks: tuple[MaskPicture, ...] = ()
    histograms: tuple[Histogram, ...] = ()
    operators: tuple[OperatorCost, ...] = ()
    operators_in_all: int = 0


def of_file(path: Path) -> FileContents:
    """Read a ``.tflite`` file.

    Raises:
        FlatbufferError: the file cannot be read or is damaged.
    """
    model = serde.read(path)
    costs = operators.of_model(model)
    all_graphs = list(graphs(model))
    for graph in all_graphs:
        sparse_operator.undo(graph)
        decode_op.undo(graph)
    weights = sorted(
        (
            (text(all_graphs[number].tensor(index).name), values)
            for (number, index), values in weights_of(model).items()
            if values.size
        ),
        key=lambda entry: -entry[1].size,
    )
    return FileContents(
        tuple(mask_pictures.of_weights(weights, _MOST_WEIGHTS)),
        tuple(histograms.of_values(name, values) for name, values in weights[:_MOST_WEIGHTS]),
        tuple(costs[:_MOST_OPERATORS]),
        len(costs),
    )
