"""Weights and outputs of two files: what counts as equal, what is named, and how large differences are."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import odd_models
import tiny_models
from tflite_sparse.errors import ExecutionError, VerificationError
from tflite_sparse.evaluation import exactness
from tflite_sparse.flatbuffer import serde
from tflite_sparse.runtime import litert
from tflite_sparse.runtime.litert import SeparateOutputs


@pytest.fixture
def write(tmp_path):
    def to_file(model, name):
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(tiny_models.to_bytes(model))
        return path

    return to_file


# Weights


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_an_encoded_file_holds_every_weight(dtype, encode):
    pair = encode(odd_models.two_layers(600, 64, dtype, 0.1))
    found = exactness.compare_weights(pair.sparse, pair.dense)
    assert (found.tensors, found.values, found.equal) == (2, 600 * 16 + 64 * 600, 2)
    assert exactness.check_weights(pair.sparse, pair.dense) == found.values


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
    found = exactness.compare_weights(*paths)
    assert (found.different, found.missing, found.equal) == (("second weight",), (), 1)
    with pytest.raises(VerificationError, match="'second weight' is not what"):
        exactness.check_weights(*paths)


def test_equal_nan_is_equal_and_minus_zero_is_not_zero(write):
    weights, signs = np.array([[np.nan, 0.0, 1.0]], np.float32), np.array([[1, -1, 1]], np.float32)
    same = write(tiny_models.fully_connected((1, 3), dtype="float32", weights=weights), "same")
    again = write(tiny_models.fully_connected((1, 3), dtype="float32", weights=weights.copy()), "again")
    other = write(tiny_models.fully_connected((1, 3), dtype="float32", weights=weights * signs), "other")
    assert exactness.compare_weights(same, again).equal == 1
    assert exactness.compare_weights(other, same).different == ("weight",)


def test_a_weight_of_another_size_or_type_is_missing(write):
    dense = write(tiny_models.fully_connected((4, 8)), "dense")
    for name, model in (
        ("smaller", tiny_models.fully_connected((4, 6))),
        ("float", tiny_models.fully_connected((4, 8), dtype="float32")),
    ):
        path = write(model, name)
        assert exactness.compare_weights(path, dense).missing == ("weight",)
        with pytest.raises(VerificationError, match=r"'weight' of .*dense\.tflite is missing"):
            exactness.check_weights(path, dense)


def test_a_graph_that_is_missing(write):
    dense = write(odd_models.two_signatures(), "dense")
    alone = write(tiny_models.fully_connected((6, 16), density=0.5), "alone")
    found = exactness.compare_weights(alone, dense)
    assert (found.tensors, found.missing) == (2, ("weight",))


def test_weights_that_are_numbered_in_another_way(write):
    """As another converter may do; the name tells which is which."""

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
    assert exactness.compare_weights(write(renumbered(), "other"), dense).equal == 2
    flipped = write(odd_models.edited(renumbered(), "first weight", odd_models.flip_bit), "flipped")
    assert exactness.compare_weights(flipped, dense).different == ("first weight",)


def test_weights_of_other_names_are_found_by_their_contents(write):
    def rename(tensor, model):
        tensor.name = "renamed"

    dense = write(odd_models.two_layers(), "dense")
    other = odd_models.edited(odd_models.two_layers(), "first weight", rename)
    assert exactness.compare_weights(write(other, "other"), dense).equal == 2
    flipped = write(odd_models.edited(other, "renamed", odd_models.flip_bit), "flipped")
    assert exactness.compare_weights(flipped, dense).missing == ("first weight",)


def test_packed_weights_are_compared_as_they_are_stored(write):
    def packed(tensor, model):
        tensor.type = schema.TensorType.INT4
        model.buffers[tensor.buffer].data = np.arange(16, dtype=np.uint8)

    dense = write(odd_models.edited(tiny_models.fully_connected((4, 8)), "weight", packed), "dense")
    same = exactness.compare_weights(dense, dense)
    assert (same.tensors, same.values, same.equal) == (1, 32, 1)
    other = odd_models.edited(tiny_models.fully_connected((4, 8)), "weight", packed)
    flipped = write(odd_models.edited(other, "weight", odd_models.flip_bit), "flipped")
    assert exactness.compare_weights(flipped, dense).different == ("weight",)


def test_a_sparse_weight_of_zeros_only(encode):
    pair = encode(tiny_models.fully_connected((64, 600), weights=np.zeros((64, 600), np.int8)))
    assert exactness.check_weights(pair.sparse, pair.dense) == 64 * 600
    ((key, values),) = exactness.weights_of(serde.read(pair.sparse)).items()
    assert key == (0, 1)
    assert (values.dtype, values.size, values.any()) == (np.int8, 64 * 600, False)


def test_steps_count_weights(write):
    path = write(odd_models.two_layers(), "model")
    seen = []
    exactness.compare_weights(path, path, on_step=lambda *step: seen.append(step))
    assert seen == [(16 * 24, 16 * 24 + 240), (16 * 24 + 240, 16 * 24 + 240)]
    exactness.check_weights(path, path, on_step=lambda *step: seen.append(step))
    assert seen[2:] == seen[:2]


def test_a_weight_of_a_single_byte_counts(write):
    path = write(tiny_models.fully_connected((1, 1), weights=np.array([[3]], np.int8)), "single")
    assert exactness.compare_weights(path, path).values == 1


# Outputs


def outputs(*rows):
    return SeparateOutputs(
        tuple(f"output {i}" for i in range(len(rows[0]))), tuple(range(len(rows[0]))), tuple(map(tuple, rows))
    )


def test_differences():
    a, b = np.array([1, 2], np.int8), np.array([-128, 127], np.int8)
    expected = outputs([a, b], [a, b], [b, a])
    assert exactness.differences(expected, expected) == ()
    found = outputs([a, b], [a, b + np.array([0, -3], np.int8)], [b, b])
    (only,) = exactness.differences(found, expected)
    assert (only.name, only.index, only.samples, only.largest, only.first_sample) == ("output 1", 1, 2, 129, 1)


def test_a_difference_without_a_number():
    a, nan = np.ones(2, np.float32), np.array([1, np.nan], np.float32)
    for other in (nan, np.ones(3, np.float32), np.ones(2, np.float64), np.array([1, np.inf], np.float32)):
        (only,) = exactness.differences(outputs([other], [a + 1]), outputs([a], [a]))
        assert (only.samples, only.largest) == (2, None)


@pytest.mark.parametrize(
    ("a", "b", "dtype", "largest"),
    [
        ([-128, 5], [127, 5], "int8", 255),
        ([0], [255], "uint8", 255),
        ([2**40 + 1], [2**40], "int64", 1),
        ([-(2**63)], [2**63 - 1], "int64", 2.0**64),
        ([True], [False], "bool", 1),
        ([0.0], [-0.0], "float32", 0),
        ([np.nan, 1.5], [np.nan, 1], "float32", 0.5),
        ([np.inf, 1.5], [np.inf, 1], "float16", 0.5),
        ([np.inf], [-np.inf], "float32", None),
        ([], [], "float32", 0),
        ([], [], "int8", 0),
    ],
)
def test_largest_difference(a, b, dtype, largest):
    for one, two in ((a, b), (b, a)):
        found = exactness.largest_difference(np.array(one, dtype), np.array(two, dtype))
        assert found == largest


@given(hnp.arrays(st.sampled_from([np.int8, np.int32, np.float32]), st.integers(1, 20)), st.data())
def test_same_bits_is_what_bytes_say(a, data):
    b = data.draw(st.one_of(st.just(a.copy()), hnp.arrays(a.dtype, a.shape)))
    assert exactness.same_bits(a, b) == (a.tobytes() == b.tobytes())
    if exactness.same_bits(a, b):
        assert exactness.largest_difference(a, b) == 0


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.zeros(2, np.int8), 255),
        (np.zeros(2, np.uint8), 255),
        (np.zeros(2, np.int16), 65_535),
        (np.array([-1.5, 2.5, np.nan, np.inf], np.float32), 4),
        (np.array([-6e4, 6e4], np.float16), 120_000),  # more than half precision holds
        (np.array([0.25, 0.75], np.float32), 0.5),
        (np.full(3, 7.0, np.float32), 1),
        (np.array([np.nan], np.float32), 1),
        (np.zeros(0, np.float32), 1),
    ],
)
def test_range_of_an_output(array, expected):
    assert exactness.range_of(array) == pytest.approx(expected, rel=1e-3)


def test_more_or_fewer_outputs_are_refused():
    one, two = outputs([np.zeros(1)]), outputs([np.zeros(1), np.zeros(1)])
    exactness.check_count("a", two, two)
    with pytest.raises(ExecutionError, match=r"a has 1 outputs instead of 2\."):
        exactness.check_count("a", one, two)
    with pytest.raises(ExecutionError, match=r"a has 2 outputs instead of 1\."):
        exactness.check_count("a", two, one)


@pytest.fixture
def compare(monkeypatch):
    """What is told of made-up outputs, or errors, of a sparse and a dense file; each runs once, on one thread."""

    def comparing(sparse, dense, kernels="builtin", samples=None):
        files, calls = {"sparse": sparse, "dense": dense}, []

        def run(path, given, kind, threads):
            calls.append((path, kind, threads, len(given)))
            if isinstance(files[path], Exception):
                raise files[path]
            return litert.Outputs(tuple(files[path]), (0.0,) * len(files[path]), (0,) * len(files[path]))

        monkeypatch.setattr(litert, "run", run)
        samples = np.zeros((3, 8)) if samples is None else samples
        found = exactness.compare_outputs("sparse", "dense", samples, kernels)
        assert found.runtime == litert.NAMES[kernels]
        assert found.samples == 3
        assert calls == [(path, kernels, 1, len(samples)) for path, *_ in calls]
        assert [path for path, *_ in calls] == ["dense", "sparse"][: len(calls)]
        return found.bit_exact, found.largest_difference, found.share_of_range, found.unavailable

    return comparing


def int8(*values):
    return np.array(values, np.int8)


def real(*values):
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("sparse", "dense", "expected"),
    [
        ([int8(1, 2), real(0.5)], [int8(1, 2), real(0.5)], (True, 0, 0)),
        ([int8(1, 2)], [int8(1, 53)], (False, 51, 0.2)),
        ([int8(0, 2), real(0, 8)], [int8(0, 53), real(0, 4)], (False, 51, 1)),  # of each output by its own range
        ([real(0, np.nan)], [real(0, 4)], (False, np.inf, np.inf)),
        ([int8(1, 2, 3)], [int8(1, 2)], (False, np.inf, np.inf)),
        ([int8(1)], [int8(1), int8(2)], (False, 0, 0)),  # an output is missing
        ([], [int8(1)], (False, 0, 0)),
        ([real(-0.0)], [real(0.0)], (False, 0, 0)),
    ],
)
def test_outputs_of_two_files(compare, sparse, dense, expected):
    assert compare(sparse, dense) == (expected[0], *map(pytest.approx, expected[1:]), None)


def test_samples_of_several_inputs_are_counted_as_rows(compare):
    assert compare([int8(1)], [int8(1)], samples=[np.zeros((3, 8)), np.zeros((3, 2))])[0] is True


def test_a_runtime_that_refuses_the_dense_file_says_nothing_but_the_default_one_must_run_it(compare):
    refused = ExecutionError("no such kernel")
    assert compare([int8(1)], refused) == (None, None, None, "the dense file does not run: no such kernel")
    with pytest.raises(ExecutionError, match=r"^no such kernel$"):
        compare([int8(1)], refused, "default")


@pytest.mark.parametrize("kernels", ["default", "builtin"])
def test_a_runtime_that_refuses_the_sparse_file_alone_is_a_failure(compare, kernels):
    with pytest.raises(VerificationError, match="the dense file runs, the sparse one does not: no such kernel"):
        compare(ExecutionError("no such kernel"), [int8(1)], kernels)


def test_a_zero_of_the_other_sign_is_a_difference(write, monkeypatch):
    """0.0 and -0.0 are no distance apart and not the same bits."""
    path = write(tiny_models.conv2d(), "a")
    rows = iter([np.zeros((2, 3), np.float32), -np.zeros((2, 3), np.float32)])
    monkeypatch.setattr(litert, "run", lambda *_, **__: litert.Outputs((next(rows),), (0.0,), (0,)))
    found = exactness.compare_outputs(path, path, np.zeros((2, 1)), "builtin")
    assert found.bit_exact is False
    assert found.largest_difference == 0
