"""MAX_POOL_2D, AVERAGE_POOL_2D and MEAN."""

from __future__ import annotations

import itertools
import math

from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.codecs.streams.kernels import LARGEST_SIDE
from tflite_sparse.standalone_c.node import Node
from tflite_sparse.standalone_c.operators import requantise
from tflite_sparse.standalone_c.operators.steps import one_to_one
from tflite_sparse.standalone_c.operators.windows import windows
from tflite_sparse.standalone_c.program import Field, Step

_SOURCE = "tfls_pool"
_SIZES = (
    *("batches", "in_h", "in_w", "out_h", "out_w"),
    *("filter_h", "filter_w", "stride_h", "stride_w", "pad_h", "pad_w"),
)
_MOST_AXES = 3
_LARGEST_SUM = 2**31 // 256


def max_pool_2d(node: Node) -> Step:
    """MAX_POOL_2D."""
    return _pool(node, "tfls_max_pool_2d")


def average_pool_2d(node: Node) -> Step:
    """AVERAGE_POOL_2D."""
    return _pool(node, "tfls_average_pool_2d")


def _pool(node: Node, function: str) -> Step:
    source, result, options = node.int8_value(0), node.int8_output(), node.options
    sides = (int(options.filterHeight), int(options.filterWidth))
    strides = (int(options.strideH), int(options.strideW))
    if len(source.shape) != 4 or min(*sides, *strides) < 1:
        raise node.refused("it reads no images, or a size of its window is less than 1")
    valid = options.padding == schema.Padding.VALID
    across = [
        windows(size, side, stride, 1, valid=valid)
        for size, side, stride in zip(source.shape[1:3], sides, strides, strict=True)
    ]
    batches, _, _, channels = source.shape
    if result.shape != (batches, *(each.count for each in across), channels):
        raise node.refused("its output does not have the size that its window makes")
    numbers = (*source.shape[:3], *result.shape[1:3], *sides, *strides, *(each.pad for each in across))
    if max(numbers) > LARGEST_SIDE:
        raise node.refused(f"a size of its images or window is more than {LARGEST_SIDE:,}")
    low, high = node.clamp(int(options.fusedActivationFunction))
    fields: tuple[tuple[str, Field], ...] = (
        ("channels", channels),
        *zip(_SIZES, numbers, strict=True),
        ("min", low),
        ("max", high),
    )
    return one_to_one(node, function, "TflsPool2D", fields, _SOURCE)


def mean(node: Node) -> Step:
    """MEAN over any axes; ``QuantizedMeanOrSum`` in ``kernels/internal/reference/reduce.h`` has its arithmetic."""
    source, result = node.int8_value(0), node.int8_output()
    rank = len(source.shape)
    axes = {axis % rank for axis in node.integers(1) if -rank <= axis < rank}
    reduced_count = math.prod(source.shape[axis] for axis in axes)
    if not axes or source.count // reduced_count != result.count:
        raise node.refused("its axes do not fit its input")
    if reduced_count > _LARGEST_SUM:
        raise node.refused(f"it takes the mean of {reduced_count:,} values")
    kept, reduced = _groups(source.shape, axes)
    if max(len(kept), len(reduced)) > _MOST_AXES:
        raise node.refused("its axes lie in too many places")
    multiplier, shift = requantise.pair(node, source.scale / result.scale)
    left = max(0, min(reduced_count.bit_length() - 1, 32, 31 + shift))
    filled = [[*group, *[(1, 0)] * (_MOST_AXES - len(group))] for group in (kept, reduced)]
    filled = [sorted(group, key=lambda pair: pair == (1, 0), reverse=True) for group in filled]  # unused axes in front
    columns = [tuple(column) for group in filled for column in zip(*group, strict=True)]
    fields: tuple[tuple[str, Field], ...] = (
        *zip(("kept", "kept_step", "reduced", "reduced_step"), columns, strict=True),
        ("sum_offset", -source.zero_point * reduced_count),
        ("multiplier", (multiplier << left) // reduced_count),
        ("shift", shift - left),
        ("output_zero_point", result.zero_point),
    )
    return one_to_one(node, "tfls_mean", "TflsMean", fields, _SOURCE)


def _groups(shape: tuple[int, ...], axes: set[int]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Kept and reduced axes as (size, step), neighbours of a kind merged."""
    found: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
    for is_reduced, group in itertools.groupby(range(len(shape)), key=lambda axis: axis in axes):
        places = list(group)
        size, step = math.prod(shape[axis] for axis in places), math.prod(shape[places[-1] + 1 :])
        if size > 1:
            found[is_reduced].append((size, step))
    return found
