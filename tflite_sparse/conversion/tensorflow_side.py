"""What runs in the converter's process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tflite_sparse.progress import Step
from tflite_sparse.sources.arrays import Arrays, count, take


def convert_saved_model(folder: str, samples: Arrays | None, io: str, activations: str, on_step: Step) -> bytes:
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


def _batches_of_one(samples: Arrays, on_step: Step) -> Iterator[Any]:
    """One sample after the other, of the only input in a list, of several by their names in the signature."""
    for done in range(count(samples)):
        sample = take(samples, slice(done, done + 1))
        yield sample if isinstance(sample, dict) else [sample]
        on_step(done + 1, count(samples))
