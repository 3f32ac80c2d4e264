"""Random operators of generated C of sizes that microcontrollers run.

Of CONV_2D only what has a function of its own, and no FULLY_CONNECTED.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from helpers.int8_models import Activation, Constant, Operator

_SCALE, _POINT = 0.1, 7
_EACH = 24
_MOST_VALUES = 12_000
_CHANNELS = (1, 3, 4, 6, 8, 12, 16, 24, 32, 64)
_ACTIVATIONS = (schema.ActivationFunctionType.NONE, schema.ActivationFunctionType.RELU)


def operators(seed: int = 0) -> Iterator[Operator]:
    """A number of operators of each kind."""
    for number, make in enumerate(_MAKERS):
        rng = np.random.default_rng([seed, number])
        for _ in range(_EACH):
            yield make(rng)


@dataclass(frozen=True, slots=True)
class _Windows:
    """The windows of a filter on an image."""

    image: tuple[int, int]
    filter_size: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    padding: int
    out: tuple[int, int]

    @property
    def options(self) -> dict[str, object]:
        """Of an operator, without its dilations."""
        return {"padding": self.padding, "strideH": self.strides[0], "strideW": self.strides[1]}


def _windows(
    rng: np.random.Generator,
    sides: tuple[tuple[int, int], ...],
    *,
    is_dilated: bool = False,
    strides: tuple[int, ...] = (1, 1, 2),
) -> _Windows:
    padding = int(rng.choice([schema.Padding.SAME, schema.Padding.VALID]))
    filter_size = sides[int(rng.integers(len(sides)))]
    dilations = (2, 2) if is_dilated and rng.random() < 1 / 4 else (1, 1)
    stride = 1 if max(dilations) > 1 else int(rng.choice(strides))
    reach = [(side - 1) * dilation + 1 for side, dilation in zip(filter_size, dilations, strict=True)]
    image = (_size(rng, max(reach)), _size(rng, max(reach)))
    out = [
        -(-size // stride) if padding == schema.Padding.SAME else (size - far) // stride + 1
        for size, far in zip(image, reach, strict=True)
    ]
    return _Windows(image, filter_size, (stride, stride), dilations, padding, (out[0], out[1]))


def _size(rng: np.random.Generator, least: int = 2) -> int:
    return int(rng.integers(least, least + 24))


def _channels(rng: np.random.Generator, pixels: int) -> int:
    return int(rng.choice([each for each in _CHANNELS if each * pixels <= _MOST_VALUES] or [1]))


def _activation(rng: np.random.Generator) -> int:
    return int(rng.choice(_ACTIVATIONS))


def _value(shape: tuple[int, ...], scale: float = _SCALE, zero_point: int = _POINT) -> Activation:
    return Activation(shape=shape, scale=scale, zero_point=zero_point)


def _shape(rng: np.random.Generator) -> tuple[int, int, int, int]:
    height, width = _size(rng), _size(rng)
    return 1, height, width, _channels(rng, height * width)


def _weighted(
    rng: np.random.Generator, shape: tuple[int, ...], axis: int, x: Activation, out: tuple[int, ...], point: int = -5
) -> tuple[list[Activation | Constant | None], Activation]:
    """Input, weights and bias, and the output, whose scale uses its range."""
    scales = rng.uniform(0.5, 2.0, shape[axis]).astype(np.float32) / 64
    weights = Constant(values=rng.integers(-127, 128, shape).astype(np.int8), scale=scales, axis=axis)
    bias_scales = np.float32(x.scale) * scales
    bias = Constant(values=rng.integers(-3000, 3000, shape[axis]).astype(np.int32), scale=bias_scales)
    taps = math.prod(shape) // shape[axis]
    return [x, weights, bias], _value(out, x.scale * 2 * math.sqrt(taps), point)


def _depthwise(
    rng: np.random.Generator, sides: tuple[tuple[int, int], ...], multipliers: tuple[int, ...], *, is_dilated: bool
) -> Operator:
    windows = _windows(rng, sides, is_dilated=is_dilated)
    channels, multiplier = _channels(rng, math.prod(windows.image)), int(rng.choice(multipliers))
    outputs = channels * multiplier
    x, out = _value((1, *windows.image, channels)), (1, *windows.out, outputs)
    point = int(rng.choice([-5, -128]))  # outputs of the latter are never below it
    inputs, y = _weighted(rng, (1, *windows.filter_size, outputs), 3, x, out, point)
    dilations = dict(zip(("dilationHFactor", "dilationWFactor"), windows.dilations, strict=True))
    options = {**windows.options, **dilations, "depthMultiplier": multiplier}
    return Operator("DEPTHWISE_CONV_2D", inputs, [y], 3, {**options, "fusedActivationFunction": _activation(rng)})


def _depthwise_3x3(rng: np.random.Generator) -> Operator:
    return _depthwise(rng, ((3, 3),), (1,), is_dilated=False)


def _depthwise_any(rng: np.random.Generator) -> Operator:
    if rng.random() < 1 / 3:  # what 3x3 filters without loops of their own take
        return _depthwise(rng, ((3, 3),), (2, 3), is_dilated=True)
    return _depthwise(rng, ((5, 5), (2, 2), (1, 3), (3, 1), (10, 4), (4, 2)), (1, 1, 2), is_dilated=True)


def _tiled(rng: np.random.Generator) -> Operator:
    """One channel and a filter of 3x3."""
    windows = _windows(rng, ((3, 3),), strides=(1,))
    while min(windows.out) == 1:
        windows = _windows(rng, ((3, 3),), strides=(1,))
    outputs = _channels(rng, math.prod(windows.out))
    inputs, y = _weighted(rng, (outputs, 3, 3, 1), 0, _value((1, *windows.image, 1)), (1, *windows.out, outputs))
    return Operator("CONV_2D", inputs, [y], 3, {**windows.options, "fusedActivationFunction": _activation(rng)})


def _tiled_pool(rng: np.random.Generator) -> Operator:
    """The same, and the largest of each 2x2 outputs."""
    conv = _tiled(rng)
    (y,) = conv.outputs
    _, height, width, channels = y.shape
    small = _value((1, height // 2, width // 2, channels), y.scale, y.zero_point)
    sizes = dict.fromkeys(("strideH", "strideW", "filterHeight", "filterWidth"), 2)
    pool = Operator("MAX_POOL_2D", [y], [small], 2, {"padding": schema.Padding.VALID, **sizes})
    return dataclasses.replace(conv, then=pool)


def _transpose_conv(rng: np.random.Generator) -> Operator:
    stride, side, image = int(rng.integers(1, 3)), int(rng.integers(2, 5)), (_size(rng) // 2 + 1, _size(rng) // 2 + 1)
    channels, outputs = (int(rng.choice([1, 3, 4, 8, 16])) for _ in range(2))
    is_same = bool(rng.integers(2))
    out = [size * stride if is_same else (size - 1) * stride + max(side, stride) for size in image]
    size = (1, out[0], out[1], outputs)
    inputs, y = _weighted(rng, (outputs, side, side, channels), 0, _value((1, *image, channels)), size)
    x, weights, bias = inputs
    padding = schema.Padding.SAME if is_same else schema.Padding.VALID
    options: dict[str, object] = {"padding": padding, "strideH": stride, "strideW": stride}
    return Operator("TRANSPOSE_CONV", [Constant(values=np.array(size, np.int32)), weights, x, bias], [y], 3, options)


def _pool(name: str) -> Callable[[np.random.Generator], Operator]:
    def make(rng: np.random.Generator) -> Operator:
        windows = _windows(rng, ((2, 2), (2, 2), (3, 3), (3, 2), (1, 4), (5, 5), (8, 8)))
        channels = _channels(rng, math.prod(windows.image))
        sides = dict(zip(("filterHeight", "filterWidth"), windows.filter_size, strict=True))
        options = {**windows.options, **sides, "fusedActivationFunction": _activation(rng)}
        return Operator(
            name, [_value((1, *windows.image, channels))], [_value((1, *windows.out, channels))], 2, options
        )

    return make


def _mean(rng: np.random.Generator) -> Operator:
    shape = _shape(rng)
    axes = [(1, 2), (1, 2), (3,), (2,)][int(rng.integers(4))]
    out = tuple(size for axis, size in enumerate(shape) if axis not in axes)
    axes_input = Constant(values=np.array(axes, np.int32))
    return Operator("MEAN", [_value(shape), axes_input], [_value(out)], 2, {"keepDims": False})


def _binary(name: str, scale: float) -> Callable[[np.random.Generator], Operator]:
    def make(rng: np.random.Generator) -> Operator:
        shape = _shape(rng)
        other = [shape, shape, shape[-1:]][int(rng.integers(3))]
        inputs: list[Activation | Constant | None] = [_value(shape), _value(other, 0.031, -20)]
        return Operator(name, inputs, [_value(shape, scale, 2)], 2, {"fusedActivationFunction": _activation(rng)})

    return make


def _prelu(rng: np.random.Generator) -> Operator:
    shape = _shape(rng)
    alpha = Constant(values=rng.integers(-128, 128, shape[-1:]).astype(np.int8), scale=0.01, zero_point=3)
    return Operator("PRELU", [_value(shape), alpha], [_value(shape)])


def _unary(name: str, y: tuple[float, int] = (0.07, -9), **options: object) -> Callable[..., Operator]:
    def make(rng: np.random.Generator) -> Operator:
        shape = _shape(rng)
        return Operator(name, [_value(shape)], [_value(shape, *y)], 2, options)

    return make


def _softmax(rng: np.random.Generator) -> Operator:
    shape = (int(rng.integers(1, 9)), int(rng.integers(2, 200)))
    x = _value(shape, float(rng.choice([0.02, 0.1, 0.3])))
    return Operator("SOFTMAX", [x], [_value(shape, 1 / 256, -128)], 2, {"beta": 1.0})


def _concatenation(rng: np.random.Generator) -> Operator:
    shape, axis = _shape(rng), int(rng.integers(1, 4))
    shapes = [[*shape], [*shape]]
    shapes[1][axis] = int(rng.integers(1, shape[axis] + 1))
    out = [*shape]
    out[axis] += shapes[1][axis]
    inputs: list[Activation | Constant | None] = [_value(tuple(each)) for each in shapes]
    return Operator("CONCATENATION", inputs, [_value(tuple(out))], 2, {"axis": axis})


def _split(rng: np.random.Generator) -> Operator:
    shape, axis = [*_shape(rng)], int(rng.integers(1, 4))
    half = [*shape]
    shape[axis] *= 2
    place = Constant(values=np.array(axis, np.int32))
    return Operator("SPLIT", [place, _value(tuple(shape))], [_value(tuple(half))] * 2, 2, {"numSplits": 2})


def _pad(rng: np.random.Generator) -> Operator:
    shape = _shape(rng)
    amounts = rng.integers(0, 3, (4, 2))
    amounts[0] = 0
    if rng.random() < 3 / 4:  # as converters pad images
        amounts[3] = 0
    out = tuple(int(size + amount.sum()) for size, amount in zip(shape, amounts, strict=True))
    return Operator("PAD", [_value(shape), Constant(values=amounts.astype(np.int32))], [_value(out)])


def _transpose(rng: np.random.Generator) -> Operator:
    shape = _shape(rng)
    order = [0, *(int(axis) + 1 for axis in rng.permutation(3))]
    out = tuple(shape[axis] for axis in order)
    return Operator("TRANSPOSE", [_value(shape), Constant(values=np.array(order, np.int32))], [_value(out)])


def _strided_slice(rng: np.random.Generator) -> Operator:
    shape = _shape(rng)
    begin = [0, *(int(rng.integers(0, size)) for size in shape[1:3]), 0]
    steps = [1, *(int(rng.integers(1, 3)) for _ in shape[1:3]), int(rng.choice([1, 1, 2]))]
    out = tuple(len(range(*bounds)) for bounds in zip(begin, shape, steps, strict=True))
    bounds = [Constant(values=np.array(each, np.int32)) for each in (begin, shape, steps)]
    return Operator("STRIDED_SLICE", [_value(shape), *bounds], [_value(out)])


def _resize(rng: np.random.Generator) -> Operator:
    shape = _shape(rng)
    size = [side * 2 if rng.random() < 1 / 2 else _size(rng) for side in shape[1:3]]
    out = (1, size[0], size[1], shape[3])
    inputs: list[Activation | Constant | None] = [_value(shape), Constant(values=np.array(size, np.int32))]
    return Operator("RESIZE_NEAREST_NEIGHBOR", inputs, [_value(out)])


def _arg_max(rng: np.random.Generator) -> Operator:
    shape = _shape(rng)
    axis = int(rng.choice([3, 3, 1]))
    out = Activation(shape=tuple(size for place, size in enumerate(shape) if place != axis), dtype="int32")
    inputs: list[Activation | Constant | None] = [_value(shape), Constant(values=np.array(axis, np.int32))]
    return Operator("ARG_MAX", inputs, [out], 2, {"outputType": schema.TensorType.INT32})


def _quantize(rng: np.random.Generator) -> Operator:
    shape = _shape(rng)
    return Operator("QUANTIZE", [Activation(shape=shape, dtype="float32")], [_value(shape)])


def _dequantize(rng: np.random.Generator) -> Operator:
    shape = _shape(rng)
    return Operator("DEQUANTIZE", [_value(shape)], [Activation(shape=shape, dtype="float32")], 2)


_MAKERS: tuple[Callable[[np.random.Generator], Operator], ...] = (
    *(_tiled, _tiled_pool, _depthwise_3x3, _depthwise_3x3, _depthwise_any, _depthwise_any, _transpose_conv),
    *(_pool("MAX_POOL_2D"), _pool("MAX_POOL_2D"), _pool("AVERAGE_POOL_2D"), _mean),
    *(_binary("ADD", 0.2), _binary("SUB", 0.2), _binary("MUL", 0.02), _prelu),
    *(_unary("LOGISTIC", (1 / 256, -128)), _softmax),
    *(_concatenation, _split, _pad, _transpose, _strided_slice, _resize, _arg_max, _quantize, _dequantize),
)
