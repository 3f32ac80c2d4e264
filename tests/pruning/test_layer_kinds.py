"""Prune every kind of layer with kernels inside ``fit`` of both generations."""

import numpy as np
import pytest
from small_net import with_slots

from tflite_sparse.errors import SettingsError
from tflite_sparse.pruning import masks
from tflite_sparse.pruning.callback import MagnitudePruning
from tflite_sparse.pruning.plan import KernelPlan, Plan
from tflite_sparse.pruning.schedule import ConstantSchedule
from tflite_sparse.sources import keras_model

pytestmark = pytest.mark.slow  # it trains


def stack(*layers):
    """Build layers one after the other on an input, whose shape comes first."""
    return lambda keras: keras.Sequential([keras.layers.Input(layers[0]), *(make(keras.layers) for make in layers[1:])])


def attention(keras):
    x = keras.layers.Input((4, 16))
    return keras.Model(x, keras.layers.Dense(2)(keras.layers.MultiHeadAttention(4, 32)(x, x)))


def shared(keras):
    dense = keras.layers.Dense(64)
    first, second = keras.layers.Input((64,)), keras.layers.Input((64,))
    return keras.Model([first, second], keras.layers.Add()([dense(dense(first)), dense(second)]))


def nested(keras):
    inner = stack((64,), lambda kinds: kinds.Dense(64, activation="relu"))(keras)
    return keras.Sequential([keras.layers.Input((32,)), keras.layers.Dense(64), inner, keras.layers.Dense(2)])


MODELS = {
    "Dense": (stack((32,), lambda kinds: kinds.Dense(64)), [(32, 64)]),
    "Conv1D": (stack((9, 32), lambda kinds: kinds.Conv1D(32, 3)), [(3, 32, 32)]),
    "Conv2D": (stack((6, 6, 16), lambda kinds: kinds.Conv2D(24, 3)), [(3, 3, 16, 24)]),
    "Conv3D": (stack((4, 4, 4, 8), lambda kinds: kinds.Conv3D(16, 3)), [(3, 3, 3, 8, 16)]),
    "Conv1DTranspose": (stack((5, 32), lambda kinds: kinds.Conv1DTranspose(32, 3)), [(3, 32, 32)]),
    "Conv2DTranspose": (stack((3, 3, 16), lambda kinds: kinds.Conv2DTranspose(24, 3)), [(3, 3, 24, 16)]),
    "SeparableConv1D": (stack((6, 64), lambda kinds: kinds.SeparableConv1D(64, 3)), [(1, 64, 64)]),
    "SeparableConv2D": (stack((5, 5, 64), lambda kinds: kinds.SeparableConv2D(64, 3)), [(1, 1, 64, 64)]),
    "SimpleRNN": (stack((3, 64), lambda kinds: kinds.SimpleRNN(64)), [(64, 64), (64, 64)]),
    "GRU": (stack((3, 32), lambda kinds: kinds.GRU(32)), [(32, 96), (32, 96)]),
    "LSTM": (stack((3, 32), lambda kinds: kinds.LSTM(32)), [(32, 128), (32, 128)]),
    "Bidirectional": (
        stack((3, 32), lambda kinds: kinds.Bidirectional(kinds.LSTM(24))),
        [(24, 96), (24, 96), (32, 96), (32, 96)],
    ),
    "TimeDistributed": (stack((3, 32), lambda kinds: kinds.TimeDistributed(kinds.Dense(64))), [(32, 64)]),
    "EinsumDense": (stack((3, 32), lambda kinds: kinds.EinsumDense("abc,cd->abd", (3, 64))), [(32, 64)]),
    "MultiHeadAttention": (attention, [(4, 32, 16), (16, 4, 32), (16, 4, 32), (16, 4, 32)]),
    "shared": (shared, [(64, 64)]),
    "nested": (nested, [(32, 64), (64, 64)]),
}


def inputs_of(model, count):
    generator = np.random.default_rng(0)
    found = [generator.normal(size=(count, *tensor.shape[1:])).astype(np.float32) for tensor in model.inputs]
    return found if len(found) > 1 else found[0]


def pruning_all(schedule):
    def planner(kernels, span):
        return Plan(tuple(KernelPlan(kernel, schedule) for kernel in masks.prunable_of(kernels)))

    return MagnitudePruning(planner=planner, warn=lambda words: None)


