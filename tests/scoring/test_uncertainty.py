"""Compare intervals and tests with published numbers, and with their promised coverage."""

import numpy as np
import pytest
from scipy.stats import binomtest

from tflite_sparse.scoring import uncertainty
from tflite_sparse.scoring.evidence import Evidence, mean
from tflite_sparse.scoring.metrics import choose_metric


def shares(right):
    return [Evidence((np.asarray(right, bool),), mean)]


def test_wilson_of_a_published_example():
    """Newcombe (1998), Table I, method 3: 81 of 263 gives 0.2553 to 0.3662; 0 of 20 gives 0 to 0.1611."""
    for count, samples, low, high in ((81, 263, 0.2553, 0.3662), (0, 20, 0.0, 0.1611)):
        found = uncertainty.interval(shares(np.arange(samples) < count), seed=0)
        assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
        assert found.method == "wilson"


@pytest.mark.parametrize("samples", [1, 2, 7, 200, 100_000])
def test_shares_have_the_intervals_of_scipy(samples):
    for right in sorted({0, 1, samples // 3, samples // 2, samples - 1, samples}):
        found = uncertainty.interval(shares([True] * right + [False] * (samples - right)), seed=0)
        wanted = binomtest(right, samples).proportion_ci(0.95, "wilson")
        np.testing.assert_allclose((found.low, found.high), (wanted.low, wanted.high), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("lost", "gained"), [(1, 0), (0, 1), (3, 3), (2, 9), (9, 2), (40, 61), (5000, 5200)])
def test_p_values_are_those_of_scipy(lost, gained):
    mine = [False] * lost + [True] * gained
    found = uncertainty.mcnemar(shares(mine), shares([not right for right in mine]))
    assert (found.lost, found.gained) == (lost, gained)
    np.testing.assert_allclose(found.p_value, binomtest(gained, lost + gained).pvalue, rtol=1e-10)


def test_mcnemar_of_a_published_example():
    """10 samples split the two files 1 against 9: p = 2 (1 + 10) / 2^10."""
    mine, other = np.ones(100, bool), np.ones(100, bool)
    mine[:9] = False
    other[9] = False
    found = uncertainty.mcnemar(shares(mine), shares(other))
    assert (found.lost, found.gained) == (9, 1)
    assert found.p_value == pytest.approx(22 / 1024)
    assert uncertainty.mcnemar(shares(mine), shares(mine)) == uncertainty.McNemar(0, 0, 1.0)


def test_the_bootstrap_of_a_mean_is_that_of_theory():
    values = np.random.default_rng(1).normal(size=4000)
    found = uncertainty.interval([Evidence((values,), mean)], seed=0)
    expected = values.mean() + 1.96 * values.std() / np.sqrt(4000) * np.array([-1, 1])
    assert [found.low, found.high] == pytest.approx(expected, abs=0.004)
    assert found.method == "bootstrap"
    assert found == uncertainty.interval([Evidence((values,), mean)], seed=0)
    assert found != uncertainty.interval([Evidence((values,), mean)], seed=1)


@pytest.mark.parametrize("metric", ["mse", "auto"])
def test_intervals_hold_the_truth_as_often_as_they_say(metric):
    """About 95 of 100 test sets of a known distribution; 85 or fewer have a probability of one in ten thousand."""
    generator = np.random.default_rng(0)
    truth = {"mse": 0.25, "auto": 0.75}[metric]
    held = 0
    for seed in range(100):
        labels = generator.normal(size=(80, 1))
        outputs = labels + 0.5 * generator.normal(size=(80, 1))
        found = uncertainty.interval([choose_metric(outputs, labels, metric).evidence(outputs, labels)], seed)
        held += found.low <= truth <= found.high
    assert held > 85


@pytest.mark.parametrize("samples", [2, 7, 300, 20_000])
def test_means_of_many_draws_are_those_of_each(samples):
    """Draws come from one stream, however many are made at once."""
    generator = np.random.default_rng(1)
    values = generator.normal(size=samples).astype(np.float32)
    found = uncertainty.interval([Evidence((values,), mean)], seed=3)
    generator = np.random.default_rng(3)
    means = [float(np.mean(values[generator.integers(samples, size=samples)])) for _ in range(1000)]
    low, high = np.percentile(means, [2.5, 97.5])
    assert (found.low, found.high) == (pytest.approx(low, rel=1e-6), pytest.approx(high, rel=1e-6))


def test_the_difference_takes_the_same_samples_of_both():
    """Samples have very different difficulty: each score alone is uncertain, the difference is not."""
    difficulty = np.random.default_rng(0).normal(scale=100, size=200)
    mine, other = [Evidence((difficulty + 1,), mean)], [Evidence((difficulty,), mean)]
    found = uncertainty.difference(mine, other, seed=0)
    assert (found.low, found.high) == (pytest.approx(1), pytest.approx(1))
    alone = uncertainty.interval(mine, seed=0)
    assert alone.high - alone.low > 10


def test_auc_where_some_draws_hold_one_class_only():
    outputs, labels = np.linspace(0, 1, 6)[:, None], np.array([0, 0, 0, 1, 0, 0])
    found = uncertainty.interval([choose_metric(outputs, labels, "auc").evidence(outputs, labels)], seed=0)
    assert 0 <= found.low < 0.6 < found.high <= 1


def test_of_several_outputs_the_interval_is_that_of_the_mean():
    values = np.random.default_rng(0).normal(size=500)
    both = [Evidence((values,), mean), Evidence((-values,), mean)]
    found = uncertainty.interval(both, seed=0)
    assert (found.low, found.high) == (pytest.approx(0, abs=1e-12), pytest.approx(0, abs=1e-12))
    assert uncertainty.mcnemar(both, both) is None


def test_one_sample_has_no_interval():
    assert uncertainty.interval([Evidence((np.array([0.5]),), mean)], seed=0) is None
    assert uncertainty.interval(shares([True]), seed=0).low < 0.3
