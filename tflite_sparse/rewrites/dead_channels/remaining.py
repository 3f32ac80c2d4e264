"""Say which channels with weights of 0 stay in a graph, and what keeps them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from tflite_sparse.flatbuffer.graph import indices, text
from tflite_sparse.flatbuffer.types import Operator
from tflite_sparse.rewrites.dead_channels.analysis import Analysis, Product
from tflite_sparse.rewrites.dead_channels.cut import Remaining

_OUTPUT_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0, "TRANSPOSE_CONV": 0}
"""Of a kernel, which is the second input of each of these operators."""


def remaining(found: Analysis, gone: np.ndarray) -> Iterator[Remaining]:
    """Yield the channels of each kernel that have weights of 0 and stay, those that one operator keeps together.

    Args:
        found: the analysis.
        gone: whether each channel goes.
    """
    labels = found.labels()
    stay = [(operator, kernel, channels[~gone[channels]]) for operator, kernel, channels in _without_weights(found)]
    groups = {int(group) for _, _, channels in stay for group in labels[channels]}
    keepers = _keepers(found, labels, gone, groups) if groups else {}
    for operator, kernel, channels in stay:
        counts = Counter(keepers.get(int(group), ("one channel must stay", 0)) for group in labels[channels])
        name, kind = text(found.graph.tensor(kernel).name), found.graph.operator_name(operator)
        for (keeper, multiple), count in counts.items():
            yield Remaining(found.graph.number, name, kind, count, keeper, multiple)


def _without_weights(found: Analysis) -> Iterator[tuple[Operator, int, np.ndarray]]:
    """Yield operators with their kernels and those of their output channels whose weights are all 0."""
    for operator in found.graph.operators:
        axis = _OUTPUT_AXIS.get(found.graph.operator_name(operator))
        if axis is None or len(operator.inputs) < 2 or not len(operator.outputs):
            continue
        index, result = int(operator.inputs[1]), int(operator.outputs[0])
        kernel = found.constants.rebuilt.get(index, index)
        values = found.graph.constant(kernel) if kernel >= 0 else None
        if values is None or axis >= values.ndim or values.shape[axis] != found.channels.sizes.get(result):
            continue
        is_zero = ~np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1).any(axis=1)
        yield operator, kernel, found.channels.of_tensor(result)[is_zero]


def _keepers(found: Analysis, labels: np.ndarray, gone: np.ndarray, groups: set[int]) -> dict[int, tuple[str, int]]:
    """Return what keeps groups of channels: the kind of an operator, and the multiple that it keeps or 0."""
    keepers: dict[int, tuple[str, int]] = {}
    for channels, keeper in found.keepers:
        for group in groups.intersection(labels[channels].tolist()):
            keepers.setdefault(group, (keeper, 0))
    for edit in found.edits:
        if isinstance(edit, Product):
            needed = edit.reads[~gone[found.channels.of_tensor(edit.result)]].any(axis=0)
            for channel in found.channels.of_tensor(edit.source)[needed]:
                group = int(labels[channel])
                if group in groups and group not in keepers:
                    keepers[group] = (_unfolded(found, labels, edit, int(channel)), 0)
    for tensor, multiple in sorted(found.multiples.items(), key=lambda each: -each[1]):
        for group in groups.intersection(labels[found.channels.of_tensor(tensor)].tolist()):
            keepers.setdefault(group, (found.graph.operator_name(found.producers[tensor]), multiple))
    return keepers


def _unfolded(found: Analysis, labels: np.ndarray, reader: Product, channel: int) -> str:
    """Return the kind of the operator from which on a channel is no constant that its reader can take.

    Args:
        found: the analysis.
        labels: group of each channel.
        reader: a kernel that needs the channel.
        channel: of its source.
    """
    operator, group = reader.kernel.operator, labels[channel]
    sources = {reader.source: np.array([channel])}
    while sources and all(np.isnan(found.value[channels]).any() for channels in sources.values()):
        tensor = next(iter(sources))
        producer = found.producers.get(tensor)
        if producer is None:
            break
        operator, sources = producer, {}
        for each in indices(operator.inputs):
            if each in found.channels:
                channels = found.channels.of_tensor(each)
                sources |= {each: channels[labels[channels] == group]} if np.any(labels[channels] == group) else {}
    return found.graph.operator_name(operator)
