"""Find which variables of a Keras model make one channel, so that all of them are masked together.

A masked channel is exactly zero from the layer that makes it up to those that read it. So these belong together: the
filter and its bias, ``gamma`` and ``beta`` of batch normalisation, and the depthwise kernels on the way. Residual
additions and gates (squeeze-and-excite) tie filters of several layers: they are one group.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tflite_sparse.pruning import channel_flow
from tflite_sparse.pruning.channel_flow import Flow, Weight
from tflite_sparse.pruning.channel_ties import Ties
from tflite_sparse.sources import calls
from tflite_sparse.sources.keras_types import KerasModel, Variable
from tflite_sparse.sources.source_model import Kernel


@dataclass(frozen=True, eq=False)
class Part:
    """A variable of a group.

    Attributes:
        kernel: the weight, also where it is a bias or of a normalisation.
        variable: the same for Keras.
        axis: negative; channels lie along it.
        channels: int, one entry for each index along the axis: the number of the channel in the group; -1: none of it.
    """

    kernel: Kernel
    variable: Variable
    axis: int
    channels: np.ndarray

    @property
    def name(self) -> str:
        """The name of the weight, unique in the model."""
        return self.kernel.name

    def kept_along(self, kept: np.ndarray) -> np.ndarray:
        """Return what is kept along the axis, bool; ``kept`` is bool, one entry for each channel of the group."""
        return np.where(self.channels < 0, True, kept[self.channels])


@dataclass(frozen=True, eq=False)
class ChannelGroup:
    """Channels that can become zero, each in all parts together.

    Attributes:
        name: after the first filter kernel.
        channels: how many.
        filters: kernels that make the channels; they are scored.
        carriers: biases, normalisation and depthwise kernels; they are masked with the filters.
        readers: kernels that read the channels; their weights at masked channels have no effect.
    """

    name: str
    channels: int
    filters: tuple[Part, ...]
    carriers: tuple[Part, ...]
    readers: tuple[Part, ...]

    @property
    def masked(self) -> tuple[Part, ...]:
        """The parts that become zero."""
        return self.filters + self.carriers


@dataclass(frozen=True, eq=False)
class ChannelGroups:
    """The groups of a model in the order of the data flow, and why other kernels have none, by kernel name."""

    groups: tuple[ChannelGroup, ...] = ()
    left: Mapping[str, str] = field(default_factory=dict)


def find(model: KerasModel, found: Sequence[tuple[Variable, Kernel]]) -> ChannelGroups:
    """Return the groups of a built model of either generation of Keras; its weights are not read.

    Args:
        model: the model.
        found: its kernels, as ``kernels_and_variables`` lists them.
    """
    graph = calls.graph_of(model)
    if graph is None:
        why = "the model has its own call method, so its channels cannot be followed"
        return ChannelGroups(left={kernel.name: why for _, kernel in found})
    flow = channel_flow.follow(graph)
    weights = _Weights(found)
    reasons = [(weight, flow.ties.reason(weight.labels)) for weight in (*flow.filters, *flow.carriers)]
    left = {kernel.name: "a layer whose channels are not followed" for _, kernel in found}
    refused = {weights.of(weight).name: reason for weight, reason in reasons if reason is not None}
    left |= {name: reason for name, reason in refused.items() if name in left}
    sets = [filters for filters in _connected(flow) if all(flow.ties.reason(each.labels) is None for each in filters)]
    groups = tuple(_Numbered(sets, flow).groups(weights))
    masked = {part.name for group in groups for part in group.masked}
    return ChannelGroups(groups, {name: reason for name, reason in left.items() if name not in masked})


class _Weights:
    """The weights of parts: the kernels of the model, and others by the path of their layer."""

    def __init__(self, found: Sequence[tuple[Variable, Kernel]]) -> None:
        self._known = {id(variable): kernel for variable, kernel in found}

    def of(self, weight: Weight) -> Kernel:
        """Return the weight as a kernel, the same each time."""
        variable = weight.variable
        if id(variable) not in self._known:
            name = f"{weight.call.name}/{variable.name.partition(':')[0].rpartition('/')[2]}"
            shape = tuple(int(size) for size in variable.shape)
            self._known[id(variable)] = Kernel(name, weight.call.kind, shape, variable.numpy, variable.assign)
        return self._known[id(variable)]


def _connected(flow: Flow) -> list[list[Weight]]:
    """Return the filters in sets that share a channel, in the order of the data flow."""
    ties = Ties()
    ties.fresh(len(flow.filters))
    first_with: dict[int, int] = {}
    for place, each in enumerate(flow.filters):
        for root in set(flow.ties.roots(each.labels).tolist()):
            ties.tie(np.array([first_with.setdefault(root, place)]), np.array([place]))
    sets: dict[int, list[Weight]] = {}
    for root, each in zip(ties.roots(np.arange(len(flow.filters))).tolist(), flow.filters, strict=True):
        sets.setdefault(root, []).append(each)
    return list(sets.values())


class _Numbered:
    """The channels of groups, given by their filters, numbered within each group."""

    def __init__(self, sets: Sequence[Sequence[Weight]], flow: Flow) -> None:
        self._sets, self._flow = sets, flow
        self._group = np.full(flow.ties.count, -1)  # by root: labels are many where a tensor is flattened
        self._number = np.full(flow.ties.count, -1)
        self._channels = []
        for group, filters in enumerate(sets):
            roots, first = np.unique(np.concatenate([flow.ties.roots(each.labels) for each in filters]), True)
            self._group[roots] = group
            self._number[roots[np.argsort(first)]] = np.arange(roots.size)
            self._channels.append(roots.size)

    def groups(self, known: _Weights) -> Iterator[ChannelGroup]:
        """Yield the groups with all their parts."""
        filters = self._parts(self._flow.filters, known)
        carriers = self._parts(self._flow.carriers, known)
        readers = self._parts(self._flow.readers, known)
        for group, (own, channels) in enumerate(zip(self._sets, self._channels, strict=True)):
            name = f"channels of {known.of(own[0]).name}"
            yield ChannelGroup(name, channels, tuple(filters[group]), tuple(carriers[group]), tuple(readers[group]))

    def _parts(self, weights: Sequence[Weight], known: _Weights) -> list[list[Part]]:
        """Return the parts that ``weights`` are, by group. One that reads concatenated channels is in several."""
        found: list[list[Part]] = [[] for _ in self._sets]
        for each in weights:
            roots = self._flow.ties.roots(each.labels)
            groups, numbers = self._group[roots], self._number[roots]
            for group in np.unique(groups[groups >= 0]).tolist():
                channels = np.where(groups == group, numbers, -1)
                found[group].append(Part(known.of(each), each.variable, each.axis, channels))
        return found
