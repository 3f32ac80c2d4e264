"""Make small models of rare kinds: with state, several signatures, two layers, any dtype."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from helpers import tiny_models
from helpers.tiny_models import Tiny

_BUILTIN, _OPTIONS = schema.BuiltinOperator, schema.BuiltinOptions


def two_layers(hidden=24, outputs=10, dtype="int8", density=0.5):
    """FULLY_CONNECTED twice: ``x`` (1, 16), ``hidden``, ``y``. The first has no bias."""
    tiny = Tiny()
    first = tiny_models.sparse_weights((hidden, 16), dtype, density)
    second = tiny_models.sparse_weights((outputs, hidden), dtype, density, seed=1)
    x = tiny.activation("x", (1, 16), dtype)
    w1 = tiny.weight(first, name="first weight")
    w2 = tiny.weight(second, name="second weight")
    bias = tiny.bias(outputs, second)
    middle = tiny.activation("hidden", (1, hidden), dtype, tiny_models.output_scale(16 * density), 5)
    y = tiny.activation("y", (1, outputs), dtype, tiny_models.output_scale(hidden * density), -20)
    version = 12 if dtype == "int8" else 1
    for inputs, output in (([x, w1, -1], middle), ([middle, w2, bias], y)):
        options = schema.FullyConnectedOptionsT()
        tiny.operator(_BUILTIN.FULLY_CONNECTED, version, inputs, [output], _OPTIONS.FullyConnectedOptions, options)
    return tiny.finished([x], [y])


def weight_behind_quantize():
    """Return a weight after fake quantisation: float32, through QUANTIZE and DEQUANTIZE, its shape left to the runtime.

    The runtime runs FULLY_CONNECTED with it.
    """
    tiny = Tiny()
    values = tiny_models.sparse_weights((8, 16), "float32", 0.5)
    x = tiny.activation("x", (1, 16), "float32")
    w = tiny.constant("weight", values)
    packed = tiny.tensor("weight_int8", (8, 16), "int8", tiny_models.quantization(0.05))
    computed = tiny.tensor("weight_float32", (), "float32")
    tiny.graph.tensors[computed].hasRank = False
    bias = tiny.constant("bias", np.linspace(-1, 1, 8, dtype=np.float32))
    y = tiny.activation("y", (1, 8), "float32")
    tiny.operator(_BUILTIN.QUANTIZE, 1, [w], [packed], _OPTIONS.QuantizeOptions, schema.QuantizeOptionsT())
    kind, options = _OPTIONS.DequantizeOptions, schema.DequantizeOptionsT()
    tiny.operator(_BUILTIN.DEQUANTIZE, 2, [packed], [computed], kind, options)
    options = schema.FullyConnectedOptionsT()
    tiny.operator(_BUILTIN.FULLY_CONNECTED, 1, [x, computed, bias], [y], _OPTIONS.FullyConnectedOptions, options)
    return tiny.finished([x], [y])


def open_image(kernel=40, stride=1, density=0.125, padding_same=False):
    """CONV_2D over an image (1, height, width, 2) of open sizes, at least as large as the kernel."""
    options = {"image": (kernel, kernel), "same": padding_same, "stride": stride, "density": density}
    model = tiny_models.conv2d((8, kernel, kernel, 2), **options)
    for tensor in (model.subgraphs[0].tensors[0], model.subgraphs[0].tensors[-1]):
        tensor.shapeSignature = np.array([1, -1, -1, tensor.shape[3]], np.int32)
    return model


def open_length(length=37):
    """``x`` (1, ?, 8) becomes (1, 8 * length) and passes FULLY_CONNECTED: it runs only with this length."""
    tiny = Tiny()
    x = tiny.activation("x", (1, 1, 8), "int8")
    tiny.graph.tensors[x].shapeSignature = np.array([-1, -1, 8], np.int32)
    shape = tiny.constant("shape", np.array([1, 8 * length], np.int32))
    flat = tiny.activation("flat", (1, 8 * length), "int8")
    kind, options = _OPTIONS.ReshapeOptions, schema.ReshapeOptionsT()
    options.newShape = np.array([1, 8 * length], np.int32)
    tiny.operator(_BUILTIN.RESHAPE, 1, [x, shape], [flat], kind, options)
    values = tiny_models.sparse_weights((64, 8 * length))
    w = tiny.weight(values)
    bias = tiny.bias(64, values)
    y = tiny.activation("y", (1, 64), "int8", tiny_models.output_scale(length), 5)
    kind, options = _OPTIONS.FullyConnectedOptions, schema.FullyConnectedOptionsT()
    tiny.operator(_BUILTIN.FULLY_CONNECTED, 12, [flat, w, bias], [y], kind, options)
    return tiny.finished([x], [y])


def with_custom_operator(model, name="UnheardOf"):
    """Return the model with a custom operator, which no runtime has, after its first output."""
    tiny = Tiny()
    tiny.model, tiny.graph = model, model.subgraphs[0]
    inputs, (last, *_) = list(tiny.graph.inputs), list(tiny.graph.outputs)
    shape = tiny.graph.tensors[last].shape
    y = tiny.activation("made_by_custom", shape, "int8")
    tiny.operator(_BUILTIN.CUSTOM, 1, [last], [y])
    model.operatorCodes[-1].customCode = name
    return tiny.finished(inputs, [y])


def scalar_constant(dtype="float32"):
    """FULLY_CONNECTED, then ADD of a constant of rank 0."""
    tiny = Tiny()
    x = tiny.activation("x", (1, 64), dtype)
    w = tiny.weight(tiny_models.sparse_weights((32, 64), dtype), per_channel=False)
    middle = tiny.activation("middle", (1, 32), dtype, tiny_models.output_scale(8), 5)
    quantized = tiny_models.quantization(0.5) if dtype == "int8" else None
    scalar = tiny.constant("scalar", np.array(-5, dtype), quantized)
    y = tiny.activation("y", (1, 32), dtype, tiny_models.output_scale(8) * 2, 5)
    int8 = dtype == "int8"
    options = schema.FullyConnectedOptionsT()
    inputs, kind = [x, w, -1], _OPTIONS.FullyConnectedOptions
    tiny.operator(_BUILTIN.FULLY_CONNECTED, 4 if int8 else 1, inputs, [middle], kind, options)
    tiny.operator(_BUILTIN.ADD, 2 if int8 else 1, [middle, scalar], [y], _OPTIONS.AddOptions, schema.AddOptionsT())
    return tiny.finished([x], [y])


def recurrent():
    """UNIDIRECTIONAL_SEQUENCE_RNN, whose hidden state is a variable tensor that lives from call to call."""
    tiny = Tiny()
    x = tiny.tensor("x", (1, 3, 4), "float32")
    weights = tiny.constant("weight", tiny_models.sparse_weights((5, 4), "float32", 0.5))
    recurrent_weights = tiny.constant("recurrent weight", tiny_models.sparse_weights((5, 5), "float32", 0.5, seed=1))
    bias = tiny.constant("bias", np.zeros(5, np.float32))
    state = tiny.tensor("state", (1, 5), "float32")
    tiny.graph.tensors[state].isVariable = True
    y = tiny.tensor("y", (1, 3, 5), "float32")
    options = schema.SequenceRNNOptionsT()
    options.fusedActivationFunction = schema.ActivationFunctionType.TANH
    inputs = [x, weights, recurrent_weights, bias, state]
    kind = _OPTIONS.SequenceRNNOptions
    tiny.operator(_BUILTIN.UNIDIRECTIONAL_SEQUENCE_RNN, 1, inputs, [y], kind, options)
    return tiny.finished([x], [y])


def accumulator():
    """Add its input to a resource variable, which a graph that runs once sets to zero, and yield the sum."""
    tiny = Tiny()
    tiny_models.KINDS.setdefault("resource", schema.TensorType.RESOURCE)
    start = schema.CallOnceOptionsT()
    start.initSubgraphIndex = 1
    tiny.operator(_BUILTIN.CALL_ONCE, 1, [], [], _OPTIONS.CallOnceOptions, start)
    x, old, total = (tiny.tensor(name, (1, 4), "float32") for name in ("x", "old", "total"))
    handle = _handle(tiny)
    tiny.operator(_BUILTIN.READ_VARIABLE, 1, [handle], [old])
    tiny.operator(_BUILTIN.ADD, 1, [x, old], [total], _OPTIONS.AddOptions, schema.AddOptionsT())
    tiny.operator(_BUILTIN.ASSIGN_VARIABLE, 1, [handle, total], [])
    model = tiny.finished([x], [total])

    main, tiny.graph = tiny.graph, schema.SubGraphT()
    tiny.graph.tensors, tiny.graph.operators, tiny.graph.name = [], [], "start"
    handle = _handle(tiny)
    zeros = tiny.constant("zeros", np.zeros((1, 4), np.float32))
    tiny.operator(_BUILTIN.ASSIGN_VARIABLE, 1, [handle, zeros], [])
    tiny.graph.inputs = tiny.graph.outputs = np.zeros(0, np.int32)
    model.subgraphs = [main, tiny.graph]
    return model


def _handle(tiny):
    handle = tiny.tensor("handle", (), "resource")
    options = schema.VarHandleOptionsT()
    options.sharedName, options.container = "sum", ""
    tiny.operator(_BUILTIN.VAR_HANDLE, 1, [], [handle], _OPTIONS.VarHandleOptions, options)
    return handle


def two_signatures(**second):
    """``small`` and ``large``, each a graph with one FULLY_CONNECTED; ``second`` are options of the latter."""
    model = tiny_models.fully_connected((6, 16), density=0.5)
    other = tiny_models.fully_connected(**{"shape": (8, 32), "density": 0.5, **second})
    codes, buffers = len(model.operatorCodes), len(model.buffers)
    graph = other.subgraphs[0]
    for tensor in graph.tensors:
        tensor.buffer = tensor.buffer + buffers if tensor.buffer else 0
    for operator in graph.operators:
        operator.opcodeIndex += codes
    model.operatorCodes += other.operatorCodes
    model.buffers += other.buffers
    model.subgraphs.append(graph)
    (first,), (last,) = model.signatureDefs, other.signatureDefs
    first.signatureKey, last.signatureKey, last.subgraphIndex = "small", "large", 1
    model.signatureDefs = [first, last]
    return model


def addition(dtype, shape=(1, 4), dynamic=False):
    """``x + y``, or ``x and y`` for bool: two inputs of any dtype and shape, no weights."""
    tiny = Tiny()
    x, y, z = (tiny.tensor(name, shape, dtype, dynamic=dynamic) for name in ("x", "y", "z"))
    if dtype == "int16":
        for index in (x, y, z):
            tiny.graph.tensors[index].quantization = tiny_models.quantization(0.1)
    if dtype == "bool":
        kind, options = _OPTIONS.LogicalAndOptions, schema.LogicalAndOptionsT()
        tiny.operator(_BUILTIN.LOGICAL_AND, 1, [x, y], [z], kind, options)
    else:
        version = {"int16": 2, "int64": 2}.get(dtype, 1)
        tiny.operator(_BUILTIN.ADD, version, [x, y], [z], _OPTIONS.AddOptions, schema.AddOptionsT())
    return tiny.finished([x, y], [z])


def edited(model, name, edit):
    """Return the model after ``edit(tensor, model)`` of the tensor of that name."""
    (tensor,) = [
        tensor for graph in model.subgraphs for tensor in graph.tensors if tensor.name in (name, name.encode())
    ]
    edit(tensor, model)
    return model


def flip_bit(tensor, model, position=0):
    """Change one stored value by its lowest bit."""
    data = model.buffers[tensor.buffer].data.copy()
    data[position] ^= 1
    model.buffers[tensor.buffer].data = data


def dilated(announced_blocks=1, *, open_axes=(0,), zero_point=0):
    """CONV_2D of every second pixel, as converters write it: between SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND.

    Each sample becomes 4 blocks. With an open batch converters announce ``announced_blocks`` = 1 of them.
    ``zero_point`` is that of the input, which is padded.
    """
    values = tiny_models.sparse_weights((16, 3, 3, 16), density=0.5)
    tiny = Tiny()
    x = tiny.activation("x", (1, 8, 8, 16), "int8", zero_point=zero_point)
    if open_axes:
        signature = [-1 if axis in open_axes else size for axis, size in enumerate((1, 8, 8, 16))]
        tiny.graph.tensors[x].shapeSignature = np.array(signature, np.int32)
    block, nothing, around = (
        tiny.constant(name, np.array(sizes, np.int32))
        for name, sizes in (("block", [2, 2]), ("nothing", [[0, 0]] * 2), ("around", [[2, 2]] * 2))
    )
    blocks = tiny.activation("net/conv/blocks", (announced_blocks, 6, 6, 16), "int8", zero_point=zero_point)
    scale = tiny_models.output_scale(9 * 16 * 0.5)
    computed = tiny.activation("net/conv/computed", (announced_blocks, 4, 4, 16), "int8", scale, 5)
    y = tiny.activation("y", (1, 8, 8, 16), "int8", scale, 5)
    tiny.operator(_BUILTIN.SPACE_TO_BATCH_ND, 2, [x, block, around], [blocks])
    inputs = [blocks, tiny.weight(values), tiny.bias(16, values)]
    options = tiny_models.conv_options(same=False)
    tiny.operator(_BUILTIN.CONV_2D, 3, inputs, [computed], _OPTIONS.Conv2DOptions, options)
    tiny.operator(_BUILTIN.BATCH_TO_SPACE_ND, 2, [computed, block, nothing], [y])
    return tiny.finished([x], [y])


def custom():
    """Return a model with one operator that no runtime knows: ``Mine``, which yields ``net/mine/y``."""
    tiny = Tiny()
    x, y = tiny.activation("x", (1, 8), "int8"), tiny.activation("net/mine/y", (1, 8), "int8")
    tiny.operator(_BUILTIN.CUSTOM, 1, [x], [y])
    tiny.model.operatorCodes[0].customCode = "Mine"
    return tiny.finished([x], [y])


def endless():
    """Return a model with a WHILE that takes some days."""
    return edited(tiny_models.conv2d_in_subgraph(image=(64, 64)), "limit", _to_the_end)


def _to_the_end(tensor, model):
    model.buffers[tensor.buffer].data = np.full(1, np.iinfo(np.int32).max, np.int32).view(np.uint8)
