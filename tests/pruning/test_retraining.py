"""Test the training of a trained model while it becomes sparse."""

import numpy as np
import pytest

from tflite_sparse.pruning import masks, repeatable, retraining
from tflite_sparse.pruning.plan import KernelPlan, Plan, frozen
from tflite_sparse.pruning.schedule import ConstantSchedule
from tflite_sparse.sources import keras_model
from tflite_sparse.sources.dataset import Dataset

pytestmark = pytest.mark.slow  # it trains


def source_of(keras, **compiled):
    keras.utils.set_random_seed(1)
    layers = keras.layers
    model = keras.Sequential([layers.Input((64,)), layers.Dense(48, activation="relu"), layers.Dense(2)])
    if compiled:
        model.compile(**compiled)
    return keras_model.from_memory(model)


@pytest.fixture(scope="module")
def data():
    x = np.random.default_rng(0).standard_normal((320, 64)).astype(np.float32)
    y = (x[:, 0] > 0).astype(int)
    return Dataset("data", x, y, x[:20], y[:20])


def target_of(source, sparsity):
    kernels = masks.prunable(source)
    return Plan(tuple(KernelPlan(kernel, ConstantSchedule(sparsity, 0, 1, 1)) for kernel in kernels))


def test_masks_rise_over_two_fifths_and_then_stay(keras, data):
    source, shares = source_of(keras), []
    (kernel,) = masks.prunable(source)
    done = retraining.retrain(
        source, data, target_of(source, 0.75), retraining.method_of(source, data), 5, seed=0,
        on_step=lambda *_: shares.append(masks.sparsity_of([kernel]).share),
    )  # fmt: skip
    assert (done.epochs, done.was_interrupted, len(shares)) == (5, False, 25)
    assert shares == sorted(shares)
    assert shares[8] < 0.75
    assert shares[9:] == pytest.approx([0.75] * 16)
    assert done.curve.sparsity[-1] == 0.75


def test_zeros_stay_where_no_more_are_asked_for(keras, data):
    source = source_of(keras)
    kernels = masks.prunable(source)
    masks.mask_to(kernels, 0.5)
    before = kernels[0].read()
    target = frozen(kernels, None)
    retraining.retrain(source, data, target, retraining.method_of(source, data), 1, seed=0, on_step=lambda *_: None)
    after = kernels[0].read()
    np.testing.assert_array_equal(after == 0, before == 0)
    assert np.any(after != before)


def test_it_ends_when_that_is_enough_but_not_before_the_masks_are_final(keras, data):
    source, asked = source_of(keras), []
    done = retraining.retrain(
        source, data, target_of(source, 0.75), retraining.method_of(source, data), 5, seed=0,
        on_step=lambda *_: None, is_enough=lambda: asked.append(1) or len(asked) == 2,
    )  # fmt: skip
    assert done.epochs == 3, "the masks are final after 2"


def test_the_pace_is_measured_and_the_weights_stay(keras, data):
    source = source_of(keras)
    before = source.model.get_weights()
    pace = retraining.pace_of(source, data, target_of(source, 0.75), retraining.method_of(source, data))
    assert 0 < pace.step < pace.start
    assert 0 < pace.masks < pace.start
    assert pace.seconds(10) == pytest.approx(2 * pace.start + 10 * pace.step + 4 * pace.masks)
    assert pace.seconds(1000) == pytest.approx(2 * pace.start + 1000 * pace.step + 400 / 6 * pace.masks)
    for mine, theirs in zip(source.model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_slow_step_counts_and_the_warm_up_does_not(monkeypatch):
    """Steps take 90, 50, 10, 10, ... and 30 ms, masks 20."""
    clock = iter(np.cumsum([90, 20, 50, 20] + 17 * [10, 20] + 3 * [30, 20]) / 1000)
    monkeypatch.setattr("time.perf_counter", lambda: float(next(clock)))
    timer = retraining._Timer(0.0)
    for _ in range(21):
        timer.of_steps.on_train_batch_end(0)
        timer.of_masks.on_train_batch_end(0)
    timer.of_steps.on_train_batch_end(0)
    with pytest.raises(retraining._EnoughError):
        timer.of_masks.on_train_batch_end(0)
    assert timer.start == pytest.approx(0.18)
    assert timer.steps == pytest.approx([0.01] * 17 + [0.03] * 3)
    assert timer.masks == pytest.approx([0.02] * 20)
    assert np.quantile(timer.steps, retraining._SLOW) == pytest.approx(0.03)


def test_dropout_depends_on_the_seed_only(keras, data):
    """Its generators have moved by as many steps as were measured, which differs from run to run."""
    layers = keras.layers
    keras.utils.set_random_seed(1)
    built = keras.Sequential([layers.Input((64,)), layers.Dense(48), layers.Dropout(0.5), layers.Dense(2)])
    with repeatable.seedable_layers(keras):
        source = keras_model.from_memory(built).copied()
    before, ends = source.model.get_weights(), []
    method = retraining.method_of(source, data)
    for seed, steps in ((0, 0), (0, 3), (1, 0)):
        source.model.set_weights(before)
        for _ in range(steps):
            source.model(data.x_train, training=True)
        retraining.retrain(source, data, target_of(source, 0.5), method, 1, seed=seed, on_step=lambda *_: None)
        ends.append(source.model.get_weights()[0])
    np.testing.assert_array_equal(ends[0], ends[1])
    assert np.any(ends[0] != ends[2])


def test_loss_and_optimizer_are_those_of_the_model_or_told_to_be_chosen(keras, data):
    own = source_of(keras, optimizer=keras.optimizers.SGD(0.5), loss="sparse_categorical_crossentropy")
    words = retraining.method_of(own, data).words
    assert "loss sparse_categorical_crossentropy (as the model was compiled)" in words
    assert "optimizer SGD (its own) from a rate of 0.5" in words

    unsuited = source_of(keras, optimizer="adam", loss="categorical_crossentropy")
    words = retraining.method_of(unsuited, data).words
    assert "loss SparseCategoricalCrossentropy (chosen from labels and outputs)" in words

    words = retraining.method_of(source_of(keras), data).words
    assert "(chosen from labels and outputs), optimizer Adam (chosen) from a rate of 0.001" in words
