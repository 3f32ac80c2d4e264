"""How the 3x3 loops of ``tfls_depthwise.c`` go through an image."""

from __future__ import annotations

from collections.abc import Mapping

from tflite_sparse.standalone_c.program import Struct

BY_3X3, BY_3X3_CLAMPED = FUNCTIONS = ("tfls_depthwise_conv_2d_3x3", "tfls_depthwise_conv_2d_3x3_clamped")
"""For any output, and for those that are clamped at their zero point."""

_SIDE = 3
_LANES, _STRIP_COLUMNS = 16, 10
"""Channels of a strip, and columns of the input, in ``tfls_depthwise_helium.h``."""


def are_columns_quicker(sizes: Mapping[str, int]) -> bool:
    """Whether lines are the columns of an image where a CPU has SMLAD: if these are longer than its rows.

    Not of two pixels, as columns would be read behind the image, nor with a stride of 2 along them, which costs more.
    """
    width = sizes["out_w"]
    return sizes["out_h"] > width >= _SIDE and sizes["in_w"] == width and sizes["stride_h"] == 1


def has_one_strip(params: Struct) -> bool:
    """Whether a strip of the loops for Helium is as wide as the image."""
    pixels, most = _strip(params)
    return params.number("out_w") <= pixels * most


def strip_parts(params: Struct) -> list[float]:
    """With Helium: vectors of outputs, lines of strips, columns copied, rows of them, sets of sixteen lanes, images."""
    channels, out_h, out_w = (params.number(name) for name in ("in_c", "out_h", "out_w"))
    stride_h, stride_w, batches = (params.number(name) for name in ("stride_h", "stride_w", "batches"))
    pixels, most = _strip(params)
    vectors = -(-out_w // pixels)
    strips = -(-vectors // most)
    columns = (vectors - strips) * pixels * stride_w + _SIDE * strips
    rows = (out_h - 1) * min(stride_h, _SIDE) + _SIDE
    sets = -(-channels // _LANES) * batches
    return [*(each * sets for each in (vectors * out_h, strips * out_h, columns * rows, strips * rows, 1)), batches]


def _strip(params: Struct) -> tuple[int, int]:
    """Pixels of a vector of outputs, and the most vectors in a line of a strip."""
    channels, stride = params.number("in_c"), params.number("stride_w")
    pixels = _LANES // channels if stride == 1 and channels < _LANES else 1
    return pixels, (_STRIP_COLUMNS - _SIDE) // (pixels * stride) + 1
