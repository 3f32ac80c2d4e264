"""Find the constant of a dense file that each kernel of a model became."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tflite_sparse.flatbuffer.graph import Graph, dtype_of, graphs
from tflite_sparse.flatbuffer.types import Model
from tflite_sparse.rewrites.dead_channels.cut import Slice
from tflite_sparse.sources.source_model import Kernel

# Quantisation moves a value by half a step of 127 at most, about 1 % of the mean magnitude; more if all channels share
# one scale. Unrelated kernels differ by about the sum of their magnitudes.
_MOST_DISTANCE = 0.25


@dataclass(frozen=True, slots=True)
class Cut:
    """What is left of a constant: a part of the one of ``shape`` in the file with all channels."""

    shape: tuple[int, ...]
    slice: Slice


@dataclass(frozen=True, slots=True)
class Constant:
    """The location of a kernel in a file.

    Attributes:
        graph: index of the subgraph.
        tensor: index in it.
        axes: the order of the kernel's axes in the file, for ``numpy.transpose``, without axes of size 1.
        cut: what is left of it in a file without some channels; None: all.
    """

    graph: int
    tensor: int
    axes: tuple[int, ...]
    cut: Cut | None = None

    def in_file(self, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Return an array of the kernel's shape, such as its mask, in the ``shape`` and order of the file."""
        ordered = values.transpose(self.axes)
        if self.cut is None:
            return ordered.reshape(shape)
        return self.cut.slice.of(ordered.reshape(self.cut.shape)).reshape(shape)


def find(kernels: Sequence[Kernel], model: Model) -> dict[str, Constant]:
    """Return the constant of each kernel by name, without kernels that cannot be identified.

    A constant is recognised by its values: in some order of the axes they are the kernel's, with a factor for each
    output channel. So a kernel is found under any name, transposed, quantised, or with a batch normalisation folded
    into it.

    Args:
        kernels: of the model that the file was made from, with the same weights.
        model: the parsed dense file, int8 or float.
    """
    places = list(_constants(model))
    found: dict[str, Constant] = {}
    taken: set[tuple[int, int]] = set()
    for kernel in kernels:
        values = np.abs(kernel.read().astype(np.float32))
        best, least = None, _MOST_DISTANCE
        for graph, index, constant in places:
            if constant.size != values.size or (graph, index) in taken:
                continue
            for axes in _orders(kernel.shape, constant.shape):
                distance = _distance(values.transpose(axes), kernel.axes[0] % values.ndim, axes, constant)
                if distance < least:
                    best, least = Constant(graph, index, axes), distance
        if best is not None:
            found[kernel.name] = best
            taken.add((best.graph, best.tensor))
    return found


def _constants(model: Model) -> Iterator[tuple[int, int, np.ndarray]]:
    for graph in graphs(model):
        for index in sorted(graph.uses()):
            values = graph.constant(index) if _holds_weights(graph, index) else None
            if values is not None and values.ndim >= 2:
                yield graph.number, index, values


def _holds_weights(graph: Graph, index: int) -> bool:
    dtype = dtype_of(graph.tensor(index))
    return dtype is not None and (dtype == np.int8 or dtype.kind == "f")


def _orders(shape: tuple[int, ...], stored: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield every order of axes in which an array of ``shape`` has the shape ``stored``, ignoring axes of size 1."""
    wanted = [size for size in stored if size > 1]
    for axes in itertools.permutations(range(len(shape))):
        if [shape[axis] for axis in axes if shape[axis] > 1] == wanted:
            yield axes


def _distance(values: np.ndarray, outputs: int, axes: tuple[int, ...], constant: np.ndarray) -> float:
    """Return the distance of the magnitudes of kernel and constant relative to the kernel's, channels scaled to 1."""
    stored = np.abs(constant.astype(np.float32)).reshape(values.shape)
    others = tuple(axis for axis in range(values.ndim) if axes[axis] != outputs)
    wanted, found = _scaled(values, others), _scaled(stored, others)
    return float(np.abs(wanted - found).sum() / max(wanted.sum(), np.finfo(np.float32).tiny))


def _scaled(magnitudes: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    largest = magnitudes.max(axis=axes, keepdims=True)
    return np.asarray(magnitudes / np.where(largest > 0, largest, 1))
