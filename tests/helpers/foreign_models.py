"""Make sparse ``.tflite`` models as other programs write them, without the library's own encoder.

The functions edit a model of ``tiny_models`` and return it. ``store_sparse`` packs a constant value by value in any
layout of the format, also in ones that this package would never choose.
"""

import itertools

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from helpers import tiny_models

VECTORS = {
    "uint8": (schema.SparseIndexVector.Uint8Vector, schema.Uint8VectorT),
    "uint16": (schema.SparseIndexVector.Uint16Vector, schema.Uint16VectorT),
    "int32": (schema.SparseIndexVector.Int32Vector, schema.Int32VectorT),
}
SPARSE_WEIGHT_VERSION = 8  # of FULLY_CONNECTED, LiteRT tools/versioning/op_version.cc


def find(model, name="weight", graph=0):
    """Return index and table of a tensor."""
    return next((i, t) for i, t in enumerate(model.subgraphs[graph].tensors) if t.name == name)


def store_sparse(
    model,
    order=None,
    compressed=None,
    *,
    blocks=None,
    segments="int32",
    indices="int32",
    explicit_zeros=0,
    name="weight",
    graph=0,
):
    """Give a constant SparsityParameters.

    Args:
        model: holds the constant.
        order: of the tensor's own axes; ascending if None. The blocks follow.
        compressed: the own axes that are CSR; the last one if None.
        blocks: size of the block by axis.
        segments: type of these vectors, whatever they hold.
        indices: type of these vectors.
        explicit_zeros: number of zero entries that are stored.
        name: of the tensor.
        graph: number of the subgraph.
    """
    _, tensor = find(model, name, graph)
    blocks, rank = blocks or {}, len(tensor.shape)
    order = (*(order or range(rank)), *range(rank, rank + len(blocks)))
    compressed = {rank - 1} if compressed is None else compressed
    kind = next(key for key, code in tiny_models.KINDS.items() if code == tensor.type)
    levels = _levels(model.buffers[tensor.buffer].data.view(kind).reshape(tensor.shape), order, blocks)
    stored = levels != 0
    for cell in itertools.islice(zip(*np.nonzero(~stored), strict=True), explicit_zeros):
        stored[cell] = True

    table = schema.SparsityParametersT()
    table.traversalOrder = np.array(order, np.int32)
    table.blockMap = np.array(sorted(blocks), np.int32) if blocks else None
    table.dimMetadata = []
    nodes = [()]
    for axis, size in zip(order, levels.shape, strict=True):
        level = schema.DimensionMetadataT()
        table.dimMetadata.append(level)
        children = [[(*node, i) for i in range(size)] for node in nodes]
        if axis in compressed:
            children = [[child for child in family if stored[child].any()] for family in children]
            level.format = schema.DimensionType.SPARSE_CSR
            ends = np.cumsum([0, *map(len, children)])
            level.arraySegmentsType, level.arraySegments = _vector(ends, segments)
            places = [child[-1] for family in children for child in family]
            level.arrayIndicesType, level.arrayIndices = _vector(places, indices)
        else:
            level.format, level.denseSize = schema.DimensionType.DENSE, size
        nodes = [child for family in children for child in family]
    values = np.array([levels[node] for node in nodes], kind)
    model.buffers[tensor.buffer].data = values.view(np.uint8)
    tensor.sparsity = table
    return model


def densified(model, *, for_each_reader=False, name="weight", graph=0):
    """Put a DENSIFY before the readers of a constant: one for all, or one for each."""
    tiny = tiny_models.Tiny()
    tiny.model, tiny.graph = model, model.subgraphs[graph]
    sparse, tensor = find(model, name, graph)
    kind = next(key for key, code in tiny_models.KINDS.items() if code == tensor.type)
    kind_of_options, options = schema.BuiltinOptions.DensifyOptions, schema.DensifyOptionsT()
    dense = None
    for reader in list(tiny.graph.operators):
        if sparse not in list(reader.inputs):
            continue
        if dense is None or for_each_reader:
            dense = tiny.tensor(f"{name}_dense", tensor.shape, kind, tensor.quantization)
            tiny.operator(schema.BuiltinOperator.DENSIFY, 1, [sparse], [dense], kind_of_options, options)
            place = next(i for i, other in enumerate(tiny.graph.operators) if other is reader)
            tiny.graph.operators.insert(place, tiny.graph.operators.pop())
        reader.inputs = np.array([dense if i == sparse else i for i in reader.inputs], np.int32)
    return model


def read_natively(model):
    """Mark every FULLY_CONNECTED as reading its weight sparse."""
    for code in model.operatorCodes:
        if code.builtinCode == schema.BuiltinOperator.FULLY_CONNECTED:
            code.version = SPARSE_WEIGHT_VERSION
    return model


def block_sparse(shape, dtype, block, density=0.2):
    """Return random weights ``shape`` = (outputs, inputs) in full blocks of ``block`` inputs."""
    full = tiny_models.sparse_weights(shape, dtype, 1.0).reshape(shape[0], -1, block)
    kept = np.random.default_rng(1).random(full.shape[:2]) < density
    return (full * kept[..., None]).astype(dtype).reshape(shape)


def external(model, gap=0):
    """Return the model with the constant of buffer 1 after the FlatBuffer, ``gap`` bytes beyond its normal place."""
    data = model.buffers[1].data
    model.buffers[1].data, model.buffers[1].size, model.buffers[1].offset = None, len(data), 1 << 30
    start = -(-len(tiny_models.to_bytes(model)) // 16) * 16
    model.buffers[1].offset = start + gap
    head = tiny_models.to_bytes(model)
    return head.ljust(start, b"\0") + data.tobytes()


def _levels(values, order, blocks):
    """Return the array with one axis for each level, in traversal order."""
    rank, shape, places = values.ndim, [], {}
    for axis, size in enumerate(values.shape):
        places[axis] = len(shape)
        shape.append(size // blocks.get(axis, 1))
        if axis in blocks:
            places[rank + sorted(blocks).index(axis)] = len(shape)
            shape.append(blocks[axis])
    return values.reshape(shape).transpose([places[axis] for axis in order])


def _vector(values, dtype):
    kind, make = VECTORS[dtype]
    table = make()
    table.values = np.array(values, dtype)
    return kind, table
