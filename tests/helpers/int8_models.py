"""Models of int8 operators, made of the schema's objects."""

from __future__ import annotations

from dataclasses import dataclass, field

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


@dataclass(frozen=True)
class Operator:
    """An operator: inputs are activations, constants or None where one is left out; options are fields of its table.

    ``then`` reads its first output in the place of an input of its own.
    """

    name: str
    inputs: list[Activation | Constant | None]
    outputs: list[Activation]
    version: int = 1
    options: dict[str, object] = field(default_factory=dict)
    then: Operator | None = None

    @property
    def activations(self):
        """Its inputs that a model is given."""
        return [each for each in self.inputs if isinstance(each, Activation)]


def one_operator(name, inputs, outputs, *, version=1, **options):
    """A model of one operator."""
    return side_by_side([Operator(name, inputs, outputs, version, options)])


def side_by_side(operators):
    """A model of operators that share nothing, each with inputs and outputs of its own, but for those of ``then``."""
    tiny = Tiny()
    ports, ends = [], []
    for each in operators:
        first, own = [_input(tiny, ports, each.inputs[0])], []
        while each is not None:
            numbers = [*first, *(_input(tiny, ports, one) for one in each.inputs[1:])]
            own = [_activation(tiny, "y", one) for one in each.outputs]
            kind, table = _options(each)
            tiny.operator(getattr(schema.BuiltinOperator, each.name), each.version, numbers, own, kind, table)
            first, each = own[:1], each.then
        ends += own
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


def _input(tiny, ports, each):
    if each is None:
        return -1
    if isinstance(each, Constant):
        quantized = quantization(each.scale, each.zero_point, each.axis) if np.any(each.scale) else None
        return tiny.constant("constant", each.values, quantized)
    ports.append(_activation(tiny, "x", each))
    return ports[-1]


def _options(each):
    kind = _OPTIONS.get(each.name, f"{''.join(part.capitalize() for part in each.name.split('_'))}Options")
    if not kind:
        return 0, None
    table = getattr(schema, f"{kind}T")()
    for name, value in each.options.items():
        assert hasattr(table, name), name
        setattr(table, name, value)
    return getattr(schema.BuiltinOptions, kind), table


def _activation(tiny, name, each):
    quantized = quantization(each.scale, each.zero_point) if each.scale else None
    number = len(tiny.graph.tensors)
    return tiny.tensor(f"{name}{number}", each.shape, each.dtype, quantized)
