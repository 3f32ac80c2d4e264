"""A callback of no Keras in particular: both generations call it by these names and ask for nothing else."""

from __future__ import annotations

from typing import Any


class Hooks:
    """Every hook of a Keras callback, doing nothing. Subclasses see batches of training only.

    A class derived from ``keras.callbacks.Callback`` would be of one generation, and defining it would import
    TensorFlow.
    """

    model: Any
    params: dict[str, Any]

    def __init__(self) -> None:
        self.model = None
        self.params = {}

    def set_model(self, model: Any) -> None:
        """Called with the model, before training."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Called with ``epochs`` and ``steps`` (of one epoch, None where it is not known), before training."""
        self.params = params

    def on_train_begin(self, logs: Any = None) -> None:
        """Called before the first step."""

    def on_train_end(self, logs: Any = None) -> None:
        """Called after the last step, not if it fails."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Called before each epoch."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Called after each epoch."""

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Called before each execution of one step or several."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Called after each execution, with the number of its last step in the epoch, from 0."""

    def on_batch_begin(self, batch: int, logs: Any = None) -> None:
        """The older name of ``on_train_batch_begin``; not used."""

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        """The older name of ``on_train_batch_end``; not used."""

    def on_test_begin(self, logs: Any = None) -> None:
        """Not used."""

    def on_test_end(self, logs: Any = None) -> None:
        """Not used."""

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Not used."""

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Not used."""

    def on_predict_begin(self, logs: Any = None) -> None:
        """Not used."""

    def on_predict_end(self, logs: Any = None) -> None:
        """Not used."""

    def on_predict_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Not used."""

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        """Not used."""

    # What Keras 2 asks its own callbacks. Logs may be tensors: to turn them into numbers would wait for every step.

    _supports_tf_logs = True

    def _implements_train_batch_hooks(self) -> bool:
        return True

    def _implements_test_batch_hooks(self) -> bool:
        return False

    def _implements_predict_batch_hooks(self) -> bool:
        return False