@pytest.mark.parametrize("kind", list(MODELS))
def test_masked_while_training(keras, kind):
    keras.utils.set_random_seed(0)
    make, shapes = MODELS[kind]
    model = make(keras)
    model.compile(keras.optimizers.Adam(1e-2), "mse")
    with_slots(model)
    x = inputs_of(model, 48)
    y = np.random.default_rng(1).normal(size=(48, *model.output_shape[1:]))
    pruning = pruning_all(ConstantSchedule(0.75, 1, 2, 1))
    before = [w.copy() for w in model.get_weights()]
    model.fit(x, y, batch_size=8, verbose=0, callbacks=[pruning])  # six steps, four of them under the last masks
    kernels = [each.kernel for each in pruning.plan.kernels]
    assert sorted(kernel.shape for kernel in kernels) == sorted(shapes)
    for kernel, mask in zip(kernels, pruning.masks().values(), strict=True):
        values = kernel.read()
        assert np.count_nonzero(~mask) == round(0.75 * mask.size)
        np.testing.assert_array_equal(values == 0, ~mask)
    for old, new in zip(before, model.get_weights(), strict=True):
        changed = (old != new)[new != 0]
        assert changed.mean() > 0.5 or old.size < 2048  # what is not masked is trained


def test_embedding_whose_gradients_are_sparse(keras):
    """Only rows that were looked up get gradients, some several times in one batch."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential([layers.Input((6,), dtype="int32"), layers.Embedding(100, 32), layers.Flatten()])
    model.add(layers.Dense(1))
    model.compile(keras.optimizers.Adam(1e-2), "mse")
    words = np.random.default_rng(0).integers(0, 50, (64, 6))
    pruning = pruning_all(ConstantSchedule(0.5, 1, 2, 1))
    before = model.get_weights()[0]
    model.fit(words, np.ones((64, 1)), batch_size=8, epochs=2, verbose=0, callbacks=[pruning])
    (mask,) = pruning.masks().values()
    after = model.get_weights()[0]
    np.testing.assert_array_equal(after == 0, ~mask)
    assert np.count_nonzero(~mask) == 1600
    assert (after != before)[:50][mask[:50]].mean() > 0.9
    np.testing.assert_array_equal(after[50:][mask[50:]], before[50:][mask[50:]])


def subclassed(keras):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.first = keras.layers.Dense(64, activation="relu")
            self.second = keras.layers.Dense(64)

        def call(self, x):
            return self.second(self.first(x))

    model = Own()
    model.compile(keras.optimizers.Adam(1e-2), "mse")
    return model


@pytest.mark.parametrize("built", [False, True])
def test_subclassed_models_built_or_not(keras, built):
    keras.utils.set_random_seed(0)
    model = subclassed(keras)
    x, y = np.random.default_rng(0).normal(size=(2, 48, 64)).astype(np.float32)
    if built:
        model(x)
    pruning = pruning_all(ConstantSchedule(0.75, 1, 2, 1))
    model.fit(x, y, batch_size=8, epochs=2, verbose=0, callbacks=[pruning])
    kernels = [weight for weight in model.get_weights() if weight.ndim == 2]
    assert [np.count_nonzero(kernel == 0) for kernel in kernels] == [3072, 3072]
    assert not {"apply", "apply_gradients"} & set(vars(model.optimizer))


def test_errors_of_a_model_that_is_built_while_it_trains_are_one_line(keras):
    model = subclassed(keras)
    x, y = np.zeros((2, 48, 64), np.float32)
    with pytest.raises(SettingsError) as failure:
        model.fit(x, y, batch_size=8, verbose=0, callbacks=[MagnitudePruning(0.5, block="1x128")])
    assert str(failure.value).count("\n") <= 1
    assert "has only 64 outputs and 64 inputs" in str(failure.value)
    assert not {"apply", "apply_gradients"} & set(vars(model.optimizer))


def test_frozen_layers_are_pruned_and_otherwise_left(keras):
    keras.utils.set_random_seed(0)
    layers = keras.layers
    frozen = layers.Dense(64)
    model = keras.Sequential([layers.Input((64,)), frozen, layers.Dense(64)])
    frozen.trainable = False
    model.compile(keras.optimizers.Adam(1e-2), "mse")
    before = frozen.get_weights()[0]
    x, y = np.random.default_rng(0).normal(size=(2, 48, 64)).astype(np.float32)
    model.fit(x, y, batch_size=8, verbose=0, callbacks=[pruning_all(ConstantSchedule(0.75, 1, 4, 1))])
    after = frozen.get_weights()[0]
    assert np.count_nonzero(after == 0) == 3072
    np.testing.assert_array_equal(after[after != 0], before[after != 0])


# Zeros from before.


def fitted(keras, model, pruning):
    model.compile(keras.optimizers.Adam(1e-2), "mse")
    with_slots(model)
    x, y = np.random.default_rng(0).normal(size=(2, 64, 64)).astype(np.float32)
    model.fit(x, y, batch_size=8, epochs=2, verbose=0, callbacks=[pruning])
    return model.get_weights()[0]


def one_dense(keras, zeros):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Input((64,)), keras.layers.Dense(64)])
    kernel, bias = model.get_weights()
    model.set_weights([np.where(zeros, 0, kernel), bias])
    return model


def half():
    return np.random.default_rng(4).random((64, 64)) < 0.5


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("block", ["1x1", "2:4"])
def test_zeros_that_a_model_came_with_stay(keras, scope, block):
    zeros = half()
    sparsity = None if block == "2:4" else 0.8
    pruning = MagnitudePruning(sparsity, block=block, scope=scope, begin=2, end=8, frequency=1, warn=lambda w: None)
    after = fitted(keras, one_dense(keras, zeros), pruning)
    assert not after[zeros].any()
    if block == "1x1":
        assert np.count_nonzero(after == 0) == round(0.8 * 4096)
    else:
        assert (after != 0).reshape(16, 4, 64).sum(1).max() <= 2


def test_a_model_with_more_zeros_than_asked_for_keeps_them(keras):
    zeros = half()
    after = fitted(keras, one_dense(keras, zeros), pruning_all(ConstantSchedule(0.2, 2, 8, 1)))
    np.testing.assert_array_equal(after == 0, zeros)


def test_blocks_may_revive_zeros_within_a_block_but_no_block(keras):
    """Otherwise a model with scattered zeros, pruned in blocks, would exceed the demanded sparsity by far."""
    zeros = half()
    zeros[:16, 3] = True
    pruning = MagnitudePruning(0.75, block="1x16", begin=2, end=8, frequency=1, warn=lambda w: None)
    after = fitted(keras, one_dense(keras, zeros), pruning)
    blocks = (after != 0).reshape(4, 16, 64).sum(1)
    assert np.count_nonzero(blocks == 0) == 192
    assert np.all(blocks[blocks > 0] == 16)
    assert blocks[0, 3] == 0


@pytest.mark.parametrize("start", ["zeros", "identity", "ones"])
def test_kernels_as_initialisers_make_them_are_not_frozen(keras, start):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Input((64,)), keras.layers.Dense(64, kernel_initializer=start)])
    after = fitted(keras, model, pruning_all(ConstantSchedule(0.5, 3, 10, 1)))
    assert np.count_nonzero(after == 0) == 2048


def test_wrappers_of_another_tool_that_were_stripped():
    """tfmot leaves its zeros in the kernels; masks start from them."""
    from tflite_sparse.sources import tensorflow_import

    tfmot, keras = tensorflow_import.model_optimization(), tensorflow_import.keras2()
    keras.utils.set_random_seed(0)
    sparsity = tfmot.sparsity.keras
    wrapped = sparsity.prune_low_magnitude(
        keras.Sequential([keras.layers.Input((64,)), keras.layers.Dense(64)]),
        pruning_schedule=sparsity.ConstantSparsity(0.5, 0, frequency=1),
    )
    wrapped.compile("adam", "mse")
    x, y = np.random.default_rng(0).normal(size=(2, 64, 64)).astype(np.float32)
    wrapped.fit(x, y, verbose=0, callbacks=[sparsity.UpdatePruningStep()])
    model = sparsity.strip_pruning(wrapped)
    zeros = model.get_weights()[0] == 0
    assert zeros.mean() == pytest.approx(0.5, abs=0.01)
    after = fitted(keras, model, pruning_all(ConstantSchedule(0.875, 2, 8, 1)))
    assert not after[zeros].any()
    assert np.count_nonzero(after == 0) == 3584


def test_names_in_the_source_are_those_of_the_masks(keras):
    model = one_dense(keras, half())
    pruning = pruning_all(ConstantSchedule(0.75, 1, 2, 1))
    fitted(keras, model, pruning)
    assert list(pruning.masks()) == [kernel.name for kernel in masks.prunable(keras_model.from_memory(model))]
