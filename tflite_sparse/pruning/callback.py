"""Magnitude pruning inside ``model.fit``, for Keras 2 and Keras 3 alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from tflite_sparse.pruning import masks
from tflite_sparse.pruning.schedule import PolynomialSchedule
from tflite_sparse.sources.source_model import Kernel


def magnitude_pruning(keras: ModuleType, kernels: Sequence[Kernel], schedule: PolynomialSchedule) -> Any:
    """A callback that makes masks along ``schedule`` and keeps masked weights at zero.

    After each optimizer step the masked weights are set back to zero. So the forward pass sees masked weights only,
    and since the optimizers of Keras work weight by weight, the unmasked ones move exactly as if the gradients of the
    others had been stopped (Zhu and Gupta 2017, section 3: "only unmasked weights are updated").

    Args:
        keras: the module whose ``fit`` it goes to, ``keras`` or ``tf_keras``.
        kernels: the kernels to prune, each masked on its own.
        schedule: when and how much.
    """
    found: list[np.ndarray] = []

    def after_step(step: int) -> None:
        if schedule.updates_at(step):
            sparsity = schedule.sparsity_at(step)
            found[:] = [masks.magnitude_mask(kernel.read(), sparsity) for kernel in kernels]
        if found:
            masks.apply_masks(kernels, found)

    return after_each_step(keras, after_step)


def fixed_masks(keras: ModuleType, kernels: Sequence[Kernel]) -> Any:
    """A callback that keeps at zero what is zero now; see :func:`magnitude_pruning`."""
    found = masks.current_masks(kernels)

    def after_step(step: int) -> None:
        del step
        masks.apply_masks(kernels, found)

    return after_each_step(keras, after_step)


def after_each_step(keras: ModuleType, action: Callable[[int], None]) -> Any:
    """A callback that calls ``action`` with the number of training steps done, after each."""

    class AfterEachStep(keras.callbacks.Callback):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.steps_done = 0

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            del batch, logs
            self.steps_done += 1
            action(self.steps_done)

    return AfterEachStep()
