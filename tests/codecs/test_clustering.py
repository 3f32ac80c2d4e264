"""Test the clustering of integers against a search of every partition."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tflite_sparse.codecs import clustering

VALUES = st.lists(st.integers(-127, 127).filter(bool), min_size=1, max_size=8, unique=True).map(sorted)


def least_error(values, weights, count):
    """The least error of all partitions into intervals and all centres but 0."""
    centres = [centre for centre in range(min(*values, -1), max(*values, 1) + 1) if centre != 0]

    def one(part):
        return min(sum(weights[i] * (values[i] - centre) ** 2 for i in part) for centre in centres)

    best = float("inf")
    for cuts in itertools.combinations(range(1, len(values)), min(count, len(values)) - 1):
        edges = [0, *cuts, len(values)]
        best = min(best, sum(one(range(a, b)) for a, b in itertools.pairwise(edges)))
    return best


@settings(max_examples=60, deadline=None)
@given(VALUES, st.integers(1, 4), st.data())
def test_no_partition_is_better(values, count, data):
    weights = data.draw(st.lists(st.integers(1, 50), min_size=len(values), max_size=len(values)))
    found = clustering.nearest_integers(np.array(values), np.array(weights), count)
    assert len(set(found)) <= count
    assert 0 not in found
    assert (np.diff(found) >= 0).all()
    error = float((np.array(weights) * (np.array(values) - found) ** 2).sum())
    assert error == least_error(values, weights, count)


@pytest.mark.parametrize("seed", range(4))
def test_no_partition_of_many_values_into_several_is_better(seed):
    """What is drawn has mostly few values, or one or two centres."""
    generator = np.random.default_rng(seed)
    values = np.sort(generator.choice(np.r_[-30:0, 1:31], 10, replace=False))
    weights = generator.integers(1, 50, 10) / 2**14  # errors far below 1 count as well
    for count in (3, 5):
        found = clustering.nearest_integers(values, weights, count)
        assert len(set(found)) == count
        error = float((weights * (values - found) ** 2).sum())
        assert error == least_error(values.tolist(), weights.tolist(), count)


@pytest.mark.parametrize("values", [[10, 12, 14, 20], [4, 10, 12, 14]])
def test_integers_that_do_not_occur_have_no_say(values):
    """12 may go to either side; integers next to the value apart would decide it, however little they weighed."""
    found = clustering.share(np.array(values), np.ones(4), 3)
    assert found.tolist() == clustering.nearest_integers(np.array(values), np.ones(4), 3).tolist()


def test_few_values_stay():
    values = np.array([-3, 1, 9])
    assert (clustering.nearest_integers(values, np.ones(3), 3) == values).all()


def test_weight_pulls_the_centre():
    values = np.array([10, 20])
    assert (clustering.nearest_integers(values, np.array([9.0, 1.0]), 1) == 11).all()
    assert (clustering.nearest_integers(values, np.array([1.0, 9.0]), 1) == 19).all()


def test_a_mean_of_0_becomes_1_and_int8_becomes_int64():
    for count, expected in ((1, [1, 1]), (2, [-5, 5])):
        found = clustering.nearest_integers(np.array([-5, 5], np.int8), np.ones(2), count)
        assert found.tolist() == expected
        assert found.dtype == np.int64


def test_an_array_shares_values_and_keeps_its_zeros():
    values = np.array([[0, 10, 12], [-3, 0, 40]], np.int8)
    found = clustering.share(values, np.array([[1, 1, 3], [1, 1, 1]]), 3)
    np.testing.assert_array_equal(found, [[0, 12, 12], [-3, 0, 40]])  # 11.5, rounded to even
    assert found.dtype == np.int64
    assert clustering.share(values, np.ones((2, 3)), 4).tolist() == values.tolist()
    assert not clustering.share(np.zeros((2, 2), np.int8), np.ones((2, 2)), 2).any()


def test_weights_of_many_magnitudes_have_no_effect_beyond_a_billionth():
    values, magnitudes = np.arange(1, 100), 10.0 ** np.arange(-99, 0)
    found = clustering.nearest_integers(values, magnitudes, 12)
    assert len(np.unique(found)) == 12
    assert np.abs(found - values).max() < 40


@pytest.mark.parametrize("seed", range(3))
def test_several_counts_together_are_what_each_is_alone(seed):
    """Of weights as int8 files hold them, with the importance of channels; a count is more than there are values."""
    generator = np.random.default_rng(seed)
    values = np.rint(generator.laplace(scale=18, size=(64, 300))).clip(-127, 127).astype(np.int8)
    values[np.abs(values) < 12] = 0
    weights = np.broadcast_to(generator.uniform(0.1, 1, (64, 1)) ** 2, values.shape)
    counts = (32, 8, 16, 300, 1)
    together = list(clustering.share_each(values, weights, counts))
    assert len(together) == len(counts)
    for count, found in zip(counts, together, strict=True):
        np.testing.assert_array_equal(found, clustering.share(values, weights, count))
        assert len(np.unique(found[found != 0])) == min(count, len(np.unique(values[values != 0])))
