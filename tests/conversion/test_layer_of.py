"""Find the layer of an operator by the names that the converter gives its tensors."""

import pytest

from tflite_sparse.conversion.layer_of import LayerNames, layer_of
from tflite_sparse.sources.source_model import Layer

LAYERS = [Layer(f"net/{name}", "Any") for name in ("conv", "conv_1", "base/conv", "base/conv_1", "up")]


@pytest.mark.parametrize(
    ("tensors", "name"),
    [
        (["net/conv/Relu"], "net/conv"),
        (["net/conv_1/Relu"], "net/conv_1"),  # Keras 2, or Keras 3 at the first time
        (["net_1/conv_1/Relu"], "net/conv"),  # Keras 3, called again: a number behind every scope
        (["net_1/conv_1_1/Relu"], "net/conv_1"),
        (["net_2/base_1/conv_1_3/Gelu/mul"], "net/base/conv_1"),
        (["StatefulPartitionedCall:0", "net/up/kernel"], "net/up"),
        (["tfl.dequantize;net/up/Repeat/Tile"], "net/up"),
    ],
)
def test_names_of_layers(tensors, name):
    assert layer_of(tensors, LAYERS).name == name


@pytest.mark.parametrize("tensors", [[], ["StatefulPartitionedCall:0"], ["net/other/Relu"], ["net"], ["net/conv"]])
def test_names_of_no_layer(tensors):
    assert layer_of(tensors, LAYERS) is None


@pytest.mark.parametrize(
    ("tensor", "name"),
    [
        ("net_1/conv_1/Relu;net_1/conv_1/Add", "conv"),
        ("net_2/base_1/conv_1_3/Gelu/mul", "base/conv_1"),
        ("StatefulPartitionedCall:0", "scores"),
        ("net/other/Relu", ""),
    ],
)
def test_layers_have_the_names_of_the_model(tensor, name):
    assert LayerNames(LAYERS, {"StatefulPartitionedCall:0": "scores"})(tensor) == name
