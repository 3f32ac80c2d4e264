"""Restore the model's order of inputs and outputs: TensorFlow's converter lists several of them in any order.

Applications that read outputs by index, instead of by name in the signature, would confuse outputs of the same shape.

Needs: the names of the graph are those of the model, each once.
Leaves: operators and entries of the signature are unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tflite_sparse.flatbuffer import signature
from tflite_sparse.flatbuffer.types import Model


def restore(model: Model, inputs: Sequence[str], outputs: Sequence[str]) -> bool:
    """Sort inputs and outputs of a model's first graph by these lists of names; return whether any moved.

    If the names differ from those in the graph, for example because the converter dropped one, the order is unchanged.
    """
    graph, names = model.subgraphs[0], signature.names_in(model)
    moved = False
    for attribute, found, wanted in (("inputs", names.inputs, inputs), ("outputs", names.outputs, outputs)):
        if tuple(wanted) != found and sorted(wanted) == sorted(found) and len(set(found)) == len(found):
            indices = np.asarray(getattr(graph, attribute), np.int32)
            setattr(graph, attribute, indices[[found.index(name) for name in wanted]])
            moved = True
    return moved
