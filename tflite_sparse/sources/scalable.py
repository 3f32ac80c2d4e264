"""Build the network of ``sweep``: a depthwise-separable CNN of any width, after MobileNet (Howard et al. 2017)."""

from __future__ import annotations

import math
from types import ModuleType

from tflite_sparse.sources.keras_types import KerasModel, SymbolicTensor

_STEM, _BLOCKS, _HIDDEN = 16, (32, 64), 96
_LEAST_CHANNELS = 4
_LARGEST_MAP = 8  # height and width of the input of the hidden layer
_SMALLEST_MAP = 4  # is not halved further: even the narrowest network keeps a layer that is worth pruning


def build(keras: ModuleType, width: float, input_shape: tuple[int, int, int], classes: int) -> KerasModel:
    """Build a stem, two depthwise-separable blocks, a hidden layer over all positions, and the class layer.

    Almost all weights are in the hidden layer. So most bytes of a file are prunable weights, and few are the cost of
    each channel that sparsity does not change (bias and scales).

    Args:
        keras: the module.
        width: factor on the number of channels of every layer but the last.
        input_shape: height, width and channels of the images.
        classes: number of classes.
    """
    layers = keras.layers

    def channels(count: int) -> int:
        return max(_LEAST_CHANNELS, round(count * width))

    def normalised(x: SymbolicTensor, name: str) -> SymbolicTensor:
        x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
        active: SymbolicTensor = layers.ReLU(name=f"{name}_relu")(x)
        return active

    def halving(x: SymbolicTensor) -> int:
        return 2 if max(filter(None, x.shape[1:3])) > _SMALLEST_MAP else 1

    image = x = keras.Input(input_shape, name="image")
    x = layers.Conv2D(channels(_STEM), 3, strides=halving(x), padding="same", use_bias=False, name="stem")(x)
    x = normalised(x, "stem")
    for number, count in enumerate(_BLOCKS, 1):
        strides = 1 if number == 1 else halving(x)
        x = layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False, name=f"depthwise{number}")(x)
        x = normalised(x, f"depthwise{number}")
        x = layers.Conv2D(channels(count), 1, use_bias=False, name=f"pointwise{number}")(x)
        x = normalised(x, f"pointwise{number}")
    pool = math.ceil(max(filter(None, x.shape[1:3])) / _LARGEST_MAP)
    if pool > 1:
        x = layers.AveragePooling2D(pool, padding="same", name="pool")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(channels(_HIDDEN), activation="relu", name="hidden")(x)
    model: KerasModel = keras.Model(image, layers.Dense(classes, name="classes")(x), name="separable_cnn")
    return model
