"""What runs in the converter's process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tflite_sparse.progress import Step


def convert_saved_model(folder: str, samples: np.ndarray | None, io: str, activations: str, on_step: Step) -> bytes:
    """Convert the SavedModel in ``folder``: float32 without ``samples``, else calibrated on them and quantised."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    if samples is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: _batches_of_one(samples, on_step)
        sets = tf.lite.OpsSet
        integer = {
            "int8": sets.TFLITE_BUILTINS_INT8,
            "int16": sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
        }
        converter.target_spec.supported_ops = [integer[activations]]
        converter.inference_input_type = converter.inference_output_type = tf.as_dtype(io)
    return bytes(converter.convert())


def _batches_of_one(samples: np.ndarray, on_step: Step) -> Iterator[list[Any]]:
    for done in range(len(samples)):
        yield [samples[done : done + 1]]
        on_step(done + 1, len(samples))
