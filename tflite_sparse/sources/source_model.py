"""What every source of a model offers to the stages after it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tflite_sparse.errors import ModelError


@dataclass(frozen=True, eq=False)
class Kernel:
    """A weight of rank 2 or more.

    Attributes:
        name: its path in the model: ``"sequential/dense/kernel"``.
        owner: the layer's class (``"Dense"``), or the operators that read it (``"MatMul"``).
        shape: as the model has it: ``(in, out)``, ``(h, w, in, out)``, ...
        read: gives the values, float.
        write: sets the values.
        axes: which axis counts the outputs and which the inputs, as the file will have them; for a kernel of several
            input axes, the one whose neighbours are neighbours in the file.
    """

    name: str
    owner: str
    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]
    write: Callable[[np.ndarray], None]
    axes: tuple[int, int] = (-1, -2)

    @property
    def size(self) -> int:
        """Number of weights."""
        return int(np.prod(self.shape))


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One input: its name in the signature, its shape (None: any size; the first entry is the batch), its dtype."""

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """One output: its name and its shape (None: any size or unknown; the first entry is the batch)."""

    name: str
    shape: tuple[int | None, ...]


class SourceModel(Protocol):
    """A model with weights that can be read and written, and that can be saved for the converter."""

    name: str

    def inputs(self) -> tuple[InputSpec, ...]:
        """The inputs of the signature that is converted."""

    def outputs(self) -> tuple[OutputSpec, ...]:
        """The outputs of that signature."""

    def kernels(self) -> list[Kernel]:
        """Every trainable weight of rank 2 or more, each once."""

    def variables(self) -> Iterator[tuple[str, np.ndarray]]:
        """Name and values of every float variable: kernels, biases, statistics."""

    def layer_kinds(self) -> Counter[str]:
        """How many layers (or operators) of each class it has; for error messages."""

    def save_for_conversion(self, folder: Path) -> None:
        """Write it as a SavedModel with one signature, ``serving_default``."""


def check_finite(model: SourceModel) -> None:
    """Refuse a model whose weights or statistics hold NaN or infinity.

    Raises:
        ModelError: names the first such variable.
    """
    for name, values in model.variables():
        bad = int(np.count_nonzero(~np.isfinite(values)))
        if bad:
            raise ModelError(
                f"{model.name}: {name} holds {bad} NaN or infinite values; training diverged. "
                "Use a checkpoint from before that."
            )
