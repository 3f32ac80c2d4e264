"""Load a folder of images with a folder more than the model has classes."""

import numpy as np
import pytest

from tflite_sparse.errors import DataError
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.named_arrays import Signature
from tflite_sparse.sources.source_model import OutputSpec
from tflite_sparse.stages import load


def test_labels_that_do_not_fit_are_told_by_name():
    x, y = np.zeros((4, 2), np.float32), np.array([1, 2, 1, 2])  # of the empty folder there are no samples
    samples = Dataset("pictures", x, y, x, y, ("__MACOSX", "cat", "dog"))
    signature = Signature((), (OutputSpec("scores", (None, 2)),))
    words = r"labels run from 1 to 2, .* The 3 classes of pictures: '__MACOSX', 'cat', 'dog'\.$"
    with pytest.raises(DataError, match=words):
        load._check_labels(signature, samples, "auto")
