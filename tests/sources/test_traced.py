"""Save a traced model again with only its new weights; it equals a new trace."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tflite_sparse.sources import traced
from tflite_sparse.sources.keras_model import from_memory
from tflite_sparse.sources.source_model import AS_IT_IS, Trace


def _model(generation):
    layers = generation.layers
    generation.utils.set_random_seed(0)
    return generation.Sequential(
        [layers.Input((6, 6, 2)), layers.Conv2D(3, 3), layers.BatchNormalization(), layers.Flatten(), layers.Dense(4)]
    )


@pytest.mark.slow
@pytest.mark.parametrize("generation", [keras, tf_keras])
def test_the_second_save_holds_the_weights_of_its_time(generation, tmp_path):
    model = _model(generation)
    source = from_memory(model)
    source.save_for_conversion(tmp_path / "first")
    model.set_weights([weight + 1 for weight in model.get_weights()])
    source.save_for_conversion(tmp_path / "second")
    from_memory(model).save_for_conversion(tmp_path / "new")

    first, second, new = (
        tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / name)).convert() for name in ("first", "second", "new")
    )
    assert second == new
    assert second != first
    assert not (tmp_path / "second" / "fingerprint.pb").exists()  # only weights were written, else this tests nothing


def test_a_trace_of_another_form_is_one_of_its_own(tmp_path):
    source = from_memory(_model(keras))
    source.save_for_conversion(tmp_path / "free", AS_IT_IS)
    (name,) = (spec.name for spec in source.inputs())
    source.save_for_conversion(tmp_path / "one", Trace({name: (1, 6, 6, 2)}))
    served = tf.saved_model.load(str(tmp_path / "one")).signatures["serving_default"]
    assert served.structured_input_signature[1][name].shape.as_list() == [1, 6, 6, 2]


def test_a_checkpoint_laid_out_otherwise_is_saved_as_a_whole_each_time(tmp_path, monkeypatch):
    monkeypatch.setattr(traced, "_OBJECTS", "another name")
    model = _model(keras)
    source = from_memory(model)
    source.save_for_conversion(tmp_path / "first")
    model.set_weights([weight + 1 for weight in model.get_weights()])
    source.save_for_conversion(tmp_path / "second")
    served = tf.saved_model.load(str(tmp_path / "second")).signatures["serving_default"]
    x = np.ones((1, 6, 6, 2), np.float32)
    (output,) = served(tf.constant(x)).values()
    np.testing.assert_allclose(output, model(x), rtol=1e-6)
    assert (tmp_path / "second" / "fingerprint.pb").exists()
