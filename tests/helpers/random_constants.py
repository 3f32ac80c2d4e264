"""Hypothesis strategies for realistic constants: few or many distinct values, more or less skewed."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from tflite_sparse.codecs.decodable import WHOLE, Channels

shapes = st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple) | st.integers(1, 300).map(lambda n: (n,))


@st.composite
def constants(draw, dtypes, most_values=300):
    """Draw any shape; the values are random bits, including NaNs and -0.0, some more frequent than others."""
    shape, dtype = draw(shapes), np.dtype(draw(st.sampled_from(dtypes)))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    alphabet = draw(st.sampled_from((1, 2, 3, 8, 100)) | st.integers(1, most_values))
    skew, zeros = draw(st.floats(0, 4)), draw(st.sampled_from((0.0, 1.0)) | st.floats(0, 1))
    if dtype.kind == "b":
        return generator.random(shape) >= zeros
    letters = np.frombuffer(generator.bytes(alphabet * dtype.itemsize), dtype)
    shares = np.arange(1, alphabet + 1, dtype=np.float64) ** -skew
    values = generator.choice(letters, math.prod(shape), p=shares / shares.sum())
    return np.where(generator.random(values.size) < zeros, np.zeros(1, dtype), values).reshape(shape)


@st.composite
def channels_of(draw, array):
    """Draw None or channels along the first or last dimension; int8 may have zero points."""
    axis = draw(st.sampled_from((None, 0, array.ndim - 1)))
    if axis is not None and array.shape[axis] == 1:
        axis = None  # one scale has no dimension
    count = 1 if axis is None else array.shape[axis]
    if array.dtype != np.int8 or draw(st.booleans()):
        return WHOLE if axis is None else Channels(axis, (0,) * count)
    points = st.integers(-128, 127) | st.sampled_from(sorted({int(v) for v in array.reshape(-1)[:50]}))
    return Channels(axis, tuple(draw(st.lists(points, min_size=count, max_size=count))))


@st.composite
def damaged(draw, decodable):
    """Draw a copy with one byte changed or, less often, one vector shortened or extended."""
    vectors = [decodable.encoded.copy(), decodable.ancillary.copy()]
    which = draw(st.integers(0, 1))
    vector = vectors[which]
    if draw(st.sampled_from((True, True, True, False))) and vector.size:
        place = draw(st.integers(0, vector.size - 1))
        vector[place] ^= draw(st.integers(1, 255))
    else:
        vectors[which] = np.resize(vector, draw(st.integers(0, vector.size + 5)))
    return vectors


def channel_numbers(shape, channels):
    """Return for each value in row-major order the index of its channel."""
    if channels.axis is None:
        return np.zeros(math.prod(shape), np.int64)
    numbers = np.arange(shape[channels.axis]).reshape([-1 if a == channels.axis else 1 for a in range(len(shape))])
    return np.broadcast_to(numbers, shape).reshape(-1)
