"""The table of operators: what each does to the channels of its activations.

An entry notes which channels of inputs and outputs go together, and which outputs are constant if inputs are. An
operator that is not in the table, or in a form that its entry does not know, keeps every channel that it touches.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.flatbuffer.graph import indices
from tflite_sparse.flatbuffer.types import Operator
from tflite_sparse.rewrites.dead_channels import elementwise, products, sizes
from tflite_sparse.rewrites.dead_channels.analysis import Analysis
from tflite_sparse.rewrites.dead_channels.numbers import mean_of_constant


@dataclass(frozen=True, slots=True)
class _Entry:
    """How an operator is analysed.

    Attributes:
        analyse: notes what it does to channels; returns False for a form that it does not know, of which it has
            learned no values.
        inputs: number of leading inputs that must be there.
        options: the class of the options that it reads; a file may leave them out.
    """

    analyse: Callable[[Analysis, Operator], bool]
    inputs: int
    options: type | None = None

    def takes(self, operator: Operator) -> bool:
        """Return whether an operator has all that is read of it."""
        leading = indices(operator.inputs)[: self.inputs]
        is_whole = len(leading) == self.inputs and min(leading) >= 0 and len(operator.outputs) > 0
        return is_whole and (self.options is None or isinstance(operator.builtinOptions, self.options))


_MEANS_AT_A_TIME = 16
"""Channels that the built-in int8 kernel for the mean of a plane that keeps its axes computes together."""


def analyse(found: Analysis) -> None:
    """Fill in an analysis, operator by operator in execution order."""
    for operator in found.graph.operators:
        name = found.graph.operator_name(operator)
        entry = _ENTRIES.get(name)
        edits = len(found.edits)
        if entry is None or not entry.takes(operator) or not entry.analyse(found, operator):
            del found.edits[edits:]
            for index in (*indices(operator.inputs), *indices(operator.outputs)):
                found.block(index, name)


def _kept(found: Analysis, operator: Operator) -> bool:
    """Pooling and resizing: of equal values the same value, where both tensors have the same scale.

    A mean or a weighted sum of equal float32 values may be rounded, but for 0. A fused activation clips the value.
    """
    source, result = int(operator.inputs[0]), int(operator.outputs[0])
    if not found.same(source, result):
        return False
    numbers = found.numbers.get(source)
    activation = getattr(operator.builtinOptions, "fusedActivationFunction", 0)
    if numbers is not None and numbers == found.numbers.get(result):
        rounds = found.graph.operator_name(operator) in ("AVERAGE_POOL_2D", "RESIZE_BILINEAR")
        computed = numbers.stored if rounds else numbers.computed
        found.learn(result, computed(numbers.real(found.known(source)), activation=activation))
    return True


def _pad(found: Analysis, operator: Operator) -> bool:
    """PAD with zeros around the other axes: a constant stays one if it is 0."""
    source, paddings = int(operator.inputs[0]), found.integers(int(operator.inputs[1]))
    if paddings is None or paddings.size != 2 * found.rank(source) or paddings.reshape(-1, 2)[-1].any():
        return False
    numbers = found.numbers_of(source)
    if numbers is None or not found.same(source, int(operator.outputs[0])):
        return False
    values = found.known(source)
    found.learn(int(operator.outputs[0]), np.where(values == numbers[0].zero, values, np.nan))
    return True


def _tile(found: Analysis, operator: Operator) -> bool:
    """TILE along axes other than the last one, as of UpSampling2D in Keras 3."""
    source, result = int(operator.inputs[0]), int(operator.outputs[0])
    multiples = found.integers(int(operator.inputs[1]))
    if multiples is None or multiples.size != found.rank(source) or multiples.flat[-1] != 1:
        return False
    return _moved(found, source, result)


def _to_batch(found: Analysis, operator: Operator) -> bool:
    """SPACE_TO_BATCH_ND, which pads with zeros, and BATCH_TO_SPACE_ND, around what a dilated convolution became."""
    source, result = int(operator.inputs[0]), int(operator.outputs[0])
    sizes_of_blocks, margins = (found.integers(int(operator.inputs[position])) for position in (1, 2))
    if sizes_of_blocks is None or margins is None or sizes_of_blocks.size > found.rank(source) - 2:
        return False
    pads = found.graph.operator_name(operator) == "SPACE_TO_BATCH_ND" and bool(margins.any())
    return _moved(found, source, result, only_zero=pads)


def _moved(found: Analysis, source: int, result: int, *, only_zero: bool = False) -> bool:
    """Tie the channels of values that are only moved, or padded with zeros; return whether the numbers stay."""
    numbers = found.numbers_of(source, result)
    if numbers is None or numbers[0] != numbers[1] or not found.same(source, result):
        return False
    values = found.known(source)
    found.learn(result, np.where(values == numbers[0].zero, values, np.nan) if only_zero else values)
    return True


def _over_axes(found: Analysis, operator: Operator) -> bool:
    """MEAN and REDUCE_MAX over axes other than the last one."""
    source, result = int(operator.inputs[0]), int(operator.outputs[0])
    axes, rank = found.integers(int(operator.inputs[1])), found.rank(source)
    if axes is None or not rank or np.any(axes % rank == rank - 1):
        return False
    numbers = found.numbers_of(source, result)
    if numbers is None or numbers[0].kind != numbers[1].kind or not found.same(source, result):
        return False
    if found.graph.operator_name(operator) == "MEAN":
        over = sorted(set((axes % rank).reshape(-1).tolist()))
        is_planar = found.rank(result) == rank == 4 and over == [1, 2]
        if not numbers[0].is_float and is_planar:
            found.multiples[result] = _means_at_a_time(found.channels.sizes[result])
        sizes_of_source = [found.shape(source)[axis] for axis in over]
        if min(sizes_of_source) > 0:  # an open size leaves the width of ties open
            count, values = math.prod(sizes_of_source), found.known(source)
            means = mean_of_constant(numbers[0], numbers[1], values, count, is_planar=is_planar)
            found.learn(result, means)
            known = np.unique(values[np.isnan(means) & ~np.isnan(values)])
            found.alike[result] = [np.flatnonzero(values == value) for value in known]
    elif numbers[0] == numbers[1]:
        found.learn(result, found.known(source))
    return True


def _means_at_a_time(channels: int) -> int:
    """Return how many channels stay together so that no thread of a built-in kernel rounds some of them differently.

    Each thread takes an equal part of the channels. Two and four threads count where at most an eighth of the channels
    stays for it.
    """
    multiples = [_MEANS_AT_A_TIME * threads for threads in (4, 2)]
    fitting = (each for each in multiples if channels % each == 0 and channels >= 8 * each)
    return next(fitting, _MEANS_AT_A_TIME)


def _transpose(found: Analysis, operator: Operator) -> bool:
    """TRANSPOSE that leaves the last axis where it is."""
    source, result, order = int(operator.inputs[0]), int(operator.outputs[0]), found.integers(int(operator.inputs[1]))
    if order is None or order.flat[-1] != order.size - 1 or not found.same(source, result):
        return False
    found.learn(result, found.known(source))
    return True


def _concatenation(found: Analysis, operator: Operator) -> bool:
    """CONCATENATION on any axis of activations with the scale of the result."""
    result, sources = int(operator.outputs[0]), indices(operator.inputs)
    rank = found.rank(result)
    numbers = found.numbers_of(result, *sources)
    if numbers is None or not rank or operator.builtinOptions.fusedActivationFunction:
        return False
    equal = all(each == numbers[0] for each in numbers)
    channels = found.channels
    if operator.builtinOptions.axis % rank == rank - 1:
        if sum(channels.sizes[source] for source in sources) != channels.sizes[result]:
            return False
        found.tie(np.concatenate([channels.of_tensor(source) for source in sources]), channels.of_tensor(result))
        values = np.concatenate([found.known(source) for source in sources])
    else:
        if not all(found.same(source, result) for source in sources):
            return False
        each = np.stack([found.known(source) for source in sources])
        values = np.where((each == each[0]).all(axis=0), each[0], np.nan)
    found.learn(result, values if equal else np.full(channels.sizes[result], np.nan))
    return True


def _split(found: Analysis, operator: Operator) -> bool:
    """SPLIT on any axis. On the last one the parts stay equally long: their channels go together."""
    axis, source, results = found.integers(int(operator.inputs[0])), int(operator.inputs[1]), indices(operator.outputs)
    rank = found.rank(source)
    if axis is None or axis.size != 1 or not rank or found.numbers_of(source, *results) is None:
        return False
    channels = found.channels
    if int(axis.flat[0]) % rank != rank - 1:
        if not all(found.same(source, result) for result in results):
            return False
        for result in results:
            if found.numbers[source] == found.numbers[result]:
                found.learn(result, found.known(source))
        return True
    length = channels.sizes[results[0]]
    if any(channels.sizes[result] != length for result in results) or length * len(results) != channels.sizes[source]:
        return False
    parts = channels.of_tensor(source).reshape(len(results), length)
    for result, part in zip(results, parts, strict=True):
        found.tie(part, channels.of_tensor(result))
        found.tie(part, parts[0])
        if found.numbers[source] == found.numbers[result]:
            found.learn(result, found.value[part])
    return True


def _reshape(found: Analysis, operator: Operator) -> bool:
    """RESHAPE and its kin: feature i of the longer last axis is channel i modulo the shorter one."""
    source, result = int(operator.inputs[0]), int(operator.outputs[0])
    numbers = found.numbers_of(source, result)
    if numbers is None or numbers[0] != numbers[1]:
        return False
    before, after = found.channels.sizes[source], found.channels.sizes[result]
    short, long = sorted((before, after))
    if not short or long % short:
        return False
    if found.graph.operator_name(operator) == "RESHAPE":
        if len(operator.inputs) < 2:  # its shape stands in its options, which are not edited
            return False
        size = sizes.of_channels(found, operator, 1, result)
        if size is None:
            return False
        found.edits.append(size)
    channel = np.arange(long) % short
    if after >= before:
        found.tie(found.channels.of_tensor(source)[channel], found.channels.of_tensor(result))
        found.learn(result, found.known(source)[channel])
    else:
        found.tie(found.channels.of_tensor(source), found.channels.of_tensor(result)[channel])
        values = found.known(source).reshape(-1, short)
        found.learn(result, np.where((values == values[0]).all(axis=0), values[0], np.nan))
    return True


def _packed_sizes(found: Analysis, operator: Operator) -> bool:
    """PACK and STRIDED_SLICE of sizes, which are integers without channels."""
    touched = [*indices(operator.inputs), *indices(operator.outputs)]
    return all(index not in found.channels or found.numbers[index] is None for index in touched)


_ENTRIES: dict[str, _Entry] = {
    "CONV_2D": _Entry(products.convolution, 2, schema.Conv2DOptionsT),
    "DEPTHWISE_CONV_2D": _Entry(products.depthwise, 2, schema.DepthwiseConv2DOptionsT),
    "FULLY_CONNECTED": _Entry(products.fully_connected, 2, schema.FullyConnectedOptionsT),
    "TRANSPOSE_CONV": _Entry(products.transposed_convolution, 3, schema.TransposeConvOptionsT),
    "ADD": _Entry(elementwise.arithmetic, 2, schema.AddOptionsT),
    "SUB": _Entry(elementwise.arithmetic, 2, schema.SubOptionsT),
    "MUL": _Entry(elementwise.arithmetic, 2, schema.MulOptionsT),
    "DIV": _Entry(elementwise.arithmetic, 2, schema.DivOptionsT),
    **dict.fromkeys(("MINIMUM", "MAXIMUM"), _Entry(elementwise.arithmetic, 2)),
    "PRELU": _Entry(elementwise.prelu, 2),
    "GREATER": _Entry(elementwise.greater, 2),
    **dict.fromkeys(("SELECT", "SELECT_V2"), _Entry(elementwise.selection, 3)),
    "LEAKY_RELU": _Entry(elementwise.by_function, 1, schema.LeakyReluOptionsT),
    "GELU": _Entry(elementwise.by_function, 1, schema.GeluOptionsT),
    "CONCATENATION": _Entry(_concatenation, 1, schema.ConcatenationOptionsT),
    "MAX_POOL_2D": _Entry(_kept, 1, schema.Pool2DOptionsT),
    "AVERAGE_POOL_2D": _Entry(_kept, 1, schema.Pool2DOptionsT),
    "RESIZE_NEAREST_NEIGHBOR": _Entry(_kept, 1),
    "RESIZE_BILINEAR": _Entry(_kept, 1),
    "MEAN": _Entry(_over_axes, 2),
    "REDUCE_MAX": _Entry(_over_axes, 2),
    "PAD": _Entry(_pad, 2),
    "TILE": _Entry(_tile, 2),
    **dict.fromkeys(("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"), _Entry(_to_batch, 3)),
    "TRANSPOSE": _Entry(_transpose, 2),
    "SPLIT": _Entry(_split, 2),
    "SHAPE": _Entry(sizes.leaves_channels_alone, 1),
    **dict.fromkeys(elementwise.WITHOUT_OPTIONS, _Entry(elementwise.by_function, 1)),
    **dict.fromkeys(("QUANTIZE", "DEQUANTIZE"), _Entry(elementwise.rescaled, 1)),
    **dict.fromkeys(("RESHAPE", "SQUEEZE", "EXPAND_DIMS"), _Entry(_reshape, 1)),
    **dict.fromkeys(("PACK", "STRIDED_SLICE"), _Entry(_packed_sizes, 1)),
}
