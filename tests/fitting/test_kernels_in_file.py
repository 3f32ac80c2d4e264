"""Find the constant of a file that a kernel became, by its values alone."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import tiny_models
from tflite_sparse.fitting import kernels_in_file
from tflite_sparse.fitting.kernels_in_file import Constant
from tflite_sparse.flatbuffer import serde
from tflite_sparse.sources.source_model import Kernel


def kernel(values, name="kernel", axes=(-1, -2)):
    return Kernel(name, "Dense", values.shape, lambda: values, lambda new: None, axes)


def weights(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def quantised(values, outputs=0):
    """Quantise to int8, each output channel by its largest value."""
    others = tuple(axis for axis in range(values.ndim) if axis != outputs)
    return np.round(values / np.abs(values).max(axis=others, keepdims=True) * 127).astype(np.int8)


def file_of(*constants):
    """Return a parsed model in which an operator reads each constant."""
    tiny = tiny_models.Tiny()
    x = tiny.activation("x", (1, 4), "int8")
    for number, values in enumerate(constants):
        y = tiny.activation(f"y{number}", (1, 4), "int8")
        tiny.operator(schema.BuiltinOperator.CUSTOM, 1, [x, tiny.constant(f"weight{number}", values)], [y])
    model = tiny.finished([x], [y])
    model.operatorCodes[0].customCode = "Mine"
    return serde.parse(tiny_models.to_bytes(model))


def places(found):
    """Return by kernel the index of the constant in :func:`file_of`."""
    return {name: (constant.tensor - 1) // 2 for name, constant in found.items()}


@pytest.mark.parametrize(
    ("shape", "order", "axes"),
    [
        ((6, 4), (1, 0), (-1, -2)),
        ((6, 6), (1, 0), (-1, -2)),
        ((6, 6), (0, 1), (-2, -1)),
        ((3, 3, 5, 4), (3, 0, 1, 2), (-1, -2)),
        ((2, 3, 5, 2), (3, 0, 1, 2), (-1, -2)),
        ((3, 3, 4, 5), (2, 0, 1, 3), (-2, -1)),
    ],
    ids=["Dense", "square", "square as it is", "convolution", "of two outputs", "transposed convolution"],
)
def test_a_kernel_is_found_in_the_order_of_its_file(shape, order, axes):
    values = weights(*shape)
    stored = quantised(values.transpose(order))
    found = kernels_in_file.find([kernel(values, axes=axes)], file_of(stored))
    assert found == {"kernel": Constant(0, 2, order)}
    mask = values > 0.3
    np.testing.assert_array_equal(found["kernel"].in_file(mask, stored.shape), values.transpose(order) > 0.3)


def test_axes_of_one_entry_are_left_aside():
    values = weights(1, 1, 5, 4)
    stored = quantised(values.transpose(3, 0, 1, 2)).reshape(4, 5)
    found = kernels_in_file.find([kernel(values)], file_of(stored))
    np.testing.assert_array_equal(found["kernel"].in_file(values, (4, 5)), values[0, 0].T)
    found = kernels_in_file.find([kernel(values[0, 0])], file_of(stored.reshape(4, 1, 1, 5)))
    np.testing.assert_array_equal(found["kernel"].in_file(values[0, 0], (4, 1, 1, 5))[:, 0, 0], values[0, 0].T)


def test_kernels_of_one_shape_are_told_by_their_values_whatever_the_order_of_the_file():
    values = [weights(6, 4, seed=seed) for seed in range(3)]
    file = file_of(*(quantised(values[seed].T) for seed in (2, 0, 1)))
    found = kernels_in_file.find([kernel(each, str(seed)) for seed, each in enumerate(values)], file)
    assert places(found) == {"0": 1, "1": 2, "2": 0}


def test_a_normalisation_folded_into_it_changes_channels_by_a_factor():
    values = weights(3, 3, 5, 4)
    folded = values * np.array([0.01, -3.0, 1.0, 200.0], np.float32)
    others = weights(3, 3, 5, 4, seed=1)
    found = kernels_in_file.find([kernel(values)], file_of(others.transpose(3, 0, 1, 2), folded.transpose(3, 0, 1, 2)))
    assert places(found) == {"kernel": 1}


def test_a_kernel_without_a_constant_is_left_out_and_none_is_given_twice():
    values = weights(6, 4)
    file = file_of(quantised(values.T))
    assert kernels_in_file.find([kernel(weights(6, 4, seed=1)), kernel(weights(6, 5))], file) == {}
    found = kernels_in_file.find([kernel(values, "first"), kernel(values, "second")], file)
    assert places(found) == {"first": 0}
    file = file_of(quantised(values.T), quantised(values.T))
    assert places(kernels_in_file.find([kernel(values, "first"), kernel(values, "second")], file)) == {
        "first": 0,
        "second": 1,
    }


def test_the_nearest_constant_is_taken_and_half_of_other_values_is_too_far():
    values = weights(40, 40)
    near, far = values.copy(), values.copy()
    near[:2] *= 1.3
    far[:8] *= 1.3
    assert places(kernels_in_file.find([kernel(values)], file_of(far.T, near.T))) == {"kernel": 1}
    spoilt = np.where(weights(40, 40, seed=1) > 0, values, weights(40, 40, seed=2))
    assert kernels_in_file.find([kernel(values)], file_of(spoilt.T)) == {}


@pytest.mark.parametrize("other", [np.int32, np.int64, np.bool_])
def test_constants_of_other_kinds_hold_no_weights(other):
    values = np.round(np.abs(weights(6, 4)) * 50)
    assert kernels_in_file.find([kernel(values)], file_of(values.T.astype(other))) == {}
    assert len(kernels_in_file.find([kernel(values)], file_of(values.T.astype(np.float16)))) == 1


def test_channels_of_zeros_are_found_too():
    values = weights(6, 4)
    values[:, 1] = 0
    stored = np.round(values.T * 30).astype(np.int8)
    assert places(kernels_in_file.find([kernel(values)], file_of(stored))) == {"kernel": 0}
    assert places(kernels_in_file.find([kernel(np.zeros((6, 4), np.float32))], file_of(np.zeros((4, 6), np.int8)))) == {
        "kernel": 0
    }
