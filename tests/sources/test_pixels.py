"""Test which range of pixels data have, and images in another one."""

import numpy as np
import pytest

from tflite_sparse.errors import DataError
from tflite_sparse.sources import dataset, pixels
from tflite_sparse.sources.named_arrays import Signature
from tflite_sparse.sources.source_model import InputSpec, OutputSpec

SHAPE = (10, 4, 4, 3)
SIGNATURE = Signature((InputSpec("x", (None, *SHAPE[1:]), np.dtype(np.float32)),), (OutputSpec("y", (None, 2)),))


def images(low, high, dtype="float32", shape=SHAPE):
    return np.linspace(low, high, int(np.prod(shape))).astype(dtype).reshape(shape)


@pytest.mark.parametrize(
    ("x", "found"),
    [
        (images(0, 255, "uint8"), "0..255"),
        (images(0, 1, "uint8"), "0..255"),  # dark images
        (images(0, 255, "uint8", (10, 16)), "0..255"),
        (images(0, 255), "0..255"),
        (images(0, 255, "int64"), "0..255"),
        (images(0, 1), "0..1"),
        (images(-1, 1), "-1..1"),
        (images(-2, 2), None),
        (images(0, 256), None),
        (images(0, 1, shape=(10, 4, 4, 2)), None),
        (images(0, 1, shape=(10, 1, 16, 1)), None),  # a sequence
        (images(0, 1, shape=(10, 16)), None),
        ({"x": images(0, 1)}, None),
        (np.zeros((0, 4, 4, 3)), None),
    ],
)
def test_ranges(x, found):
    assert pixels.of_array(x) == found


def test_both_parts_tell():
    assert pixels.of_parts(images(0, 1), images(0, 1)) == "0..1"
    assert pixels.of_parts(images(0, 1), images(-1, 1)) == "-1..1"
    assert pixels.of_parts(images(0, 1), images(0, 255)) == "0..255"
    assert pixels.of_parts(images(0, 1), images(0, 300)) is None


@pytest.mark.parametrize("given", pixels.RANGES)
@pytest.mark.parametrize("wanted", pixels.RANGES)
def test_conversion(given, wanted):
    ends = {"0..255": (0, 255), "0..1": (0, 1), "-1..1": (-1, 1)}
    found = pixels.converted(images(*ends[given]), given, wanted)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, images(*ends[wanted]), atol=1e-6 * ends[wanted][1])


@pytest.mark.parametrize(("told", "high"), [(None, 255), ("0..255", 255), ("0..1", 1)])
def test_a_data_set_is_scaled_to_what_is_told(told, high):
    data = (images(0, 255, "uint8"), np.arange(10) % 2)
    found = dataset.of_model(data, SIGNATURE, pixels=told)
    assert found.pixels == (told or "0..255")
    assert max(found.x_train.max(), found.x_test.max()) == high
    assert found.x_train.dtype == np.float32


def test_what_is_no_image_is_refused():
    with pytest.raises(DataError, match=r"`pixels='0\.\.1'` applies to one input of images"):
        dataset.of_model((images(-3, 3), np.arange(10) % 2), SIGNATURE, pixels="0..1")


def test_a_model_of_integers_is_refused():
    integers = Signature((InputSpec("x", (None, *SHAPE[1:]), np.dtype(np.uint8)),), SIGNATURE.outputs)
    data = (images(0, 255, "uint8"), np.arange(10) % 2)
    with pytest.raises(DataError, match="takes uint8 pixels"):
        dataset.of_model(data, integers, pixels="0..1")
    assert dataset.of_model(data, integers).pixels == "0..255"
