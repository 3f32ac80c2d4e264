"""Test the value that a constant channel is predicted to have, and the groups of channels that are tied."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import example, given
from hypothesis import strategies as st

from helpers.channel_models import KINDS
from helpers.tiny_models import Tiny, quantization
from tflite_sparse.rewrites.dead_channels.channels import components
from tflite_sparse.rewrites.dead_channels.numbers import Numbers, common_rounding, mean_of_constant

INT8 = schema.TensorType.INT8


def numbers(kind, scale=0.5, zero=0):
    dtype = "float32" if kind == "float16" else kind
    tiny = Tiny()
    index = tiny.tensor("x", (4,), dtype, None if dtype == "float32" else quantization(scale, zero))
    return Numbers.of(tiny.graph.tensors[index])


def rounded_in_fixed_point(steps, multiplier):
    """What a built-in kernel yields that rounds before the right shift and after it (gemmlowp)."""
    shift = max(-int(np.frexp(multiplier)[1]), 0)
    before = np.floor(np.asarray(steps) * 2.0**shift + 0.5)
    return np.floor(before / 2.0**shift + 0.5)


@given(st.floats(-100, 100), st.sampled_from((0.003, 0.02, 0.11, 0.125, 0.25, 0.3, 0.7, 1.4)))
@example(14.25, 0.25)  # 57 steps of a quarter: half of them is rounded to 29, and half of that to 15
def test_a_rounding_that_is_told_is_that_of_every_kernel(steps, multiplier):
    found = common_rounding(np.float64(steps), multiplier)
    if not np.isnan(found):
        near = (steps - 5e-4, steps, steps + 5e-4)
        assert {float(found)} == {float(rounded_in_fixed_point(each, multiplier)) for each in near}


def test_near_a_tie_nothing_is_told():
    steps = np.array([1.4985, 1.4995, 1.5, 1.5005, 1.5015, -2.5])
    np.testing.assert_array_equal(common_rounding(steps), [1, np.nan, np.nan, np.nan, 2, np.nan])
    # With a right shift of 3 bits a tie is 1/16 wide on either side, with 10 hardly wider than without one.
    np.testing.assert_array_equal(common_rounding(np.array([1.43, 1.45, 1.57]), 0.1), [1, np.nan, 2])
    np.testing.assert_array_equal(common_rounding(np.array([1.45, 1.55]), 0.001), [1, 2])


def test_int8_activations_saturate():
    found = numbers("int8", 0.1, -28)
    real = np.array([-50.0, -1.0, 0.3, 3.0, 50.0, np.nan])
    np.testing.assert_array_equal(found.stored(real), [-128, -38, -25, 2, 127, np.nan])
    relu = found.stored(real, activation=schema.ActivationFunctionType.RELU)
    np.testing.assert_array_equal(relu, [-28, -28, -25, 2, 127, np.nan])
    relu6 = found.stored(real, activation=schema.ActivationFunctionType.RELU6)
    np.testing.assert_array_equal(relu6, [-28, -28, -25, 2, 32, np.nan])
    tanh = found.stored(real, activation=schema.ActivationFunctionType.TANH)
    np.testing.assert_array_equal(tanh, np.full(6, np.nan), strict=True)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"int8"}))
def test_of_other_types_only_0_is_known(kind):
    """float32 kernels sum in other orders, int16 ones reduce the multiplier to 16 bits."""
    np.testing.assert_array_equal(numbers(kind).stored(np.array([0.0, 1.0, np.nan])), [0, np.nan, np.nan])


@pytest.mark.parametrize(
    ("source_zero", "result_zero", "stored", "known"),
    [
        (-29, -20, -40, False),  # -34.67 as a whole is -35; -53 + 39 - 20 = -34 in a kernel that rounds the share
        (-50, -7, -61, False),
        (-30, -20, -42, True),  # the share is the integer -40: all kernels yield -36
    ],
)
def test_a_mean_is_told_where_all_formulas_agree(source_zero, result_zero, stored, known):
    source, result = Numbers(INT8, 0.02, source_zero), Numbers(INT8, 0.015, result_zero)
    found = mean_of_constant(source, result, np.array([float(stored)]), 64, is_planar=True)
    assert np.isnan(found[0]) != known
    if known:
        assert found[0] == -36
    other = mean_of_constant(source, result, np.array([float(stored)]), 64, is_planar=False)
    assert other == np.round((stored - source_zero) * 4 / 3 + result_zero)


def test_the_ties_of_a_mean_are_those_of_its_sum():
    """-139.547 times 1: the built-in kernel rounds it to -139 by its multiplier of 1.09 / 9, found in a MobileNet."""
    source, result = Numbers(INT8, 0.006517359521239996, -128), Numbers(INT8, 0.005978080444037914, -128)
    assert np.isnan(mean_of_constant(source, result, np.array([-128.0]), 9, is_planar=True)).all()


@pytest.mark.parametrize("is_planar", [False, True])
def test_a_tie_of_a_mean_is_as_wide_as_the_shift_of_a_divided_multiplier(is_planar):
    """-24.546 in the reference kernel, which shifts by 3 bits and not by 4, as 1.53 / 25 would: it yields -24."""
    source, result = Numbers(INT8, 0.037101566791534424, -128), Numbers(INT8, 0.024207180365920067, -46)
    assert np.isnan(mean_of_constant(source, result, np.array([-114.0]), 25, is_planar=is_planar)).all()


def test_a_tie_of_a_mean_is_that_of_the_kernel_that_shifts():
    """-117.726, of which the built-in kernel makes -117: it shifts 0.71 by one bit, where 1.06 / 3 is not shifted."""
    source, result = Numbers(INT8, 0.0049252327025066395, 21), Numbers(INT8, 0.004634097398351473, 35)
    assert np.isnan(mean_of_constant(source, result, np.array([-123.0]), 3, is_planar=True)).all()


@pytest.mark.parametrize("is_planar", [False, True])
def test_a_tie_of_a_mean_is_no_wider(is_planar):
    """14 * 1.53 is 21.42: 0.08 from a tie that is 1/16 wide."""
    source, result = Numbers(INT8, 0.0306, -100), Numbers(INT8, 0.02, -46)
    assert mean_of_constant(source, result, np.array([-86.0]), 25, is_planar=is_planar) == -25


def test_a_mean_of_zeros_is_zero_where_the_zero_point_is_taken_off_the_sum():
    source, result = Numbers(INT8, 0.006517359521239996, -128), Numbers(INT8, 0.005978080444037914, -128)
    assert mean_of_constant(source, result, np.array([-128.0]), 9, is_planar=False) == -128


def test_tensors_without_one_scale_are_not_known():
    tiny = Tiny()
    for name, quantized in (("none", None), ("two", quantization([0.1, 0.2])), ("zero", quantization(0.0))):
        index = tiny.tensor(name, (4,), "int8", quantized)
        assert Numbers.of(tiny.graph.tensors[index]) is None
    assert Numbers.of(tiny.graph.tensors[tiny.tensor("text", (4,), "uint8", quantization(0.1))]) is None


@given(st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=40))
def test_groups_are_what_ties_connect(pairs):
    labels = components(30, [(np.array([a]), np.array([b])) for a, b in pairs])
    groups = {channel: {channel} for channel in range(30)}
    for a, b in pairs:
        joined = groups[a] | groups[b]
        groups |= dict.fromkeys(joined, joined)
    assert labels.tolist() == [min(groups[channel]) for channel in range(30)]


def test_a_value_beyond_a_bound_is_known_and_one_at_it_is_not():
    """A step and a half beyond is a tie that no kernel sees, half a step beyond is one that some do."""
    found = numbers("int8", 0.5, 0)
    steps = np.array([-1.5, -1.0, -0.5, 0.0, 126.5, 127.5, 128.0, 128.5])
    expected = [0, 0, np.nan, 0, np.nan, np.nan, 127, 127]
    np.testing.assert_array_equal(found.stored(steps * 0.5, activation=schema.ActivationFunctionType.RELU), expected)
    lower = found.stored(np.array([-128.5, -129.5]) * 0.5)
    np.testing.assert_array_equal(lower, [np.nan, -128])


def test_a_bound_at_a_tie_is_not_known():
    """6 is 7.5 steps."""
    found = numbers("int8", 0.8, 0).stored(np.array([1.6]), activation=schema.ActivationFunctionType.RELU6)
    assert np.isnan(found).all()
    lower = numbers("int8", 0.5, 0)
    np.testing.assert_array_equal(
        lower.stored(np.array([-3.0, 0.5, 3.0]), activation=schema.ActivationFunctionType.RELU_N1_TO_1), [-2, 1, 2]
    )


def test_a_bound_beyond_the_type_is_its_end():
    found = numbers("int8", 0.005, 0)  # 1 is 200 steps
    stored = found.stored(np.array([-3.0, -0.75, 0.75, 3.0]), activation=schema.ActivationFunctionType.RELU_N1_TO_1)
    np.testing.assert_array_equal(stored, [-128, -128, 127, 127])


def test_ties_are_wide_from_a_right_shift_of_one_bit_on():
    steps = np.array([1.24, 1.3, 1.7, 1.76])
    np.testing.assert_array_equal(common_rounding(steps, 0.5), [1, np.nan, np.nan, 2])
    np.testing.assert_array_equal(
        common_rounding(steps, np.float32(0.5) * np.float32(0.9999999)), [1, np.nan, np.nan, 2]
    )
    np.testing.assert_array_equal(common_rounding(np.array([1.24, 1.25, 1.75, 1.76]), 0.25), [1, np.nan, np.nan, 2])
    np.testing.assert_array_equal(common_rounding(steps, 0.6), [1, 1, 2, 2])
    np.testing.assert_array_equal(common_rounding(steps, 3.0), [1, 1, 2, 2])
    assert not np.isnan(common_rounding(np.float64(0.0), 0.0))


@pytest.mark.parametrize("kind", ["float32", "int16"])
def test_a_mean_of_other_types_is_known_of_0(kind):
    of_kind = numbers(kind, zero=0)
    found = mean_of_constant(of_kind, of_kind, np.array([0.0, 3.0, np.nan]), 9, is_planar=True)
    np.testing.assert_array_equal(found, [0, np.nan, np.nan])


def test_numbers_are_those_of_the_tensor():
    assert (numbers("int8", 0.5, -7).scale, numbers("int8", 0.5, -7).zero) == (0.5, -7)
    assert (numbers("float32").scale, numbers("float32").zero) == (1.0, 0)
    np.testing.assert_array_equal(numbers("int8", 0.5, -7).real(np.array([-7.0, 1.0, np.nan])), [0, 4, np.nan])
    assert numbers("int16", 0.5, 0).zero == 0
    assert numbers("int16", 0.5, 1) is None
    for scale in (np.inf, np.nan, -0.5):
        assert numbers("int8", scale) is None
