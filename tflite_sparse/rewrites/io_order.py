"""Inputs and outputs in the order that the model has them: TensorFlow's converter lists several ones in any order.

Applications that read outputs by their index, and not by their names in the signature, would take one for another of
the same shape. Precondition: the names of the graph are those of the model, each once. Effect: no operator and no entry
of the signature changes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tflite_sparse.flatbuffer import signature
from tflite_sparse.flatbuffer.types import Model


def restore(model: Model, inputs: Sequence[str], outputs: Sequence[str]) -> bool:
    """Put inputs and outputs of the first graph of a model in the order of their names; return whether any moved.

    Names that are not those of the model, as ones that the converter dropped, leave its order as it is.
    """
    graph, names = model.subgraphs[0], signature.names_in(model)
    moved = False
    for attribute, found, wanted in (("inputs", names.inputs, inputs), ("outputs", names.outputs, outputs)):
        if tuple(wanted) != found and sorted(wanted) == sorted(found) and len(set(found)) == len(found):
            indices = np.asarray(getattr(graph, attribute), np.int32)
            setattr(graph, attribute, indices[[found.index(name) for name in wanted]])
            moved = True
    return moved
