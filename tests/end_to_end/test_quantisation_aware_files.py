"""Inspect and encode files with fake quantisation as the converter writes them, in float32 and in int8."""

import numpy as np
import pytest

from tflite_sparse.commands import encode as encode_command
from tflite_sparse.commands.inspect import inspect
from tflite_sparse.sources import tensorflow_import


@pytest.fixture(scope="module")
def files(keras2, tmp_path_factory):
    """Return files by whether weights are stored int8. The last kernel has 90 % zeros; nothing is trained."""
    import tensorflow_model_optimization as tfmot

    tf, layers, folder = tensorflow_import.tensorflow(), keras2.layers, tmp_path_factory.mktemp("aware")
    keras2.utils.set_random_seed(0)
    inputs = layers.Input((8, 8, 2))
    hidden = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(16, 3, use_bias=False)(inputs)))
    model = keras2.Model(inputs, layers.Dense(64)(layers.Flatten()(layers.DepthwiseConv2D(3)(hidden))))
    kernel = model.layers[-1].get_weights()
    kernel[0][np.random.default_rng(0).random(kernel[0].shape) < 0.9] = 0
    model.layers[-1].set_weights(kernel)
    aware = tfmot.quantization.keras.quantize_model(model)
    found = {}
    for is_int8 in (False, True):
        converter = tf.lite.TFLiteConverter.from_keras_model(aware)
        converter.optimizations = [tf.lite.Optimize.DEFAULT] if is_int8 else []
        found[is_int8] = folder / f"{is_int8}.tflite"
        found[is_int8].write_bytes(converter.convert())
    return found


@pytest.mark.slow
@pytest.mark.parametrize("is_int8", [False, True], ids=["float", "int8"])
def test_inspect_and_encode(files, is_int8, tmp_path):
    found = inspect(files[is_int8])
    assert [answer.loads for answer in found.runtimes[:3]] == [True] * 3
    dense = next(each for each in found.constants if each.shape == (64, 4 * 4 * 16))
    assert dense.dtype == ("int8" if is_int8 else "float32")
    assert dense.operator == ("FULLY_CONNECTED" if is_int8 else "QUANTIZE")
    assert dense.sparsity == pytest.approx(0.9, abs=0.02)
    report = encode_command.encode(files[is_int8], tmp_path / "sparse.tflite")
    assert report.verification.passed
    assert report.verification.weights.equal == report.verification.weights.compared == 3
    assert all(check.outputs_bit_exact for check in report.verification.runtimes)
    assert (report.file_bytes < 0.6 * report.source_bytes) is is_int8  # QUANTIZE reads no sparse constant
