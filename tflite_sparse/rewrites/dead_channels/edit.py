"""Cut the channels that go out of a graph: kernels, biases, scales, operands, sizes and the shapes of activations."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.flatbuffer.graph import (
    Graph,
    new_tensor,
    quantisation_of,
    rewire,
    scales_of,
    shape_of,
    signature_of,
    text,
)
from tflite_sparse.flatbuffer.types import Operator, QuantizationParameters, Tensor
from tflite_sparse.rewrites.dead_channels.analysis import Analysis, Depthwise, Operand, Product, SizeOperand
from tflite_sparse.rewrites.dead_channels.cut import Layer, Predicted, Slice
from tflite_sparse.rewrites.dead_channels.kernels import Constant, Kernel


@dataclass(slots=True, eq=False)
class Editing:
    """One edit of a graph.

    Attributes:
        found: the analysis of the graph.
        gone: whether each channel goes.
        slices: of the constants that were cut so far.
        activations: that were cut so far.
        layers: that lost channels so far.
    """

    found: Analysis
    gone: np.ndarray
    slices: list[Slice] = field(default_factory=list)
    activations: list[Slice] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)
    _readers: Counter[int] = field(default_factory=Counter)

    def apply(self) -> None:
        """Edit the graph; call it once."""
        self._readers.update({tensor: len(uses) for tensor, uses in self.found.constants.uses.items()})
        for edit in self.found.edits:
            if isinstance(edit, Product | Depthwise):
                self._cut_kernel(edit)
            elif isinstance(edit, Operand):
                self._cut_operand(edit)
            else:
                self._cut_size(edit)
        for tensor in self.found.channels.first:
            kept = self._kept(tensor)
            if not kept.all():
                axes = (*[None] * (self.found.rank(tensor) - 1), np.flatnonzero(kept))
                self.activations.append(Slice(self._graph.number, tensor, tensor, axes))
                _shorten(self._graph.tensor(tensor), int(kept.sum()))

    def predicted(self) -> Iterator[Predicted]:
        """Yield the constant channels of the activations that lose some of them."""
        for tensor in self.found.channels.first:
            values = self.found.known(tensor)
            channels = np.flatnonzero(~np.isnan(values))
            if tensor in self.found.producers and not self._kept(tensor)[channels].all():
                yield Predicted(self._graph.number, tensor, channels, values[channels])

    @property
    def _graph(self) -> Graph:
        return self.found.graph

    def _kept(self, tensor: int) -> np.ndarray:
        return np.asarray(~self.gone[self.found.channels.of_tensor(tensor)])

    def _cut_kernel(self, edit: Product | Depthwise) -> None:
        kernel, outputs, inputs = edit.kernel, self._kept(edit.result), self._kept(edit.source)
        if outputs.all() and inputs.all():
            return
        kept: list[np.ndarray | None] = [None] * kernel.values.ndim
        kept[kernel.axis] = np.flatnonzero(outputs)
        values, added = kernel.bias_values, np.zeros(len(outputs), np.int64)
        merged: tuple[tuple[np.ndarray, np.ndarray], ...] = ()
        if isinstance(edit, Product):
            pairs = ((members[inputs[members]], members[~inputs[members]]) for members in edit.alike)
            merged = tuple((ours, others) for ours, others in pairs if others.size)
            features = inputs[np.arange(kernel.values.shape[-1]) % len(inputs)]
            kept[-1] = np.flatnonzero(features)
            added = _folded(kernel.values, np.where(features, 0, edit.folded))
        name, graph = text(self._graph.tensor(kernel.constant.tensor).name), self._graph
        self._cut(edit.kernel, kernel.constant, kernel.values, tuple(kept), merged=merged)
        if kernel.bias is not None:
            is_folded = bool(added.any())
            values = values if not is_folded else (values.astype(np.int64) + added).astype(values.dtype)
            self._cut(kernel, kernel.bias, values, (kept[kernel.axis],), has_folded=is_folded)
        elif added.any():
            self._add_bias(kernel, added[outputs])
        before_after = [(len(each), int(each.sum())) for each in (outputs, inputs)]
        self.layers.append(Layer(graph.number, name, graph.operator_name(kernel.operator), *before_after))

    def _cut_operand(self, edit: Operand) -> None:
        kept = self._kept(edit.result)
        values = self._graph.constant(edit.constant.tensor)
        if kept.all() or values is None:
            return
        axes = (*[None] * (values.ndim - 1), np.flatnonzero(kept))
        self._cut(edit, edit.constant, values, axes)

    def _cut_size(self, edit: SizeOperand) -> None:
        kept = self._kept(edit.result)
        if kept.all():
            return
        graph, count = self._graph, int(kept.sum())
        index = int(edit.operator.inputs[edit.position])
        values, like = graph.constant(index), graph.tensor(index)
        assert values is not None  # the analysis found it
        if values.flat[-1] != -1:
            values = values.copy()
            values.flat[-1] = count
            added = graph.add_constant(new_tensor(shape_of(like), like.type, like.name), values)
            rewire(edit.operator, edit.position, added)
        options = edit.operator.builtinOptions
        if isinstance(options, schema.ReshapeOptionsT) and options.newShape is not None and len(options.newShape):
            shape = np.array(options.newShape, np.int32)
            shape[-1] = count if shape[-1] != -1 else -1
            options.newShape = shape

    def _cut(
        self,
        reader: Kernel | Operand,
        constant: Constant,
        values: np.ndarray,
        kept: tuple[np.ndarray | None, ...],
        *,
        has_folded: bool = False,
        merged: tuple[tuple[np.ndarray, np.ndarray], ...] = (),
    ) -> None:
        """Store the kept part of a constant, in a tensor of its own if others read the former one."""
        graph, index = self._graph, constant.tensor
        found = Slice(graph.number, index, index, kept, has_folded, merged)
        rebuilt, read_by, position = constant.rebuilt, reader.operator, constant.position
        if rebuilt is not None:
            rebuilt, read_by, position = *self._rebuilt_for(reader.operator, constant.position, rebuilt), 0
        if self._readers[index] > 1:
            self._readers[index] -= 1
            index = graph.add_tensor(copy.copy(graph.tensor(index)))
            rewire(read_by, position, index)
            found = replace(found, found=index)
        tensor, part = graph.tensor(index), np.ascontiguousarray(found.of(values))
        for each in (tensor, None if rebuilt is None else graph.tensor(rebuilt)):
            if each is not None:
                each.shape, each.shapeSignature = np.array(part.shape, np.int32), None
                each.quantization = _cut_scales(each, kept)
        graph.store(tensor, part)
        self.slices.append(found)

    def _rebuilt_for(self, reader: Operator, position: int, rebuilt: int) -> tuple[int, Operator]:
        """Return what a DEQUANTIZE makes of a constant for one reader alone, and that DEQUANTIZE."""
        graph, former = self._graph, self.found.producers[rebuilt]
        if self._readers[rebuilt] == 1:
            return rebuilt, former
        self._readers[rebuilt] -= 1
        self._readers[int(former.inputs[0])] += 1
        added, index = copy.copy(former), graph.add_tensor(copy.copy(graph.tensor(rebuilt)))
        added.inputs, added.outputs = former.inputs.copy(), np.array([index], np.int32)
        graph.subgraph.operators.insert(graph.operators.index(reader), added)
        rewire(reader, position, index)
        return index, added

    def _add_bias(self, kernel: Kernel, values: np.ndarray) -> None:
        """Give an operator the bias that the converter left out because it was all zeros. int8 only."""
        graph, operator = self._graph, kernel.operator
        weights = graph.tensor(int(operator.inputs[kernel.constant.position]))
        source = quantisation_of(graph.tensor(int(operator.inputs[0])))[0]
        quantization: QuantizationParameters = schema.QuantizationParametersT()
        quantization.scale = (scales_of(weights).astype(np.float64) * source).astype(np.float32)
        quantization.zeroPoint = np.zeros(len(quantization.scale), np.int64)
        tensor = new_tensor(values.shape, schema.TensorType.INT32, f"{text(weights.name)}_bias", quantization)
        added = graph.add_constant(tensor, values.astype(np.int32))
        operator.inputs = np.array([*operator.inputs[:2], added], np.int32)


def _folded(values: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Return what constant features add to the bias of each output, int64."""
    used = np.flatnonzero(factors)
    if not used.size:
        return np.zeros(len(values), np.int64)
    taps = values.reshape(len(values), -1, values.shape[-1])[:, :, used]
    return np.asarray(taps.sum(axis=1, dtype=np.int64) @ factors[used])


def _cut_scales(tensor: Tensor, kept: tuple[np.ndarray | None, ...]) -> QuantizationParameters | None:
    """Return the quantisation of a constant that was cut; tables may be shared, so it is a copy."""
    former = tensor.quantization
    if former is None:
        return None
    result = copy.copy(former)
    axis = int(former.quantizedDimension or 0)
    chosen = kept[axis] if 0 <= axis < len(kept) else None
    if chosen is not None:
        for name in ("min", "max", "scale", "zeroPoint"):
            values = getattr(former, name)
            if values is not None and len(values) > max(1, int(chosen.max())):
                setattr(result, name, np.asarray(values)[chosen])
    return result


def _shorten(tensor: Tensor, channels: int) -> None:
    """Set the size of a tensor's last axis."""
    has_signature = tensor.shapeSignature is not None and len(tensor.shapeSignature) > 0
    shape, signature = shape_of(tensor), signature_of(tensor)
    tensor.shape = np.array([*shape[:-1], channels], np.int32)
    if has_signature:
        tensor.shapeSignature = np.array([*signature[:-1], channels], np.int32)
