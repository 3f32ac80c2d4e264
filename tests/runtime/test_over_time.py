"""Run files of one time step over sequences: states are fed back unchanged, or in the scale of their input."""

import numpy as np
import pytest

from tflite_sparse.base.progress import ignore_steps
from tflite_sparse.flatbuffer.signature import Names
from tflite_sparse.runtime import over_time
from tflite_sparse.runtime.inputs_and_outputs import InputDetails

NAMES = Names(("sum", "x"), ("y", "sum"))


def details(scale, zero_point, dtype=np.int8):
    x = InputDetails("x", (1, 2), np.dtype(np.float32), 0.0, 0)
    return InputDetails("sum", (1, 2), np.dtype(dtype), scale, zero_point), x


def running_sum(seen):
    def step(arrays):
        state, x = arrays
        seen.append(state.copy())
        after = (state + x).astype(state.dtype)
        return 2 * after, after

    return step


@pytest.mark.parametrize("every_step", [True, False])
def test_states_are_fed_back_and_start_from_zero(every_step):
    sequences = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    feedback = over_time.feedback_of(NAMES, every_step=every_step)
    quantised, seen = [(0.0, 0), (0.0, 0)], []
    inputs = details(0.0, 0, np.float32)
    (y,) = over_time.run(running_sum(seen), inputs, quantised, sequences, feedback, ignore_steps)
    wanted = 2 * np.cumsum(sequences, axis=1)
    np.testing.assert_array_equal(y, wanted if every_step else wanted[:, -1])
    assert not seen[0].any()
    assert not seen[3].any()


@pytest.mark.parametrize(
    ("given", "zero_point", "taken"),
    [
        (0.5, 3, [13, 23, 33]),  # the same: as it comes
        (0.5005, 3, [13, 23, 33]),  # rounds to itself
        (1.0, 3, [23, 63, 127]),  # twice as coarse: what was 10 above zero is 20 above it now; 127 at most
        (0.5, 1, [15, 27, 39]),  # another zero point
    ],
)
def test_states_are_converted_where_scales_differ(given, zero_point, taken):
    feedback = over_time.feedback_of(NAMES, every_step=False)
    seen = []
    sequences = np.full((1, 4, 2), 10, np.float32)
    quantised = [(1.0, 0), (given, zero_point)]
    over_time.run(running_sum(seen), details(0.5, 3), quantised, sequences, feedback, ignore_steps)
    assert [int(state[0, 0]) for state in seen] == [3, *taken]
