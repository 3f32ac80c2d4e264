"""Compare the weights of two files bit for bit."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tflite_sparse.base.progress import Step, ignore_steps
from tflite_sparse.codecs.constants import dense_values
from tflite_sparse.errors import VerificationError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import Graph, graphs, shape_of, text
from tflite_sparse.flatbuffer.types import Model, Tensor
from tflite_sparse.rewrites.dead_channels.cut import Slice
from tflite_sparse.verification.counterparts import partners
from tflite_sparse.verification.outputs import as_bytes


@dataclass(frozen=True, slots=True)
class WeightComparison:
    """Result of a comparison of weights.

    Attributes:
        tensors: number of constants of rank 2 and more in the reference.
        values: number of weights in them.
        missing: names of constants without a counterpart of the same size and type.
        different: names of constants whose counterpart differs in a bit.
    """

    tensors: int
    values: int
    missing: tuple[str, ...]
    different: tuple[str, ...]

    @property
    def equal(self) -> int:
        """Number of tensors that are equal bit for bit."""
        return self.tensors - len(self.missing) - len(self.different)


WeightKey = tuple[int, int]
"""A constant's subgraph and tensor index, which encoding keeps."""


def weights_of(model: Model) -> dict[WeightKey, np.ndarray]:
    """Return every constant of rank 2 and more, dense, in the shape of the file; sparse ones are decoded.

    Raises:
        FlatbufferError: a sparse tensor is inconsistent.
    """
    found: dict[WeightKey, np.ndarray] = {}
    for number, graph in enumerate(graphs(model)):
        for index in _weight_indices(graph):
            values = dense_values(graph, index)
            if values is not None:
                found[number, index] = values
    return found


def compare_weights(
    found: Model, wanted: Model, *, slices: Sequence[Slice] = (), on_step: Step = ignore_steps
) -> WeightComparison:
    """Compare every weight of the parsed model ``wanted`` bit for bit with its counterpart in ``found``.

    Counterparts have as many values of the same type, in the same order; their shapes may differ.
    :func:`tflite_sparse.verification.counterparts.partners` matches them by index and name. A weight without a
    counterpart, as in files of different converters, is matched by its contents.

    Args:
        found: the model to check.
        wanted: the reference.
        slices: the constants of which ``found`` has a part, with that part; biases that are not weights among them.
        on_step: receives (weights compared, all weights).

    Raises:
        FlatbufferError: a sparse tensor is inconsistent.
    """
    parts: dict[WeightKey, list[Slice]] = defaultdict(list)
    for part in slices:
        parts[part.graph, part.tensor].append(part)
    encoded, plain = list(graphs(found)), list(graphs(wanted))
    total = sum(_size(graph, index) for graph in plain for index in _weight_indices(graph))
    tensors = done = 0
    missing: list[str] = []
    different: list[str] = []
    for number, graph in enumerate(plain):
        other = encoded[number] if number < len(encoded) else None
        indices = _weight_indices(graph)
        known = {} if other is None else partners(indices, graph, _constants(other), other, _same_size)
        strangers = [] if other is None else sorted(set(_constants(other)) - set(known.values()))
        for index in indices:
            name = text(graph.tensor(index).name)
            expected = _bits(graph, index)
            cuts = parts.get((number, index))
            if cuts:
                if other is None or not all(_is_part(other, cut, graph) for cut in cuts):
                    different.append(name)
            elif index in known:
                assert other is not None
                if not np.array_equal(_bits(other, known[index]), expected):
                    different.append(name)
            elif other is None or not _holds(other, strangers, graph.tensor(index), expected):
                missing.append(name)
            done += _size(graph, index)
            on_step(done, total)
        tensors += len(indices)
        vectors = [each for key, cuts in parts.items() if key[0] == number for each in cuts if len(each.kept) == 1]
        for cut in vectors:
            if not cut.has_folded and (other is None or not _is_part(other, cut, graph)):
                different.append(text(graph.tensor(cut.tensor).name))
    return WeightComparison(tensors, total, tuple(missing), tuple(different))


def check_weights(sparse: Path, dense: Path, *, on_step: Step = ignore_steps) -> int:
    """Compare two files as :func:`compare_weights`; return the number of weights.

    Args:
        sparse: the file to check.
        dense: the reference.
        on_step: receives (weights compared, all weights).

    Raises:
        VerificationError: a weight is missing or differs; names the first such tensor.
        FlatbufferError: a file cannot be read.
    """
    found = compare_weights(serde.read(sparse), serde.read(dense), on_step=on_step)
    if found.missing:
        raise VerificationError(
            f"{sparse}: weight {found.missing[0]!r} of {dense} is missing or of another size or type."
        )
    if found.different:
        raise VerificationError(f"{sparse}: weight {found.different[0]!r} is not what {dense} holds.")
    return found.values


def _constants(graph: Graph) -> list[int]:
    """Return the constants of any rank that an operator reads."""
    return [index for index in sorted(graph.uses()) if graph.is_constant(index)]


def _weight_indices(graph: Graph) -> list[int]:
    return [index for index in _constants(graph) if len(shape_of(graph.tensor(index))) >= 2]


def _size(graph: Graph, index: int) -> int:
    return math.prod(shape_of(graph.tensor(index)))


def _same_size(a: Tensor, b: Tensor) -> bool:
    return bool(a.type == b.type) and math.prod(shape_of(a)) == math.prod(shape_of(b))


def _bits(graph: Graph, index: int) -> np.ndarray:
    """Return a constant's values as bytes; for types of partial bytes, such as int4, the whole buffer."""
    values = dense_values(graph, index)
    return as_bytes(graph.model.buffers[graph.tensor(index).buffer].data if values is None else values)


def _is_part(found: Graph, cut: Slice, former: Graph) -> bool:
    """Return whether a constant is the part of a former one, bit for bit, at its places."""
    if cut.found >= len(found.subgraph.tensors):
        return False
    one, two = dense_values(found, cut.found), dense_values(former, cut.tensor)
    if one is None or two is None or len(cut.kept) != two.ndim:
        return False
    part = cut.of(two)
    return one.dtype == part.dtype and one.size == part.size and np.array_equal(as_bytes(one), as_bytes(part))


def _holds(graph: Graph, indices: Sequence[int], tensor: Tensor, bits: np.ndarray) -> bool:
    """Return whether one of these constants of ``graph`` has type, size and contents of a tensor of another file."""
    return any(
        _same_size(graph.tensor(index), tensor) and np.array_equal(_bits(graph, index), bits) for index in indices
    )
