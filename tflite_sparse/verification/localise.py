"""Find the first tensor, in execution order, whose values differ between two files for a sample.

All activation tensors that both files have are compared. Interpreters run copies with these as further outputs of the
graph. A kept tensor can prevent a runtime from fusing the operators around it, so a difference of the files may vanish
in the copies.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tflite_sparse.errors import ExecutionError, FlatbufferError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import Graph, indices, signature_of, text, type_name
from tflite_sparse.flatbuffer.types import Tensor
from tflite_sparse.rewrites.dead_channels.cut import Slice
from tflite_sparse.verification.counterparts import partners
from tflite_sparse.verification.observation import Kept, activations, graph_of, keep
from tflite_sparse.verification.outputs import largest_difference, same_bits
from tflite_sparse.verification.probes import Sample
from tflite_sparse.verification.runtimes import Form

_SIZES = ("int32", "int64")
_NOTHING_IN_COMMON = "the files have no activation tensor in common"


@dataclass(frozen=True, slots=True)
class FirstDifference:
    """The first tensor that differs.

    Attributes:
        tensor: its name; None if it was not found.
        operator: the operator of the reference that yields it.
        largest: the largest difference in units of the dtype; None if the tensor was not found, or the difference is
            infinite or NaN.
        note: why the tensor was not found.
        index: of the tensor in the graph of the reference.
    """

    tensor: str | None = None
    operator: str | None = None
    largest: float | None = None
    note: str | None = None
    index: int | None = None


@dataclass(frozen=True, slots=True)
class _Shared:
    """The activation tensors that both files have.

    Attributes:
        graph: of the reference.
        counterparts: by tensor of ``graph``, in execution order, the tensor of the file under test.
        slices: the tensors of which the file under test has a part, by tensor of ``graph``.
        file: copy of the file under test that yields them.
        reference: copy of the reference that yields them.
    """

    graph: Graph
    counterparts: dict[int, int]
    slices: Mapping[int, Slice]
    file: Kept
    reference: Kept


class Localiser:
    """Finds the first tensor that differs. The first call reads both files and writes their copies.

    Args:
        file: the file under test.
        reference: the file to compare it with; its operators and their order are used.
        folder: for the copies.
        signature: key of the signature; None: the first graph.
        slices: the activations of which ``file`` has a part, with that part, at the same index.
    """

    def __init__(
        self,
        file: Path,
        reference: Path,
        folder: Path,
        signature: str | None = None,
        slices: Sequence[Slice] = (),
    ) -> None:
        self._file, self._reference, self._folder, self._signature = file, reference, folder, signature
        self._slices = slices

    def first_difference(self, form: Form, sample: Sample) -> FirstDifference | None:
        """Return the first tensor in execution order that differs on a sample.

        Returns:
            The tensor, or why it could not be found; None if all tensors that both files have are equal.
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
            part = shared.slices.get(index)
            wanted = expected[index] if part is None else part.of(expected[index])
            if not same_bits(found[other], wanted):
                name, operator = text(graph.tensor(index).name), graph.operator_name(producers[index])
                return FirstDifference(name, operator, largest_difference(found[other], wanted), index=index)
        return None if shared.counterparts else FirstDifference(note=_NOTHING_IN_COMMON)

    @functools.cached_property
    def _shared(self) -> _Shared:
        model, other_model = serde.read(self._reference), serde.read(self._file)
        graph, other = graph_of(model, self._signature), graph_of(other_model, self._signature)
        ours, theirs = activations(graph), activations(other)
        slices = {part.tensor: part for part in self._slices if part.graph == graph.number and part.found in theirs}
        found = partners(ours, graph, theirs, other, _same_type_and_shape)
        found |= {index: part.found for index, part in slices.items()}
        others = _computed_sizes(graph) if slices else set()  # the number of channels is among them
        known = {index: found[index] for index in ours if index in found and index not in others}
        return _Shared(
            graph,
            known,
            slices,
            keep(self._file, other_model, other, known.values(), self._folder / "file.tflite", self._signature),
            keep(self._reference, model, graph, known, self._folder / "reference.tflite", self._signature),
        )


def _computed_sizes(graph: Graph) -> set[int]:
    """Return the integers that are computed of the shape of an activation."""
    found: set[int] = set()
    for operator in graph.operators:
        results = indices(operator.outputs)
        is_size = graph.operator_name(operator) == "SHAPE" or not found.isdisjoint(indices(operator.inputs))
        if is_size and all(type_name(graph.tensor(index)) in _SIZES for index in results):
            found.update(results)
    return found


def _same_type_and_shape(a: Tensor, b: Tensor) -> bool:
    return bool(a.type == b.type) and signature_of(a) == signature_of(b)
