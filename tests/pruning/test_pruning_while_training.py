"""Test the pruning callbacks in ``model.fit`` of both generations of Keras."""

import numpy as np
import pytest
from small_net import BATCH, STEPS, build, following, gradients_by_hand, kernels_of, make_data, watched_fit

from tflite_sparse.pruning import masks
from tflite_sparse.pruning.callback import MagnitudePruning
from tflite_sparse.pruning.plan import frozen
from tflite_sparse.pruning.schedule import PolynomialSchedule
from tflite_sparse.sources import keras_model

pytestmark = pytest.mark.slow  # it trains


@pytest.fixture(scope="module")
def data():
    return make_data()


def optimizers(keras):
    return {
        "sgd": keras.optimizers.SGD(0.05),
        "momentum": keras.optimizers.SGD(0.05, momentum=0.9),
        "adam": keras.optimizers.Adam(1e-2),
    }


@pytest.mark.parametrize("name", ["momentum", "adam"])
def test_sparsity_follows_the_schedule_and_masks_freeze(keras, data, name):
    schedule = PolynomialSchedule(0.1, 0.8, 4, 15, 3)
    model = build(keras, optimizers(keras)[name])
    seen = watched_fit(model, data, following(schedule))
    assert len(seen) == STEPS

    updates = [4, 7, 10, 13, 15]
    for step, weights in enumerate(seen, 1):
        last = max((update for update in updates if update <= step), default=None)
        for values in weights[:2]:
            wanted = 0 if last is None else round(schedule.sparsity_at(last) * values.size)
            zeros = values == 0
            assert np.count_nonzero(zeros) == wanted, step
            assert not np.signbit(values[zeros]).any()
        assert np.all(weights[2] != 0)  # too small to be pruned

    for index in range(2):
        frozen = seen[14][index] == 0
        for weights in seen[15:]:
            np.testing.assert_array_equal(weights[index] == 0, frozen)
        moved = seen[-1][index] != seen[14][index]
        assert moved[~frozen].mean() > 0.9
        np.testing.assert_array_equal(model.get_weights()[2 * index], seen[-1][index])


def test_a_mask_holds_between_two_updates(keras, data):
    model = build(keras, optimizers(keras)["adam"])
    schedule = PolynomialSchedule(0.5, 0.9, 2, 22, 10)
    seen = watched_fit(model, data, following(schedule))
    for first, last in ((2, 12), (12, 22)):
        for step in range(first, last):
            np.testing.assert_array_equal(seen[step - 1][0] == 0, seen[first - 1][0] == 0)
    assert np.count_nonzero(seen[1][0] == 0) < np.count_nonzero(seen[11][0] == 0) < np.count_nonzero(seen[21][0] == 0)


def test_steps_are_counted_over_epochs(keras, data):
    model = build(keras, optimizers(keras)["sgd"])
    schedule = PolynomialSchedule(0.0, 0.75, 10, STEPS + 6, 5)
    seen = watched_fit(model, data, following(schedule), epochs=2)
    assert np.count_nonzero(seen[STEPS + 4][0] == 0) < 1536
    assert np.count_nonzero(seen[STEPS + 5][0] == 0) == 1536
    assert np.count_nonzero(seen[-1][0] == 0) == 1536


def test_fixed_masks_hold_what_is_zero(keras, data):
    model = build(keras, optimizers(keras)["adam"])
    kernels = kernels_of(model)
    masks.mask_to(kernels, 0.6)
    zeros = [kernel.read() == 0 for kernel in kernels]
    before = [kernel.read() for kernel in kernels]
    seen = watched_fit(model, data, MagnitudePruning(planner=frozen))
    for weights in seen:
        for values, expected in zip(weights[:2], zeros, strict=True):
            np.testing.assert_array_equal(values == 0, expected)
    for values, old, masked in zip(seen[-1], before, zeros, strict=False):
        assert (values != old)[~masked].mean() > 0.9


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_unmasked_weights_move_as_with_masked_gradients(keras, data, momentum):
    """A loop in NumPy that stops the gradients of masked weights ends at the same weights."""
    rate = 0.1
    model = build(keras, keras.optimizers.SGD(rate, momentum=momentum))
    kernels = kernels_of(model)
    masks.mask_to(kernels, 0.7)
    kept = [np.ones(w.shape) for w in model.get_weights()]
    kept[0], kept[2] = (kernel.read() != 0 for kernel in kernels)
    weights = [w.astype(np.float64) for w in model.get_weights()]
    velocity = [np.zeros(w.shape) for w in weights]
    x, labels = data
    start = [w.copy() for w in weights]
    for step in range(STEPS):
        part = slice(step * BATCH, (step + 1) * BATCH)
        gradients = gradients_by_hand(weights, x[part].astype(np.float64), labels[part])
        for index, gradient in enumerate(gradients):
            velocity[index] = momentum * velocity[index] - rate * gradient * kept[index]
            weights[index] = weights[index] + velocity[index]

    watched_fit(model, data, MagnitudePruning(planner=frozen))
    for found, expected, old in zip(model.get_weights(), weights, start, strict=True):
        np.testing.assert_allclose(found, expected, atol=5e-5)
        assert np.abs(expected - old).max() > 0.01  # otherwise the comparison would mean nothing


@pytest.mark.parametrize("width", [48, 32], ids=["of several shapes", "of one shape"])
def test_layers_of_one_name_keep_masks_of_their_own(width, keras):
    """Cells of recurrent layers and sublayers of attention have the same names in every layer."""
    keras.utils.set_random_seed(3)
    layers = keras.layers
    x = layers.Input((4, width))
    first = layers.LSTM(32, return_sequences=True)
    second = layers.LSTM(32)
    model = keras.Model(x, layers.Dense(1)(second(first(x))))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    source = keras_model.from_memory(model)
    kernels = masks.prunable(source)
    assert [kernel.shape for kernel in kernels] == [(width, 128), (32, 128), (32, 128), (32, 128)]
    masks.mask_to(kernels, 0.5)
    before = [kernel.read() == 0 for kernel in kernels]
    generator = np.random.default_rng(0)
    inputs, wanted = generator.normal(size=(32, 4, width)).astype(np.float32), generator.normal(size=(32, 1))
    model.fit(inputs, wanted, verbose=0, callbacks=[MagnitudePruning(planner=frozen)])
    for kernel, zeros in zip(kernels, before, strict=True):
        np.testing.assert_array_equal(kernel.read() == 0, zeros)


def test_history_and_later_callbacks_have_the_sparsity(keras, data, tmp_path):
    model = build(keras, optimizers(keras)["sgd"])
    written = tmp_path / "log.csv"
    pruning = following(PolynomialSchedule(0.0, 0.75, 0, 2, 1))
    x, y = data
    history = model.fit(
        x, y, batch_size=BATCH, epochs=2, verbose=0, callbacks=[pruning, keras.callbacks.CSVLogger(str(written))]
    )
    assert history.history["sparsity"][-1] == pytest.approx(0.75, abs=0.01)
    last = dict(zip(*(line.split(",") for line in written.read_text().split()[::2]), strict=True))
    assert float(last["sparsity"]) == pytest.approx(history.history["sparsity"][-1])
