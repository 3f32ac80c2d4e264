"""Compare the metrics that a user may choose with numbers computed by hand or by another library."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tflite_sparse.errors import DataError
from tflite_sparse.results.export import Accuracy
from tflite_sparse.scoring import scorer, user_metric
from tflite_sparse.scoring.metrics import choose_metric


def score(metric, outputs, labels):
    return choose_metric(outputs, labels, metric).score(outputs, labels)


def test_top5_counts_the_five_largest():
    outputs = np.tile(np.arange(8.0), (4, 1))  # 3 to 7 are the five largest
    assert score("top5", outputs, np.array([7, 3, 2, 0])) == 0.5
    assert score("top1", outputs, np.array([7, 3, 2, 0])) == 0.25


def test_of_equal_outputs_the_first_comes_first():
    """This is the same for top-1; outputs of an int8 file are often equal."""
    outputs = np.zeros((8, 8))
    assert score("top5", outputs, np.arange(8)) == 5 / 8
    assert score("top1", outputs, np.arange(8)) == 1 / 8
    several = np.zeros((1, 2, 8))  # two decisions for a sample
    assert score("top5", several, np.array([[4, 5]])) == 0.5


def test_mse_and_psnr_by_hand():
    labels = np.array([[0.0, 0.5], [1.0, 0.5]])
    outputs = labels + np.array([[0.1, 0.0], [0.1, 0.2]])
    assert score("mse", outputs, labels) == pytest.approx(0.06 / 4)
    assert score("psnr", outputs, labels) == pytest.approx(10 * np.log10(1 / 0.015))
    assert score("psnr", 10 * outputs, 10 * labels) == pytest.approx(
        10 * np.log10(100 / 1.5)
    )  # the peak is their range


def test_psnr_of_no_error_is_what_float32_can_tell():
    labels = np.array([[0.25], [0.5]])
    assert score("psnr", labels, labels) == pytest.approx(20 * np.log10(2.0**24))


@pytest.mark.parametrize("form", ["one output", "two outputs", "one-hot labels", "logits"])
def test_auc_is_that_of_scikit_learn(form):
    generator = np.random.default_rng(3)
    labels = generator.integers(0, 2, 200)
    values = np.round(generator.normal(size=200) + labels, 1)  # rounded: with ties
    expected = roc_auc_score(labels, values)
    outputs = {"logits": values[:, None], "one output": 1 / (1 + np.exp(-values))[:, None]}.get(
        form, np.stack([-values, values], axis=1)
    )
    wanted = np.eye(2)[labels] if form == "one-hot labels" else labels
    assert score("auc", outputs, wanted) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("metric", "outputs", "labels", "words"),
    [
        ("top1", np.zeros((4, 1)), np.array([0.5, 1, 2, 3]), "needs 2 classes or more"),
        ("top5", np.zeros((4, 5)), np.arange(4), "needs 6 classes or more"),
        ("mse", np.zeros((4, 3)), np.array([0, 1, 2, 0]), "compares numbers"),
        ("psnr", np.zeros((4, 1)), np.full(4, 2.0), "labels that differ"),
        ("auc", np.zeros((4, 3)), np.array([0, 1, 2, 0]), "one yes or no for each sample"),
        ("auc", np.zeros((4, 1)), None, "one yes or no for each sample"),
        ("auc", np.zeros((4, 1)), np.ones(4), "labels of both kinds"),
    ],
)
def test_a_metric_that_does_not_suit_is_refused(metric, outputs, labels, words):
    with pytest.raises(DataError, match=words):
        choose_metric(outputs, labels, metric)


def test_the_gate_of_errors_has_no_unit():
    """The drop is the share of the spread that is no longer explained, in metres or millimetres."""
    generator = np.random.default_rng(0)
    labels = generator.normal(size=(50, 1))
    best, worse = labels + 0.1, labels + 0.3
    drops = []
    for unit in (1, 1000):
        for metric in ("mse", "psnr", "auto"):
            found = scorer.make_scorer({"y": unit * best}, unit * labels, metric)
            drops.append(found.scored({"y": unit * worse}).drop_from(found.scored({"y": unit * best})))
    assert drops == pytest.approx([0.08 / labels.var()] * 6)


def test_samples_lost_of_exactly_the_gate_are_within_it():
    """0.97 - 0.96 exceeds 0.01 in binary fractions, as do most such differences."""
    labels = np.zeros(1000, np.int64)
    found = scorer.make_scorer({"y": np.eye(2)[labels]}, labels)

    def right(count):
        return found.scored({"y": np.eye(2)[(np.arange(1000) >= count).astype(int)]})

    drops = {right(count - 10).drop_from(right(count)) for count in range(10, 1001, 55)}
    assert drops == {0.01}
    assert right(959).drop_from(right(970)) == 0.011
    accuracy = Accuracy(metric="top1", samples=1000, drop=0.01, max_drop=0.01)
    assert accuracy.passes
    assert not accuracy.model_copy(update={"drop": 0.011}).passes
    assert not accuracy.model_copy(update={"drop": float("nan")}).passes


def test_top5_comes_along_where_there_are_many_classes():
    generator = np.random.default_rng(0)
    for classes, expected in ((20, []), (21, ["y"])):
        found = scorer.make_scorer({"y": generator.normal(size=(9, classes))}, generator.integers(0, classes, 9))
        assert list(found.top5) == expected


def test_confusion_counts_what_is_taken_for_what():
    outputs = np.eye(3)[[0, 1, 1, 2, 2]]
    scored = scorer.make_scorer({"y": outputs}, np.array([0, 1, 0, 2, 1])).scored({"y": outputs})
    assert scored.confusion["y"].tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 1]]
    many = np.eye(101)
    assert not scorer.make_scorer({"y": many}, np.arange(101)).scored({"y": many}).confusion


def written(tmp_path, body):
    path = tmp_path / "mine.py"
    path.write_text("import numpy as np\n\n\ndef score(outputs, labels):\n" + body)
    return user_metric.load(f"{path}:score")


def test_a_function_of_the_user(tmp_path):
    outputs, labels = np.array([[1.0], [2.0], [4.0]]), np.array([1.0, 2.5, 3.0])
    each = written(tmp_path, "    print('noise')\n    return -np.abs(outputs[:, 0] - labels)\n")
    assert score(each, outputs, labels) == pytest.approx(-0.5)
    whole = written(tmp_path, "    return float(-np.abs(outputs[:, 0] - labels).max())\n")
    assert score(whole, outputs, labels) == -1
    right = written(tmp_path, "    return np.abs(outputs[:, 0] - labels) < 0.7\n")
    assert right.evidence(outputs, labels).trials.tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("    return 1 / 0\n", r"mine.py:score raised ZeroDivisionError: division by zero"),
        ("    return np.zeros(2)\n", r"returned float64 of shape \(2,\); it must return one number, or 3"),
        ("    return 'good'\n", "it must return one number"),
        ("    return float('nan')\n", "returned NaN or infinity"),
    ],
)
def test_a_function_that_fails_is_named(tmp_path, body, words):
    with pytest.raises(DataError, match=words):
        score(written(tmp_path, body), np.zeros((3, 1)), np.array([0.5, 1.5, 2.5]))
    with pytest.raises(DataError, match="needs labels"):
        choose_metric(np.zeros((3, 1)), None, written(tmp_path, body))
