"""Make programs write wrong files: change their files after they were written."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from helpers import odd_models
from tflite_sparse.flatbuffer import serde


def spoiling(write, change):
    """Return ``write`` followed by a change of the written file."""

    def spoil(source, destination, *arguments, **options):
        result = write(source, destination, *arguments, **options)
        model = serde.read(destination)
        change(model)
        serde.write(model, destination)
        return result

    return spoil


def change_a_weight(model):
    buffer = model.buffers[next(t.buffer for t in model.subgraphs[0].tensors if t.name == b"weight")]
    buffer.data = buffer.data.copy()
    buffer.data[buffer.data.nonzero()[0][0]] ^= 1


def change_a_decoded_weight(model):
    """Change the last kept value of a constant behind DECODE (pruning), at the end of the second of a pair."""
    graph = model.subgraphs[0]
    odd_models.flip_bit(graph.tensors[int(graph.operators[0].inputs[1])], model, -1)


def change_the_scales(model):
    for tensor in model.subgraphs[0].tensors:
        if tensor.name == b"weight":
            tensor.quantization.scale = tensor.quantization.scale * np.float32(4)


def change_the_biases(by):
    """Raise every bias by so many of its steps; biases are no weights."""

    def change(model):
        def edit(tensor, model):
            kind = np.float32 if tensor.quantization is None else np.int32
            values = model.buffers[tensor.buffer].data.view(kind) + kind(by)
            model.buffers[tensor.buffer].data = values.view(np.uint8)

        odd_models.edited(model, "bias", edit)

    return change


def ask_for_an_unknown_version(model):
    """Make the file one that no runtime accepts."""
    for code in model.operatorCodes:
        code.version = 99


def grow(model):
    """Add a buffer of 100,000 bytes without readers."""
    buffer = schema.BufferT()
    buffer.data = np.ones(100_000, np.uint8)
    model.buffers.append(buffer)
