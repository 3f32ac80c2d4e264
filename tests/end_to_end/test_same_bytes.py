"""The files of one model are the same to the byte, whatever processes make them.

Weights and samples are small integers, so that every sum is exact in float32 and the ranges that calibration finds do
not depend on the order in which a processor adds. Hashes are of files made with TensorFlow 2.21.0, before conversions
ran in forks.
"""

import hashlib

import numpy as np
import pytest
import tensorflow as tf

import tflite_sparse

DENSE = {
    "dense-float32.tflite": "7fc8e21c13c94dae20fe5943be55704b4e49bd4298423aa7b1264e4b270e12ae",
    "dense-int8.tflite": "670b70809a4538da5efe339f3b9021707ddeca002b021923f12a60855c3e0cc6",
}
SPARSE = {
    "litert": "ebb0238c42ecd24d120fefa9fbcdd926fc057855db8e07abe22ce653f227fe2a",
    "micro": "fbe918d5117c5830e08d14263fbbbb13f3e57696fa4c5bc41347b0d2a227c071",
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


@pytest.mark.parametrize("target", ["litert", "micro"])
def test_files_have_the_bytes_that_they_always_had(target, integer_model, tmp_path):
    x = np.random.default_rng(1).integers(0, 4, (40, 8, 8, 1)).astype(np.float32)
    report = tflite_sparse.export(integer_model, x, int8=True, target=target, calibration_samples=20, out=tmp_path)
    assert report.gates.passed
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.glob("*.tflite")}
    assert found == {**DENSE, "model.tflite": SPARSE[target]}, f"made with TensorFlow {tf.__version__}"
