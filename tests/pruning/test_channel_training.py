"""Test masks of channels in ``model.fit`` of both generations: what becomes and stays zero, and in the file too."""

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from small_net import with_slots

from tflite_sparse.errors import SettingsError
from tflite_sparse.pruning import MagnitudePruning, channel_groups, channel_plan, planned_masks, recipe_file
from tflite_sparse.pruning import recipe_planner as planners
from tflite_sparse.pruning.callback import AfterEachStep
from tflite_sparse.pruning.plan import Span, frozen, of_settings
from tflite_sparse.settings import PruningSettings
from tflite_sparse.sources import keras_model, tensorflow_import
from tflite_sparse.sources.kernels import kernels_and_variables

pytestmark = pytest.mark.slow  # it trains

BATCH, STEPS, EPOCHS = 16, 8, 2
STEM, INNER, GATE, LAST, HIDDEN = 12, 10, 4, 14, 18  # widths that tell the groups apart


def build(keras):
    """Everything that carries or ties channels: normalisation, depthwise, a residual addition, a gate, Flatten."""
    keras.utils.set_random_seed(3)
    layers = keras.layers
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(STEM, 3, strides=2, padding="same", use_bias=False, name="stem")(inputs)
    x = layers.ReLU(6.0)(layers.BatchNormalization(scale=False, name="stem_norm")(x))
    y = layers.Conv2D(INNER, 1, use_bias=False, name="expand")(x)
    y = layers.Activation("swish")(layers.BatchNormalization(name="expand_norm")(y))
    y = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(y)
    y = layers.Activation("swish")(layers.BatchNormalization(name="depthwise_norm")(y))
    gate = layers.Reshape((1, 1, INNER))(layers.GlobalAveragePooling2D()(y))
    gate = layers.Conv2D(GATE, 1, activation="swish", name="squeeze")(gate)
    y = layers.Multiply()([y, layers.Conv2D(INNER, 1, activation="sigmoid", name="excite")(gate)])
    x = layers.Add()([x, layers.Conv2D(STEM, 1, name="project")(y)])
    x = layers.MaxPooling2D()(layers.Conv2D(LAST, 3, activation="relu", padding="same", name="last")(x))
    x = layers.Dense(HIDDEN, activation="tanh", name="hidden")(layers.Flatten()(x))
    model = keras.Model(inputs, layers.Dense(3, name="classes")(x), name="net")
    model.compile(keras.optimizers.Adam(1e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return with_slots(model)


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(5)
    x = generator.normal(size=(BATCH * STEPS, 8, 8, 3)).astype(np.float32)
    return x, x[:, :, :, 0].mean((1, 2)).argsort().argsort() * 3 // len(x)


def fit(model, data, pruning, *others, epochs=EPOCHS, **options):
    model.fit(*data, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=[pruning, *others], **options)


def by_channels(sparsity=0.5, **settings):
    options = {"channel_multiple": 2, "begin": 2, "end": 8, "frequency": 2}
    return MagnitudePruning(sparsity, block="channel", warn=lambda _: None, **{**options, **settings})


def along(part):
    """The weights of a part, one row for each index along its channels."""
    return np.moveaxis(part.kernel.read(), part.axis, 0).reshape(part.channels.size, -1)


@pytest.fixture
def keras3():
    return tensorflow_import.keras3()


@pytest.fixture(scope="module", params=["keras3", "keras2"])
def trained(request, data):
    """A trained model, its callback, and after each step the groups' numbers of channels that hold a weight."""
    keras = getattr(tensorflow_import, request.param)()
    model, pruning, seen = build(keras), by_channels(), []

    def watch(step):
        del step
        alive = {}
        for group, kept in pruning.kept_channels.items():
            leaks = [p.name for p in group.masked if along(p)[~p.kept_along(kept)].any()]
            alive[short(group)] = int(kept.sum()), leaks
        seen.append(alive)

    fit(model, data, pruning, AfterEachStep(watch))
    return model, pruning, seen


def short(group):
    return group.filters[0].name.split("/")[-2]


def test_channels_follow_the_schedule_and_their_parts_stay_zero(trained):
    _, _, seen = trained
    assert all(leaks == [] for alive in seen for _, leaks in alive.values())
    last = {name: kept for name, (kept, _) in seen[-1].items()}
    assert last == {"stem": 6, "expand": 6, "squeeze": 2, "last": 8, "hidden": 10}  # a half, rounded up to 2
    stem = [alive["stem"][0] for alive in seen]
    assert stem[0] == STEM
    assert sorted(stem, reverse=True) == stem
    assert 6 < stem[3] < STEM
    assert set(stem[7:]) == {6}


def test_tied_parts_are_masked_together_and_the_others_train(trained):
    _, pruning, _ = trained
    groups = {short(group): (group, kept) for group, kept in pruning.kept_channels.items()}
    stem, kept = groups["stem"]
    assert [part.name.split("/")[-2] for part in stem.filters] == ["stem", "project"]
    expand, _ = groups["expand"]
    assert [part.name.split("/")[-2] for part in expand.filters] == ["expand", "excite"]
    for group, kept in groups.values():
        for part in group.masked:
            is_alive = along(part).any(1)
            np.testing.assert_array_equal(is_alive, part.kept_along(kept), part.name)
        for part in group.readers:  # a weight that reads zeros has no effect, and no mask
            assert along(part).any(1).sum() >= np.count_nonzero(part.kept_along(kept))


def test_momenta_of_masked_parts_are_zero(trained):
    model, pruning, _ = trained
    slots = {variable.name: variable for variable in model.optimizer.variables} if is_keras3(model) else {}
    found = [np.asarray(slot.numpy()) for name, slot in slots.items() if name.startswith("stem_norm_beta")]
    _, kept = next(pair for pair in pruning.kept_channels.items() if short(pair[0]) == "stem")
    assert not slots or found
    for values in found:
        assert not values[~kept].any()
        assert values[kept].all()


def is_keras3(model):
    return type(model).__module__.partition(".")[0] == "keras"


def test_channels_of_the_float32_file_are_zero_for_any_input(trained, tmp_path):
    """Every tensor of a group's width is 0 at masked channels, also before and after activations and additions."""
    model, pruning, _ = trained
    tf = tensorflow_import.tensorflow()
    keras_model.from_memory(model).save_for_conversion(tmp_path / "saved")
    content = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved")).convert()
    reference = OpResolverType.BUILTIN_REF
    interpreter = Interpreter(
        model_content=content, experimental_preserve_all_tensors=True, experimental_op_resolver_type=reference
    )
    interpreter.allocate_tensors()
    feed = interpreter.get_input_details()[0]["index"]
    operators = [each for each in interpreter._get_ops_details() if each["op_name"] != "LOGISTIC"]  # sigmoid(0) is 0.5
    made = {int(index) for operator in operators for index in operator["outputs"]}
    seen = dict.fromkeys((STEM, INNER, GATE, LAST, HIDDEN), 0)
    for sample in 3 * np.random.default_rng(0).normal(size=(4, 1, 8, 8, 3)).astype(np.float32):
        interpreter.set_tensor(feed, sample)
        interpreter.invoke()
        for kept in pruning.kept_channels.values():
            for detail in interpreter.get_tensor_details():
                if (
                    detail["index"] not in made
                    or detail["dtype"] != np.float32
                    or list(detail["shape"][-1:]) != [kept.size]
                ):
                    continue
                values = interpreter.get_tensor(detail["index"])
                assert not values[..., ~kept].any(), detail["name"]
                seen[kept.size] += bool(values[..., kept].any())
        assert len(np.unique(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))) == 3
    assert all(seen.values()), seen


def test_a_resumed_run_ends_as_an_uninterrupted_one(keras3, data):
    whole, parts = build(keras3), build(keras3)
    fit(whole, data, by_channels(), shuffle=False)
    first, second = by_channels(), by_channels()
    fit(parts, data, StopsAfterOneEpoch(first), shuffle=False)
    second.restore(first.step, first.masks())
    fit(parts, data, second, shuffle=False, initial_epoch=1)
    for found, expected in zip(parts.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def StopsAfterOneEpoch(pruning):  # noqa: N802
    """Make a pruning callback end the training after its first epoch."""
    inner = pruning.on_epoch_end

    def on_epoch_end(epoch, logs=None):
        inner(epoch, logs)
        pruning.model.stop_training = True

    pruning.on_epoch_end = on_epoch_end
    return pruning


def test_weights_of_what_remains_are_pruned_in_the_same_training(keras, data, tmp_path):
    path = Path(tmp_path / "recipe.toml")
    path.write_text(
        """
        version = 1
        [defaults]
        block = "channel"
        channel_multiple = 2
        sparsity = 0.5
        schedule = { begin = 2, end = 8, frequency = 2 }
        [[rule]]
        layers = "hidden|last"
        skip = false
        sparsity = 0.875
        """,
        encoding="utf-8",
    )
    model = build(keras)
    fit(model, data, pruning := MagnitudePruning(planner=planners.planner(recipe_file.read(path), PruningSettings())))
    kept = {short(group): kept for group, kept in pruning.kept_channels.items()}
    hidden, last = (next(k for _, k in kernels_and_variables(model) if name in k.name) for name in ("hidden", "last"))
    inputs = np.tile(kept["last"], hidden.shape[0] // LAST)  # Flatten: feature i is channel i mod C
    rest = hidden.read()[np.ix_(inputs, kept["hidden"])]
    assert np.count_nonzero(rest) == rest.size - round(0.875 * rest.size)
    assert np.count_nonzero(hidden.read()) == np.count_nonzero(rest)
    rest = last.read()[:, :, kept["stem"]][..., kept["last"]]
    assert np.count_nonzero(rest) == rest.size - round(0.875 * rest.size)
    stem = next(k for _, k in kernels_and_variables(model) if "stem" in k.name)
    assert np.all(stem.read()[..., kept["stem"]])  # no rule prunes its weights


def test_channels_that_are_zero_stay_zero_in_a_later_training(keras, data):
    """Also beta and biases, whose gradients would not be zero behind an activation such as swish."""
    model = build(keras)
    once(model, of_settings(PruningSettings(sparsity=0.5, block="channel", channel_multiple=2)))
    found = kernels_and_variables(model)
    groups = channel_groups.find(model, found).groups
    before = {part.name: along(part).any(1) for group in groups for part in group.filters}
    pruning = MagnitudePruning(planner=frozen)
    fit(model, data, pruning)
    assert len(pruning.kept_channels) == len(groups)
    for group, kept in pruning.kept_channels.items():
        assert 0 < kept.sum() < kept.size
        for part in group.masked:
            assert not along(part)[~part.kept_along(kept)].any()
        for part in group.filters:
            np.testing.assert_array_equal(before[part.name], part.kept_along(kept))


def once(model, planner):
    """Mask a model without training, and return the plan."""
    found = kernels_and_variables(model)
    plan = channel_plan.bound(planner([kernel for _, kernel in found], Span(100, 10)), model, found)
    planned_masks.mask_at_once(plan)
    return plan


def test_under_one_total_each_group_keeps_a_multiple(keras3):
    model = build(keras3)
    settings = PruningSettings(sparsity=0.75, block="channel", scope="global", channel_multiple=2)
    plan = once(model, of_settings(settings))
    kept = planned_masks.mask_at_once(plan)  # a second time nothing changes
    numbers = [int(each.sum()) for each in kept.values()]
    total = sum(each.size for each in kept.values())
    assert all(number % 2 == 0 and number for number in numbers)
    assert 0.25 * total <= sum(numbers) <= 0.25 * total + 2 * len(numbers)


def test_a_group_is_left_where_one_of_its_kernels_is(keras3, tmp_path):
    path = Path(tmp_path / "recipe.toml")
    path.write_text(
        'version = 1\n[defaults]\nblock = "channel"\nsparsity = 0.5\nchannel_multiple = 2\n'
        '[[rule]]\nlayers = "project"\nskip = true\n[[rule]]\nlayers = "excite"\nblock = "channel"\nsparsity = 0.25\n',
        encoding="utf-8",
    )
    plan = once(build(keras3), planners.planner(recipe_file.read(path), PruningSettings()))
    assert plan.left["stem/kernel"] == "channels are tied to those of project/kernel, which is not pruned"
    finals = {short(each.group): each.schedule.final for each in plan.groups}
    assert finals == {"expand": 0.25, "squeeze": 0.5, "last": 0.5, "hidden": 0.5}  # of two demands the least


def test_a_model_without_channels_to_mask_is_refused(keras):
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(64)])
    with pytest.raises(SettingsError, match=r"no channels that can be masked \(channels reach an output"):
        once(model, of_settings(PruningSettings(sparsity=0.5, block="channel")))


def test_channels_that_were_zero_before_count_as_zeros_of_what_reads_them(keras):
    """Without a rule on channels, ``sparsity`` is a share of the whole kernel, whatever channels are dead in it."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6, 6, 16)),
            layers.Conv2D(16, 3, name="first"),
            layers.Conv2D(16, 3, name="second"),
            layers.Flatten(),
            layers.Dense(4),
        ]
    )
    filters, bias = model.get_layer("first").get_weights()
    filters[..., :6], bias[:6], bias[6:] = 0, 0, 1
    model.get_layer("first").set_weights([filters, bias])
    once(model, of_settings(PruningSettings(sparsity=0.5)))
    assert np.mean(model.get_layer("second").get_weights()[0] == 0) == pytest.approx(0.5, abs=1e-3)
    np.testing.assert_array_equal(model.get_layer("first").get_weights()[1], bias)


def test_a_layer_that_begins_with_zeros_is_trained(keras, data):
    """Its weights are an initialiser's; without a rule on channels nothing holds them at zero."""
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(16, 3, padding="same", name="zeros", kernel_initializer="zeros")(inputs)
    x = keras.layers.Concatenate()([x, keras.layers.Conv2D(16, 3, padding="same", name="usual")(inputs)])
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x)))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    settings = PruningSettings(sparsity=0.5, begin=2, end=8, frequency=2)
    fit(model, data, MagnitudePruning(planner=of_settings(settings), warn=lambda _: None))
    assert np.count_nonzero(model.get_layer("zeros").get_weights()[0])
