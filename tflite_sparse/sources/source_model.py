"""What every source of a model offers to the stages after it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tflite_sparse.errors import ModelError
from tflite_sparse.sources.arrays import Arrays


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
class Layer:
    """A layer, with weights or without.

    Attributes:
        name: its path in the model, ``"mobile/block_3/relu"``. Its operators are named ``path/...`` in a model that was
            saved for conversion with ``named`` (of a SavedModel always).
        owner: its class, or several joined by ``+``: of a wrapper also what it wraps, of a SavedModel its operators.
    """

    name: str
    owner: str


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


@dataclass(frozen=True, slots=True)
class Loops:
    """The loops over time steps of a model.

    Attributes:
        any: whether there are any.
        mixed: whether the converter makes one operator of some and not of all.
        unrollable: whether they can be written step by step.
    """

    any: bool = False
    mixed: bool = False
    unrollable: bool = False


@dataclass(frozen=True, slots=True)
class Trace:
    """How a model is saved for the converter.

    Attributes:
        shapes: of the inputs by their names, where they are to be more definite than the model says: loops need a fixed
            batch, unrolling a fixed number of steps.
        unrolled: whether recurrent layers are written step by step.
        named: whether operators must be named after the layers that they are of.
    """

    shapes: Mapping[str, tuple[int | None, ...]] = field(default_factory=dict, hash=False)
    unrolled: bool = False
    named: bool = False


AS_IT_IS = Trace()


class SourceModel(Protocol):
    """A model with weights that can be read and written, and that can be saved for the converter."""

    name: str

    def inputs(self) -> tuple[InputSpec, ...]:
        """The inputs of the signature that is converted."""

    def outputs(self) -> tuple[OutputSpec, ...]:
        """The outputs of that signature."""

    def kernels(self) -> list[Kernel]:
        """Every trainable weight of rank 2 or more, each once."""

    def layers(self) -> list[Layer]:
        """Every layer that may have operators, each once."""

    def variables(self) -> Iterator[tuple[str, np.ndarray]]:
        """Name and values of every float variable: kernels, biases, statistics."""

    def layer_kinds(self) -> Counter[str]:
        """How many layers (or operators) of each class it has; for error messages."""

    def compute(self, x: Arrays) -> dict[str, np.ndarray]:
        """What it yields for samples (of several inputs by their names), as float32, by the names of its outputs."""

    def loops(self) -> Loops:
        """What loops over time steps there are. The converter needs a fixed batch for them."""

    def save_for_conversion(self, folder: Path, trace: Trace = AS_IT_IS) -> None:
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
