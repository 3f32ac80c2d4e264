"""Test that the files of one model have the same bytes in every process.

Weights and samples are small integers, so that every sum is exact in float32 and the calibrated ranges do not depend on
the order of additions. The hashes are of files made with TensorFlow 2.21.0, before conversions ran in forks.

Some filters of the first convolution are all zeros. ``model.tflite`` is without these channels, ``all-channels.tflite``
with them.
"""

import hashlib

import numpy as np
import pytest
import tensorflow as tf

import tflite_sparse

FILES = {
    "litert": {
        "dense-float32.tflite": "7fc8e21c13c94dae20fe5943be55704b4e49bd4298423aa7b1264e4b270e12ae",
        "dense-int8.tflite": "670b70809a4538da5efe339f3b9021707ddeca002b021923f12a60855c3e0cc6",
        "all-channels.tflite": "ebb0238c42ecd24d120fefa9fbcdd926fc057855db8e07abe22ce653f227fe2a",
        "model.tflite": "37f65b7975aeb29c28b53d4ac8e6e620b425856fe810172af0ee2adc4958a520",
    },
    # These are more recent: for this target models are traced with a batch of 1, without the operators that compute the
    # batch before a RESHAPE.
    "micro": {
        "dense-float32.tflite": "581754d52a456343e7c7328ce456fa566695d12113e67fba97ccc5a41aae7b51",
        "dense-int8.tflite": "47e42c331d1783e6c434ebafd5fc1709dfa12d13b7f36c54ecd31ed0d2faa12f",
        "all-channels.tflite": "e928fe231d3e496ca2091f218a84f3452464920a593d23a1600214ebd2738225",
        "model.tflite": "c1c26522c2c0ed619dac981192c3d51419a5059e96b641613e0f2ac45a910360",
    },
}


@pytest.fixture(scope="module")
def integer_model(keras3):
    layers = keras3.layers
    model = keras3.Sequential(
        [
            layers.Input((8, 8, 1), name="image"),
            layers.Conv2D(16, 3, padding="same", activation="relu", name="conv1"),
            layers.Conv2D(32, 3, padding="same", activation="relu", name="conv2"),
            layers.MaxPooling2D(name="pool"),
            layers.Flatten(name="flatten"),
            layers.Dense(64, activation="relu", name="dense"),
            layers.Dense(10, name="logits"),
        ],
        name="integers",
    )
    generator = np.random.default_rng(0)
    signs = [-1, 0, 1]
    for layer in model.layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            layer.set_weights([generator.choice(signs, kernel.shape, p=[0.06, 0.88, 0.06]), bias])
    return model


@pytest.mark.parametrize("target", FILES)
def test_files_have_their_known_bytes(target, integer_model, tmp_path):
    x = np.random.default_rng(1).integers(0, 4, (40, 8, 8, 1)).astype(np.float32)
    report = tflite_sparse.export(integer_model, x, int8=True, target=target, calibration_samples=20, out=tmp_path)
    assert not report.gates.failures  # accuracy is not judged: what was pruned before is not known
    tflite_sparse.encode(
        tmp_path / "dense-int8.tflite", tmp_path / "all-channels.tflite", target=target, keep_channels=True
    )
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.glob("*.tflite")}
    assert found == FILES[target], f"made with TensorFlow {tf.__version__}"
