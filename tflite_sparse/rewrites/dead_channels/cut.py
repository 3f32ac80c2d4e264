"""Where the constants of a smaller model lie in those of the model that it was made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Staying = Mapping[tuple[int, int], np.ndarray]
"""Channels that must stay, int64, by graph and activation: what is worked out of them does not hold in a runtime."""


LARGEST_WEIGHT = 127
"""Of int8, on either side of 0."""


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """A constant or an activation of the smaller model.

    Attributes:
        graph: number of its graph, which is the same in both models.
        tensor: its tensor in the former model.
        found: its tensor in the smaller model: another one where several operators read the former one.
        kept: for each axis of the former tensor the indices that are kept, ascending, int64; None: all.
        has_folded: whether constants were added: a bias, whose values are others.
        merged: of features that have one value, those that are kept and those that are not: int8 weights of the second
            are added to those of the first.
    """

    graph: int
    tensor: int
    found: int
    kept: tuple[np.ndarray | None, ...]
    has_folded: bool = False
    merged: tuple[tuple[np.ndarray, np.ndarray], ...] = ()

    def of(self, values: np.ndarray) -> np.ndarray:
        """Return the kept part of the former tensor's values."""
        for kept_features, others in self.merged:
            values = _merged(values, kept_features, others)
        for axis, kept in enumerate(self.kept):
            if kept is not None:
                values = np.take(values, kept, axis)
        return values


@dataclass(frozen=True, slots=True, eq=False)
class Predicted:
    """The constant channels of an activation that loses some of them, in the former model.

    Attributes:
        graph: number of its graph.
        tensor: the activation.
        channels: those that are constant, int64, ascending, also those that stay.
        values: what every kernel must compute there, in the numbers of the tensor.
    """

    graph: int
    tensor: int
    channels: np.ndarray
    values: np.ndarray


@dataclass(frozen=True, slots=True)
class Layer:
    """An operator with a kernel that lost channels.

    Attributes:
        graph: number of its graph.
        kernel: name of the kernel's tensor.
        operator: its kind in the schema.
        outputs: output channels before and after.
        inputs: channels of its source before and after.
    """

    graph: int
    kernel: str
    operator: str
    outputs: tuple[int, int]
    inputs: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Remaining:
    """Output channels of a kernel whose weights are all 0 and that stay.

    Attributes:
        graph: number of its graph.
        kernel: name of the kernel's tensor.
        operator: its kind in the schema.
        channels: how many.
        keeper: the kind of the operator that keeps them, or what else does.
        multiple: of the channels, that the keeper keeps so that built-in kernels round no channel in another way; 0: it
            keeps them for another reason.
    """

    graph: int
    kernel: str
    operator: str
    channels: int
    keeper: str
    multiple: int = 0


@dataclass(frozen=True, slots=True)
class Cut:
    """What was removed of a model.

    Attributes:
        slices: the constants that are smaller.
        activations: those that are smaller.
        predicted: the constant channels, to hold against a runtime.
        layers: what went, by operator in execution order.
        remaining: channels with weights of 0 that stay, by operator in execution order.
        is_exact: whether outputs stay equal to the bit: float32 kernels may sum in another order.
    """

    slices: tuple[Slice, ...] = ()
    activations: tuple[Slice, ...] = ()
    predicted: tuple[Predicted, ...] = ()
    layers: tuple[Layer, ...] = ()
    remaining: tuple[Remaining, ...] = ()
    is_exact: bool = True


def _merged(values: np.ndarray, kept: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return int8 weights with the sums of both sets of features in the first one, as much as fits in each."""
    left = values[..., kept].sum(axis=-1, dtype=np.int64) + values[..., others].sum(axis=-1, dtype=np.int64)
    merged = values.copy()
    for feature in kept:
        merged[..., feature] = np.clip(left, -LARGEST_WEIGHT, LARGEST_WEIGHT)
        left = left - merged[..., feature]
    return merged
