"""Prune under ``tf.distribute.MirroredStrategy`` on two logical CPU devices; print JSON.

This is a program because logical devices must be set before TensorFlow starts.
"""

import itertools
import json

import numpy as np
from small_net import build, following, make_data, watched_fit

from tflite_sparse.pruning.schedule import PolynomialSchedule
from tflite_sparse.scoring import keras_score
from tflite_sparse.sources import keras_model, tensorflow_import


class Late:
    """Build a model whose variables are made by its first training step."""

    def __new__(cls, keras):
        class Subclassed(keras.Model):
            def __init__(self):
                super().__init__()
                self.blocks = [keras.layers.Dense(64, activation="relu") for _ in range(2)]
                self.out = keras.layers.Dense(3)

            def call(self, x):
                return self.out(self.blocks[1](self.blocks[0](x)))

        keras.utils.set_random_seed(2)
        model = Subclassed()
        model.compile(
            keras.optimizers.Adam(5e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False
        )
        return model


def train(generation, kind):
    """Return what was found of a model of ``generation``: in mixed precision, or with variables that are made late."""
    tf = tensorflow_import.tensorflow()
    keras = getattr(tensorflow_import, generation)()
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    keras.mixed_precision.set_global_policy("mixed_float16" if kind == "mixed" else "float32")
    with strategy.scope():
        model = Late(keras) if kind == "late" else build(keras, keras.optimizers.Adam(5e-3), jit_compile=False)
    schedule = PolynomialSchedule(0.2, 0.8, 3, 15, 4)
    pruning = following(schedule)
    seen = watched_fit(model, make_data(), pruning)
    variables = model.optimizer.variables
    inner = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    variables = inner.variables() if callable(inner.variables) else inner.variables
    masks = list(pruning.masks().values())
    slots = [np.asarray(v.numpy()) for v in variables if tuple(v.shape) in ((32, 64), (64, 64))]
    kernels = [np.asarray(w) for w in model.get_weights() if w.ndim == 2][:2]
    variables = [v if generation == "keras2" else v.value for v in model.trainable_variables]
    copies = [[copy.numpy() for copy in strategy.experimental_local_results(v)] for v in variables]
    rows = 0
    if kind == "mixed":
        x = make_data()[0][:10]
        rows = len(next(iter(keras_score.predicted(keras_model.KerasSource(model, keras, "net"), x).values())))
    return {
        "replicas": strategy.num_replicas_in_sync,
        "rows": rows,
        "zeros": [int(np.count_nonzero(weights[1] == 0)) for weights in seen] if kind != "late" else [],
        "final_zeros": [int(np.count_nonzero(values == 0)) for values in kernels],
        "slots": len(slots),
        "stray": sum(
            int(np.count_nonzero(slot[~mask])) for slot in slots for mask in masks if slot.shape == mask.shape
        ),
        "copies_agree": all(len(each) == 2 and np.array_equal(*each) for each in copies),
        "patched": sorted({"apply", "apply_gradients"} & set(vars(model.optimizer))),
    }


def main():
    tf = tensorflow_import.tensorflow()
    device = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * 2)
    cases = itertools.product(("keras2", "keras3"), ("mixed", "late"))
    print(json.dumps({f"{generation} {kind}": train(generation, kind) for generation, kind in cases}))


if __name__ == "__main__":
    main()
