"""Test which weights become zero, and which kernels are prunable."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tflite_sparse.pruning import masks
from tflite_sparse.sources import keras_model
from tflite_sparse.sources.source_model import Kernel

shapes = hnp.array_shapes(min_dims=2, max_dims=4, max_side=9)
arrays = hnp.arrays(np.float32, shapes, elements=st.floats(-4, 4, width=32) | st.sampled_from([0.0, -0.0, 1.0, -1.0]))


def kernel(values, name="kernel", owner="Dense"):
    """Return a kernel whose values are in a list, and the list."""
    held = [np.asarray(values)]
    return Kernel(name, owner, held[0].shape, lambda: held[0], lambda new: held.__setitem__(0, new)), held


@given(arrays, st.floats(0, 0.9999))
def test_exact_count_and_only_the_smallest(values, sparsity):
    mask = masks.magnitude_mask(values, sparsity)
    assert mask.shape == values.shape
    assert mask.dtype == bool
    assert np.count_nonzero(~mask) == round(sparsity * values.size)
    kept, left_out = np.abs(values[mask]), np.abs(values[~mask])
    if kept.size and left_out.size:
        assert kept.min() >= left_out.max()


@given(arrays, st.data())
def test_zeros_stay_zeros_when_at_least_as_many_are_asked_for(values, data):
    zeros = int(np.count_nonzero(values == 0))
    wanted = data.draw(st.integers(zeros, values.size))
    mask = masks.magnitude_mask(values, wanted / values.size)
    assert not mask[values == 0].any()


def test_known_mask():
    values = np.array([[0.1, -0.5, 0.3], [-0.2, 0.9, -0.05]], np.float32)
    np.testing.assert_array_equal(masks.magnitude_mask(values, 0.5), [[False, True, True], [False, True, False]])


def test_ties_do_not_take_more_than_asked_for():
    mask = masks.magnitude_mask(np.ones((10, 10), np.float32), 0.3)
    assert np.count_nonzero(~mask) == 30


def test_of_many_values_exactly_the_smallest_are_left_out():
    """With so many values not all are sorted."""
    values = np.random.default_rng(0).permutation(10_000).astype(np.float32) + 1
    for sparsity in (0.0001, 0.3, 0.5, 0.9999):
        np.testing.assert_array_equal(masks.magnitude_mask(values, sparsity), values > round(10_000 * sparsity))


def test_double_precision_is_told_apart_as_such():
    values = np.array([1 + 1e-12, 1.0, 1 + 2e-12, 1 + 3e-12])
    np.testing.assert_array_equal(masks.magnitude_mask(values, 0.5), [False, False, True, True])
    np.testing.assert_array_equal(masks.magnitude_mask(values[::-1].copy(), 0.25), [True, True, False, True])


@given(arrays)
def test_sparsity_zero_masks_nothing(values):
    assert masks.magnitude_mask(values, 0.0).all()


@given(arrays, st.data())
def test_what_is_left_out_becomes_positive_zero_and_the_rest_keeps_its_bits(values, data):
    mask = data.draw(hnp.arrays(bool, values.shape))
    subject, held = kernel(-values)
    masks.apply_mask(subject, mask)
    assert held[0].dtype == np.float32
    assert not held[0][~mask].view(np.uint32).any()
    np.testing.assert_array_equal(held[0][mask].view(np.uint32), (-values)[mask].view(np.uint32))


def test_apply_mask_keeps_half_precision():
    subject, held = kernel(np.full((2, 2), -1.5, np.float16))
    masks.apply_mask(subject, np.array([[True, False], [False, True]]))
    assert held[0].dtype == np.float16
    assert not np.signbit(held[0][0, 1])


def test_mask_to_masks_each_alone_and_keeps_what_holds_more():
    generator = np.random.default_rng(0)
    large, small, sparse = generator.normal(0, 10, (20, 50)), generator.normal(0, 0.1, (20, 50)), np.zeros((20, 50))
    sparse[0] = generator.normal(size=50)  # 95 %
    kernels = [kernel(values.astype(np.float32)) for values in (large, small, sparse)]
    before = kernels[2][1][0].copy()
    masks.mask_to([subject for subject, _ in kernels], 0.8)
    zeros = [np.count_nonzero(held[0] == 0) for _, held in kernels]
    assert zeros == [800, 800, 950]
    np.testing.assert_array_equal(kernels[2][1][0], before)


def test_mask_to_keeps_the_zeros_that_there_are():
    values = np.random.default_rng(1).normal(size=(10, 100)).astype(np.float32)
    values[3] = 0
    subject, held = kernel(values)
    masks.mask_to([subject], 0.5)
    assert not held[0][3].any()
    assert np.count_nonzero(held[0] == 0) == 500


def test_sparsity_of_counts_over_all_kernels():
    first, second = kernel(np.array([[0.0, -0.0, 1.0, 2.0]]))[0], kernel(np.ones((2, 4)))[0]
    found = masks.sparsity_of([first, second])
    assert (found.zeros, found.weights) == (2, 12)
    assert found.share == pytest.approx(1 / 6)
    assert masks.sparsity_of([]).share == 0


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        (np.zeros((3, 3)), np.ones((3, 3), bool)),
        (np.eye(3), np.ones((3, 3), bool)),
        (np.array([[0.0, 3.0]]), np.ones((1, 2), bool)),
        (-0.5 * np.eye(3, 4), np.ones((3, 4), bool)),
        (np.diag([1.0, 1.0, 2.0]), np.eye(3, dtype=bool)),
        (np.array([[0.0, 1.0, 0.5]]), np.array([[False, True, True]])),
        (np.array([[-0.0, 1.0, np.inf]]), np.array([[False, True, True]])),
    ],
)
def test_zeros_that_an_initialiser_made_are_no_mask(values, kept):
    np.testing.assert_array_equal(masks.trained_mask(values), kept)


def test_each_kernel_gets_the_mask_in_its_place():
    subjects = [kernel(np.ones((1, 2), np.float32)) for _ in range(2)]
    found = [np.array([[True, False]]), np.array([[False, True]])]
    masks.apply_masks([subject for subject, _ in subjects], found)
    assert [held[0].tolist() for _, held in subjects] == [[[1, 0]], [[0, 1]]]
    with pytest.raises(ValueError, match="shorter"):
        masks.apply_masks([subject for subject, _ in subjects], found[:1])


def test_current_masks():
    found = masks.current_masks([kernel([[0.0, -0.0, -1.0]], "a")[0], kernel([[1e-30, 0.0]], "b")[0]])
    np.testing.assert_array_equal(found[0], [[False, False, True]])
    np.testing.assert_array_equal(found[1], [[True, False]])


def made_up(name, owner, *shape):
    return Kernel(name, owner, shape, lambda: np.ones(shape, np.float32), lambda new: None)


@pytest.mark.parametrize(
    ("subject", "prunable"),
    [
        (made_up("net/dense/kernel", "Dense", 32, 64), True),
        (made_up("net/dense/kernel", "Dense", 23, 89), False),  # 2,047 weights
        (made_up("kernel", "Dense", 32, 64), True),
        (made_up("net/gru/bias", "GRUCell", 2, 1200), False),
        (made_up("net/gru/bias 2", "GRUCell", 2, 1200), False),  # of two of one name
        (made_up("net/bias/kernel", "Dense", 32, 64), True),
        (made_up("bias/kernel/gamma", "Dense", 32, 64), True),
        (made_up("net/separable/depthwise_kernel", "SeparableConv2D", 5, 5, 24, 4), False),
        (made_up("net/separable/pointwise_kernel", "SeparableConv2D", 1, 1, 96, 128), True),
        (made_up("net/depthwise/kernel", "DepthwiseConv2D", 5, 5, 128, 1), False),
        (made_up("net/norm/gamma", "LayerNormalization", 64, 64), False),
        (made_up("net/prelu/alpha", "PReLU", 16, 16, 16), False),
        (made_up("net/left/kernel", "unread", 64, 64), False),
    ],
    ids=lambda value: value.name if isinstance(value, Kernel) else "",
)
def test_which_kernels_are_prunable(subject, prunable):
    assert masks.prunable_of([subject]) == ([subject] if prunable else [])


def test_while_training_the_first_convolution_is_left_dense_whatever_comes_before_it():
    dense = made_up("dense/kernel", "Dense", 64, 64)
    small, first, second = (made_up(f"conv{i}/kernel", "Conv2D", 3, 3, i, 256) for i in (0, 1, 2))
    line = made_up("line/kernel", "Conv1D", 9, 8, 64)
    recurrent = made_up("memory/kernel", "ConvLSTM1DCell", 64, 64)  # of two axes
    assert masks.prunable_while_training([dense, first, second]) == [dense, second]
    assert masks.prunable_while_training([line, first]) == [first]
    assert masks.prunable_while_training([recurrent, first, second]) == [recurrent, second]
    assert masks.prunable_while_training([small, first]) == [first]  # too small to be prunable
    assert masks.prunable_while_training([dense]) == [dense]


# The kernels that --sparsity applies to, in real models of both generations.


def found_in(model):
    return [(kernel.owner, kernel.shape) for kernel in masks.prunable(keras_model.from_memory(model))]


def sequential(keras, *layers):
    return keras.Sequential([layers[0], *layers[1:]])


def test_least_size(keras):
    layers = keras.layers
    model = sequential(keras, layers.Input((32,)), layers.Dense(63), layers.Dense(32), layers.Dense(64))
    assert masks.LEAST_PRUNABLE_SIZE == 2048
    # 32 x 63 = 2016 and 63 x 32 = 2016 are too small; 32 x 64 = 2048 is just enough
    assert found_in(model) == [("Dense", (32, 64))]


def test_convolutions_of_every_kind(keras):
    layers = keras.layers
    model = sequential(
        keras,
        layers.Input((8, 8, 32)),
        layers.Conv2D(16, 3),
        layers.Conv2DTranspose(24, 3),
        layers.SeparableConv2D(128, 5, depth_multiplier=4, padding="same"),  # depthwise (5, 5, 24, 4): 2400 weights
        layers.DepthwiseConv2D(5, padding="same"),  # (5, 5, 128, 1): 3200 weights
    )
    assert found_in(model) == [
        ("Conv2D", (3, 3, 32, 16)),
        ("Conv2DTranspose", (3, 3, 24, 16)),
        ("SeparableConv2D", (1, 1, 96, 128)),
    ]


def test_normalisation_of_rank_two(keras):
    layers = keras.layers
    norm = layers.LayerNormalization(axis=[1, 2])  # gamma and beta: (64, 64)
    model = sequential(keras, layers.Input((64, 64)), norm, layers.Dense(64))
    assert norm.gamma.shape == (64, 64)
    assert found_in(model) == [("Dense", (64, 64))]


def test_embeddings(keras):
    layers = keras.layers
    model = sequential(keras, layers.Input((7,)), layers.Embedding(100, 32), layers.Flatten(), layers.Dense(4))
    assert found_in(model) == [("Embedding", (100, 32))]


def test_recurrent_cells(keras):
    layers = keras.layers
    model = sequential(keras, layers.Input((5, 40)), layers.LSTM(32), layers.Dense(2))
    assert found_in(model) == [("LSTMCell", (40, 128)), ("LSTMCell", (32, 128))]


def test_biases_of_a_recurrent_layer_are_no_kernels(keras):
    """The bias of a GRU with reset_after, the default, has rank 2."""
    layers = keras.layers
    model = sequential(keras, layers.Input((3, 4)), layers.GRU(400))
    assert found_in(model) == [("GRUCell", (4, 1200)), ("GRUCell", (400, 1200))]


def test_biases_of_attention_are_no_kernels(keras):
    """The biases of queries, keys and values have rank 2: (heads, key size)."""
    layers = keras.layers
    x = layers.Input((4, 16))
    model = keras.Model(x, layers.MultiHeadAttention(16, 128)(x, x))
    assert sorted(shape for _, shape in found_in(model)) == [(16, 16, 128)] * 3 + [(16, 128, 16)]


def test_slopes_of_an_activation_are_no_kernels(keras):
    layers = keras.layers
    model = sequential(keras, layers.Input((16, 16, 16)), layers.PReLU())
    assert found_in(model) == []


def test_nested_models(keras):
    layers = keras.layers
    inner = sequential(keras, layers.Input((64,)), layers.Dense(64))
    model = sequential(keras, layers.Input((32,)), layers.Dense(64), inner, layers.Dense(40))
    assert sorted(found_in(model)) == [("Dense", (32, 64)), ("Dense", (64, 40)), ("Dense", (64, 64))]


def test_a_shared_layer_counts_once(keras):
    layers = keras.layers
    shared = layers.Dense(64)
    first, second = layers.Input((64,)), layers.Input((64,))
    model = keras.Model([first, second], layers.Add()([shared(shared(first)), shared(second)]))
    assert found_in(model) == [("Dense", (64, 64))]


def test_frozen_layers_are_included(keras):
    layers = keras.layers
    frozen = layers.Dense(64)
    model = sequential(keras, layers.Input((64,)), frozen, layers.Dense(64))
    frozen.trainable = False
    assert found_in(model) == [("Dense", (64, 64))] * 2
    masks.mask_to(masks.prunable(keras_model.from_memory(model)), 0.75)
    assert np.count_nonzero(np.asarray(frozen.kernel) == 0) == 3072


def test_masks_reach_the_model(keras):
    layers = keras.layers
    model = sequential(keras, layers.Input((64,)), layers.Dense(64), layers.Dense(10))
    before = [np.asarray(weight) for weight in model.get_weights()]
    masks.mask_to(masks.prunable(keras_model.from_memory(model)), 0.9)
    after = model.get_weights()
    assert np.count_nonzero(after[0] == 0) == round(0.9 * 4096)
    np.testing.assert_array_equal(after[0][after[0] != 0], before[0][after[0] != 0])
    for index in (1, 2, 3):
        np.testing.assert_array_equal(after[index], before[index])


def test_kernels_have_names_of_their_own(keras):
    """Masks are kept by name, so two kernels of one name would share a mask."""
    layers = keras.layers
    x = layers.Input((6, 32))
    y = layers.LSTM(32, return_sequences=True)(x)
    y = layers.MultiHeadAttention(2, 32)(y, y)
    y = layers.MultiHeadAttention(2, 32)(y, y)
    inner = keras.Sequential([layers.Input((6, 32)), layers.Dense(64, name="dense")])
    y = layers.Dense(32, name="dense")(inner(y))
    model = keras.Model(x, layers.LSTM(32)(y))
    names = [kernel.name for kernel in keras_model.from_memory(model).kernels()]
    assert len(set(names)) == len(names), sorted(name for name in names if names.count(name) > 1)


@pytest.mark.parametrize("held", [0.0, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("sparsity", [0.25, 0.5, 0.8, 0.9, 1.0])
def test_zeros_go_first_and_then_the_least_of_the_rest(held, sparsity):
    """The values differ, but for the zeros, so there is one right mask beyond these."""
    values = np.random.default_rng(0).permutation(np.arange(1, 2001)).astype(np.float32).reshape(40, 50)
    values *= np.random.default_rng(1).choice([-1, 1], values.shape)
    values[np.abs(values) <= held * 2000] = 0
    mask = masks.magnitude_mask(values, sparsity)
    assert np.count_nonzero(~mask) == round(sparsity * 2000)
    if sparsity >= held:
        np.testing.assert_array_equal(mask, np.abs(values) > sparsity * 2000)
    else:
        assert not values[~mask].any()
