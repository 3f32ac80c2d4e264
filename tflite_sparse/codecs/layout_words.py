"""Describe layouts without terms of the format; :meth:`Layout.in_words` is the precise form."""

from __future__ import annotations

from collections.abc import Iterable

from tflite_sparse.codecs.layout import Layout, narrowest_index_dtype

_BYTES = {1: "one", 2: "two", 4: "four"}
_AXES = {2: ("outputs", "inputs"), 4: ("outputs", "rows", "columns", "inputs")}
"""Meaning of kernel axes, by rank: of FULLY_CONNECTED and of CONV_2D."""
_DEPTHWISE = ("samples", "rows", "columns", "channels")


def in_plain_words(layout: Layout, operators: Iterable[str] = ()) -> str:
    """Return the layout in words: ``"one-byte indices along the inputs"``.

    Args:
        layout: of the stored tensor.
        operators: names of its readers, which determine the meaning of its axes.
    """
    if layout.is_dense:
        return "dense"
    rank = len(layout.shape)
    names = _DEPTHWISE if "DEPTHWISE_CONV_2D" in operators and rank == len(_DEPTHWISE) else _AXES.get(rank)
    levels = zip(layout.traversal_order, layout.level_sizes, layout.compressed, strict=True)
    indexed = [
        f"{_BYTES[narrowest_index_dtype(size - 1).itemsize]}-byte indices along "
        f"{f'axis {axis}' if names is None else f'the {names[axis]}'}"
        for axis, size, is_compressed in levels
        if is_compressed
    ]
    words = " and ".join(indexed) or "without indices"
    if layout.block_map:
        sizes = dict(zip(layout.block_map, layout.block_shape, strict=True))
        words += f", in blocks of {'x'.join(str(sizes.get(axis, 1)) for axis in range(rank))}"
    return words
