"""Test the warnings about a learning rate and a schedule."""

import re
import time

import numpy as np
import pytest
from small_net import BATCH, STEPS, build, make_data, watched_fit

from tflite_sparse.pruning import learning_rate
from tflite_sparse.pruning.callback import MagnitudePruning
from tflite_sparse.pruning.plan import KernelPlan, Plan, Span
from tflite_sparse.pruning.schedule import PolynomialSchedule
from tflite_sparse.sources.source_model import Kernel

pytestmark = pytest.mark.slow  # it trains

SPAN = Span(1000, 100)


def plan(end, begin=50):
    kernel = Kernel("kernel", "Dense", (64, 64), lambda: np.ones((64, 64)), lambda new: None)
    return Plan((KernelPlan(kernel, PolynomialSchedule(0, 0.8, begin, end, 10)),))


def warmup(keras):
    base = keras.optimizers.schedules.LearningRateSchedule

    class Warmup(base):
        """Rise over 300 steps, then fall to zero over 600."""

        def __call__(self, step):
            from tflite_sparse.sources import tensorflow_import

            step = tensorflow_import.tensorflow().cast(step, "float32")
            tf = tensorflow_import.tensorflow()
            return tf.where(step < 300, step / 300, tf.maximum(1 - (step - 300) / 600, 0.0))

        def get_config(self):
            return {}

    return Warmup()


SCHEDULES = {
    # name: the schedule, and the first step with less than a tenth of the peak, worked out by hand
    "constant": (lambda keras: 0.01, None),
    # (1 + cos(pi t)) / 2 < 0.1 from t = acos(-0.8) / pi = 0.79517 on
    "cosine": (lambda keras: keras.optimizers.schedules.CosineDecay(0.01, 1000), 796),
    # 0.01 until step 400 (included), 0.0005 after it
    "piecewise": (lambda keras: keras.optimizers.schedules.PiecewiseConstantDecay([400], [0.01, 0.0005]), 401),
    "two small steps": (lambda keras: keras.optimizers.schedules.PiecewiseConstantDecay([400], [0.01, 0.005]), None),
    # 0.5 ** (t / 100) < 0.1 from 100 * log2(10) = 332.19 on
    "exponential": (lambda keras: keras.optimizers.schedules.ExponentialDecay(0.01, 100, 0.5), 333),
    # 1 - (t - 300) / 600 < 0.1 from 840 on
    "warmup": (warmup, 841),
}


@pytest.mark.parametrize("wrapping", ["none", "loss scale", "legacy"])
@pytest.mark.parametrize("name", list(SCHEDULES))
def test_warns_from_the_first_low_step_on(keras, name, wrapping):
    make, low = SCHEDULES[name]
    optimizer = wrapped(keras, make(keras), wrapping)
    latest = 900 if low is None else low  # the last epoch starts at 900
    assert learning_rate.advice(optimizer, plan(latest), SPAN) == []
    (sentence,) = learning_rate.advice(optimizer, plan(latest + 2), SPAN)
    assert f"masks change until step {latest + 2}" in sentence
    assert ("in the last epoch" if low is None else f"from step {low} on the learning rate is below") in sentence
    found = re.search(r"Try --end (\d+) \(end=\1\)\.$", sentence)
    assert int(found[1]) == latest
    assert learning_rate.advice(optimizer, plan(int(found[1])), SPAN) == []


def wrapped(keras, rate, wrapping):
    if wrapping == "loss scale":
        return keras.mixed_precision.LossScaleOptimizer(keras.optimizers.SGD(rate))
    if wrapping == "legacy":
        if keras.__version__[0] == "3":
            pytest.skip("Keras 3 has no legacy optimizers")
        return keras.optimizers.legacy.SGD(rate)
    return keras.optimizers.SGD(rate)


def test_low_rate_in_the_last_epoch_suggests_an_end_before_it(keras):
    optimizer = keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.01, 1000))
    span = Span(1000, 400)
    (sentence,) = learning_rate.advice(optimizer, plan(900), span)
    assert "from step 796 on" in sentence
    assert "Try --end 600 (end=600)" in sentence
    assert learning_rate.advice(optimizer, plan(600), span) == []


def test_one_epoch(keras):
    optimizer = keras.optimizers.SGD(0.01)
    (sentence,) = learning_rate.advice(optimizer, plan(900), Span(1000, 1000))
    assert "towards the end" in sentence
    assert "Try --end 650" in sentence
    assert learning_rate.advice(optimizer, plan(650), Span(1000, 1000)) == []


def test_no_end_is_suggested_that_comes_before_the_begin(keras):
    optimizer = keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.01, 10, 0.1))
    (sentence,) = learning_rate.advice(optimizer, plan(500), SPAN)
    assert "--end" not in sentence
    assert "begin earlier" in sentence


def test_unchanging_masks_give_no_warning(keras):
    optimizer = keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.01, 1000))
    assert learning_rate.advice(optimizer, plan(900), SPAN, done=900) == []
    assert learning_rate.advice(optimizer, Plan(()), SPAN) == []


def test_an_optimizer_that_made_steps_before(keras):
    optimizer = keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.01, 2000))
    assert learning_rate.advice(optimizer, plan(800), SPAN) == []
    optimizer.iterations.assign(1000)
    # From step 1000 on, 0.005 is the peak, and less than 0.0005 is left from acos(-0.9) / pi * 2000 = 1712.9 on.
    (sentence,) = learning_rate.advice(optimizer, plan(800), SPAN)
    assert "from step 713 on" in sentence
    # A training that resumes from its own checkpoint is at its own step 1000 there.
    assert learning_rate.advice(optimizer, plan(1500), Span(2000, 100), done=1000) == []


def test_rates(keras):
    optimizer = keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.02, 5000))
    at, found = learning_rate.rates(optimizer, 5000)
    assert (at[0], at[-1]) == (0, 5000)
    assert np.all(np.diff(at) > 0)
    np.testing.assert_allclose(found, 0.01 * (1 + np.cos(np.pi * at / 5000)), atol=1e-8)
    np.testing.assert_array_equal(learning_rate.rates(keras.optimizers.SGD(0.5), 3)[1], np.full(4, 0.5))


def test_rates_of_a_schedule_are_found_fast(keras):
    optimizer = keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.02, 500_000))
    start = time.perf_counter()
    learning_rate.advice(optimizer, plan(10_000), Span(500_000, 1000))
    assert time.perf_counter() - start < 3


def test_fit_warns_once_before_its_first_step(keras):
    said = []
    schedule = keras.optimizers.schedules.CosineDecay(0.01, STEPS * 2)
    model = build(keras, keras.optimizers.SGD(schedule))
    before = model.get_weights()[0]

    def warn(words):
        np.testing.assert_array_equal(model.get_weights()[0], before)
        said.append(words)

    pruning = MagnitudePruning(0.5, begin=2, end=40, frequency=5, warn=warn)
    watched_fit(model, make_data(), pruning, epochs=2)
    assert len(said) == 1
    assert "Try --end 24 (end=24)." in said[0]  # the last epoch starts there
    assert "from step 39 on" in said[0]

    with pytest.warns(UserWarning, match=r"masks change until step 24 of 24, towards the end"):
        watched_fit(build(keras, keras.optimizers.SGD(0.1)), make_data(), MagnitudePruning(0.5, begin=2, end=24))
    watched_fit(build(keras, keras.optimizers.SGD(0.1)), make_data(), MagnitudePruning(0.5))  # as it is by default
    assert len(make_data()[0]) == BATCH * STEPS
