"""Both generations of Keras."""

import pytest

from tflite_sparse.sources import tensorflow_import


@pytest.fixture(params=["keras3", "keras2"])
def keras(request):
    return getattr(tensorflow_import, request.param)()
