"""Make small ``.tflite`` models from the schema's objects, without TensorFlow or the library under test.

Every function returns a ``ModelT`` with one activation input, weights of which 87.5 % are zeros, and names of its
tensors. ``to_bytes`` writes it without sharing anything.
"""

from __future__ import annotations

import math

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

INPUT_SCALE, INPUT_ZERO_POINT, WEIGHT_SCALE = 0.05, -3, 0.01
INT16_FINER = 256  # int16 activations cover the same range in finer steps, without a zero point
KINDS = {
    "bool": schema.TensorType.BOOL,
    "int8": schema.TensorType.INT8,
    "uint8": schema.TensorType.UINT8,
    "int16": schema.TensorType.INT16,
    "int64": schema.TensorType.INT64,
    "int32": schema.TensorType.INT32,
    "float32": schema.TensorType.FLOAT32,
    "float16": schema.TensorType.FLOAT16,
}


class AligningBuilder(flatbuffers.Builder):
    """The stock builder, but with every vector aligned to 16 bytes, as the schema demands of constants."""

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
    """Return random values, of which exactly the share ``density`` is not zero."""
    generator = np.random.default_rng(seed)
    size = math.prod(shape)
    if dtype == "int8":
        values = generator.integers(1, 128, size) * generator.choice([-1, 1], size)
    else:
        values = generator.standard_normal(size)
    values[generator.permutation(size)[round(size * density) :]] = 0
    return values.astype(dtype).reshape(shape)


