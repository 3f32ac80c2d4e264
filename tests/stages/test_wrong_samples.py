"""Test which wrong samples a report shows."""

import base64

import numpy as np

from tflite_sparse.scoring.scorer import Decisions, Scored
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.stages import wrong_samples

RIGHT = np.array([0, 1, 2, 0, 1])


def scored(*chosen, right=RIGHT):
    return Scored({}, {}, {"classes": Decisions(right, np.array(chosen), 3)})


def samples(count=5, shape=(4, 4, 1), labels=("cat", "dog", "cow")):
    x = np.random.default_rng(0).random((count, *shape)).astype(np.float32)
    y = np.arange(count) % 3
    return Dataset("made up", x, y, x, y, labels)


def test_those_that_the_dense_model_gets_right_come_first():
    found = wrong_samples.chosen(scored(2, 1, 2, 0, 1), scored(2, 0, 2, 0, 2), samples())
    assert [(each.sample, each.right, each.chosen, each.dense) for each in found] == [
        (1, "dog", "cat", "dog"),
        (4, "dog", "cow", "dog"),
        (0, "cat", "cow", "cow"),
    ]
    assert all(base64.b64decode(each.png).startswith(b"\x89PNG") for each in found)


def test_numbers_stand_for_classes_without_names_and_other_samples_have_no_picture():
    (found,) = wrong_samples.chosen(scored(*RIGHT), scored(1, 1, 2, 0, 1), samples(shape=(4,), labels=()))
    assert (found.right, found.chosen, found.png) == ("0", "1", None)


def test_there_are_at_most_twelve():
    right = np.zeros(50, int)
    found = wrong_samples.chosen(scored(*right, right=right), scored(*(right + 1), right=right), samples(50))
    assert len(found) == 12


def test_places_within_samples_are_no_samples():
    right = np.zeros(10, int)
    assert wrong_samples.chosen(scored(*right, right=right), scored(*(right + 1), right=right), samples(5)) == []
