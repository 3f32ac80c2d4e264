"""Make a network of two kernels to prune and one that is too small, its data, and its gradients by hand."""

import numpy as np

from tflite_sparse.pruning import masks
from tflite_sparse.pruning.callback import AfterEachStep, MagnitudePruning
from tflite_sparse.pruning.plan import KernelPlan, Plan
from tflite_sparse.pruning.structure import UNSTRUCTURED
from tflite_sparse.sources import keras_model

BATCH, STEPS = 16, 24


def make_data():
    generator = np.random.default_rng(5)
    x = generator.normal(size=(BATCH * STEPS, 32)).astype(np.float32)
    return x, (x @ generator.normal(size=(32, 3))).argmax(-1)


def build(keras, optimizer, *, kernels=None, begun=True, **compiling):
    """Two kernels to prune (2,048 and 4,096 weights) and one that is too small (192).

    ``begun``: the optimizer has its variables; else Keras 3 makes them in the first training step, and traces it twice.
    """
    keras.utils.set_random_seed(2)
    layers, options = keras.layers, kernels or {}
    model = keras.Sequential(
        [
            layers.Input((32,)),
            layers.Dense(64, activation="relu", **options),
            layers.Dense(64, activation="relu", **options),
            layers.Dense(3),
        ]
    )
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True), **compiling)
    return with_slots(model) if begun else model


def with_slots(model):
    """Let an optimizer of Keras 3 make its variables."""
    if type(model).__module__.partition(".")[0] == "keras":
        model.optimizer.build(model.trainable_variables)
    return model


def watched_fit(model, data, pruning, epochs=1, **options):
    """Record the two kernels and the small one after each step, in a callback that runs after the pruning one."""
    seen = []
    watcher = AfterEachStep(lambda step: seen.append([np.array(w) for w in model.get_weights()[::2]]))
    model.fit(*data, batch_size=BATCH, epochs=epochs, shuffle=False, verbose=0, callbacks=[pruning, watcher], **options)
    return seen


def following(schedule, structure=UNSTRUCTURED):
    """Plan all prunable kernels along one schedule, without a check of the learning rate."""

    def planner(kernels, span):
        return Plan(tuple(KernelPlan(kernel, schedule, structure) for kernel in masks.prunable_of(kernels)))

    return MagnitudePruning(planner=planner, warn=lambda words: None)


def kernels_of(model):
    return masks.prunable(keras_model.from_memory(model))


def gradients_by_hand(weights, x, labels, sample_weights=None):
    """Gradients of the mean cross-entropy of Dense-relu-Dense-relu-Dense, in float64."""
    k1, b1, k2, b2, k3, b3 = weights
    h1 = np.maximum(x @ k1 + b1, 0)
    h2 = np.maximum(h1 @ k2 + b2, 0)
    logits = h2 @ k3 + b3
    share = np.exp(logits - logits.max(-1, keepdims=True))
    share /= share.sum(-1, keepdims=True)
    share[np.arange(len(x)), labels] -= 1
    if sample_weights is not None:
        share *= sample_weights[:, None]
    d3 = share / len(x)
    d2 = (d3 @ k3.T) * (h2 > 0)
    d1 = (d2 @ k2.T) * (h1 > 0)
    return [x.T @ d1, d1.sum(0), h1.T @ d2, d2.sum(0), h2.T @ d3, d3.sum(0)]
