"""Compare training under changing masks, step by step, with NumPy and with loops without the callback."""

import numpy as np
import pytest
from small_net import BATCH, STEPS, build, following, gradients_by_hand, kernels_of, make_data, watched_fit

from tflite_sparse.errors import ModelError, SettingsError
from tflite_sparse.pruning.callback import AfterEachStep, MagnitudePruning
from tflite_sparse.pruning.plan import frozen
from tflite_sparse.pruning.schedule import ConstantSchedule, PolynomialSchedule
from tflite_sparse.sources import tensorflow_import

pytestmark = pytest.mark.slow  # it trains

SCHEDULE = PolynomialSchedule(0.2, 0.8, 3, 15, 4)  # masks after steps 3, 7, 11 and 15
PRUNED = (0, 2)  # of the weights of the network


@pytest.fixture(scope="module")
def data():
    return make_data()


def reference(model, data, *, rate, momentum=0.9, clip=None, l2=0.0, max_norm=None, sample_weights=None):
    """Return the weights after SGD with momentum in float64, with masks made by sorting."""
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
        assert np.abs(wanted - old).max() > 0.005  # otherwise the comparison would mean nothing


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


NO_MEMORY = ("ftrl", "adafactor")
"""Ftrl keeps divisors beside linear terms, which may not be zero; Adafactor keeps sums over rows and columns."""


def state_of(optimizer):
    """Return every variable of an optimizer that has the shape of a pruned kernel."""
    variables = optimizer.variables() if callable(optimizer.variables) else optimizer.variables
    return [np.asarray(v) for v in variables if tuple(v.shape) in ((32, 64), (64, 64))]


@pytest.mark.parametrize("name", list(optimizers_of(None)))
def test_weights_and_state_of_masked_entries_are_zero_after_every_step(keras, data, name):
    if name not in names_for(int(keras.__version__[0])):
        pytest.skip("not of this generation")
    optimizer = optimizers_of(keras)[name](keras.optimizers)
    model, pruning = build(keras, optimizer, begun=False), following(SCHEDULE)
    checked = []

    def check(step):
        found = list(pruning.masks().values())
        for kernel, mask in zip(kernels_of(model), found, strict=True):
            assert not kernel.read()[~mask].any(), step
            for slot in state_of(optimizer):
                if slot.shape == mask.shape and name not in NO_MEMORY:
                    assert not slot[~mask].any(), step
                    checked.append(step)

    before = model.get_weights()
    model.fit(*data, batch_size=BATCH, shuffle=False, verbose=0, callbacks=[pruning, AfterEachStep(check)])
    assert np.mean(model.get_weights()[2] == 0) == pytest.approx(0.8, abs=1e-3)
    assert len(set(checked)) == (0 if name in NO_MEMORY else STEPS)
    for index in PRUNED:
        kept = model.get_weights()[index] != 0
        assert (model.get_weights()[index] != before[index])[kept].mean() > 0.9


@pytest.mark.parametrize("name", ["adam", "amsgrad", "adamw", "rmsprop centered", "accumulating", "legacy Adam"])
def test_equals_a_loop_that_masks_gradients(keras, data, name):
    """The same optimizer ends at the same weights when a loop without the callback passes it masked gradients."""
    if name not in names_for(int(keras.__version__[0])):
        pytest.skip("not of this generation")
    tf = tensorflow_import.tensorflow()
    model = build(keras, optimizers_of(keras)[name](keras.optimizers))
    twin = build(keras, optimizers_of(keras)[name](keras.optimizers))
    watched_fit(model, data, following(SCHEDULE))

    x, labels = data
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    kept = [np.ones(v.shape, np.float32) for v in twin.trainable_variables]
    for step in range(1, STEPS + 1):
        part = slice((step - 1) * BATCH, step * BATCH)
        with tf.GradientTape() as tape:
            loss = loss_of(labels[part], twin(x[part], training=True))
        gradients = tape.gradient(loss, twin.trainable_variables)
        masked = [g * mask for g, mask in zip(gradients, kept, strict=True)]
        twin.optimizer.apply_gradients(zip(masked, twin.trainable_variables, strict=True))
        if not SCHEDULE.updates_at(step):
            continue
        for index in PRUNED:
            variable = twin.trainable_variables[index]
            values = variable.numpy()
            order = np.argsort(np.abs(values), axis=None)
            kept[index].reshape(-1)[order[: round(SCHEDULE.sparsity_at(step) * values.size)]] = 0
            variable.assign(values * kept[index])
            variables = twin.optimizer.variables
            for slot in variables() if callable(variables) else variables:
                if slot.shape == variable.shape:
                    slot.assign(slot.numpy() * kept[index])
    for found, wanted in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(found, wanted, atol=2e-5)


