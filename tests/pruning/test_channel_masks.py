"""Test which channels of a group are kept, and what remains of weights."""

import numpy as np
import pytest

from tflite_sparse.errors import ModelError
from tflite_sparse.pruning import channel_masks
from tflite_sparse.pruning.channel_groups import ChannelGroup, Part
from tflite_sparse.sources.source_model import Kernel


def part(name, values, axis=-1, channels=None):
    values = np.asarray(values, np.float32)
    kernel = Kernel(name, "Dense", values.shape, lambda: values, lambda new: None)
    size = values.shape[axis]
    return Part(kernel, None, axis, np.arange(size) if channels is None else np.array(channels))


def group(filters, carriers=(), readers=()):
    return ChannelGroup("channels of it", max(map(max, (f.channels for f in filters))) + 1, filters, carriers, readers)


@pytest.mark.parametrize(
    ("channels", "sparsity", "multiple", "kept"),
    [
        (64, 0.5, 8, 32),
        (64, 0.51, 8, 32),
        (64, 0.45, 8, 40),  # 35.2 is rounded up
        (64, 0.999, 8, 8),  # one multiple stays
        (20, 0.5, 8, 16),
        (20, 0.1, 8, 20),  # 18 would be 24
        (6, 0.9, 8, 6),
        (6, 0.9, 1, 1),
        (10, 0.7, 1, 3),  # 10 * (1 - 0.7) is 3.0000000000000004
        (16, 0.0, 8, 16),
    ],
)
def test_kept_numbers_are_rounded_up(channels, sparsity, multiple, kept):
    assert channel_masks.count_kept(channels, sparsity, multiple) == kept


def test_a_score_is_the_norm_of_all_filters_of_a_channel():
    one = channel_masks.scores(group((part("a", [[3, 0, 1], [4, 0, 0]]),)))
    np.testing.assert_allclose(one, np.sqrt(np.array([25, 0, 1]) / (26 / 3)))
    assert one[1] == 0


def test_no_layer_of_a_group_counts_more_for_its_scale():
    small, large = np.array([[1, 2, 3]]), np.array([[300, 100, 200]])
    found = channel_masks.scores(group((part("a", small), part("b", large))))
    np.testing.assert_allclose(found**2, (small**2 + (large / 100) ** 2)[0] / (14 / 3))


def test_a_channel_may_have_several_filters_in_a_kernel():
    found = channel_masks.scores(group((part("a", [[1, 2]]), part("b", [[1, 0, 0, 2]], channels=[0, 1, 0, 1]))))
    np.testing.assert_allclose(found**2, [1 / 2.5 + 1 / 1.25, 4 / 2.5 + 4 / 1.25])


def test_filters_that_are_no_numbers_have_no_score():
    with pytest.raises(ModelError, match="a holds 1 NaN"):
        channel_masks.scores(group((part("a", [[1, np.nan]]),)))


def test_of_equal_scores_the_first_are_kept():
    np.testing.assert_array_equal(channel_masks.keep_largest(np.array([1, 3, 1, 2, 1.0]), 3), [1, 1, 0, 1, 0])


def test_under_one_total_each_group_is_rounded_up_by_itself():
    strong, weak = np.array([1, 1, 1, 1, 1, 0.9, 0.9, 0.9]), np.array([9, 0.1, 0.1, 0.1])
    found = channel_masks.keep_largest_of_all([strong, weak], 0.25, [4, 2])
    np.testing.assert_array_equal(found[0], np.ones(8, bool))
    np.testing.assert_array_equal(found[1], [True, True, False, False])  # 1 of 4 is rounded up to 2


def test_dead_channels_are_zero_in_every_part():
    filters = (part("a", [[1, 0, 0, 0], [0, 0, 0, 0]]),)
    carriers = (part("beta", [0, 1, 0, 0]), part("depthwise", [[[0], [0], [1], [0]]], axis=-2))
    np.testing.assert_array_equal(channel_masks.dead(group(filters, carriers)), [False, False, False, True])


@pytest.fixture
def remaining():
    """Two groups: kernel ``a`` makes 3 channels, ``b`` reads them and two others and makes 2."""
    first = group((part("a", np.ones((2, 3))),), (part("a/bias", np.ones(3)),), (part("b", np.ones((5, 2)), -2),))
    first.readers[0].channels[:] = [-1, 0, 1, 2, -1]
    second = group((part("b", np.ones((5, 2))),))
    return channel_masks.Remaining({first: np.array([True, False, True]), second: np.array([False, True])})


def test_masks_are_of_what_makes_a_channel(remaining):
    np.testing.assert_array_equal(remaining.mask("a", (2, 3)), [[1, 0, 1], [1, 0, 1]])
    np.testing.assert_array_equal(remaining.mask("a/bias", (3,)), [1, 0, 1])
    np.testing.assert_array_equal(remaining.mask("b", (5, 2)), [[0, 1]] * 5)  # inputs that are zero need no mask
    assert remaining.mask("other", (4,)).all()


def test_what_remains_is_cut_on_both_axes_and_put_back(remaining):
    values = np.arange(10).reshape(5, 2)
    np.testing.assert_array_equal(remaining.cut("b", values), [[1], [3], [7], [9]])
    back = remaining.spread("b", np.array([[True], [False], [True], [True]]), (5, 2))
    np.testing.assert_array_equal(back, [[0, 1], [0, 0], [0, 0], [0, 1], [0, 1]])
    assert remaining.cut("other", values) is values
