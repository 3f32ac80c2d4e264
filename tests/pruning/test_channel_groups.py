"""Test which variables of small models of both generations are masked together, and which layers are left."""

import numpy as np
import pytest

from tflite_sparse.pruning import channel_groups
from tflite_sparse.sources import kernels


def find(model):
    return channel_groups.find(model, kernels.kernels_and_variables(model))


def short(name):
    """``model/conv/kernel`` as ``conv/kernel``."""
    return "/".join(name.split("/")[-2:])


def described(model):
    """Return (channels, filters, carriers, readers) of each group, and the reasons of what is left."""
    found = find(model)
    groups = [
        (
            group.channels,
            *([short(part.name) for part in parts] for parts in (group.filters, group.carriers, group.readers)),
        )
        for group in found.groups
    ]
    return groups, {short(name): reason for name, reason in found.left.items()}


def functional(keras, build, shape=(6, 6, 3)):
    x = keras.Input(shape)
    return keras.Model(x, build(keras.layers, x), name="net")


OUTPUT = "channels reach an output of the model"


def test_a_plain_network_with_flatten(keras):
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            layers.Conv2D(4, 3, padding="same", name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(5, activation="relu", name="hidden"),
            layers.Dense(2, name="classes"),
        ]
    )
    groups, left = described(model)
    assert groups == [
        (4, ["conv/kernel"], ["conv/bias", "norm/gamma", "norm/beta"], ["hidden/kernel"]),
        (5, ["hidden/kernel"], ["hidden/bias"], ["classes/kernel"]),
    ]
    assert left == {"classes/kernel": OUTPUT}
    hidden = find(model).groups[0].readers[0]
    assert hidden.axis == -2
    np.testing.assert_array_equal(hidden.channels, np.arange(36) % 4)  # feature i is channel i mod 4


def test_without_gamma_the_moving_mean_is_masked(keras):
    model = functional(
        keras,
        lambda layers, x: layers.Conv2D(2, 1, name="last")(
            layers.BatchNormalization(scale=False, name="norm")(layers.Conv2D(4, 3, use_bias=False, name="conv")(x))
        ),
    )
    groups, _ = described(model)
    assert groups == [(4, ["conv/kernel"], ["norm/moving_mean", "norm/beta"], ["last/kernel"])]


def depthwise_name(keras):
    return "dw/kernel" if keras.__name__ == "keras" else "dw/depthwise_kernel"


def test_depthwise_kernels_carry_channels_on(keras):
    def build(layers, x):
        x = layers.Conv2D(4, 1, use_bias=False, name="conv")(x)
        x = layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu6", name="dw")(x)
        x = layers.SeparableConv2D(6, 3, name="separable")(x)
        return layers.Dense(2, name="classes")(layers.GlobalAveragePooling2D()(x))

    model = functional(keras, build)
    groups, left = described(model)
    assert groups == [
        (
            4,
            ["conv/kernel"],
            [depthwise_name(keras), "dw/bias", "separable/depthwise_kernel"],
            ["separable/pointwise_kernel"],
        ),
        (6, ["separable/pointwise_kernel"], ["separable/bias"], ["classes/kernel"]),
    ]
    assert set(left) == {"classes/kernel"}
    kernel, bias, _ = find(model).groups[0].carriers
    assert kernel.axis == -2
    np.testing.assert_array_equal(kernel.channels, [0, 1, 2, 3])
    np.testing.assert_array_equal(bias.channels, [0, 0, 1, 1, 2, 2, 3, 3])


@pytest.mark.parametrize("form", ["layer", "operation"])
def test_residual_additions_tie_filters(keras, form):
    def build(layers, x):
        x = layers.Conv2D(4, 3, padding="same", name="stem")(x)
        y = layers.ReLU()(layers.Conv2D(8, 3, padding="same", name="inner")(x))
        y = layers.Conv2D(4, 3, padding="same", name="outer")(y)
        x = layers.Add()([x, y]) if form == "layer" else x + y
        return layers.Dense(2, name="classes")(layers.GlobalMaxPooling2D()(x))

    groups, _ = described(functional(keras, build))
    assert groups == [
        (4, ["stem/kernel", "outer/kernel"], ["stem/bias", "outer/bias"], ["inner/kernel", "classes/kernel"]),
        (8, ["inner/kernel"], ["inner/bias"], ["outer/kernel"]),
    ]


