"""Read constants of a graph as dense arrays, whether stored dense or sparse."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np

from tflite_sparse.codecs import csr
from tflite_sparse.codecs.csr import Encoded
from tflite_sparse.codecs.layout import Layout
from tflite_sparse.codecs.sparsity_parameters import from_table
from tflite_sparse.errors import FlatbufferError
from tflite_sparse.flatbuffer.graph import Graph, dtype_of, shape_of, text
from tflite_sparse.flatbuffer.types import SparsityParameters


def dense_values(graph: Graph, index: int) -> np.ndarray | None:
    """Return a constant as a dense array, decoded if it is sparse; None if the tensor is no constant.

    Raises:
        FlatbufferError: it is sparse and inconsistent.
    """
    table = graph.tensor(index).sparsity
    if table is None:
        return graph.constant(index)
    with _naming(graph, index):
        return csr.decode(_encoded(graph, index, table))


def layout_of(graph: Graph, index: int) -> Layout:
    """Return the layout of a constant.

    Raises:
        FlatbufferError: it is sparse and inconsistent.
    """
    tensor = graph.tensor(index)
    if tensor.sparsity is None:
        return Layout(shape_of(tensor))
    with _naming(graph, index):
        return _encoded(graph, index, tensor.sparsity).layout


def vectors(graph: Graph, index: int) -> list[np.ndarray]:
    """Return the stored vectors of a constant: its values, then segments and indices of each compressed level."""
    tensor = graph.tensor(index)
    found = [graph.model.buffers[tensor.buffer].data]
    for level in [] if tensor.sparsity is None else tensor.sparsity.dimMetadata or []:
        tables = (level.arraySegments, level.arrayIndices)
        found += [table.values for table in tables if table is not None]
    return [np.asarray(vector) for vector in found if vector is not None]


def stored_bytes(graph: Graph, index: int) -> int:
    """Return the bytes of a constant as stored, without its tables."""
    return sum(vector.nbytes for vector in vectors(graph, index))


def _encoded(graph: Graph, index: int, table: SparsityParameters) -> Encoded:
    tensor, values = graph.tensor(index), graph.stored_values(index)
    empty = np.zeros(0, dtype_of(tensor) or np.dtype(np.int8))
    return from_table(table, shape_of(tensor), empty if values is None else values)


@contextlib.contextmanager
def _naming(graph: Graph, index: int) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        name = text(graph.tensor(index).name)
        raise FlatbufferError(f"sparse tensor {name!r} is damaged: {error}.") from error
