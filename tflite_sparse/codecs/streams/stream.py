"""The weights of one operator to the stream of one kernel, and back."""

from __future__ import annotations

import numpy as np

from tflite_sparse.codecs.streams import blocks, distances, indexed, shared
from tflite_sparse.codecs.streams.kernels import (
    BLOCKS,
    DISTANCE_BITS,
    MAX_SHARED_WIDTH,
    MAX_TAPS,
    MAX_WEIGHTS,
    PAIR_KERNELS,
    POINTWISE_KERNELS,
    SHARED_KERNELS,
    STRIP_KERNELS,
    SUM_LIMIT,
    SYMBOL_BITS,
    Filter,
    Kernel,
    place_count,
    places_of,
    runs_of,
)


def absolute_sums(weights: np.ndarray) -> np.ndarray:
    """Sum of the absolute weights of each output, int64 (outputs,), of int8 (outputs, ...)."""
    return np.asarray(np.abs(weights.reshape(weights.shape[0], -1).astype(np.int64)).sum(axis=1))


def refusal(kernel: Kernel, shape: Filter, weights: np.ndarray) -> str | None:
    """Why a kernel does not take these weights, int8 of ``shape.shape``, or None."""
    block = BLOCKS.get(kernel)
    if shape.taps > MAX_TAPS or weights.size > MAX_WEIGHTS:
        return f"it has {weights.size:,} values, {shape.taps:,} for an output"
    if kernel in POINTWISE_KERNELS and not shape.is_pointwise:
        return "it takes filters of 1 x 1 with a stride of 1 only"
    if kernel in STRIP_KERNELS and not shape.steps_by_one:
        return "it takes strides and dilations of 1 only"
    if block is not None and shape.taps % block:
        return f"blocks of {block} do not divide {shape.taps} inputs"
    if kernel in PAIR_KERNELS and int(absolute_sums(weights).max()) >= SUM_LIMIT:
        return f"the absolute weights of an output sum to {SUM_LIMIT:,} or more"
    if kernel == Kernel.STRIP_SHARED and shape.width > MAX_SHARED_WIDTH:
        return f"it takes filters of up to {MAX_SHARED_WIDTH} columns"
    if kernel in SHARED_KERNELS:
        return shared.refusal(_runs(kernel, shape, weights), SYMBOL_BITS[kernel])
    if kernel in DISTANCE_BITS:
        return distances.refusal(_matrix(weights), places_of(kernel, shape), DISTANCE_BITS[kernel])
    return None


def nbytes(kernel: Kernel, shape: Filter, weights: np.ndarray, tables: int = 1) -> int:
    """Bytes of the stream, of weights that :func:`refusal` takes; arguments as for :func:`encode`."""
    matrix = _matrix(weights)
    if kernel in DISTANCE_BITS:
        return distances.nbytes(matrix, places_of(kernel, shape), DISTANCE_BITS[kernel])
    if kernel in SHARED_KERNELS:
        return shared.nbytes(_runs(kernel, shape, weights), tables, SYMBOL_BITS[kernel])
    if kernel in BLOCKS:
        return blocks.nbytes(matrix, BLOCKS[kernel])
    return matrix.size if kernel == Kernel.PAIR_DENSE8 else indexed.nbytes(matrix)


def entries(kernel: Kernel, shape: Filter, weights: np.ndarray, tables: int = 1) -> int:
    """Weights that the stream holds (of blocks: blocks), with those of zero that bridge and fill."""
    matrix = _matrix(weights)
    if kernel in DISTANCE_BITS:
        return distances.entries(matrix, places_of(kernel, shape), DISTANCE_BITS[kernel])
    if kernel in SHARED_KERNELS:
        return shared.entries(_runs(kernel, shape, weights), tables, SYMBOL_BITS[kernel])
    if kernel in BLOCKS:
        return blocks.entries(matrix, BLOCKS[kernel])
    return matrix.size if kernel == Kernel.PAIR_DENSE8 else indexed.entries(matrix)


def encode(kernel: Kernel, shape: Filter, weights: np.ndarray, tables: int = 1) -> np.ndarray:
    """The stream, uint8, one-dimensional.

    Args:
        kernel: that reads it.
        shape: of the filter.
        weights: int8 of ``shape.shape``.
        tables: of symbols that a stream of shared values may have; it has fewer where they do not pay.

    Raises:
        ValueError: the kernel does not take these weights.
    """
    reason = refusal(kernel, shape, weights)
    if reason is not None:
        raise ValueError(f"{kernel.name}: {reason}")
    matrix = _matrix(weights)
    if kernel in DISTANCE_BITS:
        stream = distances.encode(matrix, places_of(kernel, shape), DISTANCE_BITS[kernel])
    elif kernel in SHARED_KERNELS:
        stream = shared.encode(_runs(kernel, shape, weights), tables, SYMBOL_BITS[kernel])
    elif kernel in BLOCKS:
        stream = blocks.encode(matrix, BLOCKS[kernel])
    elif kernel == Kernel.PAIR_DENSE8:
        stream = matrix.tobytes()
    else:
        stream = indexed.encode(matrix)
    return np.frombuffer(stream, np.uint8)


def decode(kernel: Kernel, shape: Filter, stream: np.ndarray) -> np.ndarray:
    """The weights, int8 of ``shape.shape``, of a stream, uint8.

    Raises:
        ValueError: the stream is damaged.
    """
    if shape.outputs > stream.size:
        raise ValueError(f"the stream has {stream.size:,} bytes for {shape.outputs:,} outputs")
    if kernel in DISTANCE_BITS:
        matrix = distances.decode(
            stream, shape.outputs, places_of(kernel, shape), place_count(kernel, shape), DISTANCE_BITS[kernel]
        )
    elif kernel in SHARED_KERNELS:
        runs, places = runs_of(kernel, shape)
        found = shared.decode(stream, shape.outputs * runs, places, SYMBOL_BITS[kernel])
        matrix = found.reshape(shape.outputs, runs, shape.height, -1).transpose(0, 2, 1, 3)
    elif kernel in BLOCKS:
        matrix = blocks.decode(stream, shape.outputs, shape.taps, BLOCKS[kernel])
    elif kernel == Kernel.PAIR_DENSE8:
        matrix = _whole(stream, shape)
    else:
        matrix = indexed.decode(stream, shape.outputs, shape.taps)
    return matrix.reshape(shape.shape)


def tables(kernel: Kernel, stream: np.ndarray) -> int:
    """Tables of symbols that a kernel makes of a stream, uint8, that :func:`decode` takes; each is in RAM."""
    return shared.tables(stream) if kernel in SHARED_KERNELS else 0


def _whole(stream: np.ndarray, shape: Filter) -> np.ndarray:
    """The weights of a stream that holds every one of them and nothing else, int8 (outputs, taps)."""
    if stream.size != shape.outputs * shape.taps:
        raise ValueError(f"the stream has {stream.size:,} bytes for {shape.outputs * shape.taps:,} weights")
    return stream.view(np.int8).reshape(shape.outputs, shape.taps)


def _runs(kernel: Kernel, shape: Filter, weights: np.ndarray) -> np.ndarray:
    """int8 (runs of all outputs, places)."""
    runs, places = runs_of(kernel, shape)
    split = weights.reshape(shape.outputs, shape.height, runs, -1).transpose(0, 2, 1, 3)
    return split.reshape(shape.outputs * runs, places)


def _matrix(weights: np.ndarray) -> np.ndarray:
    """int8 (outputs, taps)."""
    return np.ascontiguousarray(weights).reshape(weights.shape[0], -1)
