"""Which tensors can be values of a program: their types, sizes and quantisations."""

from __future__ import annotations

import math

from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.flatbuffer.graph import quantisation_of, scales_of, shape_of, text, type_name
from tflite_sparse.flatbuffer.types import Tensor
from tflite_sparse.standalone_c.program import CType, Value

_CTYPES: dict[int, CType] = {
    schema.TensorType.INT8: "int8_t",
    schema.TensorType.FLOAT32: "float",
    schema.TensorType.INT32: "int32_t",
}
_LARGEST_COUNT = 2**28
"""Elements of a tensor: far beyond a microcontroller, and no product of sizes overflows."""


def value_of(tensor: Tensor) -> Value | None:
    """The tensor as a value of a program; None where :func:`refusal` says why not."""
    if refusal(tensor) is not None:
        return None
    ctype = _CTYPES[tensor.type]
    scale, zero_point = quantisation_of(tensor) if ctype == "int8_t" else (0.0, 0)
    return Value(text(tensor.name), shape_of(tensor), ctype, scale, zero_point)


def refusal(tensor: Tensor) -> str | None:
    """Why a tensor cannot be a value of a program, as what follows its name; None: it can."""
    shape = shape_of(tensor)
    if tensor.type not in _CTYPES:
        return f"is {type_name(tensor)}; int8, float32 and int32 are supported"
    if any(size <= 0 for size in shape):
        return f"is empty, its shape is {shape}"
    if math.prod(shape) > _LARGEST_COUNT:
        return f"has more than {_LARGEST_COUNT:,} values"
    return None if _CTYPES[tensor.type] != "int8_t" else quantisation_refusal(tensor)


def quantisation_refusal(tensor: Tensor) -> str | None:
    """Why the quantisation of an int8 tensor is none of a single scale, as what follows its name; None: it is one."""
    scale, zero_point = quantisation_of(tensor)
    if scales_of(tensor).size == 0:
        return "is int8 without a scale"
    if scales_of(tensor).size > 1:
        return "is int8 with several scales"
    if not 0 < scale < math.inf:
        return f"is int8 with the scale {scale:g}, which is not a positive number"
    if not -128 <= zero_point <= 127:
        return f"is int8 with the zero point {zero_point}, which int8 does not hold"
    return None
