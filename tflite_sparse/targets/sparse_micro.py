"""What the sparse kernels take, called by TensorFlow Lite Micro or by generated C: weights as they lie in flash.

An operator changes only where a kernel takes fewer bytes than the dense one and, by the model of the CPU's costs, no
more instructions; in generated C for size, up to a quarter more, where the bytes that it saves are worth it. Of these
kernels, those count whose scratch memory leaves the arena about as large as it is dense.
Bytes are those of weights and parameters: where the latter save enough, weights without zeros change as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tflite_sparse.codecs.streams import stream, work
from tflite_sparse.codecs.streams.kernels import SHARED_KERNELS, Filter, Kernel
from tflite_sparse.codecs.streams.names import MicroCpu
from tflite_sparse.codecs.streams.shared import MAX_TABLES
from tflite_sparse.codecs.streams.work import Pixels
from tflite_sparse.flatbuffer.graph import Graph, Use
from tflite_sparse.rewrites import sparse_operator, sparse_plan
from tflite_sparse.targets import arena_room, micro_costs, operator_costs
from tflite_sparse.targets.form import Answer, Offer
from tflite_sparse.targets.micro_costs import Dense

Aim = Literal["size", "latency"]

_MOST_SYMBOLS = 1.1
"""Symbols of 7 bits for a kept weight. With more of them, they save fewer bytes than they cost instructions."""


_MORE_INSTRUCTIONS = 1.25
"""Of dense generated C, which with Helium is so quick that few kernels are quicker: what size may cost there."""

_WORTH_OF_A_BYTE = 100
"""In instructions of an inference, in generated C for size: no form saves a few bytes for a third of the time."""


@dataclass(frozen=True, slots=True)
class _Way:
    """A kernel, and how many tables of symbols its stream may have."""

    kernel: Kernel
    tables: int = 1


@dataclass(frozen=True, slots=True)
class Computed:
    """The form of weights that a kernel computes on; see :class:`tflite_sparse.targets.form.Form`.

    Attributes:
        best: how they are stored.
        kernel: that reads them.
        instructions: of all operators that read them, by the model.
        dense_instructions: of the same operators, dense.
        words: what happens to the graph.
        exact: outputs stay what they were to the bit.
    """

    best: Offer
    kernel: Kernel
    instructions: int
    dense_instructions: int
    words: str = "computed on as stored"
    exact: bool = True

    def offer(self, values: np.ndarray) -> Offer:
        """See :class:`tflite_sparse.targets.form.Form`."""
        del values
        return self.best


class SparseMicro:
    """TensorFlow Lite Micro with the sparse kernels as a target.

    Args:
        cpu: whose costs count.
        aim: ``"size"``: the smallest form that is not slower than dense, in generated C the one whose bytes and time
            are worth least; ``"latency"``: the fastest that is not larger.
        library: whose dense operators an operator would have without a kernel.
    """

    def __init__(self, cpu: MicroCpu = "generic", aim: Aim = "size", library: Dense = "cmsis-nn") -> None:
        self._costs = micro_costs.of(cpu, library)
        self._aim = aim
        self._weighs = aim == "size" and library == "standalone"  # bytes against instructions
        self._room: tuple[Graph, dict[int, int]] | None = None  # of the graph that was asked for last

    def __call__(self, graph: Graph, tensor_index: int, uses: Sequence[Use]) -> Answer:
        """Answer as a target does."""
        refusal = sparse_plan.refusal(graph, tensor_index, uses)
        if refusal is not None:
            return Answer((), refusal)
        values = graph.constant(tensor_index)
        assert values is not None  # the planner asks for dense constants
        refusal = sparse_plan.parameters_refusal(graph, uses, values)
        if refusal is not None:
            return Answer((), refusal)
        forms = list(self._forms(graph, tensor_index, uses, values))
        if not forms:
            return Answer((), "no kernel takes these weights")
        not_slower = [form for form in forms if self._is_quick(form, values.nbytes)]
        if not not_slower:
            fastest = min(forms, key=lambda form: form.instructions)
            return Answer(
                (),
                f"the fastest kernel would take {fastest.instructions:,} instructions, "
                f"dense it takes {fastest.dense_instructions:,}",
            )
        not_larger = [form for form in not_slower if form.best.nbytes < values.nbytes]
        if not not_larger:
            smallest = min(form.best.nbytes for form in not_slower)
            return Answer((), f"the smallest kernel that is not slower would take {smallest:,} bytes")
        return Answer((min(not_larger, key=self._rank),))

    def _is_quick(self, form: Computed, dense_bytes: int) -> bool:
        if form.instructions <= form.dense_instructions:
            return True
        if not self._weighs or form.instructions > _MORE_INSTRUCTIONS * form.dense_instructions:
            return False
        return _price(form.best.nbytes, form.instructions) < _price(dense_bytes, form.dense_instructions)

    def _rank(self, form: Computed) -> tuple[int, int]:
        sizes = form.best.nbytes, form.instructions
        if self._weighs:
            return _price(*sizes), form.best.nbytes
        return sizes if self._aim == "size" else sizes[::-1]

    def _forms(self, graph: Graph, tensor_index: int, uses: Sequence[Use], values: np.ndarray) -> Iterator[Computed]:
        overhead = sparse_plan.overhead_bytes(graph, uses, values)
        shape = sparse_plan.filter_of(graph, uses[0].operator)
        pixels = [
            operator_costs.pixels_of(graph, use.operator, shape.outputs, is_matrix=_is_matrix(graph, use))
            for use in uses
        ]
        dense = sum(operator_costs.of_dense(graph, use.operator, values, self._costs) for use in uses)
        for way in self._within(self._room_of(graph, uses), shape, self._taking(graph, uses, shape, pixels, values)):
            nbytes = stream.nbytes(way.kernel, shape, values.reshape(shape.shape), way.tables) + overhead
            instructions = sum(
                self._costs.of_kernel(way.kernel, sparse_plan.filter_of(graph, use.operator), values, each, way.tables)
                for use, each in zip(uses, pixels, strict=True)
            )
            offer = Offer(way.kernel.words, nbytes, overhead, _Edit(graph, tensor_index, tuple(uses), way))
            yield Computed(offer, way.kernel, instructions, dense)

    def _taking(
        self, graph: Graph, uses: Sequence[Use], shape: Filter, pixels: Sequence[Pixels], values: np.ndarray
    ) -> list[_Way]:
        """The kernels that take these weights and pay, with one table and, of shared values, with more."""
        ways = (
            _Way(kernel, tables)
            for kernel in self._costs.kernels
            if all(work.suits(kernel, each) for each in pixels)
            and sparse_plan.weights_refusal(graph, uses, values, kernel) is None
            for tables in range(1, (MAX_TABLES if kernel in SHARED_KERNELS else 1) + 1)
        )
        return [way for way in ways if _pays(way, shape, values)]

    def _within(self, room: int, shape: Filter, ways: Sequence[_Way]) -> list[_Way]:
        """Those whose scratch memory fits; where none does, those that take least."""
        at_once = self._costs.pixels_at_once
        scratch = {way: work.scratch_bytes(way.kernel, shape, at_once, way.tables) for way in ways}
        limit = max(room, min(scratch.values(), default=0))
        return [way for way, nbytes in scratch.items() if nbytes <= limit]

    def _room_of(self, graph: Graph, uses: Sequence[Use]) -> int:
        if self._room is None or self._room[0] is not graph:
            self._room = graph, arena_room.of(graph)
        room = self._room[1]
        return min(room[id(use.operator)] for use in uses)


@dataclass(frozen=True, slots=True)
class _Edit:
    """The graph edit of one form."""

    graph: Graph
    tensor_index: int
    uses: tuple[Use, ...]
    way: _Way

    def __call__(self) -> None:
        sparse_operator.apply(self.graph, self.tensor_index, self.uses, self.way.kernel, self.way.tables)


def _price(nbytes: int, instructions: int) -> int:
    return _WORTH_OF_A_BYTE * nbytes + instructions


def _pays(way: _Way, shape: Filter, values: np.ndarray) -> bool:
    """Whether symbols of 7 bits, if the kernel has them, are few enough beside the kept weights."""
    if way.kernel != Kernel.ROW_SHARED7:
        return True
    symbols = stream.entries(way.kernel, shape, values.reshape(shape.shape), way.tables)
    return symbols <= _MOST_SYMBOLS * int(np.count_nonzero(values))


def _is_matrix(graph: Graph, use: Use) -> bool:
    return graph.operator_name(use.operator) == "FULLY_CONNECTED"