# Ways of calling fit.


def zeros_of(weights):
    return [np.count_nonzero(values == 0) for values in weights[:2]]


def wanted_zeros(step):
    last = max((s for s in (3, 7, 11, 15) if s <= step), default=None)
    share = 0 if last is None else SCHEDULE.sparsity_at(last)
    return [round(share * size) for size in (2048, 4096)]


def test_masks_act_at_the_end_of_an_execution_of_several_steps(keras, data):
    model = build(keras, keras.optimizers.Adam(5e-3), steps_per_execution=5)
    seen = watched_fit(model, data, following(SCHEDULE))
    ends = [5, 10, 15, 20, 24]
    assert len(seen) == len(ends)
    for weights, end in zip(seen, ends, strict=True):
        # An update that was due in between happens at the end, with the sparsity of the end.
        share = SCHEDULE.sparsity_at(min(end, 15))
        assert zeros_of(weights) == [round(share * size) for size in (2048, 4096)]
    np.testing.assert_array_equal(seen[2][1] == 0, seen[-1][1] == 0)


def test_run_eagerly(keras, data):
    model = build(keras, keras.optimizers.SGD(0.1, momentum=0.9), run_eagerly=True)
    expected, start = reference(model, data, rate=0.1), model.get_weights()
    watched_fit(model, data, following(SCHEDULE))
    check_weights(model, expected, start)


def test_compiled_by_xla(keras, data):
    model = build(keras, keras.optimizers.SGD(0.1, momentum=0.9), jit_compile=True)
    expected, start = reference(model, data, rate=0.1), model.get_weights()
    watched_fit(model, data, following(SCHEDULE))
    check_weights(model, expected, start)


@pytest.mark.parametrize("way", ["pairs", "apply"])
def test_a_training_step_of_the_users_own(keras, data, way):
    tf = tensorflow_import.tensorflow()
    if way == "apply" and keras.__version__[0] == "2":
        pytest.skip("Keras 2 has no such method")

    class Own(keras.Sequential):
        def train_step(self, batch):
            x, y = batch
            with tf.GradientTape() as tape:
                loss = loss_of(y, self(x, training=True))
            gradients = tape.gradient(loss, self.trainable_variables)
            if way == "apply":
                self.optimizer.apply(gradients, (variable for variable in self.trainable_variables))
            else:
                self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
            return {"loss": loss}

    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = Own(build(keras, keras.optimizers.SGD(0.1)).layers)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9))
    model.build((None, 32))
    expected, start = reference(model, data, rate=0.1), model.get_weights()
    watched_fit(model, data, following(SCHEDULE))
    check_weights(model, expected, start)


def test_a_model_that_was_trained_before_without_the_callback(keras, data):
    """Its traced training step has no masks, and the optimizer has momenta."""
    model = build(keras, keras.optimizers.Adam(5e-3))
    model.fit(*data, batch_size=BATCH, verbose=0)
    seen = watched_fit(model, data, following(SCHEDULE))
    for step, weights in enumerate(seen, 1):
        assert zeros_of(weights) == wanted_zeros(step), step
    check_released(model)
    model.fit(*data, batch_size=BATCH, verbose=0)  # plain training again
    assert zeros_of(model.get_weights()[::2])[0] < 100


