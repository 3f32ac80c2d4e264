"""How many windows of a filter there are along one side of an image, and where the first one begins."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """Along one side: ``pad`` pixels before the image, ``count`` windows; 0 where the filter does not fit."""

    pad: int
    count: int


def windows(size: int, filter_size: int, stride: int, dilation: int, *, valid: bool) -> Window:
    """As ``ComputeOutSize`` and ``ComputePaddingWithOffset`` of ``kernels/padding.h`` work them out.

    Args:
        size: of the image along the side.
        filter_size: of the filter.
        stride: of the filter.
        dilation: of the filter.
        valid: whether the padding is VALID; else SAME.
    """
    reach = (filter_size - 1) * dilation + 1
    if valid:
        return Window(0, 0 if size < reach else (size - reach) // stride + 1)
    count = (size - 1) // stride + 1
    return Window(max((count - 1) * stride + reach - size, 0) // 2, count)
