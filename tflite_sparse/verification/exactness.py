"""Whether one file computes exactly what another does: its weights, read back from disk, and its outputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tflite_sparse.base.progress import Step, ignore_steps
from tflite_sparse.codecs.constants import dense_values
from tflite_sparse.errors import ExecutionError, VerificationError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import Graph, graphs, shape_of, text
from tflite_sparse.runtime import input_shapes, litert
from tflite_sparse.verification import probes
from tflite_sparse.verification.counterparts import partners


@dataclass(frozen=True, slots=True)
class OutputComparison:
    """Two files in one runtime.

    Attributes:
        runtime: its name.
        samples: how many were run.
        bit_exact: whether all outputs are equal; None if the reference does not run there.
        largest_difference: in units of the output's dtype; None likewise.
        unavailable: why the reference does not run there, in one line.
        share_of_range: ``largest_difference`` over the range of the output: of its dtype, or of the float values seen.
    """

    runtime: str
    samples: int
    bit_exact: bool | None
    largest_difference: float | None
    unavailable: str | None = None
    share_of_range: float | None = None


@dataclass(frozen=True, slots=True)
class WeightComparison:
    """The weights of two files.

    Attributes:
        tensors: how many constants of rank 2 and more the reference holds.
        values: how many weights those are.
        missing: names of those without a counterpart of the same size and type.
        different: names of those whose counterpart holds other bits.
    """

    tensors: int
    values: int
    missing: tuple[str, ...]
    different: tuple[str, ...]

    @property
    def equal(self) -> int:
        """How many of the tensors are equal bit for bit."""
        return self.tensors - len(self.missing) - len(self.different)


@dataclass(frozen=True, slots=True)
class OutputDifference:
    """One output that is not the same in both files.

    Attributes:
        name: of the output: the signature's, else its tensor's.
        index: among the outputs.
        samples: on how many it differs.
        largest: the largest difference in units of the dtype; None where shapes or dtypes differ, or infinity or NaN
            stand against something else.
        first_sample: the first on which it differs.
        worst_sample: the one on which it differs most: by no finite number, or by ``largest``.
    """

    name: str
    index: int
    samples: int
    largest: float | None
    first_sample: int
    worst_sample: int


WeightKey = tuple[int, int]
"""A constant's subgraph and tensor index. Encoding keeps both, whatever else it adds to a graph."""


def weights_of(model: Any) -> dict[WeightKey, np.ndarray]:
    """Every constant of rank 2 and more, dense, in the shape that the file announces; sparse ones are decoded.

    Raises:
        FlatbufferError: a sparse tensor contradicts itself.
    """
    found: dict[WeightKey, np.ndarray] = {}
    for number, graph in enumerate(graphs(model)):
        for index in _weight_indices(graph):
            values = dense_values(graph, index)
            if values is not None:
                found[number, index] = values
    return found


def compare_weights(sparse: Path, dense: Path, *, on_step: Step = ignore_steps) -> WeightComparison:
    """Read both files from disk and compare every weight of ``dense`` bit for bit with its counterpart in ``sparse``.

    Counterparts have as many values of the same type, in the same order; their shapes may differ. See
    :func:`tflite_sparse.verification.counterparts.partners` for how they are found; a weight that has none by name, as
    in files of different converters, is looked for by its contents.

    Args:
        sparse: the file to check.
        dense: the file that says how it must be.
        on_step: told (weights compared, weights in all).

    Raises:
        FlatbufferError: a file cannot be read.
    """
    encoded, plain = list(graphs(serde.read(sparse))), list(graphs(serde.read(dense)))
    total = sum(_size(graph, index) for graph in plain for index in _weight_indices(graph))
    tensors = done = 0
    missing: list[str] = []
    different: list[str] = []
    for number, graph in enumerate(plain):
        other = encoded[number] if number < len(encoded) else None
        wanted = _weight_indices(graph)
        found = {} if other is None else partners(wanted, graph, _constants(other), other, _same_size)
        strangers = [] if other is None else sorted(set(_constants(other)) - set(found.values()))
        for index in wanted:
            name = text(graph.tensor(index).name)
            expected = _bits(graph, index)
            if index in found:
                assert other is not None
                if not np.array_equal(_bits(other, found[index]), expected):
                    different.append(name)
            elif other is None or not _holds(other, strangers, graph.tensor(index), expected):
                missing.append(name)
            done += _size(graph, index)
            on_step(done, total)
        tensors += len(wanted)
    return WeightComparison(tensors, total, tuple(missing), tuple(different))


