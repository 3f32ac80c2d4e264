"""Test what a point of a sweep is made of."""

import numpy as np
import pytest

from tflite_sparse.commands.sweep import point
from tflite_sparse.errors import DataError
from tflite_sparse.settings import SweepSettings


@pytest.mark.parametrize(("told", "high"), [(None, 255), ("0..255", 255), ("0..1", 1), ("-1..1", 1)])
def test_images_are_scaled_to_the_range_that_is_told(told, high):
    x = np.linspace(0, 255, 40 * 64).reshape(40, 8, 8, 1).astype(np.uint8)
    _, samples = point._sources(0.25, 0, SweepSettings(pixels=told), None, (x, np.arange(40) % 4))
    assert samples.x_train.dtype == np.float32
    assert max(samples.x_train.max(), samples.x_test.max()) == pytest.approx(high)
    assert samples.pixels == (told or "0..255")


def test_a_range_of_data_that_are_no_pixels_is_refused():
    x = np.linspace(-5, 900, 40 * 64).reshape(40, 8, 8, 1)
    with pytest.raises(DataError, match=r"`pixels='0\.\.1'` applies to one input of images"):
        point._sources(0.25, 0, SweepSettings(pixels="0..1"), None, (x, np.arange(40) % 4))
