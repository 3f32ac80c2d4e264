"""Provide a model with a prepared conversion: exporting it needs no TensorFlow, and everything else is real."""

from collections import Counter

import numpy as np

from helpers import tiny_models
from tflite_sparse.conversion import convert
from tflite_sparse.sources import keras_model, tensorflow_import
from tflite_sparse.sources.source_model import InputSpec, Loops, OutputSpec

SHAPE = (64, 600)  # outputs and inputs


class Source:
    """A model with the methods that an export needs, answered from its float32 file."""

    name = "known"

    def __init__(self, float32):
        self._float32 = float32

    def inputs(self):
        return (InputSpec("in_0", (None, SHAPE[1]), np.dtype(np.float32)),)

    def outputs(self):
        return (OutputSpec("out_0", (None, SHAPE[0])),)

    def kernels(self):
        return []

    def layers(self):
        return []

    def variables(self):
        return iter(())

    def layer_kinds(self):
        return Counter()

    def loops(self):
        return Loops()

    def compute(self, x):
        return {"out_0": np.concatenate([tiny_models.run_here(self._float32, row[None])[0] for row in x])}

    def compute_many(self, x):
        return self.compute(x)


def model(dtype):
    """Return the same layer in int8 and, except for its biases, in float32."""
    weights = tiny_models.sparse_weights(SHAPE)
    if dtype == "float32":
        weights = (weights * tiny_models.weight_scales(SHAPE[0], True)[:, None]).astype(np.float32)
    return tiny_models.fully_connected(SHAPE, dtype=dtype, weights=weights)


def install(monkeypatch, pruned_float32=None):
    """Make every opened model this one.

    Args:
        monkeypatch: of the test.
        pruned_float32: the file of the model after masking; None: the same as before.
    """
    float32 = tiny_models.to_bytes(model("float32"))
    files = iter([float32, pruned_float32 or float32])
    monkeypatch.setattr(keras_model, "check_path", lambda _: None)
    monkeypatch.setattr(tensorflow_import, "start", lambda _: None)
    monkeypatch.setattr(keras_model, "open_model", lambda *_, **__: Source(float32))
    monkeypatch.setattr(convert, "to_float32", lambda *_, **__: next(files))
    monkeypatch.setattr(convert, "to_int8", lambda *_, **__: tiny_models.to_bytes(model("int8")))


def data(path):
    """Write samples to an .npz file."""
    np.savez(path, x=np.random.default_rng(0).uniform(-6, 6, (20, SHAPE[1])).astype(np.float32))
    return path
