"""The paper, step by step: training under masks that change, against NumPy and against loops without the callback."""

import numpy as np
import pytest
from small_net import BATCH, STEPS, build, following, gradients_by_hand, kernels_of, make_data, watched_fit

from tflite_sparse.errors import ModelError, SettingsError
from tflite_sparse.pruning import stopped_gradients
from tflite_sparse.pruning.callback import AfterEachStep, MagnitudePruning
from tflite_sparse.pruning.schedule import ConstantSchedule, PolynomialSchedule
from tflite_sparse.sources import tensorflow_import

SCHEDULE = PolynomialSchedule(0.2, 0.8, 3, 15, 4)  # masks after steps 3, 7, 11 and 15
PRUNED = (0, 2)  # of the weights of the network


@pytest.fixture(scope="module")
def data():
    return make_data()


def reference(model, data, *, rate, momentum=0.9, clip=None, l2=0.0, max_norm=None, sample_weights=None):
    """SGD with momentum in float64, masks made by sorting; the weights at the end."""
    weights = [w.astype(np.float64) for w in model.get_weights()]
    velocity = [np.zeros(w.shape) for w in weights]
    kept = [np.ones(w.shape, bool) for w in weights]
    x, labels = data
    for step in range(1, STEPS + 1):
        part = slice((step - 1) * BATCH, step * BATCH)
        weighting = None if sample_weights is None else sample_weights[part]
        gradients = gradients_by_hand(weights, x[part].astype(np.float64), labels[part], weighting)
        for index in PRUNED:
            gradients[index] = gradients[index] + 2 * l2 * weights[index]
        gradients = [g * mask for g, mask in zip(gradients, kept, strict=True)]
        if clip is not None:
            gradients = clip(gradients)
        for index, gradient in enumerate(gradients):
            velocity[index] = momentum * velocity[index] - rate * gradient
            weights[index] = weights[index] + velocity[index]
            if max_norm is not None and index in PRUNED:
                norms = np.sqrt((weights[index] ** 2).sum(0, keepdims=True))
                weights[index] = weights[index] * np.clip(norms, 0, max_norm) / (1e-7 + norms)
        if step in (3, 7, 11, 15):
            sparsity = 0.8 - 0.6 * (1 - (step - 3) / 12) ** 3
            for index in PRUNED:
                order = np.argsort(np.abs(weights[index]), axis=None)
                kept[index].reshape(-1)[order[: round(sparsity * weights[index].size)]] = False
                weights[index] *= kept[index]
                velocity[index] *= kept[index]
    return weights


def by_value(limit):
    return lambda gradients: [np.clip(g, -limit, limit) for g in gradients]


def by_norm(limit):
    return lambda gradients: [g * min(1, limit / np.sqrt((g**2).sum())) for g in gradients]


def by_global_norm(limit):
    def clip(gradients):
        return [g * min(1, limit / np.sqrt(sum((g**2).sum() for g in gradients))) for g in gradients]

    return clip


@pytest.mark.parametrize(
    ("options", "clip"),
    [
        ({}, None),
        ({"clipvalue": 0.01}, by_value(0.01)),
        ({"clipnorm": 0.05}, by_norm(0.05)),
        ({"global_clipnorm": 0.1}, by_global_norm(0.1)),
    ],
    ids=["no clipping", "clipvalue", "clipnorm", "global_clipnorm"],
)
def test_weights_end_where_numpy_says(keras, data, options, clip):
    model = build(keras, keras.optimizers.SGD(0.1, momentum=0.9, **options))
    start, expected = model.get_weights(), reference(model, data, rate=0.1, clip=clip)
    watched_fit(model, data, following(SCHEDULE))
    check_weights(model, expected, start)


def test_l2_penalty(keras, data):
    model = build(
        keras, keras.optimizers.SGD(0.1, momentum=0.9), kernels={"kernel_regularizer": keras.regularizers.L2(0.02)}
    )
    start, expected = model.get_weights(), reference(model, data, rate=0.1, l2=0.02)
    watched_fit(model, data, following(SCHEDULE))
    check_weights(model, expected, start)


def test_constraint_of_the_user(keras, data):
    model = build(
        keras, keras.optimizers.SGD(0.1, momentum=0.9), kernels={"kernel_constraint": keras.constraints.MaxNorm(0.7)}
    )
    start, expected = model.get_weights(), reference(model, data, rate=0.1, max_norm=0.7)
    watched_fit(model, data, following(SCHEDULE))
    check_weights(model, expected, start)


