"""Which function reads which operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tflite_sparse.standalone_c.node import Node
from tflite_sparse.standalone_c.operators import data, elementwise, pool, softmax, tables, views, weighted
from tflite_sparse.standalone_c.program import Step


def _quantize(node: Node) -> Step:
    """QUANTIZE: of int8 by a table, of float32 by its own function."""
    return tables.requantised(node) if node.value(0).ctype == "int8_t" else data.quantize(node)


BUILDERS: Mapping[str, Callable[[Node], Step]] = {
    "CONV_2D": weighted.conv_2d,
    "DEPTHWISE_CONV_2D": weighted.depthwise_conv_2d,
    "FULLY_CONNECTED": weighted.fully_connected,
    "TRANSPOSE_CONV": weighted.transpose_conv,
    "MAX_POOL_2D": pool.max_pool_2d,
    "AVERAGE_POOL_2D": pool.average_pool_2d,
    "MEAN": pool.mean,
    "ADD": elementwise.add,
    "SUB": elementwise.sub,
    "MUL": elementwise.mul,
    "PRELU": elementwise.prelu,
    "CONCATENATION": data.concatenation,
    "SPLIT": data.split,
    "PAD": data.pad,
    "PADV2": data.pad,
    "TRANSPOSE": data.transpose,
    "STRIDED_SLICE": data.strided_slice,
    "RESIZE_NEAREST_NEIGHBOR": data.resize_nearest_neighbor,
    "ARG_MAX": data.arg_max,
    "RESHAPE": views.step,
    "SQUEEZE": views.step,
    "EXPAND_DIMS": views.step,
    "RELU": tables.relu,
    "RELU6": tables.relu6,
    "LEAKY_RELU": tables.leaky_relu,
    "HARD_SWISH": tables.hard_swish,
    "LOGISTIC": tables.logistic,
    "TANH": tables.tanh,
    "SOFTMAX": softmax.step,
    "QUANTIZE": _quantize,
    "DEQUANTIZE": data.dequantize,
}
"""By the operator's name in the schema."""
