"""Check whether the rounding of single operators explains different outputs of one file in two runtimes.

Small differences grow through a network, so outputs alone do not show the cause. The first runtime runs the file with
every activation as a further output. The second runtime runs it cut into operators: each reads the values of the first
runtime, so that differences do not accumulate. An operator that differs by more than its own rounding is the fault. The
outputs of the first runtime must not change when all tensors are kept; otherwise its tensors overlapped in memory.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tflite_sparse.base import scratch
from tflite_sparse.errors import ExecutionError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import Graph, indices, rewire, scales_of, text
from tflite_sparse.flatbuffer.types import Tensor
from tflite_sparse.verification.localise import FirstDifference
from tflite_sparse.verification.observation import activations, by_index, graph_of, keep, write_yielding
from tflite_sparse.verification.outputs import largest_difference, range_of, same_bits
from tflite_sparse.verification.probes import Sample
from tflite_sparse.verification.runtimes import Runtime

_STEPS = 2  # each kernel may differ from the exact value by one step, in either direction
_SHARE_OF_RANGE = 1e-3  # of float values: other orders of summation and approximations differ by less than 1e-5

_OVERLAP = "the outputs change when intermediate tensors are kept, so that some lie on top of others"


def first_unexplained(
    path: Path, sample: Sample, outputs: Sequence[np.ndarray], runtime: Runtime, beside: Runtime
) -> FirstDifference | None:
    """Find the first operator, in execution order, whose results differ in another runtime.

    Args:
        path: the file.
        sample: one array for each input.
        outputs: of the file for this sample in ``runtime``.
        runtime: the runtime under test.
        beside: the other one.

    Returns:
        The operator, or another fault of the runtime under test; None if no operator differs by more than rounding.
    """
    with scratch.folder() as work:
        cut = work / "cut.tflite"
        model = serde.read(path)
        graph = graph_of(model)
        wanted, own = activations(graph), indices(graph.subgraph.outputs)
        kept = keep(path, model, graph, wanted, work / "kept.tflite", None)
        try:
            values = runtime.tensors(kept, sample)
            if not all(map(same_bits, (values[index] for index in own), outputs)):
                return FirstDifference(note=_OVERLAP)
            fed = _write_cut(path, cut, wanted)
            given = (*sample, *(values[index] for index in fed))
            expected = by_index(beside.run(cut, [given]))
        except ExecutionError as error:
            reason = str(error).replace(f"{work}/", "")
            return FirstDifference(note=f"copies that yield their intermediate tensors do not run: {reason}")
        producers = graph.producers()
        for index in wanted:
            largest = largest_difference(values[index], expected[index])
            if largest is None or largest > _allowed(graph.tensor(index), expected[index]):
                operator = graph.operator_name(producers[index])
                return FirstDifference(text(graph.tensor(index).name), operator, largest)
    return None


def is_rounding(graph: Graph, index: int, largest: float | None, values: np.ndarray) -> bool:
    """Return whether a difference of an output is at most one rounding step of any operator.

    Args:
        graph: the graph.
        index: of the output's tensor.
        largest: the difference in units of the dtype; None: not finite, or shapes differ.
        values: the output.
    """
    producer = graph.producers().get(index)
    if largest is not None and producer is not None and graph.operator_name(producer) == "DEQUANTIZE":
        scales = scales_of(graph.tensor(int(producer.inputs[0])))
        return bool(scales.size) and largest <= 1.001 * float(scales.max())
    return largest is not None and largest <= min(_allowed(graph.tensor(index), values), 1)


def _allowed(tensor: Tensor, values: np.ndarray) -> float:
    """Return the allowed difference of two kernels with the same inputs, in units of the dtype."""
    if values.dtype.kind == "f":
        return _SHARE_OF_RANGE * range_of(values)
    return _STEPS if scales_of(tensor).size else 0  # counts, indices and booleans are not rounded


def _write_cut(path: Path, cut: Path, wanted: Sequence[int]) -> list[int]:
    """Write a copy whose operators read activations from added inputs; return the tensors that these replace."""
    model = serde.read(path)
    graph = graph_of(model)
    uses = graph.uses()
    fed = [index for index in wanted if index in uses]
    stand_ins = []
    for index in fed:
        stand_in = graph.add_tensor(copy.copy(graph.tensor(index)))
        stand_ins.append(stand_in)
        for use in uses[index]:
            rewire(use.operator, use.position, stand_in)
    graph.subgraph.inputs = np.array(indices(graph.subgraph.inputs) + stand_ins, np.int32)
    model.signatureDefs = []  # they have the former inputs
    write_yielding(model, graph, wanted, cut)
    return fed
