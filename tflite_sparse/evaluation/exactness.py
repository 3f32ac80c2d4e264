"""Whether one file computes exactly what another does: its weights, read back from disk, and its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tflite_sparse.encoding import csr
from tflite_sparse.encoding.sparsity_parameters import from_table
from tflite_sparse.errors import ExecutionError, FlatbufferError, VerificationError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import Graph, graphs, shape_of, text
from tflite_sparse.progress import Step, ignore_steps
from tflite_sparse.runtime import litert


@dataclass(frozen=True, slots=True)
class OutputComparison:
    """Two files in one runtime.

    Attributes:
        runtime: its name.
        samples: how many were run.
        bit_exact: whether all outputs are equal; None if the reference does not run there.
        largest_difference: in units of the output's dtype; None likewise.
        unavailable: why the reference does not run there, in one line.
    """

    runtime: str
    samples: int
    bit_exact: bool | None
    largest_difference: float | None
    unavailable: str | None = None


_UNKNOWN_SIZE = 32

WeightKey = tuple[int, int]
"""A constant's subgraph and tensor index. Encoding keeps both, whatever else it adds to a graph."""


def weights_of(model: Any) -> dict[WeightKey, np.ndarray]:
    """Every constant of rank 2 and more, dense, in the shape that the file announces; sparse ones are decoded.

    Raises:
        FlatbufferError: a sparse tensor contradicts itself.
    """
    found: dict[WeightKey, np.ndarray] = {}
    for number, graph in enumerate(graphs(model)):
        for index in sorted(graph.uses()):
            values = dense_values(graph, index)
            if values is not None and values.ndim >= 2:
                found[number, index] = values
    return found


def dense_values(graph: Graph, index: int) -> np.ndarray | None:
    """A constant as a dense array, decoded if it is stored sparse; None where the tensor is no constant."""
    tensor = graph.tensor(index)
    if tensor.sparsity is None:
        return graph.constant(index)
    values = graph.stored_values(index)
    stored = np.zeros(0, np.int8) if values is None else values
    try:
        return csr.decode(from_table(tensor.sparsity, shape_of(tensor), stored))
    except ValueError as error:
        raise FlatbufferError(f"sparse tensor {text(tensor.name)!r} is damaged: {error}.") from error


def check_weights(sparse: Path, dense: Path, *, on_step: Step = ignore_steps) -> int:
    """Read both files from disk and compare every weight bit for bit; return how many weights that were.

    Raises:
        VerificationError: a weight is missing or differs; names the first such tensor.
    """
    encoded, plain = serde.read(sparse), serde.read(dense)
    graph_list = list(graphs(encoded))
    reference = weights_of(plain)
    total = sum(values.size for values in reference.values())
    done = 0
    for (number, index), expected in reference.items():
        graph = graph_list[number]
        found = dense_values(graph, index)
        name = text(graph.tensor(index).name)
        if found is None or found.size != expected.size or found.dtype != expected.dtype:
            raise VerificationError(f"{sparse}: weight {name!r} of {dense} is missing or of another size or type.")
        if not _same_bits(found.reshape(-1), expected.reshape(-1)):
            raise VerificationError(f"{sparse}: weight {name!r} is not what {dense} holds.")
        done += expected.size
        on_step(done, total)
    return total


def compare_outputs(
    sparse: Path, dense: Path, samples: Sequence[np.ndarray] | np.ndarray, kernels: litert.Kernels
) -> OutputComparison:
    """Run both files on ``samples`` in one runtime and compare every output bit for bit.

    CompiledModel in 2.3.0 cannot run some models at all, such as those that end in a reshape to a computed shape; that
    says nothing about ``sparse``. The default interpreter must run both.

    Raises:
        ExecutionError: the default interpreter refuses ``dense``.
        VerificationError: the runtime takes ``dense`` and refuses ``sparse``.
    """
    count = len(samples) if isinstance(samples, np.ndarray) else len(samples[0])
    try:
        second = litert.run(dense, samples, kernels)
    except ExecutionError as error:
        if kernels == "default":
            raise
        return OutputComparison(litert.NAMES[kernels], count, None, None, f"the dense file does not run: {error}")
    try:
        first = litert.run(sparse, samples, kernels)
    except ExecutionError as error:
        raise VerificationError(f"the dense file runs, the sparse one does not: {error}") from error
    same = len(first.arrays) == len(second.arrays) and all(
        a.shape == b.shape and _same_bits(a, b) for a, b in zip(first.arrays, second.arrays, strict=True)
    )
    difference = 0.0
    if not same:
        difference = max(
            float(np.max(np.abs(a.astype(np.float64) - b.astype(np.float64)))) if a.shape == b.shape else np.inf
            for a, b in zip(first.arrays, second.arrays, strict=False)
        )
    return OutputComparison(litert.NAMES[kernels], count, same, difference)


def probe_inputs(path: Path, samples: np.ndarray | None, count: int, seed: int) -> list[np.ndarray]:
    """Inputs to compare two files on, one array for each input of the file at ``path``.

    The first three are the boundaries (all smallest, all largest, all at zero or the zero point), then real samples
    where there are any, else random values: over the whole range of a quantised input, standard normal for a float one.
    Sizes that may change are those of the samples, else 32.
    """
    generator = np.random.default_rng(seed)
    result = []
    for detail in litert.inputs(path):
        shape = tuple(size if size > 0 else _UNKNOWN_SIZE for size in detail.signature[1:])
        if samples is not None:
            shape = samples.shape[1:]
        low, high = _range(detail)
        edges = [np.full(shape, edge, detail.dtype) for edge in (low, high, detail.zero_point)]
        if samples is not None:
            rest = detail.quantised(samples[: max(count - len(edges), 1)])
        elif detail.dtype.kind in "iu":
            rest = generator.integers(low, high, (count, *shape), endpoint=True).astype(detail.dtype)
        else:
            rest = generator.standard_normal((count, *shape)).astype(detail.dtype)
        result.append(np.concatenate([np.stack(edges), rest])[:count] if count > len(edges) else rest[:count])
    return result


def _range(detail: litert.InputDetails) -> tuple[int, int]:
    if detail.dtype.kind not in "iu":
        return -4, 4
    if detail.scale == 0:  # token numbers or indices: only the smallest are valid in every model
        return 0, 1
    limits = np.iinfo(detail.dtype)
    return int(limits.min), int(limits.max)


def _same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.array_equal(np.ascontiguousarray(a).view(np.uint8), np.ascontiguousarray(b).view(np.uint8)))
