"""Test constants of a graph, dense and sparse, and their sizes."""

import numpy as np
import pytest

from helpers import tiny_models
from tflite_sparse.codecs import constants, csr
from tflite_sparse.codecs.layout import Layout
from tflite_sparse.codecs.sparsity_parameters import to_table
from tflite_sparse.errors import FlatbufferError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import Graph

VALUES = np.array([[0, 3, 0, 0], [0, 0, 0, 2], [5, 0, 7, 0]], np.int8)
ROWS = Layout((3, 4), (0, 1), (False, True))


def graph_of(values, layout=None):
    """One constant, index 0, stored in a layout; read back from bytes."""
    tiny = tiny_models.Tiny()
    index = tiny.constant("weight", values)
    if layout is not None:
        encoded = csr.encode(values, layout)
        tiny.graph.tensors[index].sparsity = to_table(encoded)
        tiny.model.buffers[1].data = encoded.values.view(np.uint8)
    model = serde.parse(bytes(serde.serialize(tiny.finished([], [index]))))
    return Graph(model, model.subgraphs[0])


def test_a_sparse_constant_is_its_dense_array_in_its_layout():
    graph = graph_of(VALUES, ROWS)
    np.testing.assert_array_equal(constants.dense_values(graph, 0), VALUES)
    assert constants.layout_of(graph, 0) == ROWS
    vectors = [vector.tolist() for vector in constants.vectors(graph, 0)]
    assert vectors == [[3, 2, 5, 7], [0, 1, 2, 4], [1, 3, 0, 2]]  # values, segments, indices
    assert constants.stored_bytes(graph, 0) == 12


def test_a_dense_constant_is_as_it_is():
    graph = graph_of(VALUES.astype(np.int16))
    np.testing.assert_array_equal(constants.dense_values(graph, 0), VALUES)
    assert constants.layout_of(graph, 0) == Layout((3, 4))
    (vector,) = constants.vectors(graph, 0)
    assert vector.tobytes() == VALUES.astype(np.int16).tobytes()
    assert constants.stored_bytes(graph, 0) == 24


def test_a_constant_of_zeros_alone_has_no_values_to_store():
    graph = graph_of(np.zeros((3, 4), np.float32), ROWS)
    found = constants.dense_values(graph, 0)
    assert (found.dtype, found.shape, found.any()) == (np.float32, (3, 4), False)


def test_what_is_no_constant_has_no_values():
    graph = graph_of(VALUES)
    graph.tensor(0).buffer = 0
    assert constants.dense_values(graph, 0) is None


@pytest.mark.parametrize("read", [constants.dense_values, constants.layout_of])
def test_a_damaged_one_is_named(read):
    graph = graph_of(VALUES, ROWS)
    graph.tensor(0).sparsity.traversalOrder = np.array([1, 1], np.int32)
    with pytest.raises(FlatbufferError, match="sparse tensor 'weight' is damaged: traversal order"):
        read(graph, 0)
