"""Number the channels of a graph's activations, and find those that can only go together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tflite_sparse.flatbuffer.graph import Graph, shape_of

_MOST_CHANNELS = 1 << 22
"""In one graph: shapes in a damaged file may announce any number, and each takes a few bytes of memory."""


@dataclass(frozen=True, slots=True)
class Channels:
    """The channels of a graph, numbered through: a channel is an index on the last axis of an activation.

    Attributes:
        first: number of the first channel of each activation, by tensor.
        sizes: number of channels of each activation, by tensor.
        total: number of all channels.
    """

    first: Mapping[int, int]
    sizes: Mapping[int, int]
    total: int

    @classmethod
    def of(cls, graph: Graph) -> Channels | None:
        """Number the channels of every activation that has a shape; None if there are too many to look at."""
        rebuilt = rebuilt_constants(graph)
        first, sizes, total = {}, {}, 0
        for index, tensor in enumerate(graph.subgraph.tensors):
            shape = shape_of(tensor)
            if shape and index not in rebuilt and not graph.is_constant(index):
                first[index], sizes[index] = total, shape[-1]
                total += shape[-1]
        return cls(first, sizes, total) if total <= _MOST_CHANNELS else None

    def __contains__(self, tensor: int) -> bool:
        return tensor in self.first

    def of_tensor(self, tensor: int) -> np.ndarray:
        """Return the numbers of a tensor's channels, int64, in their order."""
        return np.arange(self.sizes[tensor]) + self.first[tensor]


def rebuilt_constants(graph: Graph) -> dict[int, int]:
    """Return the constant behind each tensor that a DEQUANTIZE makes of one, as of float16 weights, by tensor."""
    return {
        int(operator.outputs[0]): int(operator.inputs[0])
        for operator in graph.operators
        if graph.operator_name(operator) == "DEQUANTIZE" and graph.is_constant(int(operator.inputs[0]))
    }


def components(total: int, ties: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return a label for each channel, int64 ``(total,)``: that of the least channel which it is tied to.

    Args:
        total: number of channels.
        ties: pairs of arrays of one length: each entry of the first is tied to that of the second.
    """
    labels = np.arange(total)
    if not ties:
        return labels
    one, two = (np.concatenate(column) for column in zip(*ties, strict=True))
    while True:
        a, b = labels[one], labels[two]
        apart = a != b
        if not apart.any():
            return labels
        np.minimum.at(labels, np.maximum(a, b)[apart], np.minimum(a, b)[apart])
        for _ in range(math.ceil(math.log2(total)) + 1):  # each pass halves the longest chain to a root
            labels = labels[labels]
