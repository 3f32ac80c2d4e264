"""Test what is read of the loss and the optimizer that a model was compiled with."""

import numpy as np
import pytest

from tflite_sparse.sources import compiled, keras_model
from tflite_sparse.sources.compiled import Compiled


def network(keras):
    return keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])


@pytest.mark.parametrize("suffix", ["keras", "h5", None])
def test_what_it_was_compiled_with(suffix, keras, tmp_path):
    model = network(keras)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.25, momentum=0.5), loss)
    if suffix is None:
        source = keras_model.from_memory(model)
    else:
        model.save(tmp_path / f"net.{suffix}")
        source = keras_model.open_model(tmp_path / f"net.{suffix}")
    found = source.compiled
    assert (found.optimizer, found.rate) == ("SGD", 0.25)
    own = found.loss_of(keras)
    assert own is loss if suffix is None else own.get_config()["from_logits"] is True
    optimizer = found.optimizer_of(keras, 0.125)
    assert type(optimizer).__name__ == "SGD"
    assert optimizer.get_config()["momentum"] == 0.5
    assert float(np.asarray(optimizer.learning_rate)) == 0.125


def test_a_model_that_was_not_compiled(keras, tmp_path):
    model = network(keras)
    assert keras_model.from_memory(model).compiled is None
    model.save(tmp_path / "net.keras")
    assert keras_model.open_model(tmp_path / "net.keras").compiled is None


def test_a_copy_has_the_same(keras):
    model = network(keras)
    model.compile("adam", "mse")
    assert keras_model.from_memory(model).copied().compiled.loss == "mse"


def test_what_a_file_says_names_no_code(keras):
    """Nested values, and classes that are no losses or optimizers, are left out."""
    optimizer = {"class_name": "Adam", "config": {"learning_rate": {"module": "os", "class_name": "x"}, "beta_1": 0.5}}
    found = compiled.of_config({"compile_config": {"loss": "mse", "optimizer": optimizer}})
    assert found == Compiled("mse", "Adam", {"beta_1": 0.5})
    assert found.rate is None
    for loss in ("nonesuch", {"class_name": "Lambda", "config": {}}, {"a": "mse", "b": "nonesuch"}, ["nonesuch"], 3):
        assert Compiled(loss).loss_of(keras) is None
    assert Compiled({"class_name": "function", "config": "mse"}).loss_of(keras) == "mse"
    assert Compiled({"a": "mse", "b": "mae"}).loss_of(keras) == {"a": "mse", "b": "mae"}
    assert Compiled("mse", "nonesuch").optimizer_of(keras, 0.1) is None
    assert Compiled("mse", "Adam", {"nonesuch": 1}).optimizer_of(keras, 0.1) is None
    assert Compiled("mse").optimizer_of(keras, 0.1) is None
