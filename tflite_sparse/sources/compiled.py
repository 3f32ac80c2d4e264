"""Read the loss and the optimizer that a model was compiled with, without running code of its file."""

from __future__ import annotations

import json
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from tflite_sparse.sources.keras_types import KerasModel, Optimizer

_SCALARS = (str, numbers.Real)  # numbers of NumPy are real ones too


@dataclass(frozen=True)
class Compiled:
    """What a model was compiled with.

    Attributes:
        loss: as it was given to ``compile`` or is written in a file: a name, a configuration, an object of a model in
            memory, or one of them for each output.
        optimizer: name of its class.
        options: numbers and texts of its configuration.
    """

    loss: object
    optimizer: str | None = None
    options: Mapping[str, object] = field(default_factory=dict)

    @property
    def rate(self) -> float | None:
        """Its learning rate; None where that is a schedule or not known."""
        rate = self.options.get("learning_rate")
        found = float(rate) if isinstance(rate, numbers.Real) else 0.0
        return found if found > 0 else None

    def loss_of(self, keras: ModuleType) -> object | None:
        """Return the loss for ``compile``; None if Keras has none of that name."""
        return _loss(keras, self.loss)

    def optimizer_of(self, keras: ModuleType, learning_rate: object) -> Optimizer | None:
        """Return a new optimizer of that class with another learning rate; None if Keras has no such class."""
        made = getattr(keras.optimizers, self.optimizer or "", None)
        if not isinstance(made, type) or not hasattr(made, "from_config"):
            return None
        try:
            optimizer: Optimizer = made.from_config({**self.options, "learning_rate": learning_rate})
        except (TypeError, ValueError, KeyError):  # of another version of Keras: the caller takes another optimizer
            return None
        return optimizer


def of_model(model: KerasModel) -> Compiled | None:
    """Return what a model in memory was compiled with; None if it was not."""
    loss, optimizer = getattr(model, "loss", None), getattr(model, "optimizer", None)
    if not loss:
        return None
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if inner is None or not hasattr(inner, "get_config"):
        return Compiled(loss)
    return Compiled(loss, type(inner).__name__, _scalars(inner.get_config()))


def of_config(config: object) -> Compiled | None:
    """Return what the configuration of a ``.keras`` file says; None if the model was not compiled."""
    return _of_written(config.get("compile_config"), "optimizer") if isinstance(config, Mapping) else None


def of_hdf5(path: Path) -> Compiled | None:
    """Return what an HDF5 file says; None if the model was not compiled."""
    import h5py

    with h5py.File(path, "r") as file:
        written = file.attrs.get("training_config")
    if written is None:
        return None
    try:
        return _of_written(json.loads(written), "optimizer_config")
    except (ValueError, TypeError, RecursionError):  # damaged: as if the model was not compiled
        return None


def _of_written(found: object, key: str) -> Compiled | None:
    if not isinstance(found, Mapping) or not found.get("loss"):
        return None
    optimizer = found.get(key)
    if not isinstance(optimizer, Mapping):
        return Compiled(found["loss"])
    config = optimizer.get("config")
    if isinstance(config, Mapping) and isinstance(config.get("inner_optimizer"), Mapping):  # it scales the loss
        optimizer = config["inner_optimizer"]
    name = str(optimizer.get("class_name")).rpartition(">")[2]
    return Compiled(found["loss"], name, _scalars(optimizer.get("config")))


def _scalars(config: object) -> dict[str, object]:
    """Return numbers and texts of a configuration: what is nested could name code."""
    if not isinstance(config, Mapping):
        return {}
    return {str(key): value for key, value in config.items() if isinstance(value, _SCALARS)}


def _loss(keras: ModuleType, saved: object) -> object | None:
    if isinstance(saved, str):
        try:
            keras.losses.get(saved)
        except ValueError:  # there is none of that name
            return None
        return saved
    if isinstance(saved, Mapping) and "class_name" in saved:
        if saved["class_name"] == "function":
            return _loss(keras, str(saved.get("config")))
        made = getattr(keras.losses, str(saved["class_name"]), None)
        if not isinstance(made, type) or not issubclass(made, keras.losses.Loss):
            return None
        options = {name: value for name, value in _scalars(saved.get("config")).items() if name != "fn"}
        try:
            loss: object = made(**options)
        except (TypeError, ValueError):  # options of another version of Keras
            return None
        return loss
    if isinstance(saved, Mapping):
        each = {str(name): _loss(keras, value) for name, value in saved.items()}
        return None if None in each.values() else each
    if isinstance(saved, Sequence):
        listed = [_loss(keras, value) for value in saved]
        return None if None in listed else listed
    return saved if callable(saved) else None
