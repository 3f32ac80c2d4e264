"""LSTMs without the clipping of their cells that the converter adds."""

from __future__ import annotations

from pathlib import Path

from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs

CONVERTERS_CLIP = 10.0
"""TensorFlow's converter writes this into every fused LSTM (2.21); Keras clips nothing, so outputs may be far off."""


def drop(path: Path) -> int:
    """Make the fused LSTMs of the file at ``path`` compute what Keras does; return how many there were to mend.

    A file without any is not written again.

    Raises:
        FlatbufferError: the file cannot be read.
    """
    model = serde.read(path)
    mended = 0
    for graph in graphs(model):
        for operator in graph.operators:
            options = operator.builtinOptions
            if getattr(options, "cellClip", 0.0) == CONVERTERS_CLIP:
                options.cellClip = 0.0
                mended += 1
    if mended:
        serde.write(model, path)
    return mended
