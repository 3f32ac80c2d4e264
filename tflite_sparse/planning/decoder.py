"""Decode a sparse file to its dense file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tflite_sparse.codecs.layout import Layout
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import (
    drop_unread_buffers,
    drop_unread_last_tensors,
    drop_unread_operator_codes,
    graphs,
)
from tflite_sparse.flatbuffer.types import Model
from tflite_sparse.rewrites import (
    decode_op,
    densify,
    factored_conv,
    fully_connected_as_conv,
    native_fully_connected,
    sparse_operator,
)

TensorKey = tuple[int, int]
"""A tensor: index of its subgraph, its index there."""


@dataclass(frozen=True, slots=True)
class Former:
    """The constants that were sparse before decoding, as (subgraph, tensor index).

    Attributes:
        densified: constants that a DENSIFY rebuilt.
        native: layouts of weights that their operator read sparse.
        decoded: constants that a DECODE of TensorFlow Lite Micro rebuilt.
        computed: weights that a TFLITE_SPARSE of TensorFlow Lite Micro computed on.
    """

    densified: frozenset[TensorKey]
    native: Mapping[TensorKey, Layout]
    decoded: frozenset[TensorKey] = frozenset()
    computed: frozenset[TensorKey] = frozenset()

    @property
    def count(self) -> int:
        """Number of these constants."""
        return len(self.densified) + len(self.native) + len(self.decoded) + len(self.computed)

    @property
    def is_for_micro(self) -> bool:
        """Return whether the model was one for TensorFlow Lite Micro."""
        return bool(self.decoded or self.computed)


def decode_file(source: Path, destination: Path) -> Former:
    """Decode the ``.tflite`` at ``source`` to ``destination``, which may be the same path.

    Store sparse constants dense, remove DENSIFY operators and undo the rewrites of this package. Weights stay equal bit
    for bit; a file without sparse constants keeps its contents. An archive of associated files behind the model is
    kept.

    Raises:
        FlatbufferError: ``source`` cannot be read, or the result would exceed the 2 GiB of a ``.tflite`` file.
        OutputError: ``destination`` cannot be written.
    """
    model = serde.read(source)
    former = decode_model(model)
    serde.write(model, destination, serde.archive_of(source))
    return former


def is_sparse(model: Model) -> bool:
    """Return whether any constant of a parsed model is stored sparse, or compressed for TensorFlow Lite Micro."""
    if any(tensor.sparsity is not None for subgraph in model.subgraphs for tensor in subgraph.tensors):
        return True
    return any(decode_op.is_present(graph) or sparse_operator.is_present(graph) for graph in graphs(model))


def decode_model(model: Model) -> Former:
    """Edit a parsed model so that every constant in it is dense.

    Tensors keep their indices; unused ones at the end are removed.

    Raises:
        FlatbufferError: a sparse constant is damaged, or its operator takes none.
    """
    computed = frozenset((graph.number, index) for graph in graphs(model) for index in sparse_operator.undo(graph))
    decoded = frozenset((graph.number, index) for graph in graphs(model) for index in decode_op.undo(graph))
    shapes = {
        (graph.number, index): shape
        for graph in graphs(model)
        for undo in (fully_connected_as_conv.undo, factored_conv.undo)
        for index, shape in undo(graph).items()
    }
    native = {
        (graph.number, index): layout
        for graph in graphs(model)
        for index, layout in native_fully_connected.undo(graph).items()
    }
    densified = frozenset((graph.number, index) for graph in graphs(model) for index in densify.undo(graph))
    for (number, index), shape in shapes.items():
        model.subgraphs[number].tensors[index].shape = np.array(shape, np.int32)
    drop_unread_operator_codes(model)
    drop_unread_last_tensors(model)
    drop_unread_buffers(model)
    return Former(densified, native, decoded, computed)
