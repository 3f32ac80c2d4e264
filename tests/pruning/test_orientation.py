"""Test the position of blocks in files: converted by TensorFlow and read back."""

import numpy as np
import pytest

from tflite_sparse.conversion import convert
from tflite_sparse.flatbuffer import graph as graphs
from tflite_sparse.flatbuffer import serde
from tflite_sparse.planning import planner
from tflite_sparse.pruning import masks, structure
from tflite_sparse.sources import keras_model
from tflite_sparse.targets import litert

pytestmark = pytest.mark.slow  # it trains

# Input, layer, and the shapes that its kernels have in the file.
LAYERS = {
    "Dense": ((64,), lambda kinds: kinds.Dense(48), [(48, 64)]),
    "Dense over time": ((5, 64), lambda kinds: kinds.Dense(40), [(40, 64)]),
    "Conv1D": ((9, 32), lambda kinds: kinds.Conv1D(52, 3), [(52, 1, 3, 32)]),
    "Conv2D": ((9, 9, 32), lambda kinds: kinds.Conv2D(48, 3), [(48, 3, 3, 32)]),
    "pointwise": ((9, 9, 64), lambda kinds: kinds.Conv2D(44, 1), [(44, 1, 1, 64)]),
    "SeparableConv2D": ((9, 9, 80), lambda kinds: kinds.SeparableConv2D(36, 3), [(36, 1, 1, 80)]),
    "Conv2DTranspose": ((5, 5, 32), lambda kinds: kinds.Conv2DTranspose(40, 3), [(40, 3, 3, 32)]),
    "Conv1DTranspose": ((5, 32), lambda kinds: kinds.Conv1DTranspose(44, 3), [(44, 1, 3, 32)]),
    "EinsumDense": ((5, 96), lambda kinds: kinds.EinsumDense("abc,cd->abd", (5, 56)), [(56, 96)]),
    "Embedding": ((5,), lambda kinds: kinds.Embedding(100, 32), [(100, 32)]),
    "LSTM": ((3, 32), lambda kinds: kinds.LSTM(48, unroll=True), [(192, 32), (192, 48)]),
    "MultiHeadAttention": (
        (4, 64),
        lambda kinds: lambda x: kinds.MultiHeadAttention(4, 32)(x, x),
        [(64, 128), (128, 64), (128, 64), (128, 64)],
    ),
}


def all_layers(keras):
    inputs, outputs = [], []
    for name, (shape, make, _) in LAYERS.items():
        dtype = "int32" if name == "Embedding" else "float32"
        inputs.append(keras.layers.Input(shape, batch_size=1, dtype=dtype))
        outputs.append(make(keras.layers)(inputs[-1]))
    return keras.Model(inputs, outputs)


def weights_of(data):
    """Return every constant of rank 2 or more and of more than 1,000 values that holds zeros."""
    for graph in graphs.graphs(serde.parse(data)):
        for index in graph.uses():
            if graph.is_constant(index):
                values = graph.constant(index)
                if values is not None and values.ndim >= 2 and values.size > 1000 and values.dtype == np.float32:
                    yield values


@pytest.mark.parametrize(("block", "share"), [("1x16", 0.75), ("4x1", 0.5), ("2:4", 0.5)])
def test_structure_in_the_file(block, share, keras):
    keras.utils.set_random_seed(0)
    source = keras_model.from_memory(all_layers(keras))
    shapes = [shape for *_, found in LAYERS.values() for shape in found]
    form = structure.parse(block)
    for kernel in masks.prunable_of(source.kernels()):
        masks.apply_mask(kernel, masks.magnitude_mask(kernel.read(), share, form, kernel.axes))
    found = list(weights_of(convert.to_float32(source)))
    assert sorted(by_rows(values).shape for values in found) == sorted(by_rows(np.empty(s)).shape for s in shapes)
    for values in found:
        rows = by_rows(values) != 0
        assert 1 - rows.mean() == pytest.approx(share, abs=0.001)
        if block == "1x16":
            whole = rows.reshape(-1, 16)
        elif block == "4x1":  # outputs come first in the file, whatever lies between them and the inputs
            whole = np.swapaxes(rows.reshape(rows.shape[0] // 4, 4, -1), 1, 2).reshape(-1, 4)
        else:
            assert np.all(rows.reshape(-1, 4).sum(1) == 2)
            continue
        assert np.all(whole.all(1) | ~whole.any(1))


def by_rows(values):
    """(outputs, everything else)."""
    return values.reshape(values.shape[0], -1)


@pytest.mark.parametrize("block", ["1x4", "1x16"])
def test_blocks_of_dense_layers_take_the_native_form(block, keras):
    keras.utils.set_random_seed(0)
    source = keras_model.from_memory(
        keras.Sequential([keras.layers.Input((128,), batch_size=1), keras.layers.Dense(256)])
    )
    for kernel in masks.prunable_of(source.kernels()):
        mask = masks.magnitude_mask(kernel.read(), 0.9, structure.parse(block), kernel.axes)
        masks.apply_mask(kernel, mask)
    model = serde.parse(convert.to_float32(source))
    (graph,) = graphs.graphs(model)
    index, uses = next((i, u) for i, u in graph.uses().items() if graphs.shape_of(graph.tensor(i)) == (256, 128))
    names = [form.words for form in litert.answer_with_native(graph, index, uses).forms]
    assert "read sparse by FULLY_CONNECTED" in names
    (choice,) = [c for c in planner.plan(model, litert.answer_with_native) if c.shape == (256, 128)]
    assert choice.encoded_bytes < 0.35 * choice.dense_bytes
