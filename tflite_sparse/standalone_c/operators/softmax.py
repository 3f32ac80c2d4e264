"""SOFTMAX: exponentials of differences to the largest input, made ahead.

Source: ``PreprocessSoftmaxScaling`` in ``kernels/internal/quantization_util.cc``, and ``reference_ops::Softmax``.
"""

from __future__ import annotations

import numpy as np

from tflite_sparse.codecs.streams.parameters import quantised_multiplier
from tflite_sparse.standalone_c import fixed_point
from tflite_sparse.standalone_c.node import Node
from tflite_sparse.standalone_c.operators.steps import one_to_one
from tflite_sparse.standalone_c.program import Field, Step, Table

_INTEGER_BITS = 5
_LARGEST_DIFFERENCE = 255
_LARGEST_DEPTH = 2**12 - 1


def step(node: Node) -> Step:
    """SOFTMAX along the last axis."""
    source, result, beta = node.int8_value(0), node.int8_output(), float(np.float32(node.options.beta))
    if (result.scale, result.zero_point) != (1 / 256, -128):
        raise node.refused("its output does not have a scale of 1/256 and a zero point of -128")
    depth = source.shape[-1] if source.shape else 1
    if depth > _LARGEST_DEPTH or source.count != result.count or beta <= 0:
        raise node.refused(f"it has {depth:,} classes, or its beta is not positive")
    factor = min(beta * source.scale * 2.0 ** (31 - _INTEGER_BITS), 2.0**31 - 1)
    if factor <= 1:
        raise node.refused("its input has too fine a scale")
    multiplier, shift = quantised_multiplier(factor)
    last = min(fixed_point.input_radius(_INTEGER_BITS, shift), _LARGEST_DIFFERENCE)
    differences = -np.arange(last + 1, dtype=np.int64)
    rescaled = fixed_point.doubling_high_product(differences << shift, multiplier)
    exponentials = fixed_point.exp_on_negative_values(rescaled, _INTEGER_BITS)
    fields: tuple[tuple[str, Field], ...] = (
        ("exponentials", Table("exponentials", exponentials.astype(np.int32))),
        ("entries", exponentials.size),
        ("rows", source.count // depth),
        ("depth", depth),
    )
    return one_to_one(node, "tfls_softmax", "TflsSoftmax", fields, "tfls_softmax", in_place=True)
