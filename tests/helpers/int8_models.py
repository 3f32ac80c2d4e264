"""Models of one int8 operator, made of the schema's objects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from helpers.tiny_models import Tiny, quantization


@dataclass(frozen=True, kw_only=True)
class Activation:
    """An input or output of a model; a scale of 0: not quantised."""

    shape: tuple[int, ...]
    scale: float = 0.0
    zero_point: int = 0
    dtype: str = "int8"


@dataclass(frozen=True, kw_only=True)
class Constant:
    """A constant input; no scale: not quantised; several scales: along ``axis``."""

    values: np.ndarray
    scale: float | np.ndarray = 0.0
    zero_point: int = 0
    axis: int = 0


def one_operator(name, inputs, outputs, *, version=1, **options):
    """A model of one operator.

    ``inputs`` are activations, constants or None where one is left out; ``options`` are fields of its options.
    """
    tiny = Tiny()
    numbers, ports = [], []
    for place, each in enumerate(inputs):
        if each is None:
            numbers.append(-1)
        elif isinstance(each, Constant):
            quantized = quantization(each.scale, each.zero_point, each.axis) if np.any(each.scale) else None
            numbers.append(tiny.constant(f"constant{place}", each.values, quantized))
        else:
            numbers.append(_activation(tiny, f"x{place}", each))
            ports.append(numbers[-1])
    ends = [_activation(tiny, f"y{place}", each) for place, each in enumerate(outputs)]
    kind_name = _OPTIONS.get(name, f"{''.join(part.capitalize() for part in name.split('_'))}Options")
    kind, table = 0, None
    if kind_name:
        kind, table = getattr(schema.BuiltinOptions, kind_name), getattr(schema, f"{kind_name}T")()
        for field, value in options.items():
            assert hasattr(table, field), field
            setattr(table, field, value)
    tiny.operator(getattr(schema.BuiltinOperator, name), version, numbers, ends, kind, table)
    return tiny.finished(ports, ends)


_OPTIONS = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "PADV2": "PadV2Options",
    "RELU": "",
    "RELU6": "",
    "LOGISTIC": "",
    "TANH": "",
    "PRELU": "",
}


def _activation(tiny, name, each):
    quantized = quantization(each.scale, each.zero_point) if each.scale else None
    return tiny.tensor(name, each.shape, each.dtype, quantized)
