"""Memory that an output may share with the input it is computed from: what is written over is not read any more.

Most functions compute pixels of an image in their order, and read the windows of a few of them before they write their
outputs. So the output may begin so many bytes before the input, or a little behind its start, and grow into what was
read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tflite_sparse.codecs.streams.kernels import PAIR_KERNELS, STRIP_KERNELS, Kernel
from tflite_sparse.standalone_c import depthwise
from tflite_sparse.standalone_c.program import Step, Struct

_MOST_PIXELS = 2**18
"""Of an image that is looked at: more than a microcontroller has room for, and a bound on the time it takes."""

_FOUR, _PAIRS, _SIXTEEN = 4, 8, 16
_COPIED_PIXELS = (Kernel.PIXEL_DELTA8, Kernel.PIXEL_SHARED)


@dataclass(frozen=True, slots=True)
class Overlap:
    """How an output may lie in its input's memory.

    Attributes:
        lead: bytes from the start of the output to that of the input, at least; negative: the output may begin behind.
        unit: the difference of both starts must be a multiple of so many bytes.
        on_helium: whether the same is right where the function is compiled for a CPU with Helium.
    """

    lead: int
    unit: int
    on_helium: bool


@dataclass(frozen=True, slots=True)
class _Order:
    """How a function computes the pixels of its output: in their order, in groups.

    Attributes:
        group: pixels that are computed together.
        reads_ahead: whether all inputs of a group are read before its first output is written.
        reaches_back: whether the last group begins earlier where it would not be whole.
        by_channel: whether an output is computed of its own channel alone.
    """

    group: int
    reads_ahead: bool
    reaches_back: bool = False
    by_channel: bool = False


_Orders = Callable[[Step, Struct, bool], "list[_Order]"]
"""The orders in which a function may compute, on CPUs with Helium or without; empty: another than :class:`_Order`."""


def of(step: Step, *, fits_helium: bool) -> Overlap | None:
    """How the output of a step may lie in the memory of its one input; None: not at all.

    Args:
        step: of a program.
        fits_helium: whether it must be right on a CPU with Helium as well.
    """
    if len(step.calls) != 1 or len(step.inputs) != 1 or len(step.outputs) != 1:
        return None
    (call,) = step.calls
    orders, struct = _FUNCTIONS.get(call.function), call.struct
    if orders is None or call.pool is not None or call.pools:
        return None
    plain, helium = (orders(step, struct, with_helium) for with_helium in (False, True))
    if not plain or (fits_helium and not helium):
        return None
    in_c, out_c = _channels(struct)
    needed = _first_needed(struct, in_c)
    if needed is None:
        return None
    leads = [max((_lead(needed, out_c, each) for each in found), default=0) for found in (plain, helium)]
    lead = max(leads) if fits_helium else leads[0]
    unit = in_c if any(each.by_channel for each in plain) else 1
    return Overlap(lead, unit, on_helium=bool(helium) and leads[1] <= lead)


def _channels(struct: Struct) -> tuple[int, int]:
    names = {name for name, _ in struct.fields}
    if "channels" in names:
        return struct.number("channels"), struct.number("channels")
    channels = struct.number("in_c")
    return channels, struct.number("out_c") if "out_c" in names else channels


def _first_needed(struct: Struct, channels: int) -> np.ndarray | None:
    """For each pixel of the output, the first byte of the input that it or one behind it reads, int64.

    One entry more is behind all of them: the input's size.
    """
    batches, out_h, out_w, in_h, in_w = map(struct.number, ("batches", "out_h", "out_w", "in_h", "in_w"))
    if batches * out_h * out_w > _MOST_PIXELS:
        return None
    top, left = (
        np.clip(np.arange(out, dtype=np.int64) * stride - pad, 0, size)
        for out, stride, pad, size in (
            (out_h, struct.number("stride_h"), struct.number("pad_h"), in_h),
            (out_w, struct.number("stride_w"), struct.number("pad_w"), in_w),
        )
    )
    image = np.arange(batches, dtype=np.int64)[:, None, None] * in_h
    starts = ((image + top[:, None]) * in_w + left).reshape(-1) * channels
    all_starts = np.append(starts, batches * in_h * in_w * channels)
    return np.asarray(np.minimum.accumulate(all_starts[::-1])[::-1])


def _lead(needed: np.ndarray, out_c: int, order: _Order) -> int:
    """The least lead: no output of a group lies on what is read later. All of the input is read at the end."""
    pixels = needed.size - 1
    starts = np.arange(0, pixels, order.group)
    if order.reaches_back and pixels >= order.group:
        starts = np.minimum(starts, pixels - order.group)
    ends = np.minimum(starts + order.group, pixels) * out_c
    leads = ends[:-1] - needed[starts[1:]] if order.reads_ahead else ends - needed[starts]
    return int(leads.max(initial=-needed[-1]))


def _conv_2d(step: Step, struct: Struct, with_helium: bool) -> list[_Order]:
    del with_helium
    is_pointwise = struct.number("filter_h") == struct.number("filter_w") == 1
    if step.layout:
        return [_Order(_FOUR, reads_ahead=True, reaches_back=True), _Order(1, reads_ahead=True)]
    return [_Order(2, reads_ahead=not is_pointwise)]


def _sparse(step: Step, struct: Struct, with_helium: bool) -> list[_Order]:
    del struct
    kernel = Kernel(step.kernel)
    if kernel in STRIP_KERNELS:
        return []
    if kernel in PAIR_KERNELS:
        return [_Order(_PAIRS, reads_ahead=True, reaches_back=True)]
    if kernel in _COPIED_PIXELS:
        return [_Order(_SIXTEEN if with_helium else _FOUR, reads_ahead=True, reaches_back=with_helium)]
    if kernel is Kernel.PIXEL_BLOCK16:
        return [_Order(_FOUR, reads_ahead=False, reaches_back=True)]
    return [_Order(_FOUR if kernel is Kernel.DIRECT_DELTA8 else 1, reads_ahead=False)]


def _depthwise_conv_2d(step: Step, struct: Struct, with_helium: bool) -> list[_Order]:
    del step, with_helium
    return [_Order(1, reads_ahead=True, by_channel=True)] if struct.number("depth_multiplier") == 1 else []


def _depthwise_3x3(step: Step, struct: Struct, with_helium: bool) -> list[_Order]:
    """Lines of the image in their order; with Helium only where a strip is as wide as the image."""
    if struct.number("by_columns") or (with_helium and not depthwise.has_one_strip(struct)):
        return []
    return _depthwise_conv_2d(step, struct, with_helium)


def _pool(step: Step, struct: Struct, with_helium: bool) -> list[_Order]:
    del step, struct, with_helium
    return [_Order(1, reads_ahead=False)]


_FUNCTIONS: Mapping[str, _Orders] = {
    "tfls_conv_2d": _conv_2d,
    "tfls_run": _sparse,
    "tfls_depthwise_conv_2d": _depthwise_conv_2d,
    **dict.fromkeys(depthwise.FUNCTIONS, _depthwise_3x3),
    "tfls_max_pool_2d": _pool,
    "tfls_average_pool_2d": _pool,
}
