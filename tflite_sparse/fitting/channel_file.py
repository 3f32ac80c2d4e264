"""Make the dense file of a model without some of its channels, from the dense file with all of them.

Masks are applied to the constants that the converter wrote, and what is dead then is removed as an export removes it.
So what a number of channels costs is measured on a real file, without a conversion for each. A normalisation that the
converter did not fold into a convolution keeps its constants here: then fewer channels go than in a file that is
converted of the masked model, never more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tflite_sparse.fitting import kernels_in_file
from tflite_sparse.fitting.kernels_in_file import Constant, Cut
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import Graph, Use, graphs, indices, shape_of
from tflite_sparse.flatbuffer.types import Model
from tflite_sparse.pruning.channel_groups import ChannelGroup
from tflite_sparse.pruning.channel_masks import Remaining
from tflite_sparse.rewrites.dead_channels import removal
from tflite_sparse.sources.source_model import Kernel

_BIAS_INPUTS = {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 2, "TRANSPOSE_CONV": 3}
_OUTPUT_AXES = {"DEPTHWISE_CONV_2D": -1}  # of the others: 0
_CHANNELS_OF_DEPTHWISE = -2  # axis of the channels in (..., channels, multiplier)


@dataclass(frozen=True, slots=True, eq=False)
class Trimmed:
    """A file without some channels: the model, and what is left of each constant of the file with all, by its place."""

    model: Model
    cuts: Mapping[tuple[int, int], tuple[int, Cut]]

    def constant(self, former: Constant) -> Constant:
        """Return where a constant of the file with all channels lies in this one."""
        tensor, cut = self.cuts.get((former.graph, former.tensor), (former.tensor, former.cut))
        return replace(former, tensor=tensor, cut=cut)


@dataclass(frozen=True, slots=True, eq=False)
class ChannelFile:
    """A dense file, and where the weights of groups of channels lie in it.

    Attributes:
        dense: the dense file of the model, with all channels.
        groups: whose filters and depthwise kernels were found in it.
        left: the names of other groups, whose channels cannot be counted.
    """

    dense: Path
    groups: tuple[ChannelGroup, ...]
    left: tuple[str, ...]
    _weights: Mapping[str, tuple[Kernel, Constant]]  # as in the file, and where

    @classmethod
    def of(cls, dense: Path, kernels: Sequence[Kernel], groups: Sequence[ChannelGroup]) -> ChannelFile:
        """Find the weights of groups.

        Args:
            dense: the dense file of a model.
            kernels: of the model.
            groups: of the model.
        """
        multiplied = {kernel.name for group in groups for kernel in _multiplied(group)}
        depthwise = {kernel.name for group in groups for kernel in _depthwise(group)}
        shown = [_of_one_axis(kernel) if kernel.name in depthwise else kernel for kernel in kernels]
        found = kernels_in_file.find(shown, serde.read(dense))
        known = [group for group in groups if all(kernel.name in found for kernel in _multiplied(group))]
        left = tuple(group.name for group in groups if group not in known)
        weights = {kernel.name: (kernel, found[kernel.name]) for kernel in shown if kernel.name in found}
        return cls(dense, tuple(known), left, {name: each for name, each in weights.items() if name in multiplied})

    def without(self, kept: Mapping[ChannelGroup, np.ndarray]) -> Trimmed:
        """Return the model without all but the ``kept`` channels (bool) of each group.

        Removal keeps channels that it cannot prove dead, and a few more for kernels that compute several together.
        """
        model, remaining = serde.read(self.dense), Remaining(kept)
        known = [(graph, graph.uses()) for graph in graphs(model)]
        for kernel in dict.fromkeys(kernel for group in kept for kernel in _multiplied(group)):
            self._mask(known, kernel.name, remaining.mask(kernel.name, kernel.shape))
        shapes = [[shape_of(tensor) for tensor in graph.subgraph.tensors] for graph, _ in known]
        cuts = {
            (each.graph, each.tensor): (each.found, Cut(shapes[each.graph][each.tensor], each))
            for each in removal.remove(model).slices
        }
        return Trimmed(model, cuts)

    def _mask(self, known: Sequence[tuple[Graph, Mapping[int, list[Use]]]], name: str, mask: np.ndarray) -> None:
        """Set a weight to zero where it is masked, and what is added to channels of which nothing is left."""
        kernel, constant = self._weights[name]
        graph, uses = known[constant.graph]
        values = graph.constant(constant.tensor)
        assert values is not None  # found as a constant of this file before
        kept = constant.in_file(mask.reshape(kernel.shape), values.shape)
        graph.store(graph.tensor(constant.tensor), np.where(kept, values, np.zeros((), values.dtype)))
        for operator in (use.operator for use in uses[constant.tensor]):
            operator_name, inputs = graph.operator_name(operator), indices(operator.inputs)
            position = _BIAS_INPUTS.get(operator_name, len(inputs))
            bias = graph.constant(inputs[position]) if position < len(inputs) and inputs[position] >= 0 else None
            by_output = np.moveaxis(kept, _OUTPUT_AXES.get(operator_name, 0), 0)
            alive = by_output.reshape(len(by_output), -1).any(axis=1)
            if bias is not None and bias.shape == alive.shape:
                graph.store(graph.tensor(inputs[position]), np.where(alive, bias, 0).astype(bias.dtype))


def _multiplied(group: ChannelGroup) -> list[Kernel]:
    """Return the weights of a group that operators multiply with: filters and depthwise kernels."""
    return [*(part.kernel for part in group.filters), *_depthwise(group)]


def _depthwise(group: ChannelGroup) -> list[Kernel]:
    """Return the depthwise kernels: the carriers that have an axis for the multiplier."""
    return [part.kernel for part in group.carriers if part.axis == _CHANNELS_OF_DEPTHWISE]


def _of_one_axis(kernel: Kernel) -> Kernel:
    """Return a depthwise kernel as it lies in the file: channels and multiplier are one axis, that of the outputs."""
    shape = (*kernel.shape[:-2], kernel.shape[-2] * kernel.shape[-1])
    return replace(kernel, shape=shape, read=lambda: kernel.read().reshape(shape), axes=(-1, -2))
