"""Remove the clipping of LSTM cells that the converter adds."""

from __future__ import annotations

from tflite_sparse.flatbuffer.graph import graphs
from tflite_sparse.flatbuffer.types import Model

CONVERTERS_CLIP = 10.0
"""TensorFlow's converter writes this into every fused LSTM (2.21). Keras does not clip, so outputs may be far off."""


def drop(model: Model) -> int:
    """Remove the clipping from the fused LSTMs of a model; return the number of edited ones."""
    mended = 0
    for graph in graphs(model):
        for operator in graph.operators:
            options = operator.builtinOptions
            if getattr(options, "cellClip", 0.0) == CONVERTERS_CLIP:
                options.cellClip = 0.0
                mended += 1
    return mended
