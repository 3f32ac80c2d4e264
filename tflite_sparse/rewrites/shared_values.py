"""Let the kept weights of a tensor share a few integers.

Needs: a constant int8 weight of CONV_2D or FULLY_CONNECTED with positive scales and zero points of 0, at least 2,048
values, and a third or more of them 0. That share leaves out each output and input of which every weight is 0: these are
dead channels as a rule, and what remains without them may be dense and gain nothing.
Leaves: the tensor with at most so many values other than 0. Zeros, scales and shape are unchanged, so the file is an
ordinary dense one; there is no way back to the former weights.

Trained sharing is due to Han, Mao and Dally, "Deep Compression" (2016); here the values are chosen after training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tflite_sparse.codecs import clustering
from tflite_sparse.flatbuffer.graph import Graph, Use, graphs, scales_of, text, zero_points_of
from tflite_sparse.flatbuffer.types import Model, Tensor

LEAST_WEIGHTS = 2048
LEAST_SPARSITY = 1 / 3
WHICH = (
    f"an int8 weight of CONV_2D or FULLY_CONNECTED with {LEAST_WEIGHTS:,} values, a third of them zeros; outputs and "
    "inputs that are all zero do not count"
)
"""Which weights share values, in words."""

_KINDS = ("CONV_2D", "FULLY_CONNECTED")
_WEIGHT_POSITION = 1


@dataclass(frozen=True, slots=True)
class Shared:
    """One tensor whose weights share values.

    Attributes:
        graph: index of its subgraph.
        tensor: its index there.
        name: of the tensor.
        kept: weights that are not 0.
        values_before: distinct ones among them.
        values: distinct ones now.
        error: root of the mean squared change of a kept weight over that of its former value, in real units.
    """

    graph: int
    tensor: int
    name: str
    kept: int
    values_before: int
    values: int
    error: float


def shareable(model: Model) -> Iterator[tuple[Graph, int]]:
    """Yield each weight that :func:`apply` takes: its graph and the index of its tensor, in file order."""
    for graph in graphs(model):
        for index, uses in sorted(graph.uses().items()):
            if has_form(graph, index, uses) and is_sparse(graph, index):
                yield graph, index


def apply(graph: Graph, index: int, count: int) -> Shared:
    """Replace the kept weights of a tensor by at most ``count`` integers of the least squared error in real units.

    The error of a weight counts by the square of its channel's scale.

    Args:
        graph: of a parsed model.
        index: of a tensor that :func:`shareable` yields.
        count: of the integers other than 0.
    """
    values, tensor = graph.constant(index), graph.tensor(index)
    assert values is not None
    importance = _importance(tensor, values)
    (shared,) = shared_each(graph, index, (count,))
    change = float(((shared.astype(np.float64) - values) ** 2 * importance).sum())
    size = float((values.astype(np.float64) ** 2 * importance).sum())
    if change:
        graph.store(tensor, shared)
    return Shared(
        graph=graph.number,
        tensor=index,
        name=text(tensor.name),
        kept=int(np.count_nonzero(values)),
        values_before=_distinct(values),
        values=_distinct(shared),
        error=(change / size) ** 0.5 if size else 0.0,
    )


def shared_each(graph: Graph, index: int, counts: Sequence[int]) -> Iterator[np.ndarray]:
    """Yield the weights that :func:`apply` stores for each of several counts, int8; the graph stays as it is."""
    values = graph.constant(index)
    assert values is not None
    for shared in clustering.share_each(values, _importance(graph.tensor(index), values), counts):
        yield shared.astype(np.int8)


def _distinct(values: np.ndarray) -> int:
    """Return the number of different int8 values beside 0."""
    return int(np.count_nonzero(np.bincount(values.reshape(-1).view(np.uint8))[1:]))


def has_form(graph: Graph, index: int, uses: list[Use], former_size: int | None = None) -> bool:
    """Return whether a tensor is a weight that can share values, however many of its own are 0.

    Args:
        graph: of a parsed model.
        index: of the tensor.
        uses: of the tensor.
        former_size: number of its values before channels left the file, which the least number is about; None: all are
            there.
    """
    tensor = graph.tensor(index)
    if tensor.sparsity is not None or not all(
        use.position == _WEIGHT_POSITION and graph.operator_name(use.operator) in _KINDS for use in uses
    ):
        return False
    values = graph.constant(index)
    scales = scales_of(tensor)
    if values is None or values.dtype != np.int8 or not scales.size:
        return False
    if (values.size if former_size is None else former_size) < LEAST_WEIGHTS:
        return False
    if not (np.isfinite(scales).all() and (scales > 0).all()):
        return False
    return not zero_points_of(tensor).any()


def is_sparse(graph: Graph, index: int) -> bool:
    """Return whether enough values of a weight are 0, beside dead channels, for it to share the others."""
    values = graph.constant(index)
    assert values is not None
    kept = values != 0
    for axis in (0, values.ndim - 1):  # outputs and inputs
        others = tuple(each for each in range(values.ndim) if each != axis)
        kept = kept.compress(kept.any(axis=others), axis=axis)
    return bool(kept.size - np.count_nonzero(kept) >= LEAST_SPARSITY * kept.size)


def _importance(tensor: Tensor, values: np.ndarray) -> np.ndarray:
    """The square of the scale of each weight, the largest being 1, float64 of the shape of ``values``."""
    scales = scales_of(tensor).astype(np.float64)
    squared: np.ndarray = (scales / scales.max()) ** 2
    if squared.size > 1:
        assert tensor.quantization is not None
        shape = [1] * values.ndim
        shape[int(tensor.quantization.quantizedDimension)] = -1
        squared = squared.reshape(shape)
    return np.broadcast_to(squared, values.shape)
