"""Test that kernels come in the order of the data flow, in both generations and for any nesting of layers."""

import numpy as np
import pytest

from tflite_sparse.pruning import masks
from tflite_sparse.sources import keras_model, kernels


def chain(keras, name, *inside):
    """Return a Sequential model: convolutions by their names, or models."""
    made = [keras.layers.Conv2D(4, 1, name=each) if isinstance(each, str) else each for each in inside]
    return keras.Sequential([keras.layers.Input((4, 4, 4)), *made], name=name)


def nested(keras):
    inner = chain(keras, "inner", "b", "c")
    base = chain(keras, "base", "a", inner, "d")
    return chain(keras, "whole", base, "e", "f")


def functional(keras):
    """Return a base that is called twice, between layers that were created in another order."""
    last = keras.layers.Conv2D(4, 1, name="d")
    base = chain(keras, "base", "b", "c")
    x = keras.layers.Input((4, 4, 4))
    y = base(keras.layers.Conv2D(4, 1, name="a")(x))
    return keras.Model(x, last(keras.layers.Add()([y, base(y)])))


def block_of(keras):
    class Block(keras.layers.Layer):
        def __init__(self):
            super().__init__(name="block")
            self.made = [keras.layers.Conv2D(4, 1, name=name) for name in "cab"]

        def build(self, shape):
            for layer in self.made:
                layer.build(shape)

        def call(self, x):
            last, first, middle = self.made
            return last(middle(first(x)))

    return Block()


def with_own_block(keras):
    return chain(keras, "whole", block_of(keras), "d")


def subclassed(keras):
    class Net(keras.Model):
        def __init__(self):
            super().__init__(name="net")
            self.last = keras.layers.Conv2D(4, 1, name="d")
            self.block = block_of(keras)

        def call(self, x):
            return self.last(self.block(x))

    model = Net()
    model(np.zeros((1, 4, 4, 4), np.float32))
    return model


def order_of(model):
    """Return the names of the convolutions in the order of their kernels."""
    owners = {id(layer.kernel): layer.name for layer in kernels.flatten(model) if hasattr(layer, "kernel")}
    return "".join(owners[id(variable)] for variable, _ in kernels.kernels_and_variables(model))


@pytest.mark.parametrize(
    ("make", "order"), [(nested, "abcdef"), (functional, "abcd"), (with_own_block, "abcd"), (subclassed, "abcd")]
)
def test_order_of_the_data(keras, make, order):
    assert order_of(make(keras)) == order


def test_first_convolution_of_a_nested_base_is_the_one_that_stays_dense(keras):
    layers = keras.layers
    sizes = {"stem": 24, "middle": 32, "last": 64}
    base = keras.Sequential(
        [layers.Input((9, 9, 16)), *(layers.Conv2D(size, 3, name=name) for name, size in sizes.items())], name="base"
    )
    model = keras.Sequential([layers.Input((9, 9, 16)), base, layers.GlobalAveragePooling2D(), layers.Dense(3)])
    found = keras_model.from_memory(model).kernels()
    assert [kernel.shape[-1] for kernel in masks.prunable_while_training(found)] == [32, 64]
