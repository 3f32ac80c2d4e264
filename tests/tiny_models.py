"""Small ``.tflite`` models, made from the schema's own objects, without TensorFlow or the library under test.

Every function returns a ``ModelT`` with one activation input, weights of which 87.5 % are zeros, and names for its
tensors. ``to_bytes`` writes it the plain way, sharing nothing.
"""

from __future__ import annotations

import math

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

INPUT_SCALE, INPUT_ZERO_POINT, WEIGHT_SCALE = 0.05, -3, 0.01
KINDS = {
    "int8": schema.TensorType.INT8,
    "int32": schema.TensorType.INT32,
    "float32": schema.TensorType.FLOAT32,
    "float16": schema.TensorType.FLOAT16,
}


class AligningBuilder(flatbuffers.Builder):
    """The stock builder, but with every vector on 16 bytes, as the schema demands of constants."""

    def CreateNumpyVector(self, x):  # noqa: N802
        self.StartVector(x.itemsize, x.size, 16)
        self.head -= x.nbytes
        self.Bytes[self.head : self.head + x.nbytes] = x.tobytes()
        self.vectorNumElems = x.size
        return self.EndVector()


def to_bytes(model) -> bytes:
    builder = AligningBuilder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def sparse_weights(shape, dtype="int8", density=0.125, seed=0):
    """Random values, of which exactly the share ``density`` is not zero."""
    generator = np.random.default_rng(seed)
    size = math.prod(shape)
    if dtype == "int8":
        values = generator.integers(1, 128, size) * generator.choice([-1, 1], size)
    else:
        values = generator.standard_normal(size)
    values[generator.permutation(size)[round(size * density) :]] = 0
    return values.astype(dtype).reshape(shape)


def quantization(scale, zero_point=0, axis=0):
    result = schema.QuantizationParametersT()
    result.scale = np.atleast_1d(np.asarray(scale, np.float32))
    result.zeroPoint = np.full(result.scale.size, zero_point, np.int64)
    result.quantizedDimension = axis
    return result


class Tiny:
    """A model with one subgraph, put together piece by piece."""

    def __init__(self):
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators, self.graph.name = [], [], "main"
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.description = "tiny"
        self.model.operatorCodes, self.model.subgraphs = [], [self.graph]
        self.model.buffers = [schema.BufferT()]  # buffer 0 is the empty one

    def tensor(self, name, shape, dtype, quantized=None, dynamic=False):
        tensor = schema.TensorT()
        tensor.name, tensor.type, tensor.hasRank = name, KINDS[dtype], True
        tensor.shape = np.array(shape, np.int32)
        if dynamic:
            tensor.shapeSignature = np.array([-1, *shape[1:]], np.int32)
        tensor.quantization = quantized
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def activation(self, name, shape, dtype, scale=INPUT_SCALE, zero_point=INPUT_ZERO_POINT, dynamic=False):
        quantized = quantization(scale, zero_point) if dtype == "int8" else None
        return self.tensor(name, shape, dtype, quantized, dynamic)

    def constant(self, name, values, quantized=None):
        buffer = schema.BufferT()
        buffer.data = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        self.model.buffers.append(buffer)
        index = self.tensor(name, values.shape, str(values.dtype), quantized)
        self.graph.tensors[index].buffer = len(self.model.buffers) - 1
        return index

    def operator(self, builtin, version, inputs, outputs, kind=0, options=None):
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = builtin
        code.version = version
        self.model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs, operator.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        operator.builtinOptionsType, operator.builtinOptions = kind, options
        self.graph.operators.append(operator)
        return operator

    def finished(self, inputs, outputs):
        """The model, with a signature, which CompiledModel wants."""
        self.graph.inputs, self.graph.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = "serving_default", 0
        signature.inputs = [_tensor_map(f"in_{i}", index) for i, index in enumerate(inputs)]
        signature.outputs = [_tensor_map(f"out_{i}", index) for i, index in enumerate(outputs)]
        self.model.signatureDefs = [signature]
        return self.model

    def weight(self, values, axis=0, per_channel=True, name="weight", zero_point=0):
        return self.constant(name, values, weight_quantization(values, axis, per_channel, zero_point))

    def bias(self, count, weight_values, axis=0, per_channel=True, name="bias"):
        if weight_values.dtype != np.int8:
            return self.constant(name, np.linspace(-1, 1, count, dtype=np.float32))
        scales = weight_scales(weight_values.shape[axis], per_channel)
        values = np.linspace(-3000, 3000, count).astype(np.int32)
        return self.constant(name, values, quantization(np.float32(INPUT_SCALE) * scales))


def weight_scales(channels, per_channel):
    spread = 1 + np.arange(channels) / channels if per_channel else np.ones(1)
    return (WEIGHT_SCALE * spread).astype(np.float32)