def test_sample_weights(keras, data):
    weights = np.random.default_rng(1).uniform(0, 2, BATCH * STEPS)
    model = build(keras, keras.optimizers.SGD(0.1, momentum=0.9))
    start, expected = model.get_weights(), reference(model, data, rate=0.1, sample_weights=weights)
    watched_fit(model, data, following(SCHEDULE), sample_weight=weights)
    check_weights(model, expected, start)


def check_weights(model, expected, start):
    for index, (found, wanted, old) in enumerate(zip(model.get_weights(), expected, start, strict=True)):
        np.testing.assert_allclose(found, wanted, atol=2e-5)
        if index in PRUNED:
            np.testing.assert_array_equal(found == 0, wanted == 0)
        assert np.abs(wanted - old).max() > 0.005  # the comparison is about something


def optimizers_of(keras):
    made = {
        "momentum": lambda o: o.SGD(0.05, momentum=0.9),
        "nesterov": lambda o: o.SGD(0.05, momentum=0.9, nesterov=True),
        "ema": lambda o: o.SGD(0.05, momentum=0.9, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=5),
        "adam": lambda o: o.Adam(5e-3),
        "amsgrad": lambda o: o.Adam(5e-3, amsgrad=True),
        "adamw": lambda o: o.AdamW(5e-3, weight_decay=0.1),
        "adamax": lambda o: o.Adamax(5e-3),
        "nadam": lambda o: o.Nadam(5e-3),
        "rmsprop": lambda o: o.RMSprop(5e-3),
        "rmsprop centered": lambda o: o.RMSprop(5e-3, momentum=0.5, centered=True),
        "adagrad": lambda o: o.Adagrad(5e-3),
        "adadelta": lambda o: o.Adadelta(1.0),
        "lion": lambda o: o.Lion(1e-3),
        "ftrl": lambda o: o.Ftrl(0.05),
        "adafactor": lambda o: o.Adafactor(1e-2),
    }
    for name in ("SGD", "Adam", "RMSprop", "Nadam", "Adagrad", "Ftrl", "Adamax", "Adadelta"):
        options = {"momentum": 0.9} if name == "SGD" else {"amsgrad": True} if name == "Adam" else {}
        made[f"legacy {name}"] = lambda o, name=name, options=options: getattr(o.legacy, name)(5e-3, **options)
    made["lamb"] = lambda o: o.Lamb(5e-3)
    made["schedule free"] = lambda o: o.ScheduleFreeAdamW(5e-3)
    made["accumulating"] = lambda o: o.Adam(5e-3, gradient_accumulation_steps=3)
    return made


ONLY_KERAS3 = ("lamb", "schedule free", "accumulating")


def names_for(generation):
    names = optimizers_of(None)
    return [n for n in names if n not in ONLY_KERAS3] if generation == 2 else [n for n in names if "legacy" not in n]


def state_of(optimizer):
    """Every variable of an optimizer that has the shape of a pruned kernel."""
    variables = optimizer.variables() if callable(optimizer.variables) else optimizer.variables
    return [np.asarray(v) for v in variables if tuple(v.shape) in ((32, 64), (64, 64))]


@pytest.mark.parametrize("name", list(optimizers_of(None)))
def test_weights_and_state_of_masked_entries_are_zero_after_every_step(keras, data, name):
    if name not in names_for(int(keras.__version__[0])):
        pytest.skip("not of this generation")
    optimizer = optimizers_of(keras)[name](keras.optimizers)
    model, pruning = build(keras, optimizer), following(SCHEDULE)
    checked = []

    def check(step):
        found = list(pruning.masks().values())
        for kernel, mask in zip(kernels_of(model), found, strict=True):
            assert not kernel.read()[~mask].any(), step
            for slot in state_of(optimizer):
                if slot.shape == mask.shape:
                    assert not slot[~mask].any(), step
                    checked.append(step)

    before = model.get_weights()
    model.fit(*data, batch_size=BATCH, shuffle=False, verbose=0, callbacks=[pruning, AfterEachStep(check)])
    assert np.mean(model.get_weights()[2] == 0) == pytest.approx(0.8, abs=1e-3)
    assert len(set(checked)) == (0 if name == "adafactor" else STEPS)
    for index in PRUNED:
        kept = model.get_weights()[index] != 0
        assert (model.get_weights()[index] != before[index])[kept].mean() > 0.9