def with_few_values(weights, count=16):
    """int8 weights with the same zeros, whose kept weights take ``count`` values."""
    values = np.r_[-count // 2 : 0, 1 : count // 2 + 1].astype(np.int8)
    return np.where(weights == 0, 0, values[np.abs(weights.astype(int)) % count]).astype(np.int8)


def two_kinds_of_rows(rows=60, places=400):
    """int8: seven of eight weights zero; every third row has other values than the rest."""
    rng = np.random.default_rng(0)
    low, high = np.array([-4, -3, -2, -1, 1, 2, 3, 4]), np.array([-90, -70, -50, -30, 30, 50, 70, 90])
    weights = np.where(np.arange(rows)[:, None] % 3, rng.choice(low, (rows, places)), rng.choice(high, (rows, places)))
    return np.where(rng.random(weights.shape) < 0.875, 0, weights).astype(np.int8)


def quantization(scale, zero_point=0, axis=0):
    result = schema.QuantizationParametersT()
    result.scale = np.atleast_1d(np.asarray(scale, np.float32))
    result.zeroPoint = np.full(result.scale.size, zero_point, np.int64)
    result.quantizedDimension = axis
    return result


class Tiny:
    """A model with one subgraph, built piece by piece."""

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
        quantized = None
        if dtype == "int8":
            quantized = quantization(scale, zero_point)
        elif dtype == "int16":
            quantized = quantization(scale / INT16_FINER)
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
        code.builtinCode, code.deprecatedBuiltinCode = builtin, min(builtin, 127)
        code.version = version
        self.model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs, operator.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        operator.builtinOptionsType, operator.builtinOptions = kind, options
        self.graph.operators.append(operator)
        return operator

    def finished(self, inputs, outputs):
        """Return the model, with a signature, which CompiledModel needs."""
        self.graph.inputs, self.graph.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = "serving_default", 0
        signature.inputs = [_tensor_map(f"in_{i}", index) for i, index in enumerate(inputs)]
        signature.outputs = [_tensor_map(f"out_{i}", index) for i, index in enumerate(outputs)]
        self.model.signatureDefs = [signature]
        return self.model

    def weight(self, values, axis=0, per_channel=True, name="weight", zero_point=0):
        return self.constant(name, values, weight_quantization(values, axis, per_channel, zero_point))

    def bias(self, count, weight_values, axis=0, per_channel=True, name="bias", data_dtype="int8"):
        if weight_values.dtype != np.int8:
            return self.constant(name, np.linspace(-1, 1, count, dtype=np.float32))
        if data_dtype == "float32":  # the dynamic-range form
            return self.constant(name, np.zeros(count, np.float32))
        scales = weight_scales(weight_values.shape[axis], per_channel)
        finer = INT16_FINER if data_dtype == "int16" else 1
        values = np.linspace(-3000 * finer, 3000 * finer, count).astype("int64" if finer > 1 else "int32")
        return self.constant(name, values, quantization(np.float32(INPUT_SCALE / finer) * scales))


def weight_scales(channels, per_channel):
    spread = 1 + np.arange(channels) / channels if per_channel else np.ones(1)
    return (WEIGHT_SCALE * spread).astype(np.float32)


def weight_quantization(values, axis=0, per_channel=True, zero_point=0):
    if values.dtype != np.int8:
        return None
    return quantization(weight_scales(values.shape[axis], per_channel), zero_point, axis if per_channel else 0)


def output_scale(kept_per_output):
    """Return a scale that spreads the int8 outputs over their range, with little saturation."""
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
    b = tiny.bias(outputs, values, 0, per_channel, data_dtype=data_dtype)
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


def depthwise_conv2d(channels=256, kernel=3, image=(8, 8), dtype="int8", *, dynamic=False, stride=1, data_dtype=None):
    values = sparse_weights((1, kernel, kernel, channels), dtype)
    options = schema.DepthwiseConv2DOptionsT()
    options.padding, options.depthMultiplier = schema.Padding.SAME, 1
    options.strideH = options.strideW = stride
    out = [_window(size, kernel, stride, 1, True) for size in image]
    tiny = Tiny()
    data_dtype = data_dtype or dtype
    x = tiny.activation("x", (1, *image, channels), data_dtype, dynamic=dynamic)
    w = tiny.weight(values, 3)
    b = tiny.bias(channels, values, 3, data_dtype=data_dtype)
    y = tiny.activation("y", (1, *out, channels), data_dtype, output_scale(kernel * kernel * 0.125), 5, dynamic)
    kind = schema.BuiltinOptions.DepthwiseConv2DOptions
    tiny.operator(schema.BuiltinOperator.DEPTHWISE_CONV_2D, _version(dtype, 3), [x, w, b], [y], kind, options)
    return tiny.finished([x], [y])


def transpose_conv(shape=(16, 3, 3, 64), image=(5, 5), dtype="int8", *, bias=True, stride=2, data_dtype=None):
    """TRANSPOSE_CONV with SAME padding: the output is ``stride`` times as large as the image."""
    values = sparse_weights(shape, dtype)
    outputs, height, width, channels = shape
    options = schema.TransposeConvOptionsT()
    options.padding = schema.Padding.SAME
    options.strideH = options.strideW = stride
    size = (1, *(side * stride for side in image), outputs)
    data_dtype = data_dtype or dtype
    tiny = Tiny()
    x = tiny.activation("x", (1, *image, channels), data_dtype)
    inputs = [tiny.constant("size", np.array(size, np.int32)), tiny.weight(values), x]
    if bias:
        inputs.append(tiny.bias(outputs, values, data_dtype=data_dtype))
    y = tiny.activation("y", size, data_dtype, output_scale(height * width * channels * 0.125 / stride**2), 5)
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
    b = tiny.bias(outputs, values, 0, per_channel, data_dtype=data_dtype) if bias else -1
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


def fully_connected_uint8(weights, zero_point=131):
    """FULLY_CONNECTED as older converters write it: uint8 throughout, one scale, each tensor with a zero point."""
    outputs, inputs = weights.shape
    tiny = Tiny()
    x = tiny.tensor("x", (1, inputs), "uint8", quantization(INPUT_SCALE, 128))
    w = tiny.constant("weight", weights, quantization(WEIGHT_SCALE, zero_point))
    y = tiny.tensor("y", (1, outputs), "uint8", quantization(INPUT_SCALE, 120))
    kind, options = schema.BuiltinOptions.FullyConnectedOptions, schema.FullyConnectedOptionsT()
    tiny.operator(schema.BuiltinOperator.FULLY_CONNECTED, 1, [x, w, -1], [y], kind, options)
    return tiny.finished([x], [y])


def batch_matmul(shape=(200, 64), dtype="int8", *, weight_first=False, data_dtype=None, rows=3):
    """BATCH_MATMUL with a constant (inner, columns) on the right, or (rows, inner) on the left, of the other shape."""
    values = sparse_weights(shape, dtype)
    inner = shape[1] if weight_first else shape[0]
    data = (inner, rows) if weight_first else (rows, inner)
    out = (shape[0], rows) if weight_first else (rows, shape[1])
    data_dtype = data_dtype or dtype
    tiny = Tiny()
    x = tiny.activation("x", (1, *data), data_dtype, zero_point=0)
    w = tiny.weight(values, 0, False)
    y = tiny.activation("y", (1, *out), data_dtype, output_scale(inner * 0.125), 5)
    kind, options = schema.BuiltinOptions.BatchMatMulOptions, schema.BatchMatMulOptionsT()
    inputs = [w, x] if weight_first else [x, w]
    tiny.operator(schema.BuiltinOperator.BATCH_MATMUL, _version(data_dtype, 2), inputs, [y], kind, options)
    return tiny.finished([x], [y])


def embedding_lookup(rows=64, width=100, dtype="int8", *, tokens=7, data_dtype=None):
    """A look-up table, read by token numbers; an int8 table may yield float32."""
    values = sparse_weights((rows, width), dtype)
    tiny = Tiny()
    x = tiny.tensor("x", (tokens,), "int32")
    w = tiny.constant("weight", values, weight_quantization(values, per_channel=False))
    data_dtype = data_dtype or dtype
    quantized = weight_quantization(values, per_channel=False) if data_dtype == "int8" else None
    y = tiny.tensor("y", (tokens, width), data_dtype, quantized)
    tiny.operator(schema.BuiltinOperator.EMBEDDING_LOOKUP, _version(dtype, 3), [x, w], [y])
    return tiny.finished([x], [y])


def conv3d(shape=(2, 3, 3, 16, 24), volume=(4, 6, 6), dtype="float32", *, transposed=False):
    """CONV_3D with filter (depth, height, width, inputs, outputs); transposed: (..., outputs, inputs), same size."""
    values = sparse_weights(shape, dtype)
    channels, outputs = shape[3:] if not transposed else shape[:2:-1]
    options = schema.Conv3DOptionsT()
    options.padding = schema.Padding.SAME
    options.strideD = options.strideH = options.strideW = 1
    options.dilationDFactor = options.dilationHFactor = options.dilationWFactor = 1
    tiny = Tiny()
    x = tiny.activation("x", (1, *volume, channels), dtype)
    w = tiny.weight(values, 4 - transposed)
    b = tiny.bias(outputs, values, 4 - transposed)
    y = tiny.activation("y", (1, *volume, outputs), dtype, output_scale(math.prod(shape[:3]) * channels * 0.125), 5)
    inputs = [x, w, b]
    if transposed:
        inputs = [tiny.constant("size", np.array((1, *volume, outputs), np.int32)), w, x, b]
    code = schema.BuiltinOperator.CONV_3D_TRANSPOSE if transposed else schema.BuiltinOperator.CONV_3D
    tiny.operator(code, 1, inputs, [y], schema.BuiltinOptions.Conv3DOptions, options)
    return tiny.finished([x], [y])


def through_dequantize(model, dtype="float16", *, per_channel=True, axis=0, names=("weight",)):
    """Return the model with float32 constants stored as float16 or int8, and DEQUANTIZE before their readers."""
    graph = model.subgraphs[0]
    tiny = Tiny()
    tiny.model, tiny.graph = model, graph
    kind, options = schema.BuiltinOptions.DequantizeOptions, schema.DequantizeOptionsT()
    version = 3 if dtype == "float16" else 5 if per_channel else 2
    for name in names:
        index = next(i for i, tensor in enumerate(graph.tensors) if tensor.name == name)
        restored = graph.tensors[index]
        values = model.buffers[restored.buffer].data.view(np.float32).reshape(restored.shape)
        if dtype == "int8":
            values = np.rint(values / np.abs(values).max() * 127)
        model.buffers[restored.buffer] = schema.BufferT()
        restored.name, restored.buffer = f"{name}_float32", 0
        packed = tiny.weight(values.astype(dtype), axis, per_channel, name)
        tiny.operator(schema.BuiltinOperator.DEQUANTIZE, version, [packed], [index], kind, options)
        graph.operators.insert(0, graph.operators.pop())
    return model


def lstm(units=16, features=24, steps=3, dtype="float32", *, data_dtype="float32"):
    """UNIDIRECTIONAL_SEQUENCE_LSTM; its inputs 1 to 8 are weights called ``weight1`` to ``weight8``."""
    whole = data_dtype == "int8"
    tiny = Tiny()
    x = tiny.activation("x", (1, steps, features), data_dtype)
    inputs = [x]
    for position in range(1, 9):
        values = sparse_weights((units, features if position < 5 else units), dtype, 0.25, seed=position)
        inputs.append(tiny.weight(values, 0, False, name=f"weight{position}"))
    inputs += [-1] * 3
    bias = np.linspace(-3000, 3000, units).astype(np.int32) if whole else np.linspace(-1, 1, units, dtype=np.float32)
    scale = quantization(INPUT_SCALE * WEIGHT_SCALE) if whole else None
    inputs += [tiny.constant(f"bias{gate}", bias, scale) for gate in range(4)]
    inputs += [-1] * 2
    hidden = quantization(1 / 128, 3) if whole else None
    inputs.append(_state(tiny, "output_state", (1, units), data_dtype, hidden))
    cell = quantization(2.0**-11) if whole else None
    inputs.append(_state(tiny, "cell_state", (1, units), "int16" if whole else "float32", cell))
    inputs += [-1] * 4
    options = schema.UnidirectionalSequenceLSTMOptionsT()
    options.fusedActivationFunction = schema.ActivationFunctionType.TANH
    y = tiny.tensor("y", (1, steps, units), data_dtype, hidden)
    kind = schema.BuiltinOptions.UnidirectionalSequenceLSTMOptions
    operator = tiny.operator(schema.BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM, 1, inputs, [y], kind, options)
    if whole:
        gates = [tiny.tensor(f"gate{gate}", (), "int16", quantization(1 / 4096)) for gate in range(4)]
        operator.intermediates = np.array([*gates, tiny.tensor("hidden", (), "int8", hidden)], np.int32)
    return tiny.finished([x], [y])


def svdf(units=32, features=64, memory=8, dtype="float32", *, data_dtype="float32"):
    """SVDF of rank 1: ``weight1`` (units, features), and ``weight2`` (units, memory), which int8 data need in int16."""
    whole = data_dtype == "int8"
    tiny = Tiny()
    x = tiny.activation("x", (1, features), data_dtype)
    feature = tiny.weight(sparse_weights((units, features), dtype, 0.25, seed=1), 0, False, name="weight1")
    values = sparse_weights((units, memory), dtype, 0.25, seed=2)
    if whole:
        time = tiny.constant("weight2", values.astype(np.int16) * 256, quantization(WEIGHT_SCALE / 256))
        state = quantization(2.0**-9)
        ramp = np.linspace(-2e7, 6e7, units).astype(np.int32)
        bias = tiny.constant("bias", ramp, quantization(2.0**-9 * WEIGHT_SCALE / 256))
    else:
        time, state = tiny.weight(values, 0, False, name="weight2"), None
        bias = tiny.constant("bias", np.linspace(-1, 1, units, dtype=np.float32))
    options = schema.SVDFOptionsT()
    options.rank = 1
    if whole:
        options.fusedActivationFunction = schema.ActivationFunctionType.RELU
    y = tiny.activation("y", (1, units), data_dtype, 0.05, 5)
    kept = _state(tiny, "state", (1, units * memory), "int16" if whole else "float32", state)
    kind = schema.BuiltinOptions.SVDFOptions
    tiny.operator(schema.BuiltinOperator.SVDF, 1, [x, feature, time, bias, kept], [y], kind, options)
    return tiny.finished([x], [y])


def _state(tiny, name, shape, dtype, quantized):
    index = tiny.tensor(name, shape, dtype, quantized)
    tiny.graph.tensors[index].isVariable = True
    return index


def elementwise(name="ADD", shape=(24, 32), dtype="int8", *, weight_first=False):
    """ADD, MUL or CONCATENATION (along the last axis) of data and a constant of the same shape."""
    values = sparse_weights(shape, dtype)
    tiny = Tiny()
    scale = INPUT_SCALE
    x = tiny.activation("x", shape, dtype, zero_point=0)
    # CONCATENATION wants one quantisation for all.
    quantized = quantization(scale) if dtype == "int8" else None
    w = tiny.constant("weight", values, quantized)
    if name == "CONCATENATION":
        options, kind = schema.ConcatenationOptionsT(), schema.BuiltinOptions.ConcatenationOptions
        options.axis, out = len(shape) - 1, (*shape[:-1], 2 * shape[-1])
    else:
        options = schema.AddOptionsT() if name == "ADD" else schema.MulOptionsT()
        kind = schema.BuiltinOptions.AddOptions if name == "ADD" else schema.BuiltinOptions.MulOptions
        scale, out = 2 * scale, shape
    y = tiny.activation("y", out, dtype, scale, 0)
    inputs = [w, x] if weight_first else [x, w]
    tiny.operator(getattr(schema.BuiltinOperator, name), _version(dtype, 2), inputs, [y], kind, options)
    return tiny.finished([x], [y])


def conv2d_in_subgraph(control="WHILE", channels=16, image=(6, 6), dtype="int8"):
    """Return a CONV_2D with the filter ``weight`` in the body of a WHILE of two rounds, or in the THEN branch of an IF.

    The second input of the IF, a bool, selects the convolution or its own first input.
    """
    shape = (1, *image, channels)
    same = {"scale": 0.05, "zero_point": -3}
    tiny = Tiny()
    main = tiny.graph
    x = tiny.activation("x", shape, dtype, **same)
    y = tiny.activation("y", shape, dtype, **same)
    if control == "IF":
        choice = tiny.tensor("choice", (1,), "bool")
        options = schema.IfOptionsT()
        options.thenSubgraphIndex, options.elseSubgraphIndex = 1, 2
        tiny.operator(schema.BuiltinOperator.IF, 1, [choice, x], [y], schema.BuiltinOptions.IfOptions, options)
        inputs = [x, choice]
    else:
        first = tiny.constant("first", np.zeros(1, np.int32))
        rounds = tiny.tensor("rounds", (1,), "int32")
        options = schema.WhileOptionsT()
        options.condSubgraphIndex, options.bodySubgraphIndex = 1, 2
        kind = schema.BuiltinOptions.WhileOptions
        tiny.operator(schema.BuiltinOperator.WHILE, 1, [first, x], [rounds, y], kind, options)
        inputs = [x]

    def begin(name, with_round):
        tiny.graph = schema.SubGraphT()
        tiny.graph.tensors, tiny.graph.operators, tiny.graph.name = [], [], name
        tiny.model.subgraphs.append(tiny.graph)
        number = [tiny.tensor("round", (1,), "int32")] if with_round else []
        return number, tiny.activation("x", shape, dtype, **same)

    def end(inputs, outputs):
        tiny.graph.inputs, tiny.graph.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)

    def convolution(source):
        values = sparse_weights((channels, 3, 3, channels), dtype)
        w, b = tiny.weight(values), tiny.bias(channels, values)
        result = tiny.activation("y", shape, dtype, **same)
        kind = schema.BuiltinOptions.Conv2DOptions
        tiny.operator(
            schema.BuiltinOperator.CONV_2D, _version(dtype, 3), [source, w, b], [result], kind, conv_options()
        )
        return result

    if control == "IF":
        _, source = begin("then", False)
        end([source], [convolution(source)])
        _, source = begin("else", False)
        end([source], [source])
    else:
        (number,), source = begin("condition", True)
        limit, less = tiny.constant("limit", np.full(1, 2, np.int32)), tiny.tensor("less", (1,), "bool")
        tiny.operator(schema.BuiltinOperator.LESS, 1, [number, limit], [less])
        end([number, source], [less])
        (number,), source = begin("body", True)
        one, following = tiny.constant("one", np.ones(1, np.int32)), tiny.tensor("next", (1,), "int32")
        kind, options = schema.BuiltinOptions.AddOptions, schema.AddOptionsT()
        tiny.operator(schema.BuiltinOperator.ADD, 1, [number, one], [following], kind, options)
        end([number, source], [following, convolution(source)])
    tiny.graph = main
    return tiny.finished(inputs, [y])


