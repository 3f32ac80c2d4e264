"""Compute exact bytes: of a kernel in the file under a mask, and of the whole file."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tflite_sparse.base import scratch
from tflite_sparse.fitting.kernels_in_file import Constant
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import Graph, Use, graphs
from tflite_sparse.flatbuffer.types import Model, Tensor
from tflite_sparse.planning import encoder, planner
from tflite_sparse.rewrites import shared_values
from tflite_sparse.rewrites.dead_channels import removal

MakeTarget = Callable[[], planner.Target]
"""Makes a target for one model; a target may cache what it computes for it."""


@dataclass(frozen=True, eq=False, slots=True)
class Pricer:
    """Prices one kernel.

    Attributes:
        graph: of a parsed file that nothing else uses: the constant changes.
        uses: of its tensors.
        constant: of the kernel in it.
        values: that the constant has without a mask.
        target: for this model; other weights change nothing that it remembers of it.
    """

    graph: Graph
    uses: Mapping[int, list[Use]]
    constant: Constant
    values: np.ndarray
    target: planner.Target

    def __call__(self, mask: np.ndarray, counts: Collection[int | None] = (None,)) -> dict[int | None, int]:
        """Return the bytes under a mask, by the number of values that the kept weights share.

        Args:
            mask: bool, of the kernel's shape.
            counts: numbers of values; None: they keep theirs, which is all there is if they cannot share any.
        """
        graph, index = self.graph, self.constant.tensor
        graph.store(graph.tensor(index), _masked(self.values, mask, self.constant))
        numbers = [count for count in counts if count is not None]
        if not numbers or not _shares(graph, self.constant, self.uses):
            return {None: self._stored()}
        found: dict[int | None, int] = {}
        if None in counts:
            found[None] = self._stored()
        for count, shared in zip(numbers, shared_values.shared_each(graph, index, numbers), strict=True):
            graph.store(graph.tensor(index), shared)
            found[count] = self._stored()
        return found

    def _stored(self) -> int:
        """Bytes of the constant as the graph has it now."""
        index = self.constant.tensor
        values = self.graph.constant(index)
        assert values is not None  # stored before
        return planner.choose(self.graph, index, self.uses[index], values, self.target).encoded_bytes


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of a file and of its constants.

    Attributes:
        file_bytes: of the whole file.
        kernels: by name, bytes of the constant of a kernel, with what its form adds to the graph.
        others: the same for all other constants of rank 2 or more, by tensor name.
    """

    file_bytes: int
    kernels: Mapping[str, int]
    others: Mapping[str, int]

    @property
    def rest_bytes(self) -> int:
        """Bytes of everything else: graph, biases, small constants."""
        return self.file_bytes - sum(self.kernels.values()) - sum(self.others.values())