def test_momenta_of_weights_that_were_zeroed_by_hand_do_not_move_them(keras, data):
    model = build(keras, keras.optimizers.Adam(5e-3))
    model.fit(*data, batch_size=BATCH, verbose=0)
    for kernel in kernels_of(model):
        values = kernel.read()
        kernel.write(np.where(np.abs(values) < np.median(np.abs(values)), 0, values))
    assert [each / size for each, size in zip(zeros_of(model.get_weights()[::2]), (2048, 4096), strict=True)] == [
        0.5,
        0.5,
    ]
    seen = watched_fit(model, data, MagnitudePruning(planner=frozen))
    assert [zeros_of(weights) for weights in seen] == [[1024, 2048]] * STEPS


def test_fit_twice_goes_on(keras, data):
    model, pruning = build(keras, keras.optimizers.Adam(5e-3)), following(PolynomialSchedule(0.1, 0.7, 10, 40, 10))
    first = watched_fit(model, data, pruning)
    assert pruning.step == STEPS
    second = watched_fit(model, data, pruning)
    assert pruning.step == 2 * STEPS
    np.testing.assert_array_equal(first[-1][0] == 0, second[0][0] == 0)
    sparsity = [zeros_of(weights)[1] for weights in (*first, *second)]
    schedule = PolynomialSchedule(0.1, 0.7, 10, 40, 10)
    assert [sparsity[step - 1] for step in (9, 10, 29, 30, 40, 48)] == [
        0,
        *(round(schedule.sparsity_at(step) * 4096) for step in (10, 20, 30, 40, 40)),
    ]


def test_validation_and_evaluation_see_masked_weights(keras, data):
    model = build(keras, keras.optimizers.Adam(5e-3))
    history = model.fit(
        *data,
        batch_size=BATCH,
        epochs=2,
        validation_data=data,
        verbose=0,
        callbacks=[following(ConstantSchedule(0.6, 2, 10, 4))],
    )
    assert model.evaluate(*data, verbose=0) == pytest.approx(history.history["val_loss"][-1], rel=1e-5)
    assert zeros_of(model.get_weights()[::2]) == [round(0.6 * 2048), round(0.6 * 4096)]


def check_released(model):
    assert not {"apply", "apply_gradients"} & set(vars(model.optimizer))


class Fails(AfterEachStep):
    def __init__(self, at):
        super().__init__(self.fail)
        self.at = at

    def fail(self, step):
        if step == self.at:
            raise KeyboardInterrupt


def test_a_fit_that_was_interrupted_can_be_released(keras, data):
    model, pruning = build(keras, keras.optimizers.Adam(5e-3)), following(SCHEDULE)
    with pytest.raises(KeyboardInterrupt):
        model.fit(*data, batch_size=BATCH, verbose=0, callbacks=[pruning, Fails(5)])
    pruning.release()
    pruning.release()
    check_released(model)
    assert zeros_of(model.get_weights()[::2]) == wanted_zeros(5)


def test_another_fit_repairs_an_interrupted_one(keras, data):
    model, first = build(keras, keras.optimizers.Adam(5e-3)), following(SCHEDULE)
    with pytest.raises(KeyboardInterrupt):
        model.fit(*data, batch_size=BATCH, verbose=0, callbacks=[first, Fails(18)])
    for kernel in kernels_of(model):  # non-zero weights: the first masks must not affect the second fit
        kernel.write(np.random.default_rng(0).normal(0, 0.1, kernel.shape))
    second = following(ConstantSchedule(0.25, 1, 2, 1))
    old = {name: mask.copy() for name, mask in first.masks().items()}
    before = [kernel.read() for kernel in kernels_of(model)]
    seen = watched_fit(model, data, second)
    for index, mask in enumerate(old.values()):
        moved = (seen[-1][index] != before[index]) & (seen[-1][index] != 0)
        assert moved[~mask].mean() > 0.5
    first.release()
    check_released(model)


