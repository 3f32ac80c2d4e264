"""Test recurrent models as one time step: with fed-back states they equal the whole model, or are refused."""

import numpy as np
import pytest

from tflite_sparse.errors import ModelError
from tflite_sparse.sources import keras_model, tensorflow_import
from tflite_sparse.sources.time_step import TimeStepSource

STEPS, WIDTH = 6, 5


@pytest.fixture(params=["keras3", "keras2"])
def keras(request):
    found = getattr(tensorflow_import, request.param)()
    found.utils.set_random_seed(1)
    return found


def step_of(model):
    return TimeStepSource(keras_model.from_memory(model))


def over_time(step, sequences):
    """Return the outputs of the step for whole sequences, fed with its own states."""
    states, found = step.zero_states(len(sequences)), []
    for t in range(sequences.shape[1]):
        outputs = step.compute({"x": sequences[:, t], **states})
        states = {name: outputs[name] for name in states}
        found.append(outputs["y"])
    return np.stack(found, axis=1) if step.every_step else found[-1]


def noise(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def randomise(model):
    """Set weights that differ from initial ones, also statistics of normalisations."""
    generator = np.random.default_rng(2)
    model.set_weights([generator.uniform(0.1, 0.6, values.shape) for values in model.get_weights()])


def everything(keras, last):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((None, WIDTH)),
            layers.Dense(4, activation="relu"),
            layers.BatchNormalization(),
            layers.LSTM(6, return_sequences=True, name="first"),
            layers.TimeDistributed(layers.Dense(3)),
            layers.Dropout(0.5),
            keras.Sequential([layers.GRU(5, return_sequences=True), layers.LayerNormalization()]),
            layers.SimpleRNN(4, return_sequences=not last),
            layers.PReLU(shared_axes=None if last else [1]),
            layers.Dense(2),
        ]
    )


@pytest.mark.slow
@pytest.mark.parametrize("last", [True, False])
def test_it_computes_what_the_model_does(keras, last):
    model = everything(keras, last)
    randomise(model)
    step, x = step_of(model), noise(3, STEPS, WIDTH)
    wanted = model.predict(x, verbose=0)
    assert wanted.shape == ((3, 2) if last else (3, STEPS, 2))
    np.testing.assert_allclose(over_time(step, x), wanted, rtol=1e-5, atol=1e-6)
    assert np.ptp(wanted) > 1e-3
    assert [state.units for state in step.states] == [6, 6, 5, 4]
    assert [state.name for state in step.states][:2] == ["first_h", "first_c"]
    assert [spec.shape for spec in step.inputs()] == [(1, WIDTH), (1, 6), (1, 6), (1, 5), (1, 4)]
    assert {spec.name: spec.shape for spec in step.outputs()}["y"] == (1, 2)


def test_tokens(keras):
    layers = keras.layers
    tokens = keras.Input((None,), dtype="int32")
    model = keras.Model(tokens, layers.Dense(2)(layers.GRU(4)(layers.Embedding(9, 3)(tokens))))
    x = np.random.default_rng(0).integers(0, 9, (3, STEPS)).astype(np.int32)
    step = step_of(model)
    assert step.inputs()[0].shape == (1,)
    np.testing.assert_allclose(over_time(step, x), model.predict(x, verbose=0), atol=1e-6)


def test_images_in_time(keras):
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((None, 4, 4, 1)),
            layers.TimeDistributed(layers.Conv2D(2, 3)),
            layers.TimeDistributed(layers.Flatten()),
            layers.LSTM(4),
        ]
    )
    x = noise(2, STEPS, 4, 4, 1)
    np.testing.assert_allclose(over_time(step_of(model), x), model.predict(x, verbose=0), atol=1e-6)


def test_weights_are_shared(keras):
    model = keras.Sequential([keras.Input((STEPS, WIDTH)), keras.layers.LSTM(4)])
    step = step_of(model)
    kernel = step.kernels()[0]
    kernel.write(np.zeros(kernel.shape))
    assert not model.get_weights()[0].any()


def test_every_sequence_starts_from_zeros_whatever_a_stateful_model_remembers(keras):
    layer = keras.layers.LSTM(4, stateful=True)
    model = keras.Sequential([keras.Input(batch_shape=(2, STEPS, WIDTH)), layer]) if keras.__version__ >= "3" else None
    model = model or keras.Sequential([keras.layers.LSTM(4, stateful=True, batch_input_shape=(2, STEPS, WIDTH))])
    x = noise(3, STEPS, WIDTH)
    step = step_of(model)
    first = step.compute_whole(x)
    np.testing.assert_array_equal(step.compute_whole(x), first)
    np.testing.assert_allclose(over_time(step, x), first, atol=1e-6)


def test_states_of_layers_of_one_name(keras):
    def part():
        return keras.Sequential([keras.layers.GRU(3, return_sequences=True, name="same-layer")])

    model = keras.Sequential([keras.Input((None, WIDTH)), part(), part()])
    assert [state.name for state in step_of(model).states] == ["same_layer_h", "same_layer_2_h"]


def refused(layers):
    """Return a model that cannot be one time step, and the message about it."""
    return {
        "Bidirectional": (lambda x: layers.Bidirectional(layers.LSTM(3), name="odd")(x), "'odd'"),
        "convolution": (
            lambda x: layers.LSTM(3)(layers.Conv1D(3, 2, name="odd")(x)),
            "'odd' .Conv1D. does not work on",
        ),
        "pooling": (
            lambda x: layers.GlobalAveragePooling1D(name="odd")(layers.LSTM(3, return_sequences=True)(x)),
            "'odd'",
        ),
        "backwards": (
            lambda x: layers.LSTM(3, go_backwards=True, name="odd")(x),
            "'odd' .LSTM. reads the .* backwards",
        ),
        "decoder": (
            lambda x: layers.LSTM(3, name="odd")(layers.RepeatVector(4)(layers.LSTM(3)(x))),
            "'odd' .LSTM. reads what an earlier layer made of the whole",
        ),
        "masking": (lambda x: layers.GRU(3)(layers.Masking(name="odd")(x)), "'odd' .Masking. masks steps"),
        "axis": (
            lambda x: layers.LSTM(3)(layers.LayerNormalization(axis=[1, 2], name="odd")(x)),
            "'odd' .LayerNormalization. works over several steps",
        ),
        "weights of steps": (lambda x: layers.LSTM(3)(layers.PReLU(name="odd")(x)), "'odd' .PReLU. has weights for"),
        "branches": (lambda x: layers.LSTM(3)(layers.Add()([layers.Dense(5)(x), x])), "not in a line"),
        "nothing recurrent": (lambda x: layers.Dense(3)(x), "no recurrent layer"),
    }


@pytest.mark.parametrize("kind", refused(None))
def test_what_cannot_be_one_step_is_named(kind):
    keras = tensorflow_import.keras3()
    build, words = refused(keras.layers)[kind]
    x = keras.Input((STEPS, WIDTH))
    with pytest.raises(ModelError, match=rf"cannot be written as one time step: .*{words}"):
        step_of(keras.Model(x, build(x)))


@pytest.mark.parametrize("kind", ["Bidirectional", "convolution", "branches", "axis"])
def test_what_cannot_be_one_step_in_keras_2(kind):
    keras = tensorflow_import.keras2()
    build, words = refused(keras.layers)[kind]
    x = keras.Input((STEPS, WIDTH))
    with pytest.raises(ModelError, match=rf"cannot be written as one time step: .*{words}"):
        step_of(keras.Model(x, build(x)))
