"""Test what shared values cost single kernels, where the loss counts distinct weights."""

import numpy as np
import pytest

from tflite_sparse.errors import ModelError
from tflite_sparse.fitting import sharing_scan
from tflite_sparse.planning.sharing import COUNTS
from tflite_sparse.pruning.sensitivity import Score
from tflite_sparse.sources.source_model import Kernel

OUTPUTS = 24


def kernel(name, values):
    held = {"values": values}
    subject = Kernel(name, "Dense", values.shape, lambda: held["values"], lambda new: held.update(values=new))
    return subject, held


@pytest.fixture
def weights():
    return np.random.default_rng(0).normal(size=(200, OUTPUTS)).astype(np.float32)


@pytest.mark.parametrize("direction", [-1, 1])
def test_fewer_values_lose_no_less_and_weights_are_as_before(weights, direction):
    """A loss that rises with the number of distinct weights falls when they share values: that costs nothing."""
    many, held = kernel("many", weights)
    few, _ = kernel("few", np.where(weights > 0, 1, -0.5).astype(np.float32))
    steps = []

    def evaluate():
        return Score(metric=0.5, loss=3 + direction * len(np.unique(held["values"])))

    found = sharing_scan.scan([many, few], evaluate, on_step=lambda *step: steps.append(step))
    np.testing.assert_array_equal(held["values"], weights)
    assert steps == [(1, 2), (2, 2)]
    costs = [found["many"][count] for count in sorted(COUNTS)]
    assert costs == [0, 0, 0] if direction == 1 else costs[0] > costs[1] > costs[2] > 0
    assert found["few"] == dict.fromkeys(COUNTS, 0.0), "two values are within any number"


def test_weights_come_back_after_a_loss_that_is_none(weights):
    subject, held = kernel("dense/kernel", weights)
    with pytest.raises(ModelError, match="dense/kernel with shared values has a loss of nan"):
        sharing_scan.scan([subject], lambda: Score(metric=0.0, loss=float("nan")))
    np.testing.assert_array_equal(held["values"], weights)


@pytest.mark.parametrize("outputs", [-1, 0])
def test_values_are_shared_in_steps_of_the_channel_s_scale(weights, outputs):
    values = np.where(np.abs(weights) > 0.6, weights, 0) * (10.0 ** np.arange(OUTPUTS))
    values = values if outputs == -1 else values.T
    for count, found in zip((5, 3), sharing_scan.shared_each(values, (5, 3), outputs), strict=True):
        steps = found / np.abs(values).max(0 if outputs == -1 else 1, keepdims=True) * 127
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-6)
        assert len(np.unique(np.rint(steps[found != 0]))) == count
        np.testing.assert_array_equal(np.sign(found), np.sign(values))
