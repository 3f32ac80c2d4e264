"""Weights and outputs of two files: what counts as equal, what is named, and how large differences are."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from helpers import odd_models, tiny_models
from tflite_sparse.errors import ExecutionError, VerificationError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.runtime import litert
from tflite_sparse.runtime.litert import SeparateOutputs
from tflite_sparse.verification import exactness


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


# Outputs of two files


def raise_third_bias(tensor, model):
    values = model.buffers[tensor.buffer].data.view(np.int32).copy()
    values[2] += 40_000
    model.buffers[tensor.buffer].data = values.view(np.uint8)


def largest_by_numpy(paths, samples, kernels):
    """For each output the largest difference of two files, computed without the library under test."""
    rows = [
        [tiny_models.run_here(path.read_bytes(), sample[None], tiny_models.RESOLVERS[kernels]) for sample in samples]
        for path in paths
    ]
    columns = [[np.concatenate(column).astype(int) for column in zip(*each, strict=True)] for each in rows]
    return [int(np.abs(a - b).max()) for a, b in zip(*columns, strict=True)]


@pytest.mark.parametrize("kernels", ["default", "builtin"])
def test_files_apart_by_one_bias_are_told_with_the_difference_that_numpy_finds(kernels, write, in_this_process):
    model = tiny_models.fully_connected((10, 16), density=0.5)
    samples = tiny_models.samples(model, 7)
    dense = write(model, "dense")
    other = write(odd_models.edited(model, "bias", raise_third_bias), "other")
    (largest,) = largest_by_numpy((other, dense), samples, kernels)
    assert 10 < largest < 250  # neither rounding nor the whole range
    found = exactness.compare_outputs(other, dense, samples, kernels)
    assert (found.bit_exact, found.samples, found.runtime) == (False, 7, litert.NAMES[kernels])
    assert found.largest_difference == largest
    assert found.share_of_range == pytest.approx(largest / 255)
    for path in (dense, other):
        found = exactness.compare_outputs(path, path, samples, kernels)
        assert (found.bit_exact, found.largest_difference, found.share_of_range) == (True, 0, 0)


def two_outputs(changed):
    """Two layers on one input, a bias for each, of which those at the places ``changed`` are raised."""
    tiny = tiny_models.Tiny()
    tiny.model = tiny_models.fully_connected((10, 16), density=0.5, readers=2)
    tiny.graph = tiny.model.subgraphs[0]
    tiny.graph.operators[1].inputs[2] = tiny.bias(10, np.zeros((10, 16), np.int8), name="second bias")
    for place in changed:
        odd_models.edited(tiny.model, ("bias", "second bias")[place], raise_third_bias)
    return tiny.model


@pytest.mark.parametrize("changed", [(0,), (1,), (0, 1)])
def test_one_output_of_two_is_enough_to_differ(changed, write, in_this_process):
    dense, other = write(two_outputs(()), "dense"), write(two_outputs(changed), "other")
    samples = tiny_models.samples(two_outputs(()), 5)
    each = largest_by_numpy((other, dense), samples, "builtin")
    assert [size > 10 for size in each] == [place in changed for place in (0, 1)]
    found = exactness.compare_outputs(other, dense, samples, "builtin")
    assert found.bit_exact is False
    assert found.largest_difference == max(each)
    assert found.share_of_range == pytest.approx(max(each) / 255)


@pytest.mark.parametrize("fewer_in_file", [True, False])
def test_an_output_that_is_missing_is_a_difference(fewer_in_file, write, in_this_process):
    """The outputs that both files have are equal."""
    model = two_outputs(())
    samples = tiny_models.samples(model, 3)
    both = write(model, "both")
    for holder in (model.subgraphs[0], model.signatureDefs[0]):
        holder.outputs = holder.outputs[:1]
    one = write(model, "one")
    file, dense = (one, both) if fewer_in_file else (both, one)
    found = exactness.compare_outputs(file, dense, samples, "default")
    assert (found.bit_exact, found.largest_difference, found.share_of_range) == (False, 0, 0)


@pytest.fixture
def runs():
    """What is run in the test: path, samples, kernels and threads, in this order."""
    return []


@pytest.fixture
def yields(monkeypatch, tmp_path, runs):
    """Let the two files ``sparse`` and ``dense`` yield given outputs; an error is raised."""

    def pretend(sparse, dense):
        outputs = {"sparse": sparse, "dense": dense}

        def run(path, samples, kernels, *, threads):
            runs.append((path.name, np.asarray(samples).tolist(), kernels, threads))
            found = outputs[path.name]
            if isinstance(found, Exception):
                raise found
            return litert.Outputs(tuple(found), (0.0,) * len(found), (0,) * len(found))

        monkeypatch.setattr(litert, "run", run)
        return tmp_path / "sparse", tmp_path / "dense", np.zeros((2, 1))

    return pretend


@pytest.mark.parametrize("kernels", litert.KERNELS_TO_VERIFY)
def test_each_file_is_run_once_in_the_runtime_that_was_named_on_one_thread(kernels, yields, runs):
    """On several threads float sums may differ in the last bit."""
    found = exactness.compare_outputs(*yields([np.zeros(2)], [np.zeros(2)]), kernels)
    assert sorted(runs) == [(name, [[0], [0]], kernels, 1) for name in ("dense", "sparse")]
    assert (found.runtime, found.bit_exact) == (litert.NAMES[kernels], True)


def test_samples_of_several_inputs_are_counted_once(yields, runs):
    sparse, dense, _ = yields([np.zeros(5)], [np.zeros(5)])
    samples = [np.zeros((5, 1)), np.ones((5, 1))]
    assert exactness.compare_outputs(sparse, dense, samples, "builtin").samples == 5
    assert all(given == [[[0]] * 5, [[1]] * 5] for _, given, _, _ in runs)


def test_the_share_is_that_of_the_output_that_it_is_largest_of(yields):
    """300 of the 65,535 steps of int16 are less than 5 of the 255 of int8."""
    dense = [np.zeros((2, 3), np.int16), np.zeros((2, 3), np.int8), np.array([[0.0], [np.inf]])]
    sparse = [dense[0] + np.int16(300), dense[1] - np.int8(5), dense[2]]
    found = exactness.compare_outputs(*yields(sparse, dense), "builtin")
    assert (found.largest_difference, found.share_of_range) == (300, pytest.approx(5 / 255))


@pytest.mark.parametrize(
    "output", [np.array([[np.nan], [1]], np.float32), np.ones((2, 2), np.float32), np.ones((2, 1), np.float16)]
)
def test_nan_and_another_shape_or_type_are_beyond_every_share(output, yields):
    found = exactness.compare_outputs(*yields([output], [np.ones((2, 1), np.float32)]), "builtin")
    assert (found.bit_exact, found.largest_difference, found.share_of_range) == (False, np.inf, np.inf)


def test_who_refuses_decides_what_that_is(yields):
    one, refused = [np.zeros((2, 3), np.int8)], ExecutionError("no such kernel")
    with pytest.raises(VerificationError, match="the dense file runs, the sparse one does not: no such kernel"):
        exactness.compare_outputs(*yields(refused, one), "builtin")
    with pytest.raises(ExecutionError, match=r"^no such kernel$"):
        exactness.compare_outputs(*yields(one, refused), "default")
    found = exactness.compare_outputs(*yields(one, refused), "compiled_model")
    assert (found.bit_exact, found.largest_difference, found.share_of_range) == (None, None, None)
    assert found.unavailable == "the dense file does not run: no such kernel"


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([1, 1], "int8", 255),
        ([0, 3], "uint8", 255),
        ([0, 3], "int16", 65_535),
        ([-1.5, 2, np.inf, np.nan], "float32", 3.5),
        ([7, 7], "float32", 1),
        ([np.nan], "float32", 1),
        ([], "float32", 1),
    ],
)
def test_range_of(values, dtype, expected):
    assert exactness.range_of(np.array(values, dtype)) == expected


# What an export compares two files on


def boundaries(array):
    """The one value that each of the first three samples is full of."""
    (values,) = zip(*(np.unique(sample) for sample in array[:3]), strict=True)
    return list(values)


@pytest.mark.parametrize(
    ("make", "dtype", "edges", "lowest", "highest"),
    [
        (lambda: tiny_models.fully_connected((4, 8)), "int8", [-128, 127, -3], -128, 127),
        (lambda: tiny_models.fully_connected((4, 8), data_dtype="int16"), "int16", [-(2**15), 2**15 - 1, 0], -(2**15),
         2**15 - 1),
        (lambda: tiny_models.fully_connected((4, 8), dtype="float32"), "float32", [-4, 4, 0], -6, 6),
        (lambda: tiny_models.gather(4, 8, tokens=8), "int32", [0, 1, 0], 0, 1),
    ],
    ids=["int8", "int16", "float32", "token numbers"],
)  # fmt: skip
def test_probes_are_the_boundaries_and_then_random(make, dtype, edges, lowest, highest, write, in_this_process):
    path = write(make(), "model")
    (found,) = exactness.probe_inputs(path, None, 50, seed=1)
    assert (found.shape, found.dtype) == ((50, 8), dtype)
    assert boundaries(found) == edges
    drawn = found[3:].astype(np.float64)
    assert lowest <= drawn.min() < lowest / 2 + highest / 2 < drawn.max() <= highest
    assert len(np.unique(drawn)) > 50 or dtype == "int32"
    (again,), (other,) = (exactness.probe_inputs(path, None, 50, seed) for seed in (1, 2))
    assert np.array_equal(found, again)
    assert not np.array_equal(found[3:], other[3:])


def test_probes_take_samples_where_there_are_some_and_quantise_them(write, in_this_process):
    """Of 9 real samples 4 find room behind the boundaries. 0.05 is one step, -3 is zero."""
    path = write(tiny_models.fully_connected((4, 2)), "model")
    x = np.arange(18, dtype=np.float32).reshape(9, 2) * np.float32([0.05, -1])
    (found,) = exactness.probe_inputs(path, x, 7, seed=0)
    steps = [[-3, -23], [-1, -63], [1, -103], [3, -128]]  # the last is clipped
    assert found.tolist() == [[-128, -128], [127, 127], [-3, -3], *steps]
    assert found.dtype == np.int8
    (found,) = exactness.probe_inputs(path, x[:2], 7, seed=0)  # fewer samples than asked for
    assert found.tolist() == [[-128, -128], [127, 127], [-3, -3], *steps[:2]]
    plain = write(tiny_models.fully_connected((4, 2), dtype="float32"), "float32")
    (found,) = exactness.probe_inputs(plain, x, 5, seed=0)
    assert found.tolist() == [[-4, -4], [4, 4], [0, 0], *x[:2].tolist()]


def test_probes_of_several_inputs_have_sizes_of_their_own(write, in_this_process):
    """A size that may change is that of the samples, else one that runs: of 32 and powers of two 1, beside the 5."""
    model = odd_models.addition("float32", (1, 5))
    for tensor, sizes in zip(model.subgraphs[0].tensors, ([-1, -1], [-1, 5], [-1, 5]), strict=True):
        tensor.shapeSignature = np.array(sizes, np.int32)
    path = write(model, "model")
    one, two = exactness.probe_inputs(path, None, 6, seed=0)
    assert (one.shape, two.shape) == ((6, 1), (6, 5))
    assert boundaries(one) == boundaries(two) == [-4, 4, 0]
    one, two = exactness.probe_inputs(path, [np.ones((3, 7), np.float32), np.zeros((3, 5), np.float32)], 6, seed=0)
    assert (one.shape, two.shape) == ((6, 7), (6, 5))
    assert (one[3:] == 1).all()
    assert (two[3:] == 0).all()


# Outputs as arrays


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
    assert exactness.same_bits(a, a.copy())
    assert exactness.largest_difference(a, a.copy()) == 0


def test_a_zero_of_the_other_sign_is_a_difference(yields):
    """0.0 and -0.0 are no distance apart and not the same bits."""
    zeros = np.zeros((2, 3), np.float32)
    found = exactness.compare_outputs(*yields([zeros], [-zeros]), "builtin")
    assert found.bit_exact is False
    assert found.largest_difference == 0


@pytest.mark.parametrize("other", [np.zeros((3, 2), np.int8), np.zeros((2, 3), np.uint8), np.zeros((2, 2), np.int8)])
def test_the_same_bytes_in_another_shape_or_type_are_not_the_same(other):
    assert not exactness.same_bits(np.zeros((2, 3), np.int8), other)
