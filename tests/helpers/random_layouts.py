"""Hypothesis strategies for arrays in which every bit matters, and for layouts that fit them."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from tflite_sparse.codecs.layout import Layout

DTYPES = ("int8", "float32", "float16", "int32", "bool")
_BITS = {1: np.uint8, 2: np.uint16, 4: np.uint32}

shapes = st.lists(st.integers(1, 7), min_size=1, max_size=5).map(tuple)


@st.composite
def arrays(draw, shapes=shapes, dtypes=DTYPES):
    """Draw any shape of rank 1 to 5, any density. Floats are random bits, with NaN payloads, -0.0 and infinities."""
    shape, dtype = draw(shapes), np.dtype(draw(st.sampled_from(dtypes)))
    density, seed = draw(st.sampled_from((0.0, 1.0)) | st.floats(0, 1)), draw(st.integers(0, 2**32 - 1))
    generator = np.random.default_rng(seed)
    size = math.prod(shape)
    kept = generator.random(size) < density
    if dtype.kind == "b":
        return kept.reshape(shape)
    bits = np.frombuffer(generator.bytes(size * dtype.itemsize), _BITS[dtype.itemsize]).copy()
    if dtype.kind == "f":
        special = np.array([-0.0, np.nan, -np.nan, np.inf], dtype).view(bits.dtype)
        bits = np.where(generator.random(size) < 0.2, generator.choice(special, size), bits)
    return np.where(kept, bits, 0).astype(bits.dtype).view(dtype).reshape(shape)


@st.composite
def layouts(draw, shape, blocks=True, least_compressed=0):
    """Draw any traversal order, any compressed levels, any blocks that divide the shape.

    The runtime accepts the block dimensions in any order but the block map only ascending.
    """
    rank = len(shape)
    split = sorted(draw(st.sets(st.integers(0, rank - 1)))) if blocks else []
    sizes = [draw(st.sampled_from([d for d in range(1, shape[axis] + 1) if shape[axis] % d == 0])) for axis in split]
    own = draw(st.permutations(range(rank)))
    inner = draw(st.permutations(range(rank, rank + len(split))))
    compressed = draw(
        st.lists(st.booleans(), min_size=rank, max_size=rank).filter(lambda f: sum(f) >= least_compressed)
    )
    return Layout(shape, (*own, *inner), (*compressed, *[False] * len(split)), tuple(split), tuple(sizes))


@st.composite
def arrays_with_layouts(draw, **options):
    array = draw(arrays())
    return array, draw(layouts(array.shape, **options))


def same_bits(a, b):
    """Return whether shape, type and bytes are equal: NaN equals the same NaN, -0.0 is not 0.0."""
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
