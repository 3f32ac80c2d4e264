"""Operators that move numbers, pick them, or change their type."""

from __future__ import annotations

import math

import numpy as np

from tflite_sparse.codecs.streams.kernels import LARGEST_SIDE
from tflite_sparse.standalone_c.node import Node
from tflite_sparse.standalone_c.operators.steps import one_to_one
from tflite_sparse.standalone_c.program import Call, Field, Operand, Step, Struct, Table, Value

_SOURCE = "tfls_data"
_STRIDED_AXES, _PAD_AXES = 6, 4


def concatenation(node: Node) -> Step:
    """CONCATENATION: one copy an input."""
    result, options = node.int8_output(), node.options
    if int(options.fusedActivationFunction) != 0:
        raise node.refused("it has a fused activation")
    axis = _axis(node, int(options.axis), len(result.shape))
    inner = math.prod(result.shape[axis + 1 :])
    calls, numbers, at = [], [], 0
    for position in range(len(node.inputs)):
        operand, shape = _operand(node, position)
        if len(shape) != len(result.shape) or (*shape[:axis], *shape[axis + 1 :]) != (
            *result.shape[:axis],
            *result.shape[axis + 1 :],
        ):
            raise node.refused("its inputs do not have the shape of its output")
        block = shape[axis] * inner
        blocks = _blocks(math.prod(shape[:axis]), block, block, result.shape[axis] * inner)
        calls.append(Call("tfls_copy_blocks", blocks, (operand, Operand(node.output_number(), at))))
        at += block
        if isinstance(operand.of, int):
            numbers.append(operand.of)
    if at != result.shape[axis] * inner or not numbers:
        raise node.refused("its inputs do not fill its output")
    return Step(node.name, node.layer, tuple(numbers), (node.output_number(),), tuple(calls), _SOURCE)


def split(node: Node) -> Step:
    """SPLIT: its inputs are an axis and the data; one copy an output."""
    source = node.int8_value(1)
    axis = _axis(node, next(iter(node.integers(0)), 0), len(source.shape))
    inner = math.prod(source.shape[axis + 1 :])
    calls, numbers, at = [], [], 0
    for position in range(len(node.operator.outputs)):
        result = node.int8_output(position)
        if result.shape[:axis] != source.shape[:axis] or result.shape[axis + 1 :] != source.shape[axis + 1 :]:
            raise node.refused("its outputs do not have the shape of its input")
        block = result.shape[axis] * inner
        blocks = _blocks(math.prod(source.shape[:axis]), block, source.shape[axis] * inner, block)
        operands = (Operand(node.number(1), at), Operand(node.output_number(position)))
        calls.append(Call("tfls_copy_blocks", blocks, operands))
        numbers.append(node.output_number(position))
        at += block
    if at != source.shape[axis] * inner:
        raise node.refused("its outputs do not make up its input")
    return Step(node.name, node.layer, (node.number(1),), tuple(numbers), tuple(calls), _SOURCE)


def pad(node: Node) -> Step:
    """PAD and PADV2."""
    source, result = node.int8_value(0), node.int8_output()
    amounts = np.array(node.integers(1), np.int64).reshape(-1, 2)
    rank = len(source.shape)
    padded = [size + int(before + after) for size, (before, after) in zip(source.shape, amounts, strict=False)]
    if len(amounts) != rank or rank > _PAD_AXES or (amounts < 0).any() or tuple(padded) != result.shape:
        raise node.refused(f"it pads more than {_PAD_AXES} axes, or its padding does not fit its output")
    value = result.zero_point
    if node.has_input(2):
        constant = node.constant(2)
        if constant.dtype != np.int8 or constant.size != 1:
            raise node.refused("its value is no int8 constant")
        value = int(constant.reshape(-1)[0])
    front = _PAD_AXES - rank
    fields: tuple[tuple[str, Field], ...] = (
        ("input_size", (*[1] * front, *source.shape)),
        *(
            (name, (*[0] * front, *(int(each) for each in amounts[:, side])))
            for side, name in enumerate(("before", "after"))
        ),
        ("value", value),
    )
    return one_to_one(node, "tfls_pad", "TflsPad", fields, _SOURCE)


def transpose(node: Node) -> Step:
    """TRANSPOSE."""
    source, result = node.int8_value(0), node.int8_output()
    order = node.integers(1)
    if sorted(order) != list(range(len(source.shape))):
        raise node.refused("its permutation does not fit its input")
    steps = _steps(source.shape)
    if result.shape != tuple(source.shape[axis] for axis in order):
        raise node.refused("its output does not have the shape that its permutation makes")
    return _strided(node, 0, [source.shape[axis] for axis in order], [steps[axis] for axis in order])


def strided_slice(node: Node) -> Step:
    """STRIDED_SLICE without new axes."""
    source, result, options = node.int8_value(0), node.int8_output(), node.options
    bounds = [node.integers(position) for position in (1, 2, 3)]
    if int(options.ellipsisMask) or int(options.newAxisMask) or any(len(each) != len(source.shape) for each in bounds):
        raise node.refused("it makes new axes, or has no bounds for each axis")
    if 0 in bounds[2] or getattr(options, "offset", False):
        raise node.refused("a step is 0, or its ends count from its beginnings")
    start, sizes, steps = 0, [], []
    for axis, (size, step) in enumerate(zip(source.shape, _steps(source.shape), strict=True)):
        begin, end, stride = (each[axis] for each in bounds)
        if int(options.shrinkAxisMask) >> axis & 1:
            if int(options.beginMask) >> axis & 1:  # which the runtime obeys first
                begin = 0
            if stride != 1 or not -size <= begin < size:
                raise node.refused("it picks what is not there")
            taken = range(begin % size, begin % size + 1)
        else:
            first = None if int(options.beginMask) >> axis & 1 else begin
            last = None if int(options.endMask) >> axis & 1 else end
            taken = range(size)[first:last:stride]
        start += (taken.start if len(taken) else 0) * step
        sizes.append(len(taken))
        steps.append(taken.step * step)
    if math.prod(sizes) != result.count:
        raise node.refused("its output does not have the size that its bounds make")
    return _strided(node, start, sizes, steps)


