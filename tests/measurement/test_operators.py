"""Test what each operator of a file takes."""

import math

import numpy as np
import pytest

from helpers import tiny_models
from tflite_sparse.codecs.streams.kernels import CUSTOM_CODE
from tflite_sparse.flatbuffer import serde
from tflite_sparse.measurement import operators
from tflite_sparse.planning.encoder import encode_model
from tflite_sparse.targets import litert
from tflite_sparse.targets.sparse_micro import SparseMicro

CASES = {
    "conv": (tiny_models.conv2d, "CONV_2D", lambda out, kernel: math.prod(out) * math.prod(kernel[1:])),
    "depthwise": (
        tiny_models.depthwise_conv2d,
        "DEPTHWISE_CONV_2D",
        lambda out, kernel: math.prod(out) * kernel[1] * kernel[2],
    ),
    "matrix": (tiny_models.fully_connected, "FULLY_CONNECTED", lambda out, kernel: math.prod(out) * kernel[1]),
    "transpose": (
        lambda: tiny_models.transpose_conv((16, 3, 3, 64), (5, 5)),
        "TRANSPOSE_CONV",
        lambda out, kernel: 5 * 5 * math.prod(kernel),
    ),
}


def written(model):
    return serde.parse(tiny_models.to_bytes(model))


@pytest.mark.parametrize("name", CASES)
def test_multiply_adds(name):
    make, kind, expected = CASES[name]
    model = written(make())
    (found,) = [each for each in operators.of_model(model) if each.name == kind]
    graph = model.subgraphs[0]
    operator = next(each for each in graph.operators if graph.tensors[each.outputs[0]].name.decode() == found.output)
    kernel = graph.tensors[operator.inputs[1]]
    assert found.weight == kernel.name.decode()
    assert found.multiply_adds == expected(found.shape, [int(size) for size in kernel.shape])
    values = np.frombuffer(bytes(model.buffers[kernel.buffer].data), np.int8)
    kept = np.count_nonzero(values) / values.size
    assert found.multiply_adds_kept == round(kept * found.multiply_adds)


def test_a_sparse_file_computes_as_much_and_takes_fewer_bytes():
    dense, sparse = written(tiny_models.conv2d()), written(tiny_models.conv2d())
    assert any(choice.form for choice in encode_model(sparse, litert.answer))
    before, after = operators.of_model(dense), operators.of_model(written(sparse))
    assert [each.name for each in before] == [each.name for each in after]  # DENSIFY is left out
    for one, other in zip(before, after, strict=True):
        assert (one.multiply_adds, one.multiply_adds_kept) == (other.multiply_adds, other.multiply_adds_kept)
        assert one.weight == other.weight
    assert 0 < sum(each.stored_bytes for each in after) < sum(each.stored_bytes for each in before)


@pytest.mark.parametrize("make", [tiny_models.fully_connected, tiny_models.conv2d])
def test_an_operator_with_sparse_weights_counts_as_the_dense_one(make):
    dense, sparse = written(make()), written(make())
    assert any(choice.form for choice in encode_model(sparse, SparseMicro("generic")))
    (before,), (after,) = operators.of_model(dense), operators.of_model(written(sparse))
    assert after.name == CUSTOM_CODE
    assert 0 < after.multiply_adds_kept < after.multiply_adds
    assert (after.multiply_adds, after.multiply_adds_kept) == (before.multiply_adds, before.multiply_adds_kept)
    assert (after.weight, after.shape) == (before.weight, before.shape)


@pytest.mark.parametrize("weight_first", [False, True])
def test_a_product_of_matrices_sums_over_the_columns_of_the_first(weight_first):
    """Three rows or columns beside a constant of 200 by 64, also if the first one is stored transposed."""
    model = written(tiny_models.batch_matmul((200, 64), weight_first=weight_first))
    (found,) = operators.of_model(model)
    assert found.multiply_adds == 3 * 200 * 64
    assert found.multiply_adds_kept == 3 * 200 * 64 * (1.0 if weight_first else 0.125)
    graph = model.subgraphs[0]
    first = graph.tensors[graph.operators[0].inputs[0]]
    first.shape = np.concatenate([first.shape[:-2], first.shape[:-3:-1]])
    graph.operators[0].builtinOptions.adjX = True
    assert operators.of_model(model)[0].multiply_adds == 3 * 200 * 64


def test_what_is_not_counted_is_named():
    assert operators.not_counted(written(tiny_models.lstm())) == ["UNIDIRECTIONAL_SEQUENCE_LSTM"]
    assert operators.not_counted(written(tiny_models.conv3d())) == ["CONV_3D"]
    assert operators.not_counted(written(tiny_models.conv2d_in_subgraph("WHILE"))) == ["WHILE"]
    assert operators.not_counted(written(tiny_models.conv2d())) == []


def test_operators_of_other_kinds_have_no_count():
    (found,) = operators.of_model(written(tiny_models.gather()))
    assert found.multiply_adds is None
    assert found.multiply_adds_kept is None
    assert found.stored_bytes > 0
