"""The range that a fused activation leaves, case by case."""

import pytest
from ai_edge_litert import schema_py_generated as schema

from tflite_sparse.rewrites import fused_range

KIND = schema.ActivationFunctionType


@pytest.mark.parametrize(
    ("activation", "scale", "zero_point", "expected"),
    [
        (KIND.NONE, 0.1, 5, (-128, 127)),
        (KIND.RELU, 0.1, -28, (-28, 127)),
        (KIND.RELU, 0.1, -128, (-128, 127)),
        (KIND.RELU6, 0.1, -28, (-28, 32)),
        (KIND.RELU6, 0.04, 5, (5, 127)),  # 155 is beyond int8
        (KIND.RELU_N1_TO_1, 0.1, 5, (-5, 15)),
        (KIND.RELU_N1_TO_1, 2.0, 5, (4, 6)),  # halves go away from zero
        (KIND.RELU_N1_TO_1, 0.005, 5, (-128, 127)),
        (KIND.RELU6, 0.1, 127, (127, 127)),
        (KIND.RELU, 0.1, 128, None),  # no int8 value is left
        (KIND.RELU6, 1e-40, 0, None),  # 6 is beyond float32 in such steps
        (KIND.RELU6, 1.9e-38, 0, (0, 127)),  # 7 would be
        (KIND.TANH, 0.1, 0, None),
    ],
)
def test_bounds(activation, scale, zero_point, expected):
    assert fused_range.of(activation, scale, zero_point) == expected
