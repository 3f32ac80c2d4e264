"""Compare scores with numbers computed by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tflite_sparse.errors import DataError
from tflite_sparse.scoring.metrics import Metric, choose_metric

ROWS = np.array([[0.1, 0.7, 0.2], [0.8, 0.1, 0.1], [0.3, 0.2, 0.5], [0.3, 0.6, 0.1]], np.float32)  # 1, 0, 2, 1


def score(outputs, labels):
    metric = choose_metric(np.asarray(outputs), labels)
    return metric.name, metric.score(np.asarray(outputs), labels)


@pytest.mark.parametrize(
    "labels",
    [
        np.array([1, 0, 2, 0]),
        np.array([[1], [0], [2], [0]]),
        np.array([1.0, 0.0, 2.0, 0.0]),
        np.eye(3)[[1, 0, 2, 0]],
        np.eye(3, dtype=np.uint8)[[1, 0, 2, 0]],
    ],
    ids=["classes", "column", "real", "one-hot", "one-hot bytes"],
)
def test_top1(labels):
    assert score(ROWS, labels) == ("top1", 0.75)


def test_top1_of_segmentation():
    outputs = np.zeros((1, 2, 3, 2))
    outputs[0, :, :, 1] = [[1, 1, -1], [-1, 1, -1]]  # classes 1 1 0 / 0 1 0
    labels = np.array([[[1, 0, 0], [0, 1, 1]]])
    for form in (labels, labels[..., None], np.eye(2)[labels]):
        name, found = score(outputs, form)
        assert (name, found) == ("top1", pytest.approx(4 / 6))


def test_binary_of_probabilities():
    outputs = [[0.9], [0.4], [0.6], [0.1], [0.5]]  # yes no yes no no
    assert score(outputs, np.array([1, 0, 0, 0, 0])) == ("binary", 0.8)
    assert score(outputs, np.array([[1.0], [1.0], [0.0], [0.0], [1.0]])) == ("binary", 0.4)
    assert score(np.array(outputs)[:, 0], np.array([True, False, False, False, False])) == ("binary", 0.8)


def test_binary_of_logits():
    outputs = [[3.0], [0.2], [-0.3], [-4.0]]  # yes yes no no
    assert score(outputs, np.array([1, 0, 0, 0])) == ("binary", 0.75)


def test_binary_of_segmentation():
    """Each pixel counts, not the first of an image only."""
    outputs = np.array([[[0.9, 0.1], [0.8, 0.2]], [[0.9, 0.9], [0.9, 0.1]]])[..., None]
    labels = np.array([[[1, 0], [0, 0]], [[1, 1], [0, 1]]])  # 5 of 8 are right, and both first ones
    assert score(outputs, labels) == ("binary", 0.625)
    assert score(outputs, labels[..., None]) == ("binary", 0.625)


def test_r2():
    # 1 - SSE / SST: errors 0, 1, 1, 0 about values of spread 5
    assert score([[1.5], [1.5], [4.5], [4.5]], np.array([1.5, 2.5, 3.5, 4.5])) == ("r2", pytest.approx(1 - 2 / 5))


def test_r2_of_several_outputs_takes_the_spread_of_each():
    outputs = np.array([[0.5, 100.0], [1.5, 100.5]])
    labels = np.array([[0.5, 100.5], [2.5, 101.5]])
    # errors 0, 0.5, 1, 1; spreads 2 x 1 and 2 x 0.25
    name, found = score(outputs, labels)
    assert (name, found) == ("r2", pytest.approx(1 - 2.25 / 2.5))


def test_r2_of_a_constant():
    metric = Metric("r2", True)
    assert metric.score(np.full((3, 1), 2.0), np.full(3, 2.0)) == 1
    assert metric.score(np.full((3, 1), 2.5), np.full(3, 2.0)) == 0


def test_mean_as_prediction_scores_zero():
    labels = np.random.default_rng(0).normal(size=(50, 2))
    outputs = np.broadcast_to(labels.mean(0), labels.shape)
    assert Metric("r2", True).score(outputs, labels) == pytest.approx(0)


@pytest.mark.parametrize(
    ("outputs", "name"),
    [
        (ROWS, "top1_agreement_with_dense_float32"),
        (np.array([[0.1], [0.9]]), "binary_agreement_with_dense_float32"),
        (np.array([[-3.0], [0.9]]), "r2_agreement_with_dense_float32"),
    ],
)
def test_agreement_with_itself(outputs, name):
    metric = choose_metric(outputs, None)
    assert metric.name == name
    assert not metric.against_labels
    assert metric.score(outputs, outputs) == 1


def test_agreement_numbers():
    other = ROWS[:, [0, 2, 1]]  # classes 2 0 1 2: one is the same
    assert choose_metric(ROWS, None).score(other, ROWS) == 0.25
    yes_no = np.array([[0.9], [0.4], [0.6], [0.1]])
    assert choose_metric(yes_no, None).score(np.array([[0.6], [0.6], [0.6], [0.6]]), yes_no) == 0.5


@given(hnp.arrays(np.float32, st.tuples(st.integers(1, 20), st.integers(2, 6)), elements=st.floats(-9, 9, width=32)))
def test_every_right_answer_scores_one(outputs):
    labels = outputs.argmax(-1)
    metric = Metric("top1", True)
    assert metric.score(outputs, labels) == 1
    assert metric.score(outputs, (labels + 1) % outputs.shape[1]) == 0


def test_errors():
    with pytest.raises(DataError, match="labels run from 1 to 3"):
        choose_metric(ROWS, np.array([1, 2, 3, 1]))
    with pytest.raises(DataError, match=r"labels of shape \(4, 2\) do not fit"):
        choose_metric(ROWS, np.zeros((4, 2), int))
