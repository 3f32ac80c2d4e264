"""Protocols of Keras objects, with attributes that both generations have, unless a comment names one.

Attributes of single classes are looked up where they are used, with ``hasattr`` or ``getattr``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, SupportsFloat, TypeGuard

import numpy as np


class Variable(Protocol):
    """A weight of a layer or a variable of an optimizer, of Keras or of TensorFlow."""

    name: str
    shape: Sequence[int]
    dtype: object

    def numpy(self) -> np.ndarray:
        """Return its values."""

    def assign(self, value: np.ndarray, /) -> object:
        """Set its values."""


class SymbolicTensor(Protocol):
    """An input or an output of a model; a size that may change is None in its shape."""

    name: str
    shape: Sequence[int | None]
    dtype: object


class KerasLayer(Protocol):
    """A layer or a model."""

    name: str
    built: bool
    weights: Sequence[Variable]
    variables: Sequence[Variable]
    trainable_variables: Sequence[Variable]
    call: Callable[..., object]

    def __call__(self, *inputs: object, **options: object) -> object:
        """Return its outputs, one tensor or a structure of them."""

    def _flatten_layers(self, include_self: bool = True, recursive: bool = True) -> Iterable[KerasLayer]: ...


class RecurrentLayer(KerasLayer, Protocol):
    """An LSTM, GRU, SimpleRNN or another layer with a cell."""

    cell: Cell
    return_sequences: bool
    return_state: bool
    go_backwards: bool
    stateful: bool

    def reset_state(self) -> None:
        """Set its states to zero (Keras 3)."""


class Cell(Protocol):
    """The computation of a recurrent layer at each time step."""

    state_size: object
    activation: object

    def __call__(self, inputs: object, states: Sequence[object], /, *, training: bool) -> tuple[object, object]:
        """Return the output and the states after the step."""


class Optimizer(Protocol):
    """An optimizer, also one that scales the loss."""

    iterations: Variable
    learning_rate: SupportsFloat
    variables: Sequence[Variable] | Callable[[], Sequence[Variable]]

    def build(self, variables: Sequence[Variable], /) -> object:
        """Make its variables for each of these weights."""


class History(Protocol):
    """The result of ``fit``."""

    history: Mapping[str, Sequence[float]]


class KerasModel(KerasLayer, Protocol):
    """A model. It has an optimizer, a loss and a training function once it is compiled."""

    layers: Sequence[KerasLayer]
    inputs: Sequence[SymbolicTensor]
    outputs: Sequence[SymbolicTensor]
    input: object
    input_dtype: object  # Keras 3
    optimizer: Optimizer
    loss: object
    train_function: object
    stop_training: bool

    @classmethod
    def from_config(cls, config: object, *, custom_objects: Mapping[str, object]) -> KerasModel:
        """Build a model from its configuration."""

    def get_config(self) -> object:
        """Return its configuration, as JSON."""

    def get_build_config(self) -> Mapping[str, object] | None:
        """Return the shapes that it was built with."""

    def _get_save_spec(self) -> object:
        """Return the signature that it was called with, or None (tf_keras)."""

    def get_weights(self) -> list[np.ndarray]:
        """Return the values of all weights."""

    def set_weights(self, values: Sequence[np.ndarray], /) -> None:
        """Set the values of all weights."""

    def load_weights(self, path: str, /) -> object:
        """Read the weights of a file."""

    def save_weights(self, path: str, /) -> object:
        """Write the weights to a file."""

    def save(self, path: Path, /) -> object:
        """Write the model to a file."""

    def export(self, path: str, /) -> object:
        """Write the model as a SavedModel."""

    def count_params(self) -> int:
        """Return the number of weights."""

    def compile(self, *, optimizer: Optimizer | str, loss: object) -> None:
        """Set what it is trained with."""

    def make_train_function(self, *, force: bool) -> object:
        """Trace the training step."""

    def fit(self, *data: object, **options: object) -> History:
        """Train."""

    def evaluate(self, *data: object, **options: object) -> object:
        """Return the loss, or a list of it and of what else it is compiled with."""


def is_model(value: object) -> TypeGuard[KerasModel]:
    """Return whether an object is a Keras model of either generation."""
    return hasattr(value, "save_weights") and not roots_of(value).isdisjoint(("keras", "tf_keras"))


def roots_of(value: object) -> set[str]:
    """Return the packages that define the classes of an object."""
    return {base.__module__.partition(".")[0] for base in type(value).__mro__}
