"""Test the scan of channels: one group masked at a time, all bits restored."""

import numpy as np
import pytest

from tflite_sparse.errors import ModelError
from tflite_sparse.pruning import channel_groups, channel_scan
from tflite_sparse.pruning.sensitivity import Score
from tflite_sparse.sources import keras_model, kernels


@pytest.fixture
def source(keras):
    keras.utils.set_random_seed(1)
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((12,)),
            layers.Dense(32, use_bias=True, bias_initializer="ones", name="first"),
            layers.Dense(16, name="second"),
            layers.Dense(3, name="last"),
        ]
    )
    return keras_model.from_memory(model)


def groups_of(source):
    return channel_groups.find(source.model, kernels.kernels_and_variables(source.model)).groups


def alive(source):
    """Number of channels that are not zero, of both groups."""
    return [
        int(np.count_nonzero(np.any(layer.get_weights()[0], axis=0) | (layer.get_weights()[1] != 0)))
        for layer in source.model.layers[-3:-1]
    ]


def test_one_group_at_a_time_is_masked_with_its_biases(source):
    before, seen, steps = source.model.get_weights(), [], []

    def evaluate():
        seen.append(alive(source))
        return Score(0.5, float(len(seen)))

    found = channel_scan.scan(source, groups_of(source), evaluate, 8, on_step=lambda *step: steps.append(step))
    assert seen == [[32, 16], [24, 16], [16, 16], [8, 16], [32, 8]]
    assert steps == [(number, 5) for number in range(1, 6)]
    assert found.baseline_loss == 1.0
    assert [[(point.sparsity, point.loss) for point in each.points] for each in found.kernels] == [
        [(0.25, 2.0), (0.5, 3.0), (0.75, 4.0)],
        [(0.5, 5.0)],
    ]
    assert [(each.block, each.held, each.weights) for each in found.kernels] == [
        ("channel", 0.0, 32),
        ("channel", 0.0, 16),
    ]
    for one, other in zip(before, source.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_channels_that_are_zero_already_are_not_scanned(source):
    kernel, bias = source.model.layers[-3].get_weights()
    kernel[:, :20], bias[:20] = 0, 0
    source.model.layers[-3].set_weights([kernel, bias])
    (first, _) = groups_of(source)
    assert channel_scan.counts_of(first, 8) == [8]
    found = channel_scan.scan(source, [first], lambda: Score(0.5, 1.0), 8)
    assert found.kernels[0].held == pytest.approx(20 / 32)


def test_weights_are_restored_where_the_loss_is_nan(source):
    before, scores = source.model.get_weights(), iter([Score(0.5, 1.0), Score(0.5, float("nan"))])
    with pytest.raises(ModelError, match=r"with 24 channels of .*first/kernel has a loss of nan"):
        channel_scan.scan(source, groups_of(source), lambda: next(scores), 8)
    for one, other in zip(before, source.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
