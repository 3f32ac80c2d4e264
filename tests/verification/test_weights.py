"""Weights of two files: what counts as equal, and what is named."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import odd_models, tiny_models
from tflite_sparse.errors import VerificationError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.verification.weights import check_weights, compare_weights, weights_of


@pytest.fixture
def write(tmp_path):
    def to_file(model, name):
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(tiny_models.to_bytes(model))
        return path

    return to_file


def compare(path, dense, **options):
    return compare_weights(serde.read(path), serde.read(dense), **options)


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_an_encoded_file_holds_every_weight(dtype, encode):
    pair = encode(odd_models.two_layers(600, 64, dtype, 0.1))
    found = compare(pair.sparse, pair.dense)
    assert (found.tensors, found.values, found.equal) == (2, 600 * 16 + 64 * 600, 2)
    assert check_weights(pair.sparse, pair.dense) == found.values


@pytest.mark.parametrize("dtype", ["int8", "float16", "float32"])
def test_one_bit_of_one_weight(dtype, write):
    """The lowest bit of the last value."""
    weights = tiny_models.sparse_weights((10, 24), dtype, 0.5)

    def stored(flip):
        def edit(tensor, model):
            data = weights.reshape(-1).view(np.uint8).copy()
            data[-weights.itemsize] ^= flip
            model.buffers[tensor.buffer].data, tensor.type = data, tiny_models.KINDS[dtype]

        return odd_models.edited(odd_models.two_layers(), "second weight", edit)

    paths = [write(stored(flip=True), "flipped"), write(stored(flip=False), "dense")]
    found = compare(*paths)
    assert (found.different, found.missing, found.equal) == (("second weight",), (), 1)
    with pytest.raises(VerificationError, match="'second weight' is not what"):
        check_weights(*paths)


def test_equal_nan_is_equal_and_minus_zero_is_not_zero(write):
    weights, signs = np.array([[np.nan, 0.0, 1.0]], np.float32), np.array([[1, -1, 1]], np.float32)
    same = write(tiny_models.fully_connected((1, 3), dtype="float32", weights=weights), "same")
    again = write(tiny_models.fully_connected((1, 3), dtype="float32", weights=weights.copy()), "again")
    other = write(tiny_models.fully_connected((1, 3), dtype="float32", weights=weights * signs), "other")
    assert compare(same, again).equal == 1
    assert compare(other, same).different == ("weight",)


def test_a_weight_of_another_size_or_type_is_missing(write):
    dense = write(tiny_models.fully_connected((4, 8)), "dense")
    for name, model in (
        ("smaller", tiny_models.fully_connected((4, 6))),
        ("float", tiny_models.fully_connected((4, 8), dtype="float32")),
    ):
        path = write(model, name)
        assert compare(path, dense).missing == ("weight",)
        with pytest.raises(VerificationError, match=r"'weight' of .*dense\.tflite is missing"):
            check_weights(path, dense)


def test_a_graph_that_is_missing(write):
    dense = write(odd_models.two_signatures(), "dense")
    alone = write(tiny_models.fully_connected((6, 16), density=0.5), "alone")
    found = compare(alone, dense)
    assert (found.tensors, found.missing) == (2, ("weight",))


def test_weights_that_are_numbered_in_another_way(write):
    """Another converter may write it; names identify the tensors."""

    def renumbered():
        model = odd_models.two_layers()
        graph = model.subgraphs[0]
        names = [tensor.name for tensor in graph.tensors]
        a, b = names.index("first weight"), names.index("second weight")
        graph.tensors[a], graph.tensors[b] = graph.tensors[b], graph.tensors[a]
        for operator in graph.operators:
            operator.inputs = np.array([{a: b, b: a}.get(int(i), int(i)) for i in operator.inputs], np.int32)
        return model

    dense = write(odd_models.two_layers(), "dense")
    assert compare(write(renumbered(), "other"), dense).equal == 2
    flipped = write(odd_models.edited(renumbered(), "first weight", odd_models.flip_bit), "flipped")
    assert compare(flipped, dense).different == ("first weight",)


def test_weights_of_other_names_are_found_by_their_contents(write):
    def rename(tensor, model):
        tensor.name = "renamed"

    dense = write(odd_models.two_layers(), "dense")
    other = odd_models.edited(odd_models.two_layers(), "first weight", rename)
    assert compare(write(other, "other"), dense).equal == 2
    flipped = write(odd_models.edited(other, "renamed", odd_models.flip_bit), "flipped")
    assert compare(flipped, dense).missing == ("first weight",)


def test_packed_weights_are_compared_as_they_are_stored(write):
    def packed(tensor, model):
        tensor.type = schema.TensorType.INT4
        model.buffers[tensor.buffer].data = np.arange(16, dtype=np.uint8)

    dense = write(odd_models.edited(tiny_models.fully_connected((4, 8)), "weight", packed), "dense")
    same = compare(dense, dense)
    assert (same.tensors, same.values, same.equal) == (1, 32, 1)
    other = odd_models.edited(tiny_models.fully_connected((4, 8)), "weight", packed)
    flipped = write(odd_models.edited(other, "weight", odd_models.flip_bit), "flipped")
    assert compare(flipped, dense).different == ("weight",)


def test_a_sparse_weight_of_zeros_only(encode):
    pair = encode(tiny_models.fully_connected((64, 600), weights=np.zeros((64, 600), np.int8)))
    assert check_weights(pair.sparse, pair.dense) == 64 * 600
    ((key, values),) = weights_of(serde.read(pair.sparse)).items()
    assert key == (0, 1)
    assert (values.dtype, values.size, values.any()) == (np.int8, 64 * 600, False)


def test_steps_count_weights(write):
    path = write(odd_models.two_layers(), "model")
    seen = []
    compare(path, path, on_step=lambda *step: seen.append(step))
    assert seen == [(16 * 24, 16 * 24 + 240), (16 * 24 + 240, 16 * 24 + 240)]
    check_weights(path, path, on_step=lambda *step: seen.append(step))
    assert seen[2:] == seen[:2]


def test_a_weight_of_a_single_byte_counts(write):
    path = write(tiny_models.fully_connected((1, 1), weights=np.array([[3]], np.int8)), "single")
    assert compare(path, path).values == 1