def resize_nearest_neighbor(node: Node) -> Step:
    """RESIZE_NEAREST_NEIGHBOR: ``GetNearestNeighbor`` in ``kernels/internal/reference/resize_nearest_neighbor.h``."""
    source, result, options = node.int8_value(0), node.int8_output(), node.options
    if len(source.shape) != 4 or len(result.shape) != 4 or max(*source.shape[:3], *result.shape[:3]) > LARGEST_SIDE:
        raise node.refused("it reads or yields no images")
    if (source.shape[0], source.shape[3]) != (result.shape[0], result.shape[3]):
        raise node.refused("its input and output differ in batch or channels")
    nearest = [
        _nearest(*sizes, align=bool(options.alignCorners), centred=bool(options.halfPixelCenters))
        for sizes in zip(source.shape[1:3], result.shape[1:3], strict=True)
    ]
    fields: tuple[tuple[str, Field], ...] = (
        *((name, Table(name, found)) for name, found in zip(("rows", "columns"), nearest, strict=True)),
        ("channels", source.shape[3]),
        *zip(("batches", "in_h", "in_w", "out_h", "out_w"), (*source.shape[:3], *result.shape[1:3]), strict=True),
    )
    return one_to_one(node, "tfls_resize_nearest_neighbor", "TflsResizeNearest", fields, _SOURCE)


def arg_max(node: Node) -> Step:
    """ARG_MAX, int32 out."""
    source, result = node.int8_value(0), node.output()
    axis = _axis(node, next(iter(node.integers(1)), 0), len(source.shape))
    outer, inner = math.prod(source.shape[:axis]), math.prod(source.shape[axis + 1 :])
    if result.ctype != "int32_t" or result.count != outer * inner:
        raise node.refused("its output is not int32, or does not have the size that its axis makes")
    fields = (("outer", outer), ("axis", source.shape[axis]), ("inner", inner))
    return one_to_one(node, "tfls_arg_max", "TflsArgMax", fields, _SOURCE)


def dequantize(node: Node) -> Step:
    """DEQUANTIZE of int8 to float32."""
    source, result = node.int8_value(0), node.output()
    if result.ctype != "float" or source.count != result.count:
        raise node.refused("its output is not float32, or of another size")
    return one_to_one(node, "tfls_dequantize", "TflsQuantize", _scale(source), "tfls_quantize")


def quantize(node: Node) -> Step:
    """QUANTIZE of float32 to int8."""
    source, result = node.value(0), node.int8_output()
    if source.ctype != "float" or source.count != result.count:
        raise node.refused("its input is neither float32 nor int8, or of another size")
    return one_to_one(node, "tfls_quantize", "TflsQuantize", _scale(result), "tfls_quantize")


def _scale(quantised: Value) -> tuple[tuple[str, Field], ...]:
    return ("scale", float(quantised.scale)), ("zero_point", quantised.zero_point), ("count", quantised.count)


def _nearest(size: int, wanted: int, *, align: bool, centred: bool) -> np.ndarray:
    """For each of ``wanted`` places the nearest of ``size``, uint16, in float32."""
    aligned = align and wanted > 1
    scale = np.float32(size - 1 if aligned else size) / np.float32(wanted - 1 if aligned else wanted)
    exact = (np.arange(wanted, dtype=np.float32) + np.float32(0.5 if centred else 0)) * scale
    if align:
        exact = exact.astype(np.float64) + 0.5  # in float32, 0.49999997 + 0.5 is 1
    return np.asarray(np.clip(np.floor(exact), 0, size - 1).astype(np.uint16))


def _operand(node: Node, position: int) -> tuple[Operand, tuple[int, ...]]:
    if not node.is_constant(position):
        return Operand(node.number(position)), node.int8_value(position).shape
    values = node.constant(position)
    if values.dtype != np.int8:
        raise node.refused(f"its input {position} is no int8 constant")
    return Operand(Table(f"constant{position}", values)), values.shape


def _blocks(count: int, block: int, input_step: int, output_step: int) -> Struct:
    fields = (("count", count), ("block", block), ("input_step", input_step), ("output_step", output_step))
    return Struct("TflsBlocks", fields)


def _strided(node: Node, start: int, sizes: list[int], steps: list[int]) -> Step:
    if len(sizes) > _STRIDED_AXES:
        raise node.refused(f"it has more than {_STRIDED_AXES} axes")
    front = _STRIDED_AXES - len(sizes)
    fields: tuple[tuple[str, Field], ...] = (
        ("start", start),
        ("size", (*[1] * front, *sizes)),
        ("step", (*[0] * front, *steps)),
    )
    return one_to_one(node, "tfls_strided_copy", "TflsStrided", fields, _SOURCE)


def _steps(shape: tuple[int, ...]) -> list[int]:
    return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]


def _axis(node: Node, axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise node.refused(f"its axis {axis} is not there")
    return axis % rank