def test_optimizers_that_move_masked_weights_are_told(keras, data):
    class Restless(keras.optimizers.SGD):
        def update_step(self, gradient, variable, *rest):
            variable.assign_add(0 * gradient + 1e-3)

    model = build(keras, Restless(0.1), jit_compile=False)
    with pytest.raises(ModelError, match=r"dense.*kernel: masked weights do not stay zero: Restless"):
        watched_fit(model, data, following(SCHEDULE))
    check_released(model)


def test_loss_that_becomes_nan(keras, data):
    weights = np.where(np.arange(BATCH * STEPS) == 100, np.nan, 1.0)
    model = build(keras, keras.optimizers.SGD(0.1))
    with pytest.raises(ModelError, match=r"the loss is nan after epoch 1: training diverged") as failure:
        watched_fit(model, data, following(ConstantSchedule(0.5, 1, 2, 1)), epochs=3, sample_weight=weights)
    assert "\n" not in str(failure.value)
    check_released(model)


def test_weights_that_become_nan(keras, data):
    x, labels = data
    x = np.where(np.arange(len(x))[:, None] == 20, np.nan, x)
    model = build(keras, keras.optimizers.SGD(0.1))
    with pytest.raises(ModelError, match=r"dense.*kernel holds \d+ NaN or infinite values") as failure:
        watched_fit(model, (x, labels), following(SCHEDULE))
    assert "\n" not in str(failure.value)
    check_released(model)


def test_data_of_unknown_length(keras, data):
    tf = tensorflow_import.tensorflow()
    stream = tf.data.Dataset.from_tensor_slices(data).batch(BATCH).filter(lambda x, y: True)
    model = build(keras, keras.optimizers.SGD(0.1))
    with pytest.raises(SettingsError, match="steps_per_epoch"):
        model.fit(stream, verbose=0, callbacks=[following(SCHEDULE)])
    check_released(model)
    model.fit(stream.repeat(), steps_per_epoch=STEPS, verbose=0, callbacks=[following(SCHEDULE)])
    assert zeros_of(model.get_weights()[::2]) == wanted_zeros(STEPS)


def test_settings_that_do_not_fit_leave_the_optimizer_alone(keras, data):
    model = build(keras, keras.optimizers.SGD(0.1))
    with pytest.raises(SettingsError, match="end = 1000: the training has only 24 steps"):
        model.fit(*data, batch_size=BATCH, verbose=0, callbacks=[MagnitudePruning(0.5, end=1000)])
    check_released(model)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_saved_models_go_on(keras, data, tmp_path, suffix):
    """Weights and momenta of a model saved while it was pruned are restored; plain training continues from them."""
    if suffix == "h5" and keras.__version__[0] == "3":
        pytest.skip("Keras 3 does not find its variables again in the optimizer of an HDF5 file")
    path = tmp_path / f"model.{suffix}"
    model, pruning = build(keras, keras.optimizers.Adam(5e-3)), following(SCHEDULE)
    saving = AfterEachStep(lambda step: model.save(path) if step == 20 else None)
    model.fit(*data, batch_size=BATCH, shuffle=False, verbose=0, callbacks=[pruning, saving])
    loaded = keras.models.load_model(path)
    check_released(loaded)
    assert zeros_of(loaded.get_weights()[::2]) == wanted_zeros(20)
    rest = [values[20 * BATCH :] for values in data]
    loaded.fit(*rest, batch_size=BATCH, shuffle=False, verbose=0, callbacks=[MagnitudePruning(planner=frozen)])
    for found, wanted in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_stopped_and_restored_goes_on_as_if_it_had_not_been(keras, data):
    schedule = PolynomialSchedule(0.1, 0.7, 10, 40, 10)
    whole, half = (build(keras, keras.optimizers.SGD(0.05, momentum=0.9)) for _ in range(2))
    watched_fit(whole, data, following(schedule), epochs=2)
    first = following(schedule)
    watched_fit(half, data, first)
    second = following(schedule)
    second.restore(first.step, first.masks())
    watched_fit(half, data, second, epochs=2, initial_epoch=1)
    assert second.step == 2 * STEPS
    for found, wanted in zip(half.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(found, wanted)
