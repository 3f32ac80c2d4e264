"""Chains of int8 layers with random weights, pruned where there is room for it."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from helpers import tiny_models


class Net:
    """A chain of int8 layers; every weight with room for it is pruned."""

    def __init__(self, shape, seed=0, *, few_values=False, batches=1):
        self.few_values, self.batches = few_values, batches
        self.tiny = tiny_models.Tiny()
        self.rng = np.random.default_rng(seed)
        self.shape = shape
        self.start = self.end = self.tiny.activation("x", (batches, *shape), "int8")
        self.count = 0

    def _layer(self, builtin, values, out, options, kind, axis, *, per_channel=True):
        self.count += 1
        if self.few_values:
            values = tiny_models.with_few_values(values)
            values[::3] = np.sign(values[::3]) * (1 + np.abs(values[::3]) // 4)  # channels of another scale
            values *= 15  # as large as other weights, so that outputs vary
        name = f"layer{self.count}"
        weights = self.tiny.weight(values, axis, per_channel, name=f"{name}/weight")
        channels = values.shape[axis]
        bias = self.tiny.bias(channels, values, axis, per_channel, name=f"{name}/bias")
        kept = np.count_nonzero(values) / channels
        point = -128 if options.fusedActivationFunction else 5
        end = self.tiny.activation(
            f"{name}/out", (self.batches, *out), "int8", tiny_models.INPUT_SCALE, tiny_models.INPUT_ZERO_POINT
        )
        scale = tiny_models.INPUT_SCALE * tiny_models.WEIGHT_SCALE * 73 * 40 * np.sqrt(max(kept, 1)) / 40
        self.tiny.graph.tensors[end].quantization = tiny_models.quantization(scale, point)
        source = self.tiny.graph.tensors[self.end].quantization.scale[0]
        scales = source * self.tiny.graph.tensors[weights].quantization.scale
        self.tiny.graph.tensors[bias].quantization = tiny_models.quantization(scales.astype(np.float32))
        self.tiny.operator(builtin, 3, [self.end, weights, bias], [end], kind, options)
        self.end, self.shape = end, out
        return self

    def conv(self, outputs, size, stride=1, dilation=1, *, same=True, density=0.125, relu=True, per_channel=True):
        height, width, channels = self.shape
        values = tiny_models.sparse_weights((outputs, *size, channels), density=density, seed=self.count)
        options = tiny_models.conv_options(same, stride, dilation)
        options.fusedActivationFunction = int(relu)
        sides = zip((height, width), size, strict=True)
        out = [-(-n // stride) if same else (n - (k - 1) * dilation - 1) // stride + 1 for n, k in sides]
        kind = schema.BuiltinOptions.Conv2DOptions
        return self._layer(
            schema.BuiltinOperator.CONV_2D, values, (*out, outputs), options, kind, 0, per_channel=per_channel
        )

    def depthwise(self, stride=1, *, relu=True):
        height, width, channels = self.shape
        values = tiny_models.sparse_weights((1, 3, 3, channels), density=1.0, seed=self.count)
        options = schema.DepthwiseConv2DOptionsT()
        options.padding, options.depthMultiplier = schema.Padding.SAME, 1
        options.strideH = options.strideW = stride
        options.dilationHFactor = options.dilationWFactor = 1
        options.fusedActivationFunction = int(relu)
        out = (-(-height // stride), -(-width // stride), channels)
        kind = schema.BuiltinOptions.DepthwiseConv2DOptions
        return self._layer(schema.BuiltinOperator.DEPTHWISE_CONV_2D, values, out, options, kind, 3)

    def dense(self, outputs, *, per_channel=True, density=0.125):
        inputs = int(np.prod(self.shape))
        values = tiny_models.sparse_weights((outputs, inputs), density=density, seed=self.count)
        options = schema.FullyConnectedOptionsT()
        kind = schema.BuiltinOptions.FullyConnectedOptions
        return self._layer(
            schema.BuiltinOperator.FULLY_CONNECTED, values, (outputs,), options, kind, 0, per_channel=per_channel
        )

    def average_pool(self):
        """The mean over the whole image, as a window of its size."""
        height, width, channels = self.shape
        return self._pool(schema.BuiltinOperator.AVERAGE_POOL_2D, (height, width), (1, 1), (1, 1, channels))

    def max_pool(self, *, relu6=False):
        """The largest of each 2x2."""
        height, width, channels = self.shape
        out = (height // 2, width // 2, channels)
        return self._pool(schema.BuiltinOperator.MAX_POOL_2D, (2, 2), (2, 2), out, 3 * relu6)

    def _pool(self, builtin, sides, strides, out, activation=0):
        quantized = self.tiny.graph.tensors[self.end].quantization
        end = self.tiny.tensor(f"pool{self.count}", (self.batches, *out), "int8", quantized)
        options = schema.Pool2DOptionsT()
        options.padding, options.fusedActivationFunction = schema.Padding.VALID, activation
        options.filterHeight, options.filterWidth = sides
        options.strideH, options.strideW = strides
        self.tiny.operator(builtin, 2, [self.end], [end], schema.BuiltinOptions.Pool2DOptions, options)
        self.end, self.shape = end, out
        return self

    def plus(self, other):
        """The sum with an earlier end of the same shape."""
        end = self.tiny.activation("sum", (self.batches, *self.shape), "int8")
        self.tiny.graph.tensors[end].quantization = tiny_models.quantization(0.1, -3)
        options = schema.AddOptionsT()
        self.tiny.operator(schema.BuiltinOperator.ADD, 2, [self.end, other], [end], 11, options)
        self.end = end
        return self

    def finished(self):
        return self.tiny.finished([self.start], [self.end])


def few_values():
    net = Net((16, 16, 3), few_values=True).conv(64, (3, 3)).conv(64, (3, 3)).conv(64, (1, 1))
    return net.conv(64, (3, 3), 2).dense(128).dense(10)


def residual():
    net = Net((16, 16, 3)).conv(16, (3, 3), density=1.0)
    start = net.end
    net.conv(16, (3, 3)).conv(16, (3, 3), relu=False).plus(start)
    return net.conv(32, (3, 3), 2).conv(32, (3, 3)).dense(10)


def ds_cnn():
    """The keyword spotter of MLPerf Tiny."""
    net = Net((49, 10, 1)).conv(64, (10, 4), 2, density=1.0)
    for _ in range(4):
        net.depthwise().conv(64, (1, 1))
    return net.average_pool().dense(12, density=1.0)


def mobilenet():
    """MobileNet v1, a quarter as wide, for images of 96 pixels a side and two classes."""
    net = Net((96, 96, 3)).conv(8, (3, 3), 2, density=1.0)
    blocks = ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1))
    for outputs, stride in blocks:
        net.depthwise(stride).conv(outputs, (1, 1))
    return net.average_pool().dense(2, density=1.0)
