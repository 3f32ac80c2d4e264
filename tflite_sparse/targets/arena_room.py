"""RAM that an operator may take beside its tensors without a larger arena than the dense file needs: an estimate."""

from __future__ import annotations

import math

from tflite_sparse.flatbuffer.graph import Graph, dtype_of, indices, shape_of
from tflite_sparse.rewrites import sparse_plan

_SHARE_OF_PEAK = 0.02
_CHANNEL_BYTES = 8
"""That TensorFlow Lite Micro allocates for each output of a dense operator: multiplier and shift, int32."""


def of(graph: Graph) -> dict[int, int]:
    """For each operator of a dense graph, by ``id``, the bytes of scratch memory that it may take.

    Where the tensors that are alive leave most room, dense operators leave it unused. Beside that, 2 % of the peak, and
    what the outputs of dense operators cost, which kernels read in flash.
    """
    alive = _alive_bytes(graph)
    peak = max(alive, default=0)
    spare = round(_SHARE_OF_PEAK * peak) + _CHANNEL_BYTES * _channels(graph)
    return {id(operator): peak - live + spare for operator, live in zip(graph.operators, alive, strict=True)}


def _alive_bytes(graph: Graph) -> list[int]:
    """For each operator, the bytes of the tensors that hold values while it runs."""
    operators = graph.operators
    last = len(operators) - 1
    born: dict[int, int] = dict.fromkeys(indices(graph.subgraph.inputs), 0)
    dies: dict[int, int] = {}
    for place, operator in enumerate(operators):
        for index in indices(operator.outputs):
            born.setdefault(index, place)
            dies[index] = place
        for index in indices(operator.inputs):
            dies[index] = place
    dies |= dict.fromkeys(indices(graph.subgraph.outputs), last)
    alive = [0] * len(operators)
    for index, start in born.items():
        for place in range(start, dies.get(index, start) + 1):
            alive[place] += _nbytes(graph, index)
    return alive


def _nbytes(graph: Graph, index: int) -> int:
    dtype = dtype_of(graph.tensor(index))
    return 0 if dtype is None else math.prod(shape_of(graph.tensor(index))) * dtype.itemsize


def _channels(graph: Graph) -> int:
    """Outputs of all operators that kernels could compute."""
    return sum(
        shape_of(graph.tensor(int(operator.inputs[sparse_plan.WEIGHTS])))[0]
        for operator in graph.operators
        if graph.operator_name(operator) in sparse_plan.BUILTINS
    )
