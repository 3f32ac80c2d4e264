"""Test that the range of pixels which fits a model is found, and that chance is not taken for it."""

import re

import numpy as np
import pytest

from tflite_sparse.base.progress import Silent, Timed
from tflite_sparse.errors import DataError
from tflite_sparse.scoring import pixel_check
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.stages import pixels as stage

CLASSES = 4
LABELS = np.arange(200) % CLASSES


class Model:
    """Right where pixels are in one range, else class 0.

    Attributes:
        spans: the ranges in which it is right.
        most: samples that it got at once.
        samples: those that it got in all.
    """

    def __init__(self, *spans):
        self.spans, self.most, self.samples = spans, 0, 0

    def compute_many(self, x):
        self.most, self.samples = max(self.most, len(x)), self.samples + len(x)
        span = (round(float(x.min())), round(float(x.max())))
        low, high = span
        right = np.round((x[:, 1, 1, 0] - low) / (high - low) * 10).astype(int)
        return {"y": np.eye(CLASSES)[right if span in self.spans else right * 0]}


def samples(high=255.0, labels=LABELS, told=None):
    """Images whose second pixel tells the class, in tenths of the range; all reach both ends."""
    x = np.zeros((len(LABELS), 2, 2, 1), np.float32)
    x[:, 0, 1], x[:, 1, 1, 0] = 1, LABELS / 10
    x *= high
    return Dataset("images/", x, labels, x, labels, pixels=told or ("0..255" if high == 255 else "0..1"))


def test_the_range_that_fits_is_found_and_refused_where_none_was_told():
    model = Model((0, 1))
    found = pixel_check.compare(model, samples(), told=False)
    assert found.fits == "0..1"
    assert (found.check.fed, found.check.samples, found.check.metric) == ("0..255", 20, "top1")
    assert {each.pixels: each.score for each in found.check.scores} == {"0..255": 0.3, "0..1": 1.0, "-1..1": 0.3}
    assert found.check.alike == ["0..1", "-1..1"]
    assert model.most <= 20
    words = (
        "images/: pixels are 0..255, where the float model has top1 0.300 on 20 samples; in 0..1 it has 1.000. Give "
        "`pixels='0..1'`"
    )
    with pytest.raises(DataError, match=re.escape(words)):
        stage.checked(model, samples(), None, Silent())


def test_what_is_told_is_taken():
    progress = Timed(Silent())
    check = stage.checked(Model((0, 1)), samples(), "0..255", progress)
    assert (check.fed, check.told) == ("0..255", True)
    assert "0..1 fits the model better" in progress.warnings[0]


def test_the_range_that_was_fed_may_be_the_best():
    found = pixel_check.compare(Model((0, 255)), samples(), told=False)
    assert (found.fits, found.check.alike) == (None, [])
    assert stage.checked(Model((0, 255)), samples(), None, Silent()) == found.check


def test_ranges_that_are_as_good_are_told():
    model = Model((0, 255), (0, 1))
    found = pixel_check.compare(model, samples(), told=False)
    assert (found.fits, found.check.alike) == (None, ["0..1"])
    assert (found.check.samples, model.samples) == (20, 3 * 20)


class Unsure(Model):
    """As good in both ranges at first; the fed one is wrong on each fourth sample, the other one on each fifth."""

    def compute_many(self, x):
        outputs = super().compute_many(x)["y"]
        wrong = np.round(x[:, 1, 0, 0] / x.max() * 1000).astype(int) % (4 if x.max() > 1 else 5) == 0
        outputs[wrong] = np.roll(outputs[wrong], 1, axis=1)
        return {"y": outputs}


def test_more_samples_are_taken_where_the_first_do_not_decide():
    given = samples()
    given.x_test[:, 1, 0, 0] = np.arange(200) / 1000 * 255  # the number of each sample
    model = Unsure((0, 255), (0, 1))
    found = pixel_check.compare(model, given, told=False)
    assert (found.check.samples, model.samples) == (100, 3 * 100)
    chosen = np.linspace(0, 199, 100).round().astype(int)
    expected = {"0..255": np.mean(chosen % 4 != 0), "0..1": np.mean(chosen % 5 != 0)}
    scores = {each.pixels: each.score for each in found.check.scores}
    assert {name: scores[name] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize(
    "data",
    [
        samples(labels=None),
        Dataset("x", samples().x_train, LABELS, samples().x_test, LABELS),  # of no known range
        Dataset(
            "x",
            samples().x_train.astype(np.uint8), LABELS, samples().x_test.astype(np.uint8), LABELS, pixels="0..255",
        ),
    ],
    ids=["no labels", "no images", "integers"],
)  # fmt: skip
def test_nothing_is_compared_where_nothing_can_be(data):
    assert pixel_check.compare(Model((0, 1)), data, told=False) is None
    assert stage.checked(Model((0, 1)), data, None, Silent()) is None
