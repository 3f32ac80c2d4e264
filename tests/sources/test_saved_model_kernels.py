"""Name the kernels of SavedModels, whose variables may share a name."""

import numpy as np
import pytest

from tflite_sparse.commands import prunable
from tflite_sparse.errors import ModelError
from tflite_sparse.pruning import masks, planned_masks
from tflite_sparse.pruning.plan import KernelPlan, Plan
from tflite_sparse.pruning.schedule import ConstantSchedule
from tflite_sparse.sources import keras_model, tensorflow_import


def opened(folder):
    """Variables called ``kernel``, as those of a subclassed model of Keras 3 that was built by loading its file."""
    tf = tensorflow_import.tensorflow()
    generator = np.random.default_rng(0)
    module = tf.Module()
    module.all = [tf.Variable(generator.normal(size=(64, 64)).astype(np.float32), name="kernel") for _ in range(3)]

    @tf.function(input_signature=[tf.TensorSpec((None, 64), tf.float32)])
    def call(x):
        for variable in module.all:
            x = tf.matmul(x, variable)
        return {"y": x}

    tf.saved_model.save(module, str(folder / "net"), signatures=call)
    return keras_model.open_model(folder / "net")


def test_each_kernel_has_a_name_and_a_mask_of_its_own(tmp_path):
    kernels = opened(tmp_path).kernels()
    assert [each.name for each in kernels] == ["kernel", "kernel (2)", "kernel (3)"]
    before = [each.read() for each in kernels]
    schedule = ConstantSchedule(0.75, 0, 1, 1)
    planned_masks.mask_at_once(Plan(tuple(KernelPlan(kernel, schedule) for kernel in kernels)))
    for kernel, values in zip(kernels, before, strict=True):
        kept = masks.magnitude_mask(values, 0.75)
        np.testing.assert_array_equal(kernel.read(), values * kept)


def test_a_model_without_layers_is_not_trained_and_the_message_says_what_it_is(tmp_path):
    source = opened(tmp_path)
    with pytest.raises(ModelError, match="is a SavedModel without its Keras model: prune trains Sequential"):
        prunable.trainable(source)
    source.what = "is a subclassed model, no Sequential or functional one"
    with pytest.raises(ModelError, match=r"is a subclassed model, .*MagnitudePruning prunes others"):
        prunable.trainable(source)
