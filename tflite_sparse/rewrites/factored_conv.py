"""Turn a convolution over ``C`` channels into one over ``k`` times as many columns of ``c`` channels, ``k * c == C``.

A row of pixels ``(W, C)`` and a row of columns ``(W k, c)`` are the same bytes. A filter ``(n_out, h, w, C)`` reshaped
to ``(n_out, h, w k, c)``, with ``k`` times the stride along the width, sums the same products. Indices then reach only
``c <= 256`` channels and take one byte each.

Needs: CONV_2D with one group, no dilation along the width, and padding that the edit does not change: VALID, or SAME
whose total along the width is even (``k`` times an even number halves to ``k`` times its half, an odd one does not).
Leaves: one RESHAPE in front of the convolution, whose output is unchanged. The weight tensor keeps its index.
"""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.flatbuffer.graph import Graph, shape_of, signature_of
from tflite_sparse.flatbuffer.types import Conv2DOptions, Operator
from tflite_sparse.rewrites.split_axis import (
    groups_of_channels,
    has_reshape_before,
    reshape_before,
    reshape_overhead_bytes,
    undo_reshape_before,
)
from tflite_sparse.rewrites.weights import constant_behind, readers_of_weights

_LARGEST_STRIDE = 2**31 - 1


def refusal(graph: Graph, operator: Operator) -> str | None:
    """Return why this operator cannot be rewritten, or None."""
    options: Conv2DOptions | None = operator.builtinOptions
    source = graph.tensor(int(operator.inputs[0]))
    kernel = graph.tensor(int(operator.inputs[1]))
    shape, signature = shape_of(source), signature_of(source)
    if options is None or len(shape) != 4:
        return "it has no options or its input is not of rank 4"
    if shape_of(kernel)[3] != shape[3]:
        return "it has several groups"
    if options.strideW * shape[3] > _LARGEST_STRIDE:
        return "its stride along the width is out of range"
    if options.dilationWFactor != 1:
        return "it is dilated along the width"
    if any(size < 0 for size in signature[1:]):
        return "a dimension of its input other than the batch is dynamic"
    if options.padding == schema.Padding.SAME and _total_padding(shape[2], shape_of(kernel)[2], options.strideW) % 2:
        return "its padding along the width is odd"
    return None


def stored_shape(weight_shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return the shape in which a filter ``(n_out, h, w, C)`` is stored: ``(n_out, h, w k, c)``."""
    outputs, height, width, channels = weight_shape
    groups, fewer = groups_of_channels(channels)
    return (outputs, height, width * groups, fewer)


def apply(graph: Graph, operator: Operator) -> None:
    """Edit the graph. If several operators share a filter, the first edit reshapes it."""
    source = graph.tensor(int(operator.inputs[0]))
    weight = graph.tensor(int(operator.inputs[1]))
    channels = shape_of(source)[3]
    groups, fewer = groups_of_channels(channels)
    if shape_of(weight)[3] == channels:
        weight.shape = np.array(stored_shape(shape_of(weight)), np.int32)
    batch, height, width, _ = shape_of(source)
    columns = (height, width * groups, fewer)
    reshape_before(graph, operator, 0, (batch, *columns), (-1, *columns))
    options: Conv2DOptions = operator.builtinOptions
    options.strideW *= groups


def undo(graph: Graph) -> dict[int, tuple[int, ...]]:
    """Restore every CONV_2D that this module edited.

    Returns:
        The former shape of each filter, by tensor index, for storing it dense.
    """
    shapes: dict[int, tuple[int, ...]] = {}
    for weight, operators in readers_of_weights(graph, "CONV_2D").items():
        groups = {_groups(graph, operator) for operator in operators}
        count = groups.pop()
        if count is None or groups:
            continue
        for operator in operators:
            undo_reshape_before(graph, operator, 0)
            options: Conv2DOptions = operator.builtinOptions
            options.strideW //= count
        outputs, height, width, channels = shape_of(graph.tensor(weight))
        shapes[constant_behind(graph, weight)] = (outputs, height, width // count, channels * count)
    return shapes


def _groups(graph: Graph, operator: Operator) -> int | None:
    """Return the number of channel groups ``k`` of an operator that this module edited; None for others."""
    if not has_reshape_before(graph, operator, 0):
        return None
    between = int(operator.inputs[0])
    before = shape_of(graph.tensor(int(graph.producers()[between].inputs[0])))
    after, kernel = shape_of(graph.tensor(between)), shape_of(graph.tensor(int(operator.inputs[1])))
    if len(before) != 4 or len(after) != 4 or after[3] == 0 or kernel[3] != after[3]:
        return None
    count, rest = divmod(before[3], after[3])
    if count < 2 or rest or after[:3] != (*before[:2], before[2] * count):
        return None
    options: Conv2DOptions = operator.builtinOptions
    return None if options.strideW % count or kernel[2] % count else count


def overhead_bytes(graph: Graph, operator: Operator) -> int:
    """Return the bytes that this edit adds to a file: one RESHAPE."""
    return reshape_overhead_bytes(graph.tensor(int(operator.inputs[0])), 4)


def _total_padding(size: int, kernel: int, stride: int) -> int:
    # TensorFlow's SAME: ceil(size / stride) outputs, with the padding that they need.
    outputs = -(-size // stride)
    return max((outputs - 1) * stride + kernel - size, 0)
