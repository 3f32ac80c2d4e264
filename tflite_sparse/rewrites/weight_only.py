"""Store the weights of float operators as int8 and let a DEQUANTIZE rebuild them in front of the reader.

The converter's dynamic range files use hybrid operators, whose sparse weights LiteRT's default interpreter refuses. A
DEQUANTIZE reads sparse weights behind a DENSIFY in every runtime, and all computation stays float32.

Needs: a float32 constant that only CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV or FULLY_CONNECTED read, as weights.
Leaves: the tensor keeps its index and name and becomes int8, symmetric (zero point 0: zeros stay zeros), with one scale
for each output channel: ``max |w| / 127``. Its readers read the output of one new DEQUANTIZE.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.flatbuffer.graph import Graph, Use, graphs, new_operator, new_tensor, rewire, shape_of
from tflite_sparse.flatbuffer.types import Model, QuantizationParameters

# LiteRT quantization_spec: the axis of the weight that counts the output channels.
_CHANNEL_AXES = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "TRANSPOSE_CONV": 0, "FULLY_CONNECTED": 0}
_WEIGHT_POSITION = 1
_PER_CHANNEL_VERSION = 5  # LiteRT tools/versioning/op_version.cc, DEQUANTIZE
_LEAST_VALUES = 512  # smaller weights save less than scales, tensor and operator add
_LARGEST = 127


def apply(model: Model) -> int:
    """Edit every graph of a parsed float32 model; return the number of weights that became int8."""
    changed = 0
    for graph in graphs(model):
        for index, uses in sorted(graph.uses().items()):
            axis = _channel_axis(graph, index, uses)
            values = None if axis is None else graph.constant(index)
            if axis is not None and values is not None and values.dtype == np.float32 and values.size >= _LEAST_VALUES:
                _store(graph, index, values, axis, uses)
                changed += 1
    return changed


def quantised(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ``values`` (float32) as int8 of the same shape, and the float32 scales, one per entry along ``axis``."""
    others = tuple(i for i in range(values.ndim) if i != axis)
    largest = np.abs(values).max(axis=others, keepdims=True)
    scales = np.where(largest > 0, largest / np.float32(_LARGEST), np.float32(1)).astype(np.float32)
    rounded = np.clip(np.round(values / scales), -_LARGEST, _LARGEST).astype(np.int8)
    return rounded, scales.reshape(-1)


def _channel_axis(graph: Graph, index: int, uses: Sequence[Use]) -> int | None:
    """Return the channel axis for all readers; None if they differ, one is another operator, or it is an output."""
    names = {graph.operator_name(use.operator) for use in uses if use.position == _WEIGHT_POSITION}
    axes = {_CHANNEL_AXES.get(name) for name in names}
    if graph.yields(index) or len(axes) != 1 or any(use.position != _WEIGHT_POSITION for use in uses):
        return None
    return axes.pop()


def _store(graph: Graph, index: int, values: np.ndarray, axis: int, uses: Sequence[Use]) -> None:
    tensor = graph.tensor(index)
    rebuilt = graph.add_tensor(new_tensor(shape_of(tensor), tensor.type, tensor.name))
    rounded, scales = quantised(values, axis)
    quantization: QuantizationParameters = schema.QuantizationParametersT()
    quantization.scale, quantization.zeroPoint = scales, np.zeros(scales.size, np.int64)
    quantization.quantizedDimension = axis
    tensor.type, tensor.quantization = schema.TensorType.INT8, quantization
    graph.store(tensor, rounded)
    code = graph.operator_code(schema.BuiltinOperator.DEQUANTIZE, _PER_CHANNEL_VERSION)
    kind, options = schema.BuiltinOptions.DequantizeOptions, schema.DequantizeOptionsT()
    graph.insert_before(uses[0].operator, new_operator(code, [index], [rebuilt], kind, options))
    for use in uses:
        rewire(use.operator, use.position, rebuilt)
