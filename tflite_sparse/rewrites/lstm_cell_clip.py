"""LSTMs without the clipping of their cells that the converter adds."""

from __future__ import annotations

from tflite_sparse.flatbuffer.graph import graphs
from tflite_sparse.flatbuffer.types import Model

CONVERTERS_CLIP = 10.0
"""TensorFlow's converter writes this into every fused LSTM (2.21); Keras clips nothing, so outputs may be far off."""


def drop(model: Model) -> int:
    """Make the fused LSTMs of a model compute what Keras does; return how many there were to mend."""
    mended = 0
    for graph in graphs(model):
        for operator in graph.operators:
            options = operator.builtinOptions
            if getattr(options, "cellClip", 0.0) == CONVERTERS_CLIP:
                options.cellClip = 0.0
                mended += 1
    return mended
