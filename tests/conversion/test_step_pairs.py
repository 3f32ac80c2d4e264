"""Make samples of single steps, spread over whole sequences, with one range for each state."""

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
    model = keras.Sequential(
        [keras.Input((None, 3)), layers.LSTM(8, return_sequences=True, name="lstm"), layers.SimpleRNN(8)]
    )
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


@pytest.mark.parametrize(
    "steps", [STEPS, 3]
)  # in short sequences a state is largest at the end, where no step reads it
def test_states_have_the_same_range_as_inputs_and_outputs(step, sequences, steps):
    sequences = sequences[:, :steps]
    found = step_pairs.for_calibration(step, sequences, 12, seed=0)
    outputs = step.compute(found)
    states = np.stack([after["lstm_c"] for after in outputs_over_time(step, sequences)])
    *lstm, simple = (state.name for state in step.states)
    assert len(lstm) == 2
    for name in lstm:
        assert found[name].min() == outputs[name].min(), name
        assert found[name].max() == outputs[name].max(), name
    assert (outputs["lstm_c"].min(), outputs["lstm_c"].max()) == (states.min(), states.max())
    assert (found[simple].min(), found[simple].max()) == (np.float32(-32767 / 32768), 127 / 128)


def outputs_over_time(step, sequences):
    states = step.zero_states(len(sequences))
    for t in range(sequences.shape[1]):
        outputs = step.compute({"x": sequences[:, t], **states})
        states = {name: outputs[name] for name in states}
        yield outputs