def samples(model, count=3, seed=0):
    """Return random inputs over the whole range of the model's input; for int8 the first is all 127."""
    generator = np.random.default_rng(seed)
    graph = model.subgraphs[0]
    tensor = graph.tensors[int(graph.inputs[0])]
    shape = (count, *(int(size) for size in tensor.shape[1:]))
    if tensor.type == KINDS["int32"]:  # token numbers
        return generator.integers(0, int(graph.tensors[1].shape[0]), shape).astype(np.int32)
    if tensor.type == KINDS["float32"]:
        return generator.standard_normal(shape).astype(np.float32)
    if tensor.type == KINDS["int16"]:
        return generator.integers(-32768, 32768, shape).astype(np.int16)
    values = generator.integers(-128, 128, shape).astype(np.int8)
    values[0] = 127
    return values


RESOLVERS = {
    "default": "AUTO",
    "builtin": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    "reference": "BUILTIN_REF",
    "compiled_model": "AUTO",
}
"""Return :func:`run_here` by the library's names of runtimes; CompiledModel gets the default interpreter's outputs."""


def run_here(content: bytes, values, resolver="AUTO", threads=1):
    """Return all outputs of one call in this process, with the input resized to ``values``."""
    from ai_edge_litert.interpreter import OpResolverType

    interpreter = Interpreter(
        model_content=bytes(content), experimental_op_resolver_type=OpResolverType[resolver], num_threads=threads
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