def weight_quantization(values, axis=0, per_channel=True, zero_point=0):
    if values.dtype != np.int8:
        return None
    return quantization(weight_scales(values.shape[axis], per_channel), zero_point, axis if per_channel else 0)


def output_scale(kept_per_output):
    """A scale that spreads the int8 outputs over their range without saturating most of them."""
    return 1.5 * INPUT_SCALE * WEIGHT_SCALE * 73 * 73 * math.sqrt(max(kept_per_output, 1)) / 40


def _tensor_map(name, index):
    result = schema.TensorMapT()
    result.name, result.tensorIndex = name, index
    return result


def _window(size, kernel, stride, dilation, same):
    reach = (kernel - 1) * dilation + 1
    return -(-size // stride) if same else (size - reach) // stride + 1


def _version(dtype, int8, float32=1):
    return int8 if dtype == "int8" else float32


def conv_options(same=True, stride=1, dilation=1):
    options = schema.Conv2DOptionsT()
    options.padding = schema.Padding.SAME if same else schema.Padding.VALID
    options.strideH = options.strideW = stride
    options.dilationHFactor = options.dilationWFactor = dilation
    return options


def conv2d(
    shape=(16, 3, 3, 64),
    image=(8, 8),
    dtype="int8",
    *,
    same=True,
    stride=1,
    dilation=1,
    groups=1,
    dynamic=False,
    density=0.125,
    per_channel=True,
    zero_point=0,
    weights=None,
    readers=1,
    data_dtype=None,
):
    """CONV_2D with filter ``shape`` = (outputs, height, width, channels a group), read by ``readers`` operators."""
    values = sparse_weights(shape, dtype, density) if weights is None else weights
    outputs, height, width, channels = shape
    out = [_window(size, k, stride, dilation, same) for size, k in zip(image, (height, width), strict=True)]
    data_dtype = data_dtype or dtype
    tiny = Tiny()
    x = tiny.activation("x", (1, *image, channels * groups), data_dtype, dynamic=dynamic)
    w = tiny.weight(values, 0, per_channel, zero_point=zero_point)
    if data_dtype == dtype:
        b = tiny.bias(outputs, values, 0, per_channel)
    else:  # the dynamic-range form has a float bias
        b = tiny.constant("bias", np.zeros(outputs, np.float32))
    ends = []
    for number in range(readers):
        scale = output_scale(height * width * channels * density) * (1 + number)
        ends.append(tiny.activation(f"y{number}", (1, *out, outputs), data_dtype, scale, 5, dynamic))
        tiny.operator(
            schema.BuiltinOperator.CONV_2D,
            _version(dtype, 6 if groups > 1 else 3),
            [x, w, b],
            [ends[-1]],
            schema.BuiltinOptions.Conv2DOptions,
            conv_options(same, stride, dilation),
        )
    return tiny.finished([x], ends)


def depthwise_conv2d(channels=256, kernel=3, image=(8, 8), dtype="int8", *, dynamic=False, stride=1):
    values = sparse_weights((1, kernel, kernel, channels), dtype)
    options = schema.DepthwiseConv2DOptionsT()
    options.padding, options.depthMultiplier = schema.Padding.SAME, 1
    options.strideH = options.strideW = stride
    out = [_window(size, kernel, stride, 1, True) for size in image]
    tiny = Tiny()
    x = tiny.activation("x", (1, *image, channels), dtype, dynamic=dynamic)
    w = tiny.weight(values, 3)
    b = tiny.bias(channels, values, 3)
    y = tiny.activation("y", (1, *out, channels), dtype, output_scale(kernel * kernel * 0.125), 5, dynamic)
    kind = schema.BuiltinOptions.DepthwiseConv2DOptions
    tiny.operator(schema.BuiltinOperator.DEPTHWISE_CONV_2D, _version(dtype, 3), [x, w, b], [y], kind, options)
    return tiny.finished([x], [y])


def transpose_conv(shape=(16, 3, 3, 64), image=(5, 5), dtype="int8", *, bias=True, stride=2):
    """TRANSPOSE_CONV with SAME padding: the output is ``stride`` times as large as the image."""
    values = sparse_weights(shape, dtype)
    outputs, height, width, channels = shape
    options = schema.TransposeConvOptionsT()
    options.padding = schema.Padding.SAME
    options.strideH = options.strideW = stride
    size = (1, *(side * stride for side in image), outputs)
    tiny = Tiny()
    x = tiny.activation("x", (1, *image, channels), dtype)
    inputs = [tiny.constant("size", np.array(size, np.int32)), tiny.weight(values), x]
    if bias:
        inputs.append(tiny.bias(outputs, values))
    y = tiny.activation("y", size, dtype, output_scale(height * width * channels * 0.125 / stride**2), 5)
    kind = schema.BuiltinOptions.TransposeConvOptions
    version = 3 if bias else _version(dtype, 2)
    tiny.operator(schema.BuiltinOperator.TRANSPOSE_CONV, version, inputs, [y], kind, options)
    return tiny.finished([x], [y])


def gather(rows=64, width=100, dtype="int8", *, tokens=7):
    """A look-up table, read by token numbers."""
    values = sparse_weights((rows, width), dtype)
    tiny = Tiny()
    x = tiny.tensor("x", (1, tokens), "int32")
    w = tiny.constant("weight", values, weight_quantization(values, per_channel=False))
    y = tiny.tensor("y", (1, tokens, width), dtype, weight_quantization(values, per_channel=False))
    kind, options = schema.BuiltinOptions.GatherOptions, schema.GatherOptionsT()
    tiny.operator(schema.BuiltinOperator.GATHER, _version(dtype, 2), [w, x], [y], kind, options)
    return tiny.finished([x], [y])


def fully_connected(
    shape=(64, 600),
    lead=(1,),
    dtype="int8",
    *,
    keep_num_dims=False,
    bias=True,
    relu=False,
    per_channel=True,
    dynamic=False,
    density=0.125,
    shuffled=False,
    readers=1,
    weights=None,
    data_dtype=None,
    zero_point=0,
):
    """FULLY_CONNECTED with weights ``shape`` = (outputs, inputs) over an input ``(*lead, inputs)``."""
    values = sparse_weights(shape, dtype, density) if weights is None else weights
    outputs, inputs = shape
    data_dtype = data_dtype or dtype
    out = (*lead, outputs) if keep_num_dims else (math.prod(lead), outputs)
    tiny = Tiny()
    x = tiny.activation("x", (*lead, inputs), data_dtype, dynamic=dynamic)
    w = tiny.weight(values, 0, per_channel, zero_point=zero_point)
    b = tiny.bias(outputs, values, 0, per_channel) if bias else -1
    version = _version(dtype, 12 if per_channel else 5, 5 if keep_num_dims else 1)
    ends = []
    for number in range(readers):
        options = schema.FullyConnectedOptionsT()
        options.keepNumDims = keep_num_dims
        if relu:
            options.fusedActivationFunction = schema.ActivationFunctionType.RELU
        if shuffled:
            options.weightsFormat = schema.FullyConnectedOptionsWeightsFormat.SHUFFLED4x16INT8
        scale = output_scale(inputs * density) * (1 + number)
        ends.append(tiny.activation(f"y{number}", out, data_dtype, scale, -20, dynamic))
        kind = schema.BuiltinOptions.FullyConnectedOptions
        tiny.operator(schema.BuiltinOperator.FULLY_CONNECTED, version, [x, w, b], [ends[-1]], kind, options)
    return tiny.finished([x], ends)


def batch_matmul(shape=(200, 64), dtype="int8"):
    """An operator that reads its weight as CONV_2D does, but takes no sparse one."""
    values = sparse_weights(shape, dtype)
    tiny = Tiny()
    x = tiny.activation("x", (1, 3, shape[0]), dtype, zero_point=0)
    w = tiny.weight(values, 0, False)
    y = tiny.activation("y", (1, 3, shape[1]), dtype, output_scale(shape[0] * 0.125), 5)
    kind, options = schema.BuiltinOptions.BatchMatMulOptions, schema.BatchMatMulOptionsT()
    tiny.operator(schema.BuiltinOperator.BATCH_MATMUL, _version(dtype, 2), [x, w], [y], kind, options)
    return tiny.finished([x], [y])


def samples(model, count=3, seed=0):
    """Random inputs over the whole range of the model's input; for int8 the first is all 127."""
    generator = np.random.default_rng(seed)
    graph = model.subgraphs[0]
    tensor = graph.tensors[int(graph.inputs[0])]
    shape = (count, *(int(size) for size in tensor.shape[1:]))
    if tensor.type == KINDS["int32"]:  # token numbers
        return generator.integers(0, int(graph.tensors[1].shape[0]), shape).astype(np.int32)
    if tensor.type == KINDS["float32"]:
        return generator.standard_normal(shape).astype(np.float32)
    values = generator.integers(-128, 128, shape).astype(np.int8)
    values[0] = 127
    return values


def run_here(content: bytes, values, resolver="AUTO"):
    """All outputs of one call in this process, the input resized to ``values``."""
    from ai_edge_litert.interpreter import OpResolverType

    interpreter = Interpreter(
        model_content=bytes(content), experimental_op_resolver_type=OpResolverType[resolver], num_threads=1
    )
    index = interpreter.get_input_details()[0]["index"]
    if tuple(interpreter.get_input_details()[0]["shape"]) != values.shape:
        interpreter.resize_tensor_input(index, values.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(index, values)
    interpreter.invoke()
    return [interpreter.get_tensor(output["index"]) for output in interpreter.get_output_details()]


def operator_names(model):
    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    return [names[model.operatorCodes[op.opcodeIndex].builtinCode] for op in model.subgraphs[0].operators]
