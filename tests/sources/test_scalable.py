"""Test the built-in network of ``sweep``."""

import pytest

from tflite_sparse.pruning import masks
from tflite_sparse.settings import SweepSettings
from tflite_sparse.sources import scalable, tensorflow_import
from tflite_sparse.sources.keras_model import KerasSource


@pytest.mark.parametrize("side", [8, 28])
def test_the_narrowest_network_has_a_kernel_to_prune(side):
    """Of digits (8 by 8) and MNIST: else the defaults of a sweep fail."""
    keras = tensorflow_import.keras3()
    width = min(SweepSettings.model_fields["width"].default)
    model = scalable.build(keras, width, (side, side, 1), 10)
    kernels = masks.prunable_while_training(KerasSource(model, keras, "net").kernels())
    assert [kernel.name for kernel in kernels] == ["hidden/kernel"]
