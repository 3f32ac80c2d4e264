"""Correct the biases of quantised layers for the shift of their mean outputs that weight errors cause.

Needs: a CONV_2D, DEPTHWISE_CONV_2D or FULLY_CONNECTED with quantised weights, and the shift of its mean output.
Operators that compute in float32 are unchanged.
Leaves: the operator reads its own bias, int32 (int64 on int16 data) in units of input scale times weight scale; a
tensor with other readers keeps its values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.flatbuffer.graph import Graph, Use, indices, new_tensor, scales_of, text
from tflite_sparse.flatbuffer.types import Operator, QuantizationParameters

_BIAS_POSITION = 2
_BIAS_TYPES = {schema.TensorType.INT8: np.int32, schema.TensorType.INT16: np.int64}  # by type of the input


def apply(graph: Graph, shifts: Mapping[int, np.ndarray]) -> int:
    """Subtract shifts of mean outputs from the biases of a graph; return the number of changed operators.

    Args:
        graph: of a parsed model.
        shifts: by index of an operator's output tensor, one real number for each output channel.
    """
    producers, uses = graph.producers(), graph.uses()
    return sum(_apply(graph, producers[index], shift, uses) for index, shift in shifts.items())


def _apply(graph: Graph, operator: Operator, shift: np.ndarray, uses: Mapping[int, Sequence[Use]]) -> bool:
    data, weight = (graph.tensor(int(operator.inputs[position])) for position in range(_BIAS_POSITION))
    if data.type not in _BIAS_TYPES:
        return False
    scales = scales_of(data).astype(np.float64) * scales_of(weight).astype(np.float64)
    inputs = [*indices(operator.inputs), -1][: _BIAS_POSITION + 1]
    index = inputs[_BIAS_POSITION]
    old = np.zeros(shift.size, _BIAS_TYPES[data.type]) if index < 0 else graph.constant(index)
    steps = np.round(shift / scales)
    if old is None or not steps.any():
        return False
    limits = np.iinfo(old.dtype)
    new = np.clip(old - steps, limits.min, limits.max).astype(old.dtype)
    if index >= 0 and len(uses[index]) == 1 and not graph.yields(index):
        graph.store(graph.tensor(index), new)
        return True
    kind = schema.TensorType.INT32 if old.dtype == np.int32 else schema.TensorType.INT64
    quantization: QuantizationParameters = schema.QuantizationParametersT()
    quantization.scale, quantization.zeroPoint = scales.astype(np.float32), np.zeros(scales.size, np.int64)
    quantization.quantizedDimension = 0
    name = f"{text(weight.name)}/corrected_bias"
    inputs[_BIAS_POSITION] = graph.add_constant(new_tensor(old.shape, kind, name, quantization), new)
    operator.inputs = np.array(inputs, np.int32)
    return True