@pytest.mark.parametrize("gate", ["sigmoid", "by hand"])
def test_gates_of_squeeze_and_excite_are_tied(keras, gate):
    def build(layers, x):
        x = layers.Conv2D(6, 3, name="conv")(x)
        y = layers.Reshape((1, 1, 6))(layers.GlobalAveragePooling2D()(x))
        y = layers.Conv2D(2, 1, activation="swish", name="squeeze")(y)
        if gate == "sigmoid":
            y = layers.Conv2D(6, 1, activation="sigmoid", name="excite")(y)
        else:
            y = layers.ReLU(6.0)(layers.Conv2D(6, 1, name="excite")(y) + 3.0) * (1 / 6)
        x = layers.Multiply()([x, y])
        return layers.Conv2D(2, 1, name="last")(x)

    groups, left = described(functional(keras, build))
    assert groups == [
        (6, ["conv/kernel", "excite/kernel"], ["conv/bias", "excite/bias"], ["squeeze/kernel", "last/kernel"]),
        (2, ["squeeze/kernel"], ["squeeze/bias"], ["excite/kernel"]),
    ]
    assert left == {"last/kernel": OUTPUT}


def test_concatenated_channels_map_through(keras):
    def build(layers, x):
        a, b = layers.Conv2D(4, 1, name="a")(x), layers.Conv2D(6, 1, name="b")(x)
        together = layers.Concatenate()([a, b])
        tied = layers.Add()([layers.Concatenate()([a, a]), layers.Conv2D(8, 1, name="both")(x)])
        return layers.Conv2D(2, 1, name="last")(together), layers.Conv2D(2, 1, name="other")(tied)

    model = functional(keras, build)
    groups, _ = described(model)
    assert [group[:2] for group in groups] == [(4, ["a/kernel", "both/kernel"]), (6, ["b/kernel"])]
    first, second = find(model).groups
    np.testing.assert_array_equal(first.filters[1].channels, [0, 1, 2, 3, 0, 1, 2, 3])
    of_first = next(part for part in first.readers if short(part.name) == "last/kernel")
    of_second = second.readers[0]
    np.testing.assert_array_equal(of_first.channels, [0, 1, 2, 3, -1, -1, -1, -1, -1, -1])
    np.testing.assert_array_equal(of_second.channels, [-1, -1, -1, -1, 0, 1, 2, 3, 4, 5])
    kept = np.array([True, False, True, True, True, True])
    np.testing.assert_array_equal(of_second.kept_along(kept), [True] * 5 + [False] + [True] * 4)


def test_a_shared_layer_is_left(keras):
    def build(layers, x):
        shared = layers.Conv2D(4, 1, name="shared")
        a, b = layers.Conv2D(3, 1, name="a")(x), layers.Conv2D(3, 1, name="b")(x)
        relu = layers.ReLU()  # without weights it may be shared
        x = layers.Concatenate()([relu(shared(a)), relu(shared(b))])
        return layers.Conv2D(2, 1, name="last")(layers.Conv2D(5, 1, name="after")(x))

    groups, left = described(functional(keras, build))
    assert [group[:2] for group in groups] == [(5, ["after/kernel"])]
    assert left["a/kernel"] == left["b/kernel"] == "net/shared is called more than once"
    assert "shared/kernel" in left


def test_of_several_outputs_each_layer_that_makes_one_is_left(keras):
    def build(layers, x):
        x = layers.Conv2D(4, 1, name="stem")(x)
        middle = layers.Conv2D(5, 1, name="middle")(x)
        return middle, layers.Conv2D(6, 1, name="last")(layers.ReLU()(middle))

    groups, left = described(functional(keras, build))
    assert [group[:2] for group in groups] == [(4, ["stem/kernel"])]
    assert left == {"middle/kernel": OUTPUT, "last/kernel": OUTPUT}