def check_weights(sparse: Path, dense: Path, *, on_step: Step = ignore_steps) -> int:
    """Do as :func:`compare_weights`, and return how many weights that were.

    Raises:
        VerificationError: a weight is missing or differs; names the first such tensor.
        FlatbufferError: a file cannot be read.
    """
    found = compare_weights(sparse, dense, on_step=on_step)
    if found.missing:
        raise VerificationError(
            f"{sparse}: weight {found.missing[0]!r} of {dense} is missing or of another size or type."
        )
    if found.different:
        raise VerificationError(f"{sparse}: weight {found.different[0]!r} is not what {dense} holds.")
    return found.values


def compare_outputs(
    sparse: Path, dense: Path, samples: Sequence[np.ndarray] | np.ndarray, kernels: litert.Kernels
) -> OutputComparison:
    """Run both files on ``samples`` in one runtime, on one thread, and compare every output bit for bit.

    On several threads built-in float kernels may add up in another order where DENSIFY stands before a DEQUANTIZE.

    CompiledModel in 2.3.0 cannot run some models at all, such as those that end in a reshape to a computed shape; that
    says nothing about ``sparse``. The default interpreter must run both.

    Raises:
        ExecutionError: the default interpreter refuses ``dense``.
        VerificationError: the runtime takes ``dense`` and refuses ``sparse``.
    """
    count = len(samples) if isinstance(samples, np.ndarray) else len(samples[0])
    try:
        second = litert.run(dense, samples, kernels, threads=1)
    except ExecutionError as error:
        if kernels == "default":
            raise
        return OutputComparison(litert.NAMES[kernels], count, None, None, f"the dense file does not run: {error}")
    try:
        first = litert.run(sparse, samples, kernels, threads=1)
    except ExecutionError as error:
        raise VerificationError(f"the dense file runs, the sparse one does not: {error}") from error
    same = len(first.arrays) == len(second.arrays) and all(map(same_bits, first.arrays, second.arrays))
    difference = share = 0.0
    if not same:
        pairs = list(zip(first.arrays, second.arrays, strict=False))
        sizes = [largest_difference(a, b) for a, b in pairs]
        distances = [math.inf if size is None else size for size in sizes]
        difference = max(distances, default=0.0)
        shares = [distance / range_of(b) for distance, (_, b) in zip(distances, pairs, strict=True) if distance]
        share = max(shares, default=0.0)  # 0.0 against -0.0, or outputs that are missing
    return OutputComparison(litert.NAMES[kernels], count, same, difference, share_of_range=share)


def range_of(array: np.ndarray) -> float:
    """The range of an integer dtype, or of the finite float values (1 where they are all the same)."""
    if array.dtype.kind in "iu":
        return float(np.iinfo(array.dtype).max) - float(np.iinfo(array.dtype).min)
    values = array[np.isfinite(array)].astype(np.float64)
    return float(np.ptp(values)) if values.size and np.ptp(values) > 0 else 1.0


def check_count(file: Path, found: litert.SeparateOutputs, expected: litert.SeparateOutputs) -> None:
    """Refuse outputs of ``file`` that are more or fewer than they must be.

    Raises:
        ExecutionError: they are.
    """
    if len(found.names) != len(expected.names):
        raise ExecutionError(f"{file} has {len(found.names)} outputs instead of {len(expected.names)}.")


def differences(found: litert.SeparateOutputs, expected: litert.SeparateOutputs) -> tuple[OutputDifference, ...]:
    """The outputs that differ in a bit, shape or dtype on any sample. Both hold as many outputs and samples."""
    result = []
    for index, name in enumerate(expected.names):
        pairs = [(a[index], b[index]) for a, b in zip(found.rows, expected.rows, strict=True)]
        places = [sample for sample, pair in enumerate(pairs) if not same_bits(*pair)]
        if places:
            distances = [largest_difference(*pairs[sample]) for sample in places]
            sizes = [math.inf if distance is None else distance for distance in distances]
            worst = sizes.index(max(sizes))
            result.append(OutputDifference(name, index, len(places), distances[worst], places[0], places[worst]))
    return tuple(result)