@dataclass(frozen=True, slots=True)
class Costs:
    """The bytes of a model's kernels under masks, by the planner of its target.

    Masks are applied to the constants that the converter wrote, so that values, layout, readers and the graph edit of
    each form are those of the real file. Later training changes the kept values, of which a few may then round to zero.
    The bytes depend on their number.

    Attributes:
        dense: the dense file for the runtime.
        constants: location of each kernel in it.
        target: makes a target.
        finish: makes the other changes to an encoded file, given the dense one that it stands for.
        shared_values: of every sparse weight for which nothing else is said; None: it keeps its values.
    """

    dense: Path
    constants: Mapping[str, Constant]
    target: MakeTarget
    finish: Callable[[Path, Path], None]
    shared_values: int | None = None

    def can_share(self, name: str) -> bool:
        """Return whether the kept weights of the kernel ``name`` can share values, once it is sparse."""
        model, constant = serde.read(self.dense), self.constants[name]
        graph, _, _ = _at(model, constant)
        return _has_form(graph, constant, graph.uses())

    def pricer(self, name: str) -> Pricer:
        """Return the function that prices the kernel ``name``."""
        model, constant = serde.read(self.dense), self.constants[name]
        graph, _, values = _at(model, constant)
        return Pricer(graph, graph.uses(), constant, values, self.target())

    def sizes(self, masks: Mapping[str, np.ndarray], counts: Mapping[str, int | None] | None = None) -> Sizes:
        """Return the sizes with these masks, by kernel name; kernels without a mask are unchanged.

        The whole file is encoded, so that shared constants, and what is added once for all of them, count. Channels
        that are dead under the masks go, where the file becomes smaller.

        Args:
            masks: bool, of the kernels' shapes.
            counts: values that the kept weights of a kernel share; None: they keep theirs.
        """
        whole = self._encoded(self._with(masks, counts), self.constants, self.dense)
        model = self._with(masks, counts)
        cut = removal.remove(model)
        if not cut.slices:
            return whole
        found = {(each.graph, each.tensor): each.found for each in cut.slices}
        constants = {
            name: replace(constant, tensor=found.get((constant.graph, constant.tensor), constant.tensor))
            for name, constant in self.constants.items()
        }
        with scratch.folder() as folder:
            dense = folder / "dense.tflite"
            serde.write(model, dense)
            return min(whole, self._encoded(model, constants, dense), key=lambda sizes: sizes.file_bytes)

    def _with(self, masks: Mapping[str, np.ndarray], counts: Mapping[str, int | None] | None) -> Model:
        """Return the dense model with masks applied and values shared."""
        model = serde.read(self.dense)
        for name, mask in masks.items():
            graph, tensor, values = _at(model, self.constants[name])
            graph.store(tensor, _masked(values, mask, self.constants[name]))
        self._share(model, counts or {})
        return model

    def _encoded(self, model: Model, constants: Mapping[str, Constant], dense: Path) -> Sizes:
        """Return the sizes of the file that a dense model is encoded to, in place; ``dense`` is where it lies."""
        choices = encoder.encode_model(model, self.target())
        with scratch.folder() as folder:
            file = folder / "model.tflite"
            serde.write(model, file)
            self.finish(file, dense)
            return sizes_of(file.stat().st_size, choices, constants)

    def _share(self, model: Model, of_kernels: Mapping[str, int | None]) -> None:
        """Let tensors share values as an export does, before channels leave the file."""
        known = [(graph, graph.uses()) for graph in graphs(model)]
        found = {(graph.number, index): self.shared_values for graph, index in shared_values.shareable(model)}
        for name, constant in self.constants.items():
            graph, uses = known[constant.graph]
            is_able = _shares(graph, constant, uses)
            found[graph.number, constant.tensor] = of_kernels.get(name, self.shared_values) if is_able else None
        for (number, index), count in found.items():
            if count is not None:
                shared_values.apply(known[number][0], index, count)


def sizes_of(file_bytes: int, choices: list[planner.Choice], constants: Mapping[str, Constant]) -> Sizes:
    """Return the bytes of the constants of an encoded file of ``file_bytes``, by their choices."""
    names = {(constant.graph, constant.tensor): name for name, constant in constants.items()}
    kernels: dict[str, int] = {}
    others: dict[str, int] = {}
    for choice in choices:
        name = names.get((choice.graph.number, choice.tensor_index))
        if name is None:
            others[choice.name] = others.get(choice.name, 0) + choice.encoded_bytes
        else:
            kernels[name] = choice.encoded_bytes
    return Sizes(file_bytes, kernels, others)


def _at(model: Model, constant: Constant) -> tuple[Graph, Tensor, np.ndarray]:
    graph = Graph(model, model.subgraphs[constant.graph])
    values = graph.constant(constant.tensor)
    assert values is not None  # found as a constant of this file before
    return graph, graph.tensor(constant.tensor), values


def _shares(graph: Graph, constant: Constant, uses: Mapping[int, list[Use]]) -> bool:
    """Return whether the weights of a constant share values in an export, which does that before channels go."""
    return _has_form(graph, constant, uses) and shared_values.is_sparse(graph, constant.tensor)


def _has_form(graph: Graph, constant: Constant, uses: Mapping[int, list[Use]]) -> bool:
    former_size = None if constant.cut is None else math.prod(constant.cut.shape)
    return shared_values.has_form(graph, constant.tensor, uses[constant.tensor], former_size)


def _masked(values: np.ndarray, mask: np.ndarray, constant: Constant) -> np.ndarray:
    return np.where(constant.in_file(mask, values.shape), values, np.zeros((), values.dtype))