def test_nested_models_are_followed(keras):
    layers = keras.layers
    inner = keras.Sequential(
        [keras.Input((6, 6, 4)), layers.BatchNormalization(name="norm"), layers.Conv2D(5, 1, name="deep")], name="inner"
    )
    model = functional(
        keras, lambda layers, x: layers.Conv2D(2, 1, name="last")(inner(layers.Conv2D(4, 1, name="conv")(x)))
    )
    groups, left = described(model)
    assert groups == [
        (4, ["conv/kernel"], ["conv/bias", "norm/gamma", "norm/beta"], ["deep/kernel"]),
        (5, ["deep/kernel"], ["deep/bias"], ["last/kernel"]),
    ]
    assert left == {"last/kernel": OUTPUT}


def test_hidden_units_and_one_dimension(keras):
    def build(layers, x):
        x = layers.Conv1D(4, 3, activation="relu", name="conv")(x)
        x = layers.Conv1DTranspose(6, 2, name="up")(layers.AveragePooling1D(2)(x))
        x = layers.Dense(8, activation="tanh", name="rows")(x)
        return layers.Dense(1, name="last")(layers.Flatten()(x))

    groups, _ = described(functional(keras, build, (12, 3)))
    assert [group[:2] for group in groups] == [(4, ["conv/kernel"]), (6, ["up/kernel"]), (8, ["rows/kernel"])]
    up = find(functional(keras, build, (12, 3))).groups[1].filters[0]
    assert up.axis == -2  # its kernel is (width, outputs, inputs)


def left_of(keras, build):
    return described(functional(keras, build))[1]


def test_what_is_not_followed_is_named(keras):
    def build(layers, x):
        a = layers.LayerNormalization(name="layernorm")(layers.Conv2D(4, 1, name="a")(x))
        b = layers.Conv2D(4, 1, activation="sigmoid", name="b")(a)
        c = layers.Conv2D(4, 1, activation="softmax", name="c")(b)
        d = layers.Conv2D(4, 1, groups=2, name="d")(c)
        e = layers.Conv2D(3, 1, name="e")(d)
        return layers.Conv2D(2, 1, name="last")(layers.Add()([x, e]))

    assert left_of(keras, build) == {
        "a/kernel": "channels meet net/layernorm (LayerNormalization)",
        "b/kernel": "masked channels reach net/c as a constant other than zero",
        "c/kernel": "channels pass the activation softmax of net/c",
        "d/kernel": "a layer whose channels are not followed",
        "e/kernel": "channels are tied to an input of the model",
        "last/kernel": OUTPUT,
    }


def test_a_constant_in_front_of_padding_or_normalisation(keras):
    def build(layers, x):
        a = layers.ZeroPadding2D(name="pad")(layers.Conv2D(4, 1, activation="sigmoid", name="a")(x))
        b = layers.Conv2D(4, 1, activation="sigmoid", name="b")(a)
        b = layers.BatchNormalization(name="norm")(b)  # gamma and beta make it zero again
        return layers.Conv2D(2, 1, name="last")(b)

    found = left_of(keras, build)
    assert found["a/kernel"] == "masked channels reach net/pad as a constant other than zero"
    assert "b/kernel" not in found


def test_functions_and_classes_of_the_user_are_not_taken_for_those_of_keras(keras):
    class Conv2D(keras.layers.Conv2D):  # the same name, but its own code
        pass

    def relu(values):
        return values + 1

    def build(layers, x):
        x = Conv2D(4, 1, name="own")(x)
        x = layers.Conv2D(4, 1, activation=relu, name="acted")(x)
        return layers.Conv2D(2, 1, name="last")(x)

    found = left_of(keras, build)
    assert found["own/kernel"] == "a layer whose channels are not followed"
    assert found["acted/kernel"] == "channels pass the activation own relu of net/acted"


def test_a_model_with_its_own_call_has_no_groups(keras):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(4)

        def call(self, x):
            return self.dense(x)

    model = Own()
    model(np.zeros((1, 3), np.float32))
    found = find(model)
    assert not found.groups
    assert set(found.left.values()) == {"the model has its own call method, so its channels cannot be followed"}


def test_channels_that_reach_an_output_of_open_length_are_left(keras):
    layers = keras.layers
    groups, left = described(
        functional(keras, lambda _, x: layers.Flatten()(layers.Conv1D(8, 1, name="conv")(x)), (None, 3))
    )
    assert groups == []
    assert list(left) == ["conv/kernel"]
