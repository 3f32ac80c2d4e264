"""Define a callback without a Keras import: both generations call only these methods."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import SupportsFloat, TypedDict

from tflite_sparse.sources.keras_types import KerasModel

Logs = MutableMapping[str, SupportsFloat] | None
"""Losses and metrics by name; of Keras 2 they may be tensors. Callbacks that come later see what one adds."""


class FitParameters(TypedDict, total=False):
    """Length of a training: epochs, and steps of one epoch; None if unknown."""

    epochs: int | None
    steps: int | None


class Hooks:
    """Every hook of a Keras callback, doing nothing. Subclasses handle batches of training only.

    A class derived from ``keras.callbacks.Callback`` would belong to one generation, and defining it would import
    TensorFlow.
    """

    model: KerasModel
    params: FitParameters

    def __init__(self) -> None:
        self.params = {}

    def set_model(self, model: KerasModel) -> None:
        """Receive the model, before training."""
        self.model = model

    def set_params(self, params: FitParameters) -> None:
        """Receive ``epochs`` and ``steps`` (of one epoch; None if unknown), before training."""
        self.params = params

    def on_train_begin(self, logs: Logs = None) -> None:
        """Run before the first step."""

    def on_train_end(self, logs: Logs = None) -> None:
        """Run after the last step, unless it fails."""

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Run before each epoch."""

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Run after each epoch."""

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Run before each execution of one step or several."""

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Run after each execution, with the number of its last step in the epoch, from 0."""

    def on_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """The older name of ``on_train_batch_begin``; not used."""

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        """The older name of ``on_train_batch_end``; not used."""

    def on_test_begin(self, logs: Logs = None) -> None:
        """Not used."""

    def on_test_end(self, logs: Logs = None) -> None:
        """Not used."""

    def on_test_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Not used."""

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Not used."""

    def on_predict_begin(self, logs: Logs = None) -> None:
        """Not used."""

    def on_predict_end(self, logs: Logs = None) -> None:
        """Not used."""

    def on_predict_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Not used."""

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Not used."""

    # Keras 2 asks its own callbacks for these. Logs may be tensors; converting them would wait for every step.

    _supports_tf_logs = True

    def _implements_train_batch_hooks(self) -> bool:
        return True

    def _implements_test_batch_hooks(self) -> bool:
        return False

    def _implements_predict_batch_hooks(self) -> bool:
        return False
