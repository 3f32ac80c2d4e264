"""Test how labels are classified by their shape and values and by the model's output."""

import numpy as np
import pytest

from tflite_sparse.errors import DataError
from tflite_sparse.sources.labels import kind_of, looks_like_probability

ROWS = np.array([[0.1, 0.7, 0.2], [0.8, 0.1, 0.1], [0.3, 0.3, 0.4]], np.float32)
PIXELS = np.random.default_rng(0).random((2, 4, 5, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        (np.array([1, 0, 2]), "top1"),
        (np.array([1, 0, 2], np.uint8), "top1"),
        (np.array([1.0, 0.0, 2.0], np.float32), "top1"),
        (np.array([[1], [0], [2]]), "top1"),
        (np.eye(3)[[1, 0, 2]], "top1"),
        (np.eye(3, dtype=bool)[[1, 0, 2]], "top1"),
        (np.array([[0.2, 0.1, 3.0]] * 3), "r2"),
        (np.array([[1, 1, 0], [0, 0, 1], [0, 1, 0]]), "r2"),  # several at once: no single class is right
        (None, "top1"),
    ],
)
def test_several_outputs(labels, kind):
    assert kind_of(ROWS, labels) == kind


@pytest.mark.parametrize(
    "labels",
    [
        np.zeros((2, 4, 5), int),
        np.full((2, 4, 5, 1), 2, np.uint8),
        np.eye(3)[np.zeros((2, 4, 5), int)],
    ],
    ids=["classes", "classes with a last one", "one-hot"],
)
def test_segmentation(labels):
    assert kind_of(PIXELS, labels) == "top1"


@pytest.mark.parametrize("outputs", [np.array([[0.2], [0.9]]), np.array([0.2, 0.9]), np.array([[-3.0], [4.0]])])
@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        (np.array([0, 1]), "binary"),
        (np.array([[0.0], [1.0]]), "binary"),
        (np.array([True, False]), "binary"),
        (np.array([0.5, 1.0]), "r2"),
        (np.array([3, 7]), "r2"),
    ],
)
def test_one_output(outputs, labels, kind):
    assert kind_of(outputs, labels) == kind


def test_one_output_without_labels():
    assert kind_of(np.array([[0.0], [1.0]]), None) == "binary"
    assert kind_of(np.array([[-0.1], [1.0]]), None) == "r2"
    assert kind_of(np.array([[0.1], [1.1]]), None) == "r2"


def test_looks_like_probability():
    assert looks_like_probability(np.array([0.0, 1.0]))
    assert not looks_like_probability(np.array([0.0, 1.001]))
    assert not looks_like_probability(np.array([-0.001, 1.0]))


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.array([1, 2, 3]), "labels run from 1 to 3, the model has 3 outputs: number the classes from 0"),
        (np.array([-1, 0, 2]), "labels run from -1 to 2"),
        (np.array([0.5, 0.0, 2.0]), r"labels of shape \(3,\) do not fit .* \(3, 3\)"),
        (np.zeros((3, 2), int), r"labels of shape \(3, 2\)"),
        (np.zeros((3, 3, 3), int), r"labels of shape \(3, 3, 3\)"),
    ],
)
def test_refuses_for_several_outputs(labels, words):
    with pytest.raises(DataError, match=words):
        kind_of(ROWS, labels)


def test_refuses_for_one_output():
    with pytest.raises(DataError, match=r"labels of shape \(2, 3\) do not fit the model's output of shape \(2, 1\)"):
        kind_of(np.array([[0.2], [0.9]]), np.eye(3)[:2])
    with pytest.raises(DataError, match=r"labels of shape \(2, 3, 3\)"):
        kind_of(PIXELS, np.zeros((2, 3, 3), int))
