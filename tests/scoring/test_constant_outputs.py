"""Test the detection of models that answer all samples alike."""

import numpy as np
import pytest

from tflite_sparse.scoring import scorer

RNG = np.random.default_rng(0)
ONE_CLASS = np.tile(np.float32([0.1, 0.7, 0.2]), (50, 1)) + RNG.uniform(0, 0.05, (50, 3)).astype(np.float32)
CLASSES = RNG.uniform(0, 1, (50, 3)).astype(np.float32)
NEARLY = 1 + 1e-8 * RNG.uniform(size=(50, 1))
SAME = np.tile(np.float32([2.0, 3.0]), (50, 1))


@pytest.mark.parametrize(
    ("outputs", "labels", "metric", "words"),
    [
        (ONE_CLASS, np.arange(50) % 3, "auto", "chooses class 1 for all 50 test samples (output 'y')"),
        (ONE_CLASS, None, "auto", "chooses class 1 for all 50 test samples (output 'y')"),
        (np.eye(3, dtype=np.float32)[[0] * 49 + [2]], np.arange(50) % 3, "auto", None),  # one answer differs
        (CLASSES, np.ones(50, int), "auto", None),  # that labels are all the same is another matter
        (ONE_CLASS[:9], np.arange(9) % 3, "auto", None),  # nine samples may well be of one class
        (RNG.uniform(0.5, 1, (50, 1)), np.arange(50) % 2, "auto", "says yes to all 50 test samples (output 'y')"),
        (RNG.uniform(0, 1, (50, 1)), np.arange(50) % 2, "auto", None),
        (SAME, np.float32(CLASSES[:, :2]), "mse", "yields the same for all 50 test samples (output 'y')"),
        (SAME * NEARLY, CLASSES[:, :2], "mse", "yields the same for all 50 test samples (output 'y')"),
        (SAME + CLASSES[:, :2] * 1e-3, CLASSES[:, :2], "mse", None),
        (np.zeros((50, 2)), CLASSES[:, :2], "mse", "yields the same for all 50 test samples (output 'y')"),
    ],
)  # fmt: skip
def test_what_all_answers_have_in_common(outputs, labels, metric, words):
    assert scorer.make_scorer({"y": outputs}, labels, metric).alike == words


def test_one_output_that_varies_is_enough():
    labels = {"a": np.arange(50) % 3, "b": np.arange(50) % 3}
    assert scorer.make_scorer({"a": ONE_CLASS, "b": CLASSES}, labels).alike is None
    both = scorer.make_scorer({"a": ONE_CLASS, "b": ONE_CLASS}, labels).alike
    assert both.count("chooses class 1") == 2
