"""How often the loops of a C function run: what its instructions are made of.

Of the functions in ``micro_kernels/standalone/``, but for most of CONV_2D and FULLY_CONNECTED, which
:mod:`tflite_sparse.codecs.dense_work` and :mod:`tflite_sparse.codecs.streams.work` have.
``benchmarks/micro_kernel_costs.py`` fits what each part costs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from tflite_sparse.codecs import dense_work
from tflite_sparse.codecs.streams.names import Extension
from tflite_sparse.standalone_c import depthwise
from tflite_sparse.standalone_c.program import Call, Struct

_INT8 = (-128, 127)
_WORD, _BLOCK = 4, 16
_AVERAGED_TOGETHER, _COMPARED_TOGETHER, _COMPARED_BY_HELIUM = 4, 4, 16
_HALF_WORD_SUM = 255
_SPECIAL_SIDE = 3
_ALL_DIFFERENCES = 256
_TILE_INPUTS = 4
Extensions: TypeAlias = frozenset[Extension]


@dataclass(frozen=True, eq=False, slots=True)
class Work:
    """What a call does.

    Attributes:
        kind: whose costs count: a key of :attr:`tflite_sparse.targets.micro_costs.Costs.functions`.
        parts: how often each part runs, float64, one-dimensional.
    """

    kind: str
    parts: np.ndarray


def of(call: Call, extensions: Extensions) -> Work:
    """What a call does on a CPU.

    Args:
        call: of a function for which :func:`is_known` holds.
        extensions: of the CPU, which decide between loops.
    """
    kind, parts = _FUNCTIONS[call.function](call, extensions)
    return Work(kind, np.array(parts, np.float64))


def is_known(call: Call) -> bool:
    """Whether the call is of a function that this module has."""
    return call.function in _FUNCTIONS


_Parts: TypeAlias = tuple[str, list[float]]


def _tiled_conv_2d(call: Call, extensions: Extensions) -> _Parts:
    """The last part: outputs that a fused activation goes over again."""
    del extensions
    params, pool = call.struct, call.pool
    batches, outputs = params.number("batches"), params.number("out_c")
    down, across = (_tiles(params, pool, side) for side in "hw")
    parts = dense_work.tile_parts(outputs, batches, (down[0], across[0]), (down[1], across[1]))
    pixels = math.prod((pool or params).number(f"out_{side}") for side in "hw")
    ends = [_clamped(each, batches * pixels * outputs) for each in (params, pool) if each is not None]
    return dense_work.TILED_POOL if pool else dense_work.TILED, [*parts, max(ends)]


def _tiles(params: Struct, pool: Struct | None, side: str) -> tuple[int, int]:
    """Along one side, the tiles whose inputs lie within the image, and all of them."""
    out, pad = params.number(f"out_{side}"), params.number(f"pad_{side}")
    count = pool.number(f"out_{side}") if pool else -(-out // dense_work.TILE_SIDE)
    start = np.minimum(np.arange(count) * dense_work.TILE_SIDE, out - dense_work.TILE_SIDE) - pad
    return int(((start >= 0) & (start + _TILE_INPUTS <= params.number(f"in_{side}"))).sum()), count


def _depthwise_conv_2d(call: Call, extensions: Extensions) -> _Parts:
    del extensions
    params = call.struct
    batches, outputs = params.number("batches"), params.number("in_c") * params.number("depth_multiplier")
    rows, columns = params.number("filter_h"), params.number("filter_w")
    down, right = _inside(params, "h"), _inside(params, "w")
    lines, three, other = int(down.sum()), right == _SPECIAL_SIDE, right[right != _SPECIAL_SIDE]
    begun = right[right < columns]  # windows at borders are computed one by one, those between them in one go
    begun = np.append(begun, columns) if begun.size < right.size else begun
    in_padding = rows * columns * begun.size * down.size - lines * int(begun.sum())
    in_part = begun.size * down.size - int((down == rows).sum()) * int((begun == columns).sum())
    of_output = [lines * int(three.sum()), lines * int(other.sum()), lines * other.size, in_padding, in_part]
    of_output += [down.size * right.size, down.size * begun.size]
    return "depthwise_conv_2d", [*(each * outputs * batches for each in of_output), down.size * begun.size * batches, 1]


def _depthwise_3x3(call: Call, extensions: Extensions) -> _Parts:
    params = call.struct
    batches, channels = params.number("batches"), params.number("in_c")
    if "helium" in extensions:
        return "depthwise_3x3", depthwise.strip_parts(params)
    filters, down, right = channels * batches, _inside(params, "h"), _inside(params, "w")
    lines = down.size * filters
    if "dsp" in extensions:
        outputs = lines * right.size
        across, along, stride = (right, down, "stride_h") if params.number("by_columns") else (down, right, "stride_w")
        lines = across.size * filters
        behind = lines * int(along.size > 1 and along[-1] < _SPECIAL_SIDE)  # computed with the one before
        by_stride = [outputs - behind, behind]
        by_stride = [*by_stride, 0, 0] if params.number(stride) == 1 else [0, 0, *by_stride]
        any_outputs = outputs if call.function == depthwise.BY_3X3 else 0
        return "depthwise_3x3", [*by_stride, any_outputs, lines, filters, _clamped(params, outputs), batches]
    rows = [int((down == count).sum()) * filters for count in (_SPECIAL_SIDE, _SPECIAL_SIDE - 1)]
    inner = int((right == _SPECIAL_SIDE).sum())
    at_ends = right.size - inner
    of_lines = [each * count for count in (inner, at_ends) for each in rows]
    return "depthwise_3x3", [*of_lines, lines, filters, batches]


def _transpose_conv(call: Call, extensions: Extensions) -> _Parts:
    del extensions
    params = call.struct
    outputs = params.number("out_c") * params.number("batches")
    down, right = (_reached(params, side) for side in "hw")
    width = params.number("out_w")
    places = down * right * outputs
    pixels = params.number("out_h") * width * outputs
    return "transpose_conv", [places * params.number("in_c"), places, down * width * outputs, pixels, 1]


def _max_pool_2d(call: Call, extensions: Extensions) -> _Parts:
    params = call.struct
    channels = params.number("channels")
    by_helium = "helium" in extensions
    groups, rest = divmod(channels, _COMPARED_TOGETHER) if "dsp" in extensions else (0, channels)
    if by_helium:
        groups, rest = -(-channels // _COMPARED_BY_HELIUM), 0
    taps, rows, pixels = _windows(params)
    two_by_two = 0 if by_helium else math.prod(int((_inside(params, side) == 2).sum()) for side in "hw")
    two_by_two *= params.number("batches")
    together = [taps - 4 * two_by_two, rows - 2 * two_by_two, pixels - two_by_two, two_by_two]
    alone = [taps, rows, pixels]
    parts = [*(groups * each for each in together), *(rest * each for each in alone), pixels]
    return "max_pool_2d", [*parts, _clamped(params, pixels * channels), 1]


def _average_pool_2d(call: Call, extensions: Extensions) -> _Parts:
    params = call.struct
    channels = params.number("channels")
    fits = params.number("filter_h") * params.number("filter_w") <= _HALF_WORD_SUM
    groups, rest = divmod(channels, _AVERAGED_TOGETHER) if "dsp" in extensions and fits else (0, channels)
    windows = *_, pixels = _windows(params)
    return "average_pool_2d", [*(each * count for count in (groups, rest) for each in windows), pixels, 1]


def _mean(call: Call, extensions: Extensions) -> _Parts:
    del extensions
    kept, reduced = (call.struct.numbers(name) for name in ("kept", "reduced"))
    outputs = math.prod(kept)
    return "mean", [outputs * math.prod(reduced), outputs * math.prod(reduced[:-1]), outputs, 1]


def _elementwise(kind: str) -> Callable[[Call, Extensions], _Parts]:
    def parts(call: Call, extensions: Extensions) -> _Parts:
        del extensions
        size = call.struct.numbers("size")
        return kind, [math.prod(size), math.prod(size[:-1]), 1]

    return parts


def _each_value(kind: str) -> Callable[[Call, Extensions], _Parts]:
    def parts(call: Call, extensions: Extensions) -> _Parts:
        del extensions
        return kind, [call.struct.number("count"), 1]

    return parts


def _softmax(call: Call, extensions: Extensions) -> _Parts:
    """The third part: inputs whose exponential counts, if they are spread evenly."""
    del extensions
    rows, depth = call.struct.number("rows"), call.struct.number("depth")
    counted = rows * depth * min(call.struct.number("entries") / _ALL_DIFFERENCES, 1.0)
    return "softmax", [rows * depth, counted, rows, 1]


def _copy_blocks(call: Call, extensions: Extensions) -> _Parts:
    del extensions
    params = call.struct
    block, count = params.number("block"), params.number("count")
    starts = [operand.offset for operand in call.operands]
    steps = map(params.number, ("input_step", "output_step")) if count > 1 else ()
    return "copy_blocks", [*_copied(count, block, [*starts, *steps]), count, 1]


def _strided_copy(call: Call, extensions: Extensions) -> _Parts:
    del extensions
    params = call.struct
    (*sizes, last), (*steps, step) = params.numbers("size"), params.numbers("step")
    runs = math.prod(sizes)
    if step == 1:
        return "strided_copy", [*_copied(runs, last, [params.number("start"), *steps, last]), runs, 0, 0, 1]
    return "strided_copy", [0, 0, 0, 0, 0, 0, runs * last, runs, 1]


def _pad(call: Call, extensions: Extensions) -> _Parts:
    del extensions
    params = call.struct
    size, before, after = (params.numbers(name) for name in ("input_size", "before", "after"))
    whole = [sum(each) for each in zip(size, before, after, strict=True)]
    rows, row = math.prod(size[:-1]), size[-1]
    filled = math.prod(whole) - rows * row
    starts = [before[-1], row, whole[-1]]
    return "pad", [*_copied(rows, row, starts), filled, rows, math.prod(size[:-2]), 1]


def _resize_nearest_neighbor(call: Call, extensions: Extensions) -> _Parts:
    del extensions
    params = call.struct
    lines, channels = params.number("batches") * params.number("out_h"), params.number("channels")
    pixels = lines * params.number("out_w")
    return "resize_nearest_neighbor", [*_copied(pixels, channels, [channels]), pixels, lines, 1]


def _arg_max(call: Call, extensions: Extensions) -> _Parts:
    del extensions
    outer, axis, inner = (call.struct.number(name) for name in ("outer", "axis", "inner"))
    return "arg_max", [outer * axis * inner, outer * inner, 1]


_FUNCTIONS: Mapping[str, Callable[[Call, Extensions], _Parts]] = {
    "tfls_conv_2d_3x3x1": _tiled_conv_2d,
    "tfls_conv_2d_3x3x1_max_pool": _tiled_conv_2d,
    "tfls_depthwise_conv_2d": _depthwise_conv_2d,
    **dict.fromkeys(depthwise.FUNCTIONS, _depthwise_3x3),
    "tfls_transpose_conv": _transpose_conv,
    "tfls_max_pool_2d": _max_pool_2d,
    "tfls_average_pool_2d": _average_pool_2d,
    "tfls_mean": _mean,
    "tfls_add": _elementwise("add"),
    "tfls_sub": _elementwise("add"),
    "tfls_mul": _elementwise("mul"),
    "tfls_prelu": _elementwise("prelu"),
    "tfls_table": _each_value("table"),
    "tfls_softmax": _softmax,
    "tfls_copy_blocks": _copy_blocks,
    "tfls_strided_copy": _strided_copy,
    "tfls_pad": _pad,
    "tfls_resize_nearest_neighbor": _resize_nearest_neighbor,
    "tfls_arg_max": _arg_max,
    "tfls_quantize": _each_value("quantize"),
    "tfls_dequantize": _each_value("dequantize"),
}


def _windows(params: Struct) -> tuple[int, int, int]:
    """Of all windows of one channel: their values within the input, their rows there, and how many there are."""
    down, right = (_inside(params, side) for side in "hw")
    batches, lines = params.number("batches"), int(down.sum())
    return batches * lines * int(right.sum()), batches * lines * right.size, batches * down.size * right.size


def _inside(params: Struct, side: str) -> np.ndarray:
    """Along one side, for each window how many places of the filter lie within the input, int64."""
    names = {name for name, _ in params.fields}
    size, out, count, stride, pad = (
        params.number(f"{name}_{side}") for name in ("in", "out", "filter", "stride", "pad")
    )
    dilation = params.number(f"dilation_{side}") if f"dilation_{side}" in names else 1
    start = np.arange(out, dtype=np.int64) * stride - pad
    first, end = (np.clip(-((start - border) // dilation), 0, count) for border in (0, size))
    return np.asarray(np.maximum(end - first, 0))


def _reached(params: Struct, side: str) -> int:
    """Along one side, the pairs of an input and a place of the filter that meet an output."""
    size, out, count, stride, pad = (
        params.number(f"{name}_{side}") for name in ("in", "out", "filter", "stride", "pad")
    )
    before = pad - np.arange(count, dtype=np.int64)
    first = np.maximum(-(-before // stride), 0)
    last = np.minimum((before + out - 1) // stride, size - 1)
    return int(np.maximum(last - first + 1, 0).sum())


def _clamped(params: Struct, outputs: int) -> int:
    """Outputs that a fused activation goes over again."""
    return 0 if (params.number("min"), params.number("max")) == _INT8 else outputs


def _copied(count: int, nbytes: int, places: list[int]) -> list[int]:
    """What ``memcpy`` of ``nbytes`` does in ``count`` calls: begins blocks; blocks, words, words of few bytes, bytes.

    Only where all places are multiples of a word does it move more than bytes.
    """
    if any(place % _WORD for place in places):
        moved = [0, 0, 0, 0, nbytes]
    elif nbytes < _BLOCK:
        moved = [0, 0, 0, nbytes // _WORD, nbytes % _WORD]
    else:
        moved = [1, nbytes // _BLOCK, nbytes % _BLOCK // _WORD, 0, nbytes % _WORD]
    return [count * each for each in moved]
