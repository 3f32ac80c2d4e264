"""List the compressed forms that TensorFlow Lite Micro takes: constants behind its DECODE operator.

It ignores the sparse format. DECODE rebuilds a constant in RAM at every invoke, right before the operator that reads
it: this saves flash, never time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from tflite_sparse.codecs import codecs
from tflite_sparse.codecs.decodable import Decodable
from tflite_sparse.codecs.names import AUTO, CODECS, DENSE, MicroCodec, Named
from tflite_sparse.flatbuffer.graph import Graph, Use
from tflite_sparse.rewrites import decode_op
from tflite_sparse.targets.form import Answer, Offer


@dataclass(frozen=True, slots=True)
class Decoded:
    """The form of a constant behind DECODE in a chosen codec; see :class:`tflite_sparse.targets.form.Form`."""

    best: Offer
    words: str = ""
    exact: bool = True

    def offer(self, values: np.ndarray) -> Offer:
        """See :class:`tflite_sparse.targets.form.Form`."""
        del values
        return self.best


@dataclass(frozen=True, slots=True)
class _Pending:
    """Constants of one graph to insert DECODE operators for."""

    graph: Graph
    encoded: dict[int, Decodable]
    uses: dict[int, Sequence[Use]]


class Micro:
    """TensorFlow Lite Micro as a target, for one model.

    Args:
        codec: name of a codec; :data:`AUTO`: the cheapest for each constant; :data:`DENSE`: none.
        least_saving_bytes: constants that would save less stay dense, because decoding costs time at every invoke.
    """

    def __init__(self, codec: MicroCodec = AUTO, least_saving_bytes: int = 0) -> None:
        self._codec = codec
        self._least_saving_bytes = least_saving_bytes
        self._pending: dict[int, _Pending] = {}  # by index of the subgraph

    def __call__(self, graph: Graph, tensor_index: int, uses: Sequence[Use]) -> Answer:
        """Return the form of a constant, or why there is none."""
        if self._codec == DENSE:
            return Answer((), "the codec is dense")
        refusal = decode_op.refusal(graph, tensor_index, uses, kernels=("cmsis-nn",))
        if refusal is not None:
            return Answer((), refusal)
        values = graph.constant(tensor_index)
        assert values is not None  # the planner passes dense constants
        offers = list(self._offers(graph, tensor_index, uses, values))
        if not offers:
            return Answer((), f"no codec of DECODE takes {values.dtype} of this shape and quantisation")
        best = min(offers, key=lambda offer: offer.nbytes)
        saving = values.nbytes - best.nbytes
        if saving <= 0:
            return Answer((), f"{best.stored} would take {best.nbytes:,} bytes")
        if saving < self._least_saving_bytes:
            return Answer((), f"{best.stored} would save {saving:,} bytes, less than --micro-min-saving")
        return Answer((Decoded(best),))

    def _offers(self, graph: Graph, tensor_index: int, uses: Sequence[Use], values: np.ndarray) -> Iterator[Offer]:
        channels = decode_op.channels_of(graph.tensor(tensor_index))
        readers = len({id(use.operator) for use in uses})
        overhead = decode_op.overhead_bytes(graph.tensor(tensor_index), readers)
        for codec in self._candidates():
            if codecs.refusal(codec.name, values, channels) is not None:
                continue
            encode = partial(codecs.encode, codec.name, values, channels)
            edit = self._edit(graph, tensor_index, uses, encode)
            nbytes = codecs.nbytes(codec.name, values, channels) + overhead
            yield Offer(codec.words, nbytes, overhead, edit, finish=self._finish)

    def _candidates(self) -> list[Named]:
        return list(CODECS.values()) if self._codec == AUTO else [CODECS[self._codec]]

    def _edit(
        self, graph: Graph, tensor_index: int, uses: Sequence[Use], encode: Callable[[], Decodable]
    ) -> Callable[[], None]:
        def edit() -> None:
            pending = self._pending.setdefault(graph.number, _Pending(graph, {}, {}))
            pending.encoded[tensor_index] = encode()
            pending.uses[tensor_index] = uses

        return edit

    def _finish(self) -> None:
        """Insert all DECODE operators together, because one in front of each reader yields all of its constants."""
        for pending in self._pending.values():
            decode_op.apply(pending.graph, pending.encoded, pending.uses)
        self._pending.clear()
