"""Define the interface of a model source, which the stages use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from tflite_sparse.errors import ModelError
from tflite_sparse.sources.arrays import Arrays


class UniqueNames:
    """Numbers names that were given before: ``kernel``, ``kernel (2)``."""

    def __init__(self) -> None:
        self._given: Counter[str] = Counter()

    def of(self, name: str) -> str:
        """Return a name, with its number from the second time on."""
        self._given[name] += 1
        return name if self._given[name] == 1 else f"{name} ({self._given[name]})"


@dataclass(frozen=True, eq=False)
class Kernel:
    """A weight, of rank 2 or more unless it belongs to a group of channels.

    Attributes:
        name: its path in the model: ``"sequential/dense/kernel"``. No other kernel of the model has it.
        owner: the layer's class (``"Dense"``), or the operators that read it (``"MatMul"``).
        shape: in the model: ``(in, out)``, ``(h, w, in, out)``, ...
        read: returns the values, float.
        write: sets the values.
        axes: the output and the input axis in the file; of several input axes, the innermost one in the file.
    """

    name: str
    owner: str
    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]
    write: Callable[[np.ndarray], object]
    axes: tuple[int, int] = (-1, -2)

    @property
    def size(self) -> int:
        """Number of weights."""
        return int(np.prod(self.shape))


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer, with or without weights.

    Attributes:
        name: its path in the model, ``"mobile/block_3/relu"``. Its operators are named ``path/...`` if the model was
            saved for conversion with ``named``, and always in a SavedModel.
        owner: its class, or several joined by ``+``: a wrapper also names its layer, a SavedModel its operators.
    """

    name: str
    owner: str

    @property
    def in_words(self) -> str:
        """The layer in a sentence: ``layer 'net/dense' (Dense)``."""
        return f"layer {self.name!r} ({self.owner})"


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One input: its name in the signature, its shape (None: any size; the first entry is the batch), its dtype."""

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype


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
        mixed: whether the converter makes one operator of some, but not of all.
        unrollable: whether they can be written step by step.
    """

    any: bool = False
    mixed: bool = False
    unrollable: bool = False


@dataclass(frozen=True, slots=True)
class Trace:
    """How a model is saved for the converter.

    Attributes:
        shapes: fixed input shapes by input name: loops need a fixed batch, unrolling a fixed number of steps.
        unrolled: whether recurrent layers are written step by step.
        named: whether operators must be named after their layers.
    """

    shapes: Mapping[str, tuple[int | None, ...]] = field(default_factory=dict, hash=False)
    unrolled: bool = False
    named: bool = False


AS_IT_IS = Trace()


class SourceModel(Protocol):
    """A model whose weights can be read and written, and which can be saved for the converter."""

    name: str

    def inputs(self) -> tuple[InputSpec, ...]:
        """Return the inputs of the signature to convert."""

    def outputs(self) -> tuple[OutputSpec, ...]:
        """Return the outputs of that signature."""

    def kernels(self) -> list[Kernel]:
        """Return every trainable weight of rank 2 or more, each once."""

    def layers(self) -> list[Layer]:
        """Return every layer that may have operators, each once."""

    def variables(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield name and values of every float variable: kernels, biases, statistics."""

    def layer_kinds(self) -> Counter[str]:
        """Return the number of layers (or operators) of each class, for error messages."""

    def compute(self, x: Arrays) -> dict[str, np.ndarray]:
        """Return the float32 outputs for samples by output name; samples of several inputs come by input name."""

    def compute_many(self, x: Arrays) -> dict[str, np.ndarray]:
        """Return the same as :meth:`compute` but for rounding, in less time: from a graph, if the model has one."""

    def loops(self) -> Loops:
        """Return the loops over time steps. The converter needs a fixed batch for them."""

    def save_for_conversion(self, folder: Path, trace: Trace = AS_IT_IS) -> None:
        """Write the model as a SavedModel with one signature, ``serving_default``."""


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
