"""ADD, SUB, MUL and PRELU: two inputs, one of which may be a constant, broadcast to one shape.

Sources: ``AddPrepare``, ``SubPrepare``, ``MulPrepare`` and ``PreluPrepare`` in ``micro/kernels/*_common.cc``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from tflite_sparse.standalone_c.node import Node
from tflite_sparse.standalone_c.operators import requantise
from tflite_sparse.standalone_c.program import Call, Field, Operand, Step, Struct, Table

_SOURCE = "tfls_elementwise"
_LEFT_SHIFT = 20
_AXES = 4
Fields: TypeAlias = tuple[tuple[str, Field], ...]


@dataclass(frozen=True, slots=True)
class _Input:
    """An int8 input: a value or a constant."""

    operand: Operand
    number: int | None
    shape: tuple[int, ...]
    scale: float
    zero_point: int


def add(node: Node) -> Step:
    """ADD."""
    return _sum(node, "tfls_add")


def sub(node: Node) -> Step:
    """SUB."""
    return _sum(node, "tfls_sub")


def mul(node: Node) -> Step:
    """MUL."""
    first, second, result = _input(node, 0), _input(node, 1), node.int8_output()
    multiplier, shift = requantise.pair(node, first.scale * second.scale / result.scale)
    low, high = node.clamp(int(node.options.fusedActivationFunction))
    fields: Fields = (
        ("input1_offset", -first.zero_point),
        ("input2_offset", -second.zero_point),
        ("multiplier", multiplier),
        ("shift", shift),
        ("output_zero_point", result.zero_point),
        ("min", low),
        ("max", high),
    )
    return _step(node, "tfls_mul", "TflsMul", fields)


def prelu(node: Node) -> Step:
    """PRELU: the second input has the slopes."""
    source, alpha, result = _input(node, 0), _input(node, 1), node.int8_output()
    positive = requantise.pair(node, source.scale / result.scale)
    negative = requantise.pair(node, source.scale * alpha.scale / result.scale)
    fields: Fields = (
        ("input_offset", -source.zero_point),
        ("alpha_offset", -alpha.zero_point),
        ("multiplier", positive[0]),
        ("negative_multiplier", negative[0]),
        ("shift", positive[1]),
        ("negative_shift", negative[1]),
        ("output_zero_point", result.zero_point),
    )
    return _step(node, "tfls_prelu", "TflsPrelu", fields)


def _sum(node: Node, function: str) -> Step:
    first, second, result = _input(node, 0), _input(node, 1), node.int8_output()
    twice = 2 * max(first.scale, second.scale)
    factors = (first.scale / twice, second.scale / twice, twice / ((1 << _LEFT_SHIFT) * result.scale))
    pairs = [requantise.pair(node, factor) for factor in factors]
    if pairs[2][1] > 0:  # AddPrepare demands a factor below 1
        raise node.refused("the scale of its output is too small beside those of its inputs")
    low, high = node.clamp(int(node.options.fusedActivationFunction))
    names = ("input1", "input2", "output")
    fields: Fields = (
        ("input1_offset", -first.zero_point),
        ("input2_offset", -second.zero_point),
        ("left_shift", _LEFT_SHIFT),
        *((f"{name}_multiplier", multiplier) for name, (multiplier, _) in zip(names, pairs, strict=True)),
        *((f"{name}_shift", shift) for name, (_, shift) in zip(names, pairs, strict=True)),
        ("output_zero_point", result.zero_point),
        ("min", low),
        ("max", high),
    )
    return _step(node, function, "TflsAdd", fields)


def _input(node: Node, position: int) -> _Input:
    if not node.is_constant(position):
        value, number = node.int8_value(position), node.number(position)
        return _Input(Operand(number), number, value.shape, value.scale, value.zero_point)
    values = node.constant(position)
    if values.dtype != np.int8:
        raise node.refused(f"its input {position} is no int8 constant")
    return _Input(Operand(Table("constant", values)), None, values.shape, *node.constant_quantisation(position))


def _step(node: Node, function: str, struct: str, fields: Fields) -> Step:
    inputs = (_input(node, 0), _input(node, 1))
    result = node.int8_output()
    sizes, steps = _broadcast(node, result.shape, [each.shape for each in inputs])
    axes: Fields = (("size", sizes), *zip(("step1", "step2"), steps, strict=True))
    numbers = [each.number for each in inputs if each.number is not None]
    if not numbers:
        raise node.refused("both of its inputs are constants")
    whole = [each.number for each in inputs if each.number is not None and np.prod(each.shape) == result.count]
    operands = (*(each.operand for each in inputs), Operand(node.output_number()))
    return Step(
        operator=node.name,
        layer=node.layer,
        inputs=tuple(numbers),
        outputs=(node.output_number(),),
        calls=(Call(function, Struct(struct, (*axes, *fields)), operands),),
        source=_SOURCE,
        in_place=tuple(place for place, number in enumerate(numbers) if number in whole),
    )


def _broadcast(
    node: Node, result: tuple[int, ...], shapes: list[tuple[int, ...]]
) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """Sizes of the output and steps of each input, four of each: axes along which all step alike are merged."""
    steps = [_steps(node, result, shape) for shape in shapes]
    merged: list[tuple[int, ...]] = []  # (size, step of each input), the last axis first
    for size, *own in reversed(list(zip(result, *steps, strict=True))):
        if size == 1:
            continue
        if merged and all(step == last[0] * last[1] for step, last in zip(own, _reach(merged[-1]), strict=True)):
            merged[-1] = (merged[-1][0] * size, *merged[-1][1:])
        else:
            merged.append((size, *own))
    if len(merged) > _AXES:
        raise node.refused(f"it broadcasts along more than {_AXES} axes")
    filled = [*[(1, *[0] * len(shapes))] * (_AXES - len(merged)), *reversed(merged)]
    sizes, *columns = zip(*filled, strict=True)
    return tuple(sizes), [tuple(column) for column in columns]


def _reach(axis: tuple[int, ...]) -> list[tuple[int, int]]:
    """For each input (size, step) of an axis, whose product is where the next axis begins."""
    return [(axis[0], step) for step in axis[1:]]


def _steps(node: Node, result: tuple[int, ...], shape: tuple[int, ...]) -> list[int]:
    """Elements from one to the next of each axis of the output; 0 where the input is broadcast."""
    padded = (*[1] * (len(result) - len(shape)), *shape)
    if len(padded) != len(result) or any(own not in (1, size) for own, size in zip(padded, result, strict=True)):
        raise node.refused("its inputs do not broadcast to its output")
    steps, step = [], 1
    for own in reversed(padded):
        steps.append(step if own > 1 else 0)
        step *= own
    return steps[::-1]
