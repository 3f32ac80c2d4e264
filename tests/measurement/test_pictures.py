"""Test the histograms of weights and the pictures of samples."""

import io

import numpy as np
import pytest
from PIL import Image

from tflite_sparse.measurement import histograms, sample_pictures


def test_a_histogram_counts_what_is_not_zero():
    found = histograms.of_values("kernel", np.array([[-8, 0, 0], [1, 8, 8]], np.int8))
    assert (found.low, found.high, found.zeros) == (-8.0, 8.0, 2)
    assert sum(found.counts) == 4
    assert (found.counts[0], found.counts[-1]) == (1, 2)
    assert len(found.counts) == 41


@pytest.mark.parametrize("values", [np.zeros(3, np.float32), np.array([np.nan, np.inf], np.float32)])
def test_a_histogram_of_nothing(values):
    found = histograms.of_values("kernel", values)
    assert sum(found.counts) == 0
    assert (found.low, found.high) == (-1.0, 1.0)


def opened(png):
    return np.asarray(Image.open(io.BytesIO(png)))


def test_a_sample_is_drawn_over_its_whole_range():
    grey = opened(sample_pictures.png(np.array([[[-1.0], [0.0]], [[1.0], [1.0]]], np.float32)))
    np.testing.assert_array_equal(grey, [[0, 128], [255, 255]])
    assert opened(sample_pictures.png(np.zeros((2, 2, 3), np.uint8))).shape == (2, 2, 3)


def test_pictures_stay_small():
    noise = np.random.default_rng(0).integers(0, 256, (500, 250, 3)).astype(np.uint8)
    png = sample_pictures.png(noise)
    assert opened(png).shape == (48, 24, 3)
    assert len(png) < 8000


@pytest.mark.parametrize("shape", [(8,), (8, 8), (8, 8, 2), (1, 8, 1), (2, 8, 8, 1)])
def test_what_is_no_image_is_not_drawn(shape):
    assert sample_pictures.png(np.zeros(shape)) is None
