"""Int8 graphs of any operators that generated C has, grown operator by operator from random numbers."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from helpers import tiny_models

KIND, CODE = schema.BuiltinOptions, schema.BuiltinOperator
ACTIVATIONS = (0, 1, 2, 3)  # none, RELU, RELU_N1_TO_1, RELU6


class Int8Graph:
    """A graph under construction; ``end`` is the tensor that the next operator reads."""

    def __init__(self, shape, seed=0):
        self.tiny, self.rng = tiny_models.Tiny(), np.random.default_rng(seed)
        self.start = self.end = self._value("input", shape)
        self.values = [self.start]

    def shape(self, index=None):
        return tuple(int(size) for size in self.tiny.graph.tensors[self.end if index is None else index].shape)

    def grow(self, name):
        """Add an operator of this name; return whether it takes the shape of the end."""
        grown = getattr(self, f"_{name.lower()}")()
        if grown is not None:
            self.end = grown
            self.values.append(grown)
        return grown is not None

    def finished(self, outputs=None):
        return self.tiny.finished([self.start], outputs or [self.end])

    # Pieces

    def _scale(self):
        return float(np.float32(np.exp(self.rng.uniform(np.log(0.01), np.log(0.2)))))

    def _value(self, name, shape, dtype="int8", quantized=None):
        if quantized is None and dtype == "int8":
            quantized = tiny_models.quantization(self._scale(), int(self.rng.integers(-128, 128)))
        return self.tiny.tensor(f"{name}_{len(self.tiny.graph.tensors)}", shape, dtype, quantized)

    def _like(self, name, shape, index=None):
        """An output with the quantisation of a value."""
        return self._value(
            name, shape, "int8", self.tiny.graph.tensors[self.end if index is None else index].quantization
        )

    def _integers(self, values):
        return self.tiny.constant(f"constant_{len(self.tiny.graph.tensors)}", np.array(values, np.int32))

    def _weights(self, shape, axis):
        density = self.rng.choice([0.125, 1.0])
        values = self.rng.integers(-127, 128, shape) * (self.rng.random(shape) < density)
        count = shape[axis] if self.rng.random() < 0.7 else 1
        scales = np.exp(self.rng.uniform(np.log(0.002), np.log(0.02), count)).astype(np.float32)
        quantized = tiny_models.quantization(scales, 0, axis if count > 1 else 0)
        return self.tiny.constant(f"weights_{len(self.tiny.graph.tensors)}", values.astype(np.int8), quantized)

    def _bias(self, count):
        values = self.rng.integers(-4000, 4000, count).astype(np.int32)
        return self.tiny.constant(f"bias_{len(self.tiny.graph.tensors)}", values, tiny_models.quantization(0.001))

    def _constant(self, shape):
        quantized = tiny_models.quantization(self._scale(), int(self.rng.integers(-128, 128)))
        values = self.rng.integers(-128, 128, shape).astype(np.int8)
        return self.tiny.constant(f"constant_{len(self.tiny.graph.tensors)}", values, quantized)

    def _add_operator(self, name, inputs, outputs, options_name=None, **options):
        made = None if options_name is None else getattr(schema, f"{options_name}T")()
        for key, value in options.items():
            setattr(made, key, value)
        kind = 0 if options_name is None else getattr(KIND, options_name)
        self.tiny.operator(getattr(CODE, name), 2, inputs, outputs, kind, made)
        return outputs[0]

    def _padding_and_size(self, sides, strides, dilations=(1, 1)):
        same = bool(self.rng.integers(2))
        sizes = self.shape()[1:3]
        out = [
            tiny_models._window(size, side, stride, dilation, same)
            for size, side, stride, dilation in zip(sizes, sides, strides, dilations, strict=True)
        ]
        return (schema.Padding.SAME if same else schema.Padding.VALID), out

    def _activation(self):
        return int(self.rng.choice(ACTIVATIONS))

    # Operators

    def _conv_2d(self, *, depthwise=False):
        shape = self.shape()
        if len(shape) != 4:
            return None
        sides, strides = self.rng.integers(1, 4, 2), self.rng.integers(1, 3, 2)
        dilations = self.rng.integers(1, 3, 2) if max(strides) == 1 else np.ones(2, int)
        padding, out = self._padding_and_size(sides, strides, dilations)
        channels = int(shape[3] * self.rng.integers(1, 3)) if depthwise else int(self.rng.integers(1, 10))
        if min(out) < 1 or channels > 24:
            return None
        axis = 3 if depthwise else 0
        filter_shape = (1, *sides, channels) if depthwise else (channels, *sides, shape[3])
        inputs = [self.end, self._weights(tuple(map(int, filter_shape)), axis)]
        inputs.append(self._bias(channels) if self.rng.random() < 0.8 else -1)
        options = {"depthMultiplier": channels // shape[3]} if depthwise else {}
        return self._add_operator(
            "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D",
            inputs,
            [self._value("conv", (shape[0], *out, channels))],
            "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions",
            padding=padding,
            strideH=int(strides[0]),
            strideW=int(strides[1]),
            dilationHFactor=int(dilations[0]),
            dilationWFactor=int(dilations[1]),
            fusedActivationFunction=self._activation(),
            **options,
        )

    def _depthwise_conv_2d(self):
        return self._conv_2d(depthwise=True)

    def _fully_connected(self):
        shape = self.shape()
        outputs, inputs = int(self.rng.integers(1, 20)), shape[-1]
        if len(shape) > 2:
            inputs = int(np.prod(shape[1:]))
        rows = int(np.prod(shape)) // inputs
        bias = self._bias(outputs) if self.rng.random() < 0.8 else -1
        return self._add_operator(
            "FULLY_CONNECTED",
            [self.end, self._weights((outputs, inputs), 0), bias],
            [self._value("dense", (rows, outputs))],
            "FullyConnectedOptions",
            fusedActivationFunction=self._activation(),
        )

    def _transpose_conv(self):
        shape = self.shape()
        if len(shape) != 4 or max(shape[1:3]) > 12:
            return None
        stride, side, channels = (int(self.rng.integers(1, high)) for high in (3, 4, 6))
        same = bool(self.rng.integers(2))
        out = [size * stride if same else (size - 1) * stride + side for size in shape[1:3]]
        size = (shape[0], *out, channels)
        inputs = [self._integers(size), self._weights((channels, side, side, shape[3]), 0), self.end]
        if self.rng.random() < 0.7:
            inputs.append(self._bias(channels))
        return self._add_operator(
            "TRANSPOSE_CONV",
            inputs,
            [self._value("transposed", size)],
            "TransposeConvOptions",
            padding=schema.Padding.SAME if same else schema.Padding.VALID,
            strideH=stride,
            strideW=stride,
        )

    def _max_pool_2d(self, name="MAX_POOL_2D"):
        shape = self.shape()
        if len(shape) != 4:
            return None
        sides, strides = self.rng.integers(1, 4, 2), self.rng.integers(1, 3, 2)
        padding, out = self._padding_and_size(sides, strides)
        if min(out) < 1:
            return None
        return self._add_operator(
            name,
            [self.end],
            [self._like("pool", (shape[0], *out, shape[3]))],
            "Pool2DOptions",
            padding=padding,
            filterHeight=int(sides[0]),
            filterWidth=int(sides[1]),
            strideH=int(strides[0]),
            strideW=int(strides[1]),
            fusedActivationFunction=self._activation(),
        )

    def _average_pool_2d(self):
        return self._max_pool_2d("AVERAGE_POOL_2D")

    def _mean(self):
        shape = self.shape()
        axes = (1, 2) if len(shape) == 4 else (len(shape) - 1,)
        keep = bool(self.rng.integers(2))
        out = [1 if axis in axes else size for axis, size in enumerate(shape) if keep or axis not in axes]
        return self._add_operator(
            "MEAN", [self.end, self._integers(axes)], [self._value("mean", out)], "ReducerOptions", keepDims=keep
        )

    def _pair(self, name, options_name, other=None):
        shape = self.shape()
        same = [value for value in self.values if self.shape(value) == shape and value != self.end]
        if other is None:
            if same and self.rng.random() < 0.5:
                other = int(self.rng.choice(same))
            else:
                other = self._constant([(1,), shape[-1:], shape][self.rng.integers(3)])
        inputs = [self.end, other] if self.rng.random() < 0.7 else [other, self.end]
        return self._add_operator(
            name, inputs, [self._value(name, shape)], options_name, fusedActivationFunction=self._activation()
        )

    def _add(self):
        return self._pair("ADD", "AddOptions")

    def _sub(self):
        return self._pair("SUB", "SubOptions")

    def _mul(self):
        return self._pair("MUL", "MulOptions")

    def _prelu(self):
        shape = self.shape()
        if len(shape) != 4:
            return None
        inputs = [self.end, self._constant((1, 1, shape[-1]))]
        return self._add_operator("PRELU", inputs, [self._value("prelu", shape)])

    def _concatenation(self):
        shape = self.shape()
        axis = int(self.rng.integers(1, len(shape))) if len(shape) > 1 else 0
        out = [size * 2 if place == axis else size for place, size in enumerate(shape)]
        if np.prod(out) > 3000:
            return None
        inputs = [
            self.end,
            self.tiny.constant("c", self.rng.integers(-128, 128, shape).astype(np.int8), self._quantised()),
        ]
        return self._add_operator("CONCATENATION", inputs, [self._like("c", out)], "ConcatenationOptions", axis=axis)

    def _quantised(self):
        return self.tiny.graph.tensors[self.end].quantization

    def _split(self):
        shape = self.shape()
        even = [axis for axis, size in enumerate(shape) if size % 2 == 0]
        if not even:
            return None
        axis = int(self.rng.choice(even))
        half = [size // 2 if place == axis else size for place, size in enumerate(shape)]
        outputs = [self._like("split", half) for _ in range(2)]
        self._add_operator("SPLIT", [self._integers(axis), self.end], outputs, "SplitOptions", numSplits=2)
        self.values.append(outputs[0])
        return outputs[1]

    def _pad(self):
        shape = self.shape()
        if len(shape) > 4:
            return None
        amounts = self.rng.integers(0, 3, (len(shape), 2))
        amounts[0] = 0
        out = [size + int(amount.sum()) for size, amount in zip(shape, amounts, strict=True)]
        return self._add_operator("PAD", [self.end, self._integers(amounts)], [self._like("pad", out)], "PadOptions")

    def _transpose(self):
        shape = self.shape()
        order = [0, *(int(axis) + 1 for axis in self.rng.permutation(len(shape) - 1))]
        out = [shape[axis] for axis in order]
        inputs = [self.end, self._integers(order)]
        return self._add_operator("TRANSPOSE", inputs, [self._like("t", out)], "TransposeOptions")

    def _strided_slice(self):
        shape = self.shape()
        if len(shape) > 4:
            return None
        begin = [0, *(int(self.rng.integers(0, size)) for size in shape[1:])]
        steps = [1, *(int(self.rng.integers(1, 3)) for _ in shape[1:])]
        end = list(shape)
        out = [len(range(*bounds)) for bounds in zip(begin, end, steps, strict=True)]
        inputs = [self.end, *map(self._integers, (begin, end, steps))]
        return self._add_operator("STRIDED_SLICE", inputs, [self._like("slice", out)], "StridedSliceOptions")

    def _resize_nearest_neighbor(self):
        shape = self.shape()
        if len(shape) != 4:
            return None
        size = [int(side) for side in self.rng.integers(1, 12, 2)]
        align = bool(self.rng.integers(2))
        return self._add_operator(
            "RESIZE_NEAREST_NEIGHBOR",
            [self.end, self._integers(size)],
            [self._like("resized", (shape[0], *size, shape[3]))],
            "ResizeNearestNeighborOptions",
            alignCorners=align,
            halfPixelCenters=not align and bool(self.rng.integers(2)),
        )

    def _reshape(self):
        shape = self.shape()
        out = (shape[0], int(np.prod(shape[1:])))
        inputs = [self.end, self._integers(out)]
        return self._add_operator("RESHAPE", inputs, [self._like("flat", out)], "ReshapeOptions")

    def _expand_dims(self):
        shape = self.shape()
        if len(shape) > 3:
            return None
        out = (shape[0], 1, *shape[1:])
        return self._add_operator(
            "EXPAND_DIMS", [self.end, self._integers(1)], [self._like("e", out)], "ExpandDimsOptions"
        )

    def _squeeze(self):
        shape = self.shape()
        if 1 not in shape[1:]:
            return None
        axis = shape.index(1, 1)
        out = (*shape[:axis], *shape[axis + 1 :])
        return self._add_operator(
            "SQUEEZE", [self.end], [self._like("s", out)], "SqueezeOptions", squeezeDims=np.array([axis], np.int32)
        )

    def _relu(self):
        return self._add_operator("RELU", [self.end], [self._value("relu", self.shape())])

    def _relu6(self):
        return self._add_operator("RELU6", [self.end], [self._like("relu6", self.shape())])

    def _leaky_relu(self):
        alpha = float(np.float32(self.rng.uniform(0.01, 0.5)))
        return self._add_operator(
            "LEAKY_RELU", [self.end], [self._value("leaky", self.shape())], "LeakyReluOptions", alpha=alpha
        )

    def _hard_swish(self):
        return self._add_operator("HARD_SWISH", [self.end], [self._value("swish", self.shape())], "HardSwishOptions")

    def _fixed(self, name, scale, zero_point, options_name=None, **options):
        out = self._value(name, self.shape(), "int8", tiny_models.quantization(scale, zero_point))
        return self._add_operator(name, [self.end], [out], options_name, **options)

    def _logistic(self):
        return self._fixed("LOGISTIC", 1 / 256, -128)

    def _tanh(self):
        return self._fixed("TANH", 1 / 128, 0)

    def _softmax(self):
        return self._fixed("SOFTMAX", 1 / 256, -128, "SoftmaxOptions", beta=float(self.rng.choice([1.0, 0.5])))

    def _quantize(self):
        return self._add_operator("QUANTIZE", [self.end], [self._value("again", self.shape())], "QuantizeOptions")


GROWN = (
    *("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "MAX_POOL_2D", "AVERAGE_POOL_2D", "MEAN"),
    *("ADD", "SUB", "MUL", "PRELU", "CONCATENATION", "SPLIT", "PAD", "TRANSPOSE", "STRIDED_SLICE"),
    *("RESIZE_NEAREST_NEIGHBOR", "RESHAPE", "EXPAND_DIMS", "SQUEEZE", "RELU", "RELU6", "LEAKY_RELU"),
    *("HARD_SWISH", "LOGISTIC", "TANH", "SOFTMAX", "QUANTIZE"),
)
"""The operators that ``grow`` adds; those that end in another type are added in tests of their own."""
