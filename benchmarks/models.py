"""Define the models that are measured: untrained, pruned by magnitude, with the same weights each time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from tflite_sparse.conversion.traces import Recurrent
from tflite_sparse.pruning import masks
from tflite_sparse.sources import demo, keras_model, tensorflow_import
from tflite_sparse.sources.source_model import Kernel, SourceModel

SPARSITY = 0.875
EVERY_KERNEL = f"all kernels of {masks.LEAST_PRUNABLE_SIZE:,} weights and more"
POINTWISE = "the 1x1 kernels that are not depthwise"

_SEED = 1
_NORMALISATION_BATCH = 8
_DENSE_WIDTH = 2048


@dataclass(frozen=True)
class ModelRecipe:
    """How to make one of the models.

    Attributes:
        key: its name on the command line.
        title: its name in the results.
        pruned: the kernels that are pruned, in words.
        build: makes the Keras model.
        is_pruned: tells whether a prunable kernel is pruned here.
        normalised: whether batch normalisations get statistics as after training. Otherwise all biases of the file are
            zero and take no bytes, as in the sizes that others quote.
        vocabulary: number of tokens, if the input is token numbers.
        keras: imports the generation of Keras for ``build``.
        recurrent: how its recurrent layers are converted.
    """

    key: str
    title: str
    pruned: str
    build: Callable[[ModuleType], Any]
    is_pruned: Callable[[Kernel], bool]
    normalised: bool = True
    vocabulary: int | None = None
    keras: Callable[[], ModuleType] = tensorflow_import.keras3
    recurrent: Recurrent = "auto"

    def make(self, sparsity: float = SPARSITY) -> SourceModel:
        """Return the model pruned to ``sparsity``, in memory."""
        keras = self.keras()
        keras.utils.set_random_seed(_SEED)
        model = self.build(keras)
        source = keras_model.from_memory(model)
        masks.mask_to([kernel for kernel in masks.prunable(source) if self.is_pruned(kernel)], sparsity)
        if self.normalised:
            _normalise(model, keras, self.samples(source, _NORMALISATION_BATCH))
        return source

    def samples(self, source: SourceModel, count: int) -> np.ndarray:
        """Return ``(count, *input shape)`` for the model's one input: standard normal float32, or token numbers."""
        spec = source.inputs()[0]
        generator = np.random.default_rng(_SEED)
        if self.vocabulary is not None:
            return generator.integers(self.vocabulary, size=(count, *spec.shape[1:])).astype(spec.dtype)
        return generator.standard_normal((count, *spec.shape[1:]), np.float32)


def _normalise(model: Any, keras: ModuleType, batch: np.ndarray) -> None:
    """Set the means and variances of batch normalisations to those of ``batch``.

    With means of 0 and variances of 1, activations shrink from layer to layer until the outputs of a deep untrained
    model do not depend on its input, and comparing outputs would mean nothing.
    """
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in layers:
        layer.momentum = 0.0
    if layers:
        model(batch, training=True)


def _mobilenet_as_made(keras: ModuleType) -> Any:
    return keras.applications.MobileNet(weights=None)


def _mobilenet(keras: ModuleType) -> Any:
    return keras.applications.MobileNet(weights=None, classifier_activation=None)


def _dense(keras: ModuleType) -> Any:
    layers = keras.layers
    hidden = [layers.Dense(_DENSE_WIDTH, activation="relu") for _ in range(3)]
    return keras.Sequential([keras.Input((_DENSE_WIDTH,)), *hidden, layers.Dense(10)], name="dense_stack")


def _resnet50(keras: ModuleType) -> Any:
    return keras.applications.ResNet50(weights=None, classifier_activation=None)


def is_pointwise(kernel: Kernel) -> bool:
    """Return whether it is one of :data:`POINTWISE`."""
    return kernel.shape[:2] == (1, 1)


def every(kernel: Kernel) -> bool:
    """Return True: every prunable kernel is pruned."""
    del kernel
    return True


def _demo(keras: ModuleType) -> Any:
    return demo.build(keras, _SEED)


RECIPES = {
    recipe.key: recipe
    for recipe in (
        ModelRecipe(
            "mobilenet",
            "MobileNet v1 1.0/224 as Keras makes it (all biases zero)",
            POINTWISE,
            _mobilenet_as_made,
            is_pointwise,
            normalised=False,
        ),
        ModelRecipe(
            "mobilenet-biased",
            "MobileNet v1 1.0/224 with biases as after training",
            POINTWISE,
            _mobilenet,
            is_pointwise,
        ),
        ModelRecipe(
            "dense",
            "three Dense 2048x2048 and a Dense 10",
            "the 2048x2048 kernels",
            _dense,
            lambda kernel: kernel.shape == (_DENSE_WIDTH, _DENSE_WIDTH),
        ),
        ModelRecipe("resnet50", "ResNet50", EVERY_KERNEL, _resnet50, every),
        ModelRecipe("demo", "demo CNN", EVERY_KERNEL, _demo, every),
    )
}
