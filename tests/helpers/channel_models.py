"""Make small networks with dead channels, operator by operator, without TensorFlow or the library under test."""

from __future__ import annotations

import math

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from helpers import tiny_models
from helpers.tiny_models import Tiny, quantization

CODE, OPTIONS = schema.BuiltinOperator, schema.BuiltinOptions
RELU = schema.ActivationFunctionType.RELU
KINDS = ("float16", "float32", "int16", "int8")


class Network:
    """A network under construction: each method appends an operator to an activation and returns its result.

    ``dead`` are outputs whose weights are all 0, and whose value is the bias; ``unread`` inputs whose weights are 0.
    """

    def __init__(self, kind="int8", shape=(1, 6, 6, 8), seed=0, dynamic=False):
        self.tiny, self.kind, self.dynamic = Tiny(), kind, dynamic
        self.generator = np.random.default_rng(seed)
        self.activations = {"int8": "int8", "int16": "int16"}.get(kind, "float32")
        self.shape, self.scale = {}, {}
        self.source = self.result(shape, 0.02)

    @property
    def is_float(self):
        return self.activations == "float32"

    def result(self, shape, scale, zero=None):
        """An activation; ``scale`` is for int8."""
        quantized = None
        if self.kind == "int8":
            quantized = quantization(scale, int(self.generator.integers(-60, 60)) if zero is None else zero)
        elif self.kind == "int16":
            scale /= 128
            quantized = quantization(scale)
        name = f"t{len(self.tiny.graph.tensors)}"
        index = self.tiny.tensor(name, shape, self.activations, quantized, self.dynamic)
        self.shape[index], self.scale[index] = shape, 1.0 if self.is_float else scale
        return index

    def like(self, x, shape=None):
        """An activation with the quantisation of another one."""
        shape = self.shape[x] if shape is None else shape
        index = self.result(shape, 0.02)
        self.tiny.graph.tensors[index].quantization = self.tiny.graph.tensors[x].quantization
        self.scale[index] = self.scale[x]
        return index

    def append(self, code, inputs, outputs, kind=0, options=None, version=1):
        return self.tiny.operator(code, version, inputs, outputs, kind, options)

    def constant(self, values):
        return self.tiny.constant(f"c{len(self.tiny.graph.tensors)}", np.asarray(values))

    def kernel(self, shape, axis, dead, unread, x, bias):
        """Kernel and bias as inputs of an operator; the converter gives dead filters tiny scales and large biases."""
        outputs, number = shape[axis], len(self.tiny.graph.tensors)
        dead = np.isin(np.arange(outputs), dead)
        real_bias = self.generator.uniform(-0.8, 0.8, outputs)
        real_bias[dead] *= 0.0 if self.kind != "int8" else 1.0
        values = self.generator.normal(0, 40, shape)
        np.moveaxis(values, axis, 0)[dead] = 0
        if len(unread):
            values[..., unread] = 0
        if self.is_float:
            dtype = np.dtype(self.kind)
            weights = self.read(self.tiny.constant(f"w{number}", (values / 400).astype(dtype)), shape)
            if not bias:
                return [weights]
            return [weights, self.read(self.tiny.constant(f"b{number}", real_bias.astype(dtype)), (outputs,))]
        scales = np.where(dead, 1e-8, self.generator.uniform(0.002, 0.004, outputs)).astype(np.float32)
        stored = np.clip(np.round(values), -127, 127).astype(np.int8)
        weights = self.tiny.constant(f"w{number}", stored, quantization(scales, axis=axis))
        if not bias:
            return [weights]
        steps = scales.astype(np.float64) * self.scale[x]
        wide = np.int64 if self.kind == "int16" else np.int32
        stored = np.clip(np.round(real_bias / steps), -(2**30), 2**30).astype(wide)
        return [weights, self.tiny.constant(f"b{number}", stored, quantization(steps.astype(np.float32)))]

    def read(self, constant, shape):
        """The constant as float32: itself, or behind a DEQUANTIZE."""
        if self.kind != "float16":
            return constant
        rebuilt = self.tiny.tensor(f"d{constant}", shape, "float32")
        self.append(CODE.DEQUANTIZE, [constant], [rebuilt], OPTIONS.DequantizeOptions, schema.DequantizeOptionsT(), 3)
        return rebuilt

    def conv(self, x, outputs, kernel=1, *, dead=(), unread=(), same=True, stride=1, relu=False):
        batch, height, width, channels = self.shape[x]
        size = [tiny_models._window(each, kernel, stride, 1, same) for each in (height, width)]
        constants = self.kernel((outputs, kernel, kernel, channels), 0, dead, unread, x, bias=True)
        options = tiny_models.conv_options(same, stride)
        options.fusedActivationFunction = RELU if relu else 0
        y = self.result((batch, *size, outputs), 0.02, -128 if relu else None)
        self.append(CODE.CONV_2D, [x, *constants], [y], OPTIONS.Conv2DOptions, options, 3)
        return y

    def depthwise(self, x, kernel=3, *, multiplier=1, dead=(), same=True, relu=False):
        batch, height, width, channels = self.shape[x]
        outputs = channels * multiplier
        size = [tiny_models._window(each, kernel, 1, 1, same) for each in (height, width)]
        constants = self.kernel((1, kernel, kernel, outputs), 3, dead, (), x, bias=True)
        options = schema.DepthwiseConv2DOptionsT()
        options.padding = schema.Padding.SAME if same else schema.Padding.VALID
        options.strideH = options.strideW = options.dilationHFactor = options.dilationWFactor = 1
        options.depthMultiplier, options.fusedActivationFunction = multiplier, RELU if relu else 0
        y = self.result((batch, *size, outputs), 0.02, -128 if relu else None)
        self.append(CODE.DEPTHWISE_CONV_2D, [x, *constants], [y], OPTIONS.DepthwiseConv2DOptions, options, 3)
        return y

    def transposed(self, x, outputs, kernel=3, *, dead=(), unread=()):
        batch, height, width, channels = self.shape[x]
        shape = (batch, 2 * height, 2 * width, outputs)
        weights, bias = self.kernel((outputs, kernel, kernel, channels), 0, dead, unread, x, bias=True)
        options = schema.TransposeConvOptionsT()
        options.padding, options.strideH, options.strideW = schema.Padding.SAME, 2, 2
        y = self.result(shape, 0.02)
        size = self.constant(np.array(shape, np.int32))
        self.append(CODE.TRANSPOSE_CONV, [size, weights, x, bias], [y], OPTIONS.TransposeConvOptions, options, 3)
        return y

    def dense(self, x, outputs, *, dead=(), unread=(), bias=True, relu=False):
        inputs = self.shape[x][-1]
        constants = self.kernel((outputs, inputs), 0, dead, unread, x, bias)
        options = schema.FullyConnectedOptionsT()
        options.fusedActivationFunction = RELU if relu else 0
        y = self.result((self.shape[x][0], outputs), 0.03, -128 if relu else None)
        inputs = [x, *constants, *([] if bias else [-1])]
        self.append(CODE.FULLY_CONNECTED, inputs, [y], OPTIONS.FullyConnectedOptions, options, 4)
        return y

    def unary(self, code, x, kind=0, options=None, version=2):
        y = self.like(x)
        self.append(code, [x], [y], kind, options, version)
        return y

    def logistic(self, x):
        y = self.like(x)
        if not self.is_float:
            scale, zero = (1 / 256, -128) if self.kind == "int8" else (1 / 32768, 0)
            self.tiny.graph.tensors[y].quantization, self.scale[y] = quantization(scale, zero), scale
        self.append(CODE.LOGISTIC, [x], [y], version=2)
        return y

    def pool(self, x, code=CODE.MAX_POOL_2D):
        batch, height, width, channels = self.shape[x]
        options = schema.Pool2DOptionsT()
        options.padding, options.strideH, options.strideW = schema.Padding.VALID, 2, 2
        options.filterHeight = options.filterWidth = 2
        y = self.like(x, (batch, height // 2, width // 2, channels))
        self.append(code, [x], [y], OPTIONS.Pool2DOptions, options, 2)
        return y

    def mean(self, x, keep=False):
        batch, _, _, channels = self.shape[x]
        options = schema.ReducerOptionsT()
        options.keepDims = keep
        y = self.result((batch, 1, 1, channels) if keep else (batch, channels), 0.015)
        self.append(CODE.MEAN, [x, self.constant(np.array([1, 2], np.int32))], [y], OPTIONS.ReducerOptions, options, 2)
        return y

    def pad(self, x):
        batch, height, width, channels = self.shape[x]
        paddings = self.constant(np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32))
        y = self.like(x, (batch, height + 2, width + 2, channels))
        self.append(CODE.PAD, [x, paddings], [y], OPTIONS.PadOptions, schema.PadOptionsT(), 2)
        return y

    def binary(self, a, b, name="ADD"):
        options = getattr(schema, f"{name.title()}OptionsT")()
        y = self.result(self.shape[a], 0.03)
        self.append(getattr(CODE, name), [a, b], [y], getattr(OPTIONS, f"{name.title()}Options"), options, 2)
        return y

    def concatenated(self, *parts):
        options = schema.ConcatenationOptionsT()
        options.axis = -1
        for part in parts[1:]:
            self.tiny.graph.tensors[part].quantization = self.tiny.graph.tensors[parts[0]].quantization
        shape = self.shape[parts[0]]
        y = self.like(parts[0], (*shape[:-1], sum(self.shape[part][-1] for part in parts)))
        self.append(CODE.CONCATENATION, list(parts), [y], OPTIONS.ConcatenationOptions, options, 2)
        return y

    def split(self, x, count=2):
        options = schema.SplitOptionsT()
        options.numSplits = count
        shape = self.shape[x]
        parts = [self.like(x, (*shape[:-1], shape[-1] // count)) for _ in range(count)]
        axis = self.constant(np.array(len(shape) - 1, np.int32))
        self.append(CODE.SPLIT, [axis, x], parts, OPTIONS.SplitOptions, options, 2)
        return parts

    def flat(self, x):
        """RESHAPE to (batch, features); with an open batch the shape is computed as the converter does it."""
        batch, features = self.shape[x][0], math.prod(self.shape[x][1:])
        y = self.like(x, (batch, features))
        size = self.constant(np.array([batch, features], np.int32)) if not self.dynamic else self.computed(x, features)
        self.append(CODE.RESHAPE, [x, size], [y], OPTIONS.ReshapeOptions, schema.ReshapeOptionsT())
        return y

    def computed(self, x, features):
        """SHAPE, STRIDED_SLICE of the batch, PACK with the features."""
        sizes = self.tiny.tensor("sizes", (4,), "int32")
        self.append(CODE.SHAPE, [x], [sizes], OPTIONS.ShapeOptions, self.options("ShapeOptionsT", outType=2))
        limits = [self.constant(np.array([each], np.int32)) for each in (0, 1, 1)]
        batch = self.tiny.tensor("batch", (), "int32")
        options = self.options("StridedSliceOptionsT", shrinkAxisMask=1)
        self.append(CODE.STRIDED_SLICE, [sizes, *limits], [batch], OPTIONS.StridedSliceOptions, options)
        packed = self.tiny.tensor("packed", (2,), "int32")
        count = self.constant(np.array(features, np.int32))
        options = self.options("PackOptionsT", valuesCount=2)
        self.append(CODE.PACK, [batch, count], [packed], OPTIONS.PackOptions, options)
        return packed

    @staticmethod
    def options(name, **fields):
        result = getattr(schema, name)()
        for field, value in fields.items():
            setattr(result, field, value)
        return result

    def finished(self, *results):
        return self.tiny.finished([self.source], list(results))

    def samples(self, count=8, seed=1):
        """Samples that differ in level and contrast, so that outputs vary: one array for the input each."""
        generator = np.random.default_rng(seed)
        shape, found = self.shape[self.source], []
        for level in np.linspace(-1, 1, count):
            values = level + generator.normal(0, generator.uniform(0.2, 1), shape)
            if self.is_float:
                found.append(values.astype(np.float32))
            else:
                dtype = np.dtype(self.activations)
                limits = np.iinfo(dtype)
                found.append(np.clip(values * limits.max / 2, limits.min, limits.max).astype(dtype))
        return found


def plain(kind):
    net = Network(kind)
    x = net.conv(net.source, 16, 3, dead=range(0, 16, 2), relu=True)
    x = net.pool(net.conv(x, 16, 3, dead=(1, 5), unread=(3,), relu=True))
    return net, net.dense(net.flat(x), 6)


def open_batch(kind):
    net = Network(kind, dynamic=True)
    x = net.pool(net.conv(net.source, 16, 3, dead=(0, 3, 4), relu=True))
    return net, net.dense(net.flat(x), 6, unread=range(1, 144, 16))


def separable(kind):
    net = Network(kind)
    x = net.conv(net.source, 24, 1, dead=range(8), relu=True)
    x = net.depthwise(x, 3, dead=range(8), relu=True)
    x = net.mean(net.conv(x, 16, 1, dead=(2, 3)))
    return net, net.dense(x, 6, bias=False)


def multiplier(kind):
    net = Network(kind)
    x = net.depthwise(net.conv(net.source, 16, 1, dead=range(1, 9)), 3, multiplier=2, dead=range(2, 18))
    return net, net.conv(x, 6, 1)


def residual(kind):
    net = Network(kind)
    x = net.conv(net.source, 16, 3, dead=range(6), relu=True)
    y = net.conv(net.conv(x, 16, 3, dead=(7, 9), relu=True), 16, 3, dead=range(5))
    x = net.unary(CODE.RELU, net.binary(x, y))
    return net, net.conv(net.binary(x, y, "SUB"), 6, 1)


def gates(kind):
    """Squeeze-and-excite."""
    net = Network(kind)
    x = net.depthwise(net.conv(net.source, 24, 1, dead=range(8)), 3, dead=range(8))
    gate = net.conv(net.mean(x, keep=True), 8, 1, dead=(0, 1), relu=True)
    gate = net.logistic(net.conv(gate, 24, 1, dead=(0, 20)))
    return net, net.conv(net.binary(x, gate, "MUL"), 6, 1)


def joined(kind):
    net = Network(kind)
    parts = [net.conv(net.source, 8, 1, dead=(1, 2)), net.conv(net.source, 16, 3, dead=(0, 15))]
    return net, net.conv(net.concatenated(*parts), 6, 1, unread=(6, 20))


def split(kind):
    net = Network(kind)
    one, two = net.split(net.conv(net.source, 16, 1, dead=(0, 1, 8, 9, 12)))
    return net, net.conv(net.binary(one, two), 6, 1)


def padded(kind):
    net = Network(kind)
    x = net.pad(net.conv(net.source, 16, 1, dead=(3, 4), relu=True))
    return net, net.conv(x, 6, 3, same=False, unread=(9,))


def upsampled(kind):
    net = Network(kind)
    x = net.conv(net.source, 16, 1, dead=(0, 2), relu=True)
    x = net.transposed(x, 24, dead=range(9), unread=(5,))
    return net, net.conv(x, 6, 1)


NETWORKS = {
    made.__name__: made
    for made in (plain, open_batch, separable, multiplier, residual, gates, joined, split, padded, upsampled)
}
