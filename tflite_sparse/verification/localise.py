"""Where two files part: the first tensor, in execution order, that a sample gives different values.

Both files are asked for every activation tensor that they have in common. Interpreters run copies that yield these as
further outputs of the graph. A tensor that must be kept can keep a runtime from fusing the operators around it, so a
difference of the files may vanish in the copies.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from tflite_sparse.errors import ExecutionError, FlatbufferError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import Graph, signature_of, text
from tflite_sparse.flatbuffer.types import Tensor
from tflite_sparse.verification.counterparts import partners
from tflite_sparse.verification.observation import Kept, activations, graph_of, keep
from tflite_sparse.verification.outputs import largest_difference, same_bits
from tflite_sparse.verification.probes import Sample
from tflite_sparse.verification.runtimes import Form

_NOTHING_IN_COMMON = "the files have no activation tensor in common"


@dataclass(frozen=True, slots=True)
class FirstDifference:
    """The first tensor that differs.

    Attributes:
        tensor: its name; None if it was not found.
        operator: the operator of the reference that yields it.
        largest: the largest difference in units of the dtype; None if the tensor was not found, or infinity or NaN
            stand against something else.
        note: why it was not found.
    """

    tensor: str | None = None
    operator: str | None = None
    largest: float | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class _Shared:
    """The activation tensors that two files have in common.

    Attributes:
        graph: of the reference.
        counterparts: for each of its tensors, in execution order, the one of the file in question.
        file: asks the file in question for them.
        reference: asks the reference for them.
    """

    graph: Graph
    counterparts: dict[int, int]
    file: Kept
    reference: Kept


class Localiser:
    """Finds where two files part. Both are read, and their copies written, when that is first asked for.

    Args:
        file: the file in question.
        reference: the file that says how it must be, whose operators and order count.
        folder: where copies are written.
        signature: whose graph; None: the first.
    """

    def __init__(self, file: Path, reference: Path, folder: Path, signature: str | None = None) -> None:
        self._file, self._reference, self._folder, self._signature = file, reference, folder, signature

    def first_difference(self, form: Form, sample: Sample) -> FirstDifference | None:
        """The first tensor in execution order that differs on a sample.

        Returns:
            Where the files part, or why that could not be found; None if all tensors that they have in common are
            equal.
        """
        try:
            shared = self._shared
            found = form.runtime.tensors(shared.file, sample)
            expected = form.reference.tensors(shared.reference, sample)
        except (ExecutionError, FlatbufferError) as error:
            reason = str(error).replace(f"{self._folder}/", "")
            return FirstDifference(note=f"copies that yield their intermediate tensors do not run: {reason}")
        graph, producers = shared.graph, shared.graph.producers()
        for index, other in shared.counterparts.items():
            if not same_bits(found[other], expected[index]):
                largest = largest_difference(found[other], expected[index])
                return FirstDifference(text(graph.tensor(index).name), graph.operator_name(producers[index]), largest)
        return None if shared.counterparts else FirstDifference(note=_NOTHING_IN_COMMON)

    @functools.cached_property
    def _shared(self) -> _Shared:
        model, other_model = serde.read(self._reference), serde.read(self._file)
        graph, other = graph_of(model, self._signature), graph_of(other_model, self._signature)
        known = partners(activations(graph), graph, activations(other), other, _alike)
        return _Shared(
            graph,
            known,
            keep(self._file, other_model, other, known.values(), self._folder / "file.tflite", self._signature),
            keep(self._reference, model, graph, known, self._folder / "reference.tflite", self._signature),
        )


def _alike(a: Tensor, b: Tensor) -> bool:
    return bool(a.type == b.type) and signature_of(a) == signature_of(b)