def probe_inputs(
    path: Path, samples: Sequence[np.ndarray] | np.ndarray | None, count: int, seed: int
) -> list[np.ndarray]:
    """Inputs to compare two files on, one array for each input of the file at ``path``.

    The first three are the boundaries (all smallest, all largest, all at zero or the zero point), then real samples
    where there are any, else random values: over the whole range of a quantised input, standard normal for a float one.
    Sizes that may change are those of the samples, else such that run. Samples are one array for each input, in the
    file's order.
    """
    generator = np.random.default_rng(seed)
    result = []
    # Where there are samples, these tell the sizes.
    details = input_shapes.inputs(path) if samples is None else litert.inputs(path)
    given = (samples,) if isinstance(samples, np.ndarray) else samples or (None,) * len(details)
    for detail, own in zip(details, given, strict=True):
        shape = detail.example_shape[1:] if own is None else own.shape[1:]
        edges = probes.boundaries(detail, shape)
        if own is not None:
            rest = detail.quantised(own[: max(count - len(edges), 1)])
        else:
            rest = probes.random_values(detail, shape, count, generator)
        result.append(np.concatenate([edges, rest])[:count] if count > len(edges) else rest[:count])
    return result


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether shape, dtype and every bit agree: NaN equals the same NaN, 0.0 is not -0.0."""
    return a.shape == b.shape and a.dtype == b.dtype and bool(np.array_equal(_as_bytes(a), _as_bytes(b)))


def largest_difference(a: np.ndarray, b: np.ndarray) -> float | None:
    """Of two arrays of numbers, in units of their dtype.

    None where shapes or dtypes differ, or infinity or NaN stand against something else.
    """
    if a.shape != b.shape or a.dtype != b.dtype:
        return None
    if a.dtype.kind == "f":
        one, two = a.astype(np.float64), b.astype(np.float64)
        unlike = ~((one == two) | (np.isnan(one) & np.isnan(two)))
        distance = float(np.max(np.abs(one[unlike] - two[unlike]), initial=0.0))
        return distance if math.isfinite(distance) else None
    # Modulo 2^64 the difference of the larger and the smaller is right for integers of every width.
    larger, smaller = np.maximum(a, b).astype(np.uint64), np.minimum(a, b).astype(np.uint64)
    return float(np.max(larger - smaller, initial=0))


def _constants(graph: Graph) -> list[int]:
    """The tensors that an operator reads and the file gives the values of, whatever their rank."""

    def is_constant(tensor: Any) -> bool:
        data = graph.model.buffers[tensor.buffer].data
        return tensor.sparsity is not None or (data is not None and len(data) > 0)  # a sparse one may be all zeros

    return [index for index in sorted(graph.uses()) if is_constant(graph.tensor(index))]


def _weight_indices(graph: Graph) -> list[int]:
    return [index for index in _constants(graph) if len(shape_of(graph.tensor(index))) >= 2]


def _size(graph: Graph, index: int) -> int:
    return math.prod(shape_of(graph.tensor(index)))


def _same_size(a: Any, b: Any) -> bool:
    return bool(a.type == b.type) and math.prod(shape_of(a)) == math.prod(shape_of(b))


def _bits(graph: Graph, index: int) -> np.ndarray:
    """A constant's values as bytes; of a type that is no whole number of bytes, such as int4, the buffer as it is."""
    values = dense_values(graph, index)
    return _as_bytes(graph.model.buffers[graph.tensor(index).buffer].data if values is None else values)


def _holds(graph: Graph, indices: Sequence[int], tensor: Any, bits: np.ndarray) -> bool:
    """Whether one of these constants of ``graph`` has type, size and contents of a foreign tensor."""
    return any(
        _same_size(graph.tensor(index), tensor) and np.array_equal(_bits(graph, index), bits) for index in indices
    )


def _as_bytes(values: Any) -> np.ndarray:
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8)
