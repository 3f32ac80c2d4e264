"""Samples of single steps: spread over whole sequences, and closed, so that a state has one range."""

import numpy as np
import pytest

from tflite_sparse.conversion import step_pairs
from tflite_sparse.sources import keras_model, tensorflow_import
from tflite_sparse.sources.time_step import TimeStepSource

STEPS = 40


@pytest.fixture(scope="module")
def step():
    keras = tensorflow_import.keras3()
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential([keras.Input((None, 3)), layers.LSTM(8, return_sequences=True), layers.SimpleRNN(8)])
    return TimeStepSource(keras_model.from_memory(model))


@pytest.fixture(scope="module")
def sequences():
    return np.random.default_rng(0).standard_normal((6, STEPS, 3)).astype(np.float32)


@pytest.mark.parametrize(("count", "wanted"), [(30, 30), (7, 7), (3, 3), (10_000, 6 * STEPS)])
def test_as_many_as_asked_for(step, sequences, count, wanted):
    found = step_pairs.spread(step, sequences, count, seed=0)
    assert set(found) == {spec.name for spec in step.inputs()}
    assert {len(array) for array in found.values()} == {wanted}


def test_steps_of_all_parts_of_a_sequence(step, sequences):
    found = step_pairs.spread(step, sequences[:1], 10, seed=0)["x"]
    at = [int(np.flatnonzero((sequences[0] == row).all(axis=1))[0]) for row in found]
    assert [place * 10 // STEPS for place in at] == list(range(10))


def test_states_have_the_same_range_as_inputs_and_outputs(step, sequences):
    found = step_pairs.for_calibration(step, sequences, 20, seed=0)
    outputs = step.compute(found)
    for name in ("lstm_h", "lstm_c"):
        state = next(state.name for state in step.states if state.name.endswith(name.removeprefix("lstm")))
        assert found[state].min() == outputs[state].min(), state
        assert found[state].max() == outputs[state].max(), state
    whole = step_pairs.spread(step, sequences, 10_000, seed=0)
    assert max(outputs[step.states[1].name].max(), 0) >= whole[step.states[1].name].max()  # the largest of all is there
    tanh = found[step.states[2].name]
    assert (tanh.min(), tanh.max()) == (np.float32(-32767 / 32768), 127 / 128)
