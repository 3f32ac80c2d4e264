"""Test the gates of accuracy and size at their limits."""

import numpy as np
import pytest

from helpers import example_reports
from tflite_sparse.report.text.alternatives import Remedies, advice
from tflite_sparse.results.alternatives import Alternative
from tflite_sparse.results.export import Accuracy
from tflite_sparse.scoring import scorer
from tflite_sparse.settings import ExportSettings
from tflite_sparse.stages.measure import Evaluated, gate_failures

SETTINGS = ExportSettings(int8=True, max_accuracy_drop=0.01)


def failures(*, drop=0.0, found=(), parts=(), **bytes_of):
    """Return the failures for files of these bytes and this drop, if 0.01 is allowed."""
    models = example_reports.make().models
    sized = {
        name: None if size is None else getattr(models, name).model_copy(update={"file_bytes": size})
        for name, size in bytes_of.items()
    }
    accuracy = Accuracy(metric="top1", samples=100, drop=drop, max_drop=0.01, **dict(parts))
    evaluated = Evaluated(models.model_copy(update=sized), accuracy, None, None)
    return gate_failures(evaluated, SETTINGS, found, (), Remedies())


@pytest.mark.parametrize(
    ("drop", "passes"),
    [(-0.5, True), (0.0, True), (0.01, True), (np.nextafter(0.01, 1), False), (0.5, False), (np.nan, False)],
)
def test_a_drop_that_equals_the_limit_passes(drop, passes):
    assert Accuracy(metric="top1", samples=100, drop=drop, max_drop=0.01).passes is passes
    found = failures(drop=drop)
    assert (found == []) is passes
    assert all(failure.startswith("accuracy: top1 dropped by ") for failure in found)


@pytest.mark.parametrize("outputs", [1, 3])
def test_a_sample_of_a_hundred_is_a_drop_of_one_hundredth(outputs):
    """0.99 - 0.98 exceeds 0.01 in binary; with several outputs the mean counts."""
    names = [f"y{number}" for number in range(outputs)]
    best = np.tile([1.0, 0.0], (100, 1))
    worse = best.copy()
    worse[0] = [0, 1]
    for right in range(1, 101):
        labels = (np.arange(100) >= right).astype(int)
        chosen = scorer.make_scorer(dict.fromkeys(names, best), dict.fromkeys(names, labels))
        before, after = (chosen.scored(dict.fromkeys(names, each)) for each in (best, worse))
        assert after.drop_from(before) == 0.01
        assert before.drop_from(after) == -0.01


def test_a_drop_by_shared_values_is_told_with_what_it_is_without_them():
    parts = {"drop_by_pruning": 0.001, "drop_by_int8": 0.002, "drop_by_sharing": 0.027}
    (failure,) = failures(drop=0.03, parts=parts)
    assert "Try more --shared-values, or none: without them the drop is 0.0030." in failure


@pytest.mark.parametrize(("more", "passes"), [(-1, True), (0, True), (1, False)])
def test_as_many_bytes_as_the_dense_file_pass(more, passes):
    found = failures(dense_int8=260_000, sparse_int8=260_000 + more)
    assert (found == []) is passes
    assert passes or found == ["size: 260,001 bytes, more than the dense int8 file's 260,000"]


def test_only_the_int8_file_of_the_same_run_bounds_the_size():
    """The float32 file has another precision; without a sparse file there is no size."""
    assert failures(dense_float32=1000) == []
    assert failures(dense_int8=None, sparse_int8=10**9) == []
    assert failures(dense_int8=1, sparse_int8=None) == []


def test_accuracy_that_is_not_a_number_fails_only_where_the_baseline_has_some():
    models = example_reports.make().models
    without = models.sparse_int8.model_copy(update={"accuracy": None})
    broken = models.model_copy(update={"sparse_int8": without})
    nan = ["accuracy: the sparse file yields NaN or infinity on test samples"]
    assert gate_failures(Evaluated(broken, None, None, None), SETTINGS, (), (), Remedies()) == nan
    no_data = broken.model_copy(update={"dense_float32": models.dense_float32.model_copy(update={"accuracy": None})})
    assert gate_failures(Evaluated(no_data, None, None, None), SETTINGS, (), (), Remedies()) == []
    undelivered = models.model_copy(update={"sparse_int8": None})
    assert gate_failures(Evaluated(undelivered, None, None, None), SETTINGS, (), (), Remedies()) == []


# Alternatives for a drop that is too large


def way(option, drop, file_bytes=1000):
    return Alternative(option=option, accuracy=0.9, drop=drop, file_bytes=file_bytes, words="")


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([way("a", 0.01, 900), way("b", 0.0, 901)], "Take a: the drop is 0.0100, in 900 bytes."),
        ([way("a", np.nextafter(0.01, 1), 900), way("b", 0.0, 901)], "Take b: the drop is 0.0000, in 901 bytes."),
        ([way("a", 0.02), way("b", 0.03)], "a comes nearest: the drop is 0.0200, in 1,000 bytes."),
        ([way("a", 0.05)], "No other int8 file that was tried loses less."),  # no better than the drop itself
        ([way("a", None)], "No other int8 file that was tried loses less."),
    ],
)
def test_the_smallest_way_out_within_the_gate_is_advised(found, words):
    assert advice(found, 0.05, 0.01).startswith(words)
    assert failures(drop=0.05, found=found)[0].endswith(advice(found, 0.05, 0.01))
