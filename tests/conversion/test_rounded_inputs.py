"""Find inputs that lose information in int8, by the operators that read them."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import tiny_models
from tflite_sparse.conversion import rounded_inputs
from tflite_sparse.flatbuffer import serde

OPERATORS = schema.BuiltinOperator


def _compared(constant, *, through_dequantize=False, operator="NOT_EQUAL"):
    """A model that compares its int8 input, scale 0.5 and zero point 3, with an int8 constant of that scale."""
    tiny = tiny_models.Tiny()
    x = tiny.activation("x", (1, 6), "int8", scale=0.5, zero_point=3)
    stored = tiny.constant("value", np.array([constant], np.int8), tiny_models.quantization(0.5, 3))
    read = x
    if through_dequantize:
        read = tiny.tensor("real", (1, 6), "float32")
        tiny.operator(OPERATORS.DEQUANTIZE, 2, [x], [read])
        stored = tiny.constant("value", np.array([constant], np.float32))
    found = tiny.tensor("found", (1, 6), "bool")
    tiny.operator(getattr(OPERATORS, operator), 2, [read, stored], [found])
    return tiny.finished([x], [found])


@pytest.fixture
def write():
    return lambda model: serde.parse(tiny_models.to_bytes(model))


@pytest.mark.parametrize("operator", ["EQUAL", "NOT_EQUAL"])
def test_a_mask_by_a_value_that_is_not_zero_is_rounded_away(write, operator):
    model = write(_compared(1, operator=operator))  # (1 - 3) * 0.5 = -1
    assert list(rounded_inputs.rounded(model).values()) == ["is compared with a value that masks steps"]
    assert rounded_inputs.rounded_comparisons(model) == ["found"]
    assert rounded_inputs.compares(model)


def test_zero_survives_for_every_scale_holds_it(write):
    model = write(_compared(3))
    assert rounded_inputs.rounded(model) == {}
    assert rounded_inputs.rounded_comparisons(model) == []
    assert rounded_inputs.compares(model)


@pytest.mark.parametrize(("constant", "lost"), [(-1, True), (0, False)])
def test_what_was_dequantised_is_as_coarse(write, constant, lost):
    model = write(_compared(constant, through_dequantize=True))
    assert bool(rounded_inputs.rounded(model)) is lost
    assert bool(rounded_inputs.rounded_comparisons(model)) is lost


@pytest.mark.parametrize("scale", [0.5, 0.0])
def test_a_count_of_tokens_must_not_be_quantised(write, scale):
    tiny = tiny_models.Tiny()
    x = tiny.activation("x", (1, 6), "int8", scale=scale) if scale else tiny.tensor("x", (1, 6), "float32")
    number = tiny.tensor("number", (1, 6), "int32")
    tiny.operator(OPERATORS.CAST, 1, [x], [number])
    model = write(tiny.finished([x], [number]))
    assert list(rounded_inputs.rounded(model).values()) == (
        ["is cast to integers, as an Embedding does"] if scale else []
    )
    assert not rounded_inputs.compares(model)


def test_samples_far_outside_the_range_are_told(write):
    model = write(_compared(3))  # from (-128 - 3) / 2 = -65.5 to 62
    x = np.zeros((100, 6), np.float32)
    x[:, 0] = 62 + 6  # less than a twentieth of the range beyond it
    assert rounded_inputs.outside(model, x) == []
    x[0, 1] = 70
    (sentence,) = rounded_inputs.outside(model, x)
    assert "1% of the samples hold values far outside the range -65.5 to 62 " in sentence
    x[:50, 1] = -4.2e6
    assert "50% of the samples" in rounded_inputs.outside(model, x)[0]
    assert rounded_inputs.outside(model, np.full((100, 6), 120, np.int8)) == []  # already quantised
    assert rounded_inputs.outside(model, np.zeros((1000, 6), np.float32) + 70 * (np.arange(1000) < 9)[:, None]) == []
