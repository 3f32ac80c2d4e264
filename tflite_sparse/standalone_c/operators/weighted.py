"""CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED and TRANSPOSE_CONV with dense int8 weights.

Sources: ``PopulateConvolutionQuantizationParams`` in ``kernels/kernel_util.cc``, ``CalculateOpDataFullyConnected`` in
``micro/kernels/fully_connected_common.cc``, ``micro/kernels/transpose_conv.cc``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.codecs import dense_weights
from tflite_sparse.codecs.dense_weights import is_wide
from tflite_sparse.codecs.streams.kernels import LARGEST_SIDE
from tflite_sparse.codecs.streams.parameters import Parameters
from tflite_sparse.standalone_c import depthwise
from tflite_sparse.standalone_c.node import Node
from tflite_sparse.standalone_c.operators import requantise
from tflite_sparse.standalone_c.operators.windows import Window, windows
from tflite_sparse.standalone_c.program import Call, Field, Operand, Step, Struct, Table, Value

_INPUT, _WEIGHTS, _BIAS = 0, 1, 2
_MANY_PIXELS = 16
"""``TFLS_MANY_PIXELS``"""
PAIRED = "TFLS_PAIRED"
"""The layout of paired weights, as C names it."""

_LAYOUTS = ("TFLS_PLAIN", PAIRED)
_TILE_SCRATCH_BYTES = 36
"""Of a filter, in ``tfls_conv_2d_3x3x1``."""

_TILE_SIDE = 2


def conv_2d(node: Node) -> Step:
    """CONV_2D."""
    source, result, weights = node.int8_value(_INPUT), node.int8_output(), _weights(node, 4)
    outputs, height, width, channels = weights.shape
    if channels != source.shape[-1]:
        raise node.refused("it is a convolution in groups")
    parameters = _parameters(node, source, weights, 0)
    sizes = _sizes(node, source, result, (height, width), outputs)
    wide = is_wide(parameters, weights)
    by_tiles = channels == 1 and not wide and bool((parameters.shifts < 0).all()) and _has_tiles(sizes)
    paired, taps = not by_tiles and _is_paired(node, weights), height * width * channels
    scratch = 0 if height == width == 1 else 2 * taps
    if by_tiles:
        scratch = _TILE_SCRATCH_BYTES * outputs
    elif paired:
        scratch = 8 * taps if channels % 4 == 0 else 9 * (-(-taps // 4) * 4)
        if not wide and math.prod(result.shape[:-1]) >= _MANY_PIXELS:
            scratch += 16 * (-(-outputs // 2) * 2)
    arranged = dense_weights.paired_convolution(weights) if paired else weights
    fields: tuple[tuple[str, Field], ...] = (
        ("weights", Table("weights", arranged, aligned=paired)),
        *requantise.fields(parameters),
        ("in_c", channels),
        ("out_c", outputs),
        *sizes,
        *_ends(node, source),
        ("channel_step", requantise.channel_step(parameters)),
        ("wide", int(wide)),
        ("layout", _LAYOUTS[paired]),
    )
    if by_tiles:
        return _step(node, "tfls_conv_2d_3x3x1", "TflsConv2D", fields, "tfls_conv_3x3x1", scratch=scratch)
    return _step(node, "tfls_conv_2d", "TflsConv2D", fields, "tfls_conv", scratch=scratch, layout=int(paired))


def fully_connected(node: Node) -> Step:
    """FULLY_CONNECTED."""
    source, result, weights = node.int8_value(_INPUT), node.int8_output(), _weights(node, 2)
    outputs, inputs = weights.shape
    rows = source.count // inputs
    if rows * inputs != source.count or rows * outputs != result.count:
        raise node.refused("its shapes do not fit its weights")
    if node.options.weightsFormat != schema.FullyConnectedOptionsWeightsFormat.DEFAULT:
        raise node.refused("its weights are shuffled")
    parameters = _parameters(node, source, weights, 0)
    paired = _is_paired(node, weights)
    arranged = dense_weights.paired_matrix(weights) if paired else weights
    low, high = node.clamp(int(node.options.fusedActivationFunction))
    fields: tuple[tuple[str, Field], ...] = (
        ("weights", Table("weights", arranged, aligned=paired)),
        *requantise.fields(parameters),
        ("rows", rows),
        ("inputs", inputs),
        ("outputs", outputs),
        ("output_zero_point", result.zero_point),
        ("min", low),
        ("max", high),
        ("channel_step", requantise.channel_step(parameters)),
        ("wide", int(is_wide(parameters, weights))),
        ("layout", _LAYOUTS[paired]),
    )
    return _step(node, "tfls_fully_connected", "TflsFullyConnected", fields, "tfls_fully_connected", layout=int(paired))


def depthwise_conv_2d(node: Node) -> Step:
    """DEPTHWISE_CONV_2D."""
    source, result, weights = node.int8_value(_INPUT), node.int8_output(), _weights(node, 4)
    _, height, width, outputs = weights.shape
    channels = source.shape[-1] if source.shape else 0
    if weights.shape[0] != 1 or not channels or outputs % channels:
        raise node.refused("its weights do not fit its input")
    parameters = _parameters(node, source, np.moveaxis(weights, 3, 0), 3)
    sizes = _sizes(node, source, result, (height, width), outputs)
    wide = is_wide(parameters, np.moveaxis(weights, 3, 0))
    fields: tuple[tuple[str, Field], ...] = (
        ("weights", Table("weights", weights)),
        *requantise.fields(parameters),
        ("in_c", channels),
        ("depth_multiplier", outputs // channels),
        *sizes,
        *_ends(node, source),
        ("channel_step", requantise.channel_step(parameters)),
        ("wide", int(wide)),
        ("by_columns", int(depthwise.are_columns_quicker(_numbers(sizes)))),
    )
    function = "tfls_depthwise_conv_2d"
    if not wide and outputs == channels and (parameters.shifts < 0).all() and _is_usual_3x3(sizes):
        low, _ = node.clamp(int(node.options.fusedActivationFunction))
        is_clamped = node.core.has_smlad and low >= result.zero_point
        function = depthwise.BY_3X3_CLAMPED if is_clamped else depthwise.BY_3X3
    return _step(node, function, "TflsDepthwiseConv2D", fields, "tfls_depthwise")


def _is_usual_3x3(sizes: Sequence[tuple[str, Field]]) -> bool:
    """Whether the windows are such as ``tfls_depthwise_conv_2d_3x3`` takes."""
    of = _numbers(sizes)
    if any(of[f"{name}_{side}"] != usual for name, usual in (("filter", 3), ("dilation", 1)) for side in "hw"):
        return False
    return (
        max(of["pad_h"], of["pad_w"]) <= 1 and of["stride_w"] <= 2 and of["in_h"] >= 3 and of["in_w"] + of["pad_w"] >= 3
    )


def _numbers(fields: Sequence[tuple[str, Field]]) -> dict[str, int]:
    return {name: value for name, value in fields if isinstance(value, int)}


def _has_tiles(sizes: Sequence[tuple[str, Field]]) -> bool:
    """Whether the windows are such as ``tfls_conv_2d_3x3x1`` takes."""
    of = _numbers(sizes)
    usual = (("filter", 3), ("stride", 1), ("dilation", 1))
    return all(
        all(of[f"{name}_{side}"] == value for name, value in usual) and of[f"out_{side}"] >= _TILE_SIDE for side in "hw"
    )


def transpose_conv(node: Node) -> Step:
    """TRANSPOSE_CONV: its inputs are a shape, the weights, the data and perhaps a bias."""
    data, bias_place = 2, 3
    source, result, weights = node.int8_value(data), node.int8_output(), _weights(node, 4)
    outputs, height, width, channels = weights.shape
    if len(source.shape) != 4 or len(result.shape) != 4 or source.shape[3] != channels or result.shape[3] != outputs:
        raise node.refused("its shapes do not fit its weights")
    options = node.options
    valid = options.padding == schema.Padding.VALID
    strides = (int(options.strideH), int(options.strideW))
    across = [
        windows(size, side, stride, 1, valid=valid)
        for size, side, stride in zip(result.shape[1:3], (height, width), strides, strict=True)
    ]
    if (
        min(strides) < 1
        or [each.count for each in across] != [*source.shape[1:3]]
        or source.shape[0] != result.shape[0]
    ):
        raise node.refused("its output does not have the size that its strides make")
    multipliers, shifts = requantise.of(node, source, node.filter_scales(_WEIGHTS, outputs, 0))
    bias = node.bias(bias_place, outputs)
    parameters = Parameters(np.zeros(outputs, np.int32) if bias is None else bias, multipliers, shifts)
    low, high = node.clamp(int(getattr(options, "fusedActivationFunction", 0)))
    fields: tuple[tuple[str, Field], ...] = (
        ("weights", Table("weights", weights)),
        *requantise.fields(parameters),
        ("in_c", channels),
        ("out_c", outputs),
        *_images(node, source, result),
        *_windows(node, (height, width), strides, None, across),
        ("input_zero_point", source.zero_point),
        ("output_zero_point", result.zero_point),
        ("min", low),
        ("max", high),
        ("channel_step", requantise.channel_step(parameters)),
    )
    return _step(node, "tfls_transpose_conv", "TflsTransposeConv", fields, "tfls_transpose_conv", data=data)


def _weights(node: Node, rank: int) -> np.ndarray:
    weights = node.constant(_WEIGHTS)
    if weights.dtype != np.int8 or weights.ndim != rank or not weights.size:
        raise node.refused(f"its weights are no int8 constant of rank {rank}")
    return weights


def _is_paired(node: Node, weights: np.ndarray) -> bool:
    return node.core.has_smlad and dense_weights.can_be_paired(weights)


def _parameters(node: Node, source: Value, weights: np.ndarray, axis: int) -> Parameters:
    """Of weights (outputs, ...) whose scales lie along ``axis`` of the stored ones."""
    scales = node.filter_scales(_WEIGHTS, weights.shape[0], axis)
    multipliers, shifts = requantise.of(node, source, scales)
    bias = node.bias(_BIAS, weights.shape[0])
    return Parameters(requantise.folded_bias(bias, weights, source.zero_point), multipliers, shifts)


def _sizes(
    node: Node, source: Value, result: Value, sides: tuple[int, int], outputs: int
) -> tuple[tuple[str, Field], ...]:
    """The sizes of images, filter, strides, dilations and padding."""
    options: Any = node.options
    strides = (int(options.strideH), int(options.strideW))
    dilations = (int(options.dilationHFactor), int(options.dilationWFactor))
    images = _images(node, source, result)
    if min(*strides, *dilations) < 1:
        raise node.refused("a stride or dilation is less than 1")
    across = [
        windows(*each, valid=options.padding == schema.Padding.VALID)
        for each in zip(source.shape[1:3], sides, strides, dilations, strict=True)
    ]
    if result.shape != (source.shape[0], *(each.count for each in across), outputs):
        raise node.refused("its output does not have the size that its filter makes")
    return (*images, *_windows(node, sides, strides, dilations, across))


def _images(node: Node, source: Value, result: Value) -> tuple[tuple[str, Field], ...]:
    if len(source.shape) != 4 or len(result.shape) != 4:
        raise node.refused("it reads or yields no images")
    numbers = (*source.shape[:3], *result.shape[1:3])
    if max(numbers) > LARGEST_SIDE:
        raise node.refused(f"a side of its images is more than {LARGEST_SIDE:,}")
    return tuple(zip(("batches", "in_h", "in_w", "out_h", "out_w"), numbers, strict=True))


def _windows(
    node: Node,
    sides: tuple[int, int],
    strides: tuple[int, int],
    dilations: tuple[int, int] | None,
    across: list[Window],
) -> tuple[tuple[str, Field], ...]:
    pads = [each.pad for each in across]
    if max(*sides, *strides, *(dilations or ()), *pads) > LARGEST_SIDE:
        raise node.refused(f"a size of its filter is more than {LARGEST_SIDE:,}")
    dilated = () if dilations is None else zip(("dilation_h", "dilation_w"), dilations, strict=True)
    return (
        *zip(("filter_h", "filter_w"), sides, strict=True),
        *zip(("stride_h", "stride_w"), strides, strict=True),
        *dilated,
        *zip(("pad_h", "pad_w"), pads, strict=True),
    )


def _ends(node: Node, source: Value) -> tuple[tuple[str, Field], ...]:
    low, high = node.clamp(int(node.options.fusedActivationFunction))
    points = (source.zero_point, node.int8_output().zero_point)
    return tuple(zip(("input_zero_point", "output_zero_point", "min", "max"), (*points, low, high), strict=True))


def _step(
    node: Node,
    function: str,
    struct: str,
    fields: tuple[tuple[str, Field], ...],
    source: str,
    *,
    scratch: int | None = None,
    data: int = _INPUT,
    layout: int | None = None,
) -> Step:
    """The step of an operator with weights; ``scratch`` None: its function takes none."""
    number, result = node.number(data), node.output_number()
    operands = (Operand(number), Operand(result))
    return Step(
        operator=node.name,
        layer=node.layer,
        inputs=(number,),
        outputs=(result,),
        calls=(Call(function, Struct(struct, fields), operands, takes_scratch=scratch is not None),),
        source=source,
        scratch_bytes=scratch or 0,
        form="dense",
        layout=layout,
    )
