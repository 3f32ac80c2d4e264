"""Test shared values on models of one operator: few values, zeros and scales as they were, errors by channel scale."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import tiny_models
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs
from tflite_sparse.planning import sharing
from tflite_sparse.results.shared_values import SharedTensor
from tflite_sparse.rewrites import shared_values

MODELS = {
    "conv": lambda: tiny_models.conv2d((32, 3, 3, 16)),
    "one scale for all channels": lambda: tiny_models.conv2d((32, 3, 3, 16), per_channel=False),
    "dense": lambda: tiny_models.fully_connected((16, 160)),
    "two outputs": lambda: tiny_models.fully_connected((2, 1280)),
    "int16 data": lambda: tiny_models.fully_connected((16, 160), data_dtype="int16"),
}


def weights(model):
    """The only tensor that can share values, parsed again."""
    ((graph, index),) = shared_values.shareable(model)
    return graph, index, graph.constant(index)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("count", [2, 16])
def test_few_values_and_the_same_zeros(name, count):
    model = serde.parse(tiny_models.to_bytes(MODELS[name]()))
    graph, index, before = weights(model)
    before = before.copy()
    found = shared_values.apply(graph, index, count)
    after = weights(serde.parse(serde.serialize(model)))[2]
    assert ((after == 0) == (before == 0)).all()
    assert len(np.unique(after[after != 0])) == found.values <= count < found.values_before
    assert found.kept == np.count_nonzero(before)
    flat_before, flat_after = before[before != 0].astype(int), after[after != 0].astype(int)
    order = np.argsort(flat_before, kind="stable")
    assert (np.diff(flat_after[order]) >= 0).all(), "equal values become equal, larger ones no smaller"


def test_the_error_is_that_of_real_weights():
    """A channel of a scale ten times as large counts a hundred times as much."""
    model = tiny_models.fully_connected((16, 160))
    tensor = next(each for each in model.subgraphs[0].tensors if list(each.shape) == [16, 160])
    tensor.quantization.scale = np.where(np.arange(16) < 8, 1.0, 0.1).astype(np.float32)
    tensor.quantization.zeroPoint = np.zeros(16, np.int64)
    parsed = serde.parse(tiny_models.to_bytes(model))
    graph, index, before = weights(parsed)
    before = before.astype(float)
    found = shared_values.apply(graph, index, 4)
    changed = (graph.constant(index) - before) * np.where(np.arange(16) < 8, 1.0, 0.1)[:, None]
    real = before * np.where(np.arange(16) < 8, 1.0, 0.1)[:, None]
    assert found.error == pytest.approx(np.sqrt((changed**2).sum() / (real**2).sum()))


@pytest.mark.parametrize(
    "model",
    [
        lambda: tiny_models.fully_connected((4, 160)),  # too small
        lambda: tiny_models.conv2d((32, 3, 3, 16), dtype="float32"),
        lambda: tiny_models.depthwise_conv2d(512),
    ],
    ids=["small", "float32", "depthwise"],
)
def test_other_constants_are_left(model):
    assert not list(shared_values.shareable(serde.parse(tiny_models.to_bytes(model()))))


@pytest.mark.parametrize("scales", [[np.inf], [np.nan], [0.0], [-1.0], []], ids=str)
def test_weights_without_a_positive_scale_are_left(scales):
    model = tiny_models.fully_connected((16, 160))
    tensor = next(each for each in model.subgraphs[0].tensors if list(each.shape) == [16, 160])
    tensor.quantization.scale = np.array(scales, np.float32)
    tensor.quantization.zeroPoint = np.zeros(len(scales), np.int64)
    assert not list(shared_values.shareable(serde.parse(tiny_models.to_bytes(model))))


@pytest.mark.parametrize("fields", [{"buffer": 0}, {"type": schema.TensorType.UINT8}], ids=str)
def test_what_is_no_constant_of_int8_is_left(fields):
    model = serde.parse(tiny_models.to_bytes(tiny_models.fully_connected((16, 160))))
    (tensor,) = (each for each in model.subgraphs[0].tensors if list(each.shape) == [16, 160])
    assert list(shared_values.shareable(model))
    for name, value in fields.items():
        setattr(tensor, name, value)
    assert not list(shared_values.shareable(model))


def test_a_sparse_file_is_decoded_first(tmp_path):
    from tflite_sparse import encode

    dense, sparse, shared = (tmp_path / f"{name}.tflite" for name in ("dense", "sparse", "shared"))
    dense.write_bytes(tiny_models.to_bytes(tiny_models.fully_connected((64, 640))))
    encode(dense, sparse)
    assert sparse.stat().st_size < dense.stat().st_size
    (found,) = sharing.write(sparse, shared, 8)
    (direct,) = sharing.write(dense, tmp_path / "direct.tflite", 8)
    assert (found.values, found.kept, found.error) == (direct.values, direct.kept, direct.error)
    assert (weights(serde.read(shared))[2] == weights(serde.read(tmp_path / "direct.tflite"))[2]).all()


@pytest.mark.parametrize(
    ("scales", "axis", "squares"),
    [([0.5], 0, [[1] * 3] * 2), ([0.5], 3, [[1] * 3] * 2), ([2, 1], 0, [[1] * 3, [0.25] * 3]), ([1, 2, 4], 1, None)],
)
def test_the_largest_scale_counts_as_1(scales, axis, squares):
    """Of one scale the axis has no meaning."""
    tensor = schema.TensorT()
    tensor.quantization = tiny_models.quantization(np.float32(scales) / 1000, axis=axis)
    found = shared_values._importance(tensor, np.zeros((2, 3), np.int8))
    np.testing.assert_allclose(found, [[1 / 16, 1 / 4, 1]] * 2 if squares is None else squares, rtol=1e-6)


def with_zeros(shape, zeros):
    """A model of int8 weights with so many zeros, anywhere, and of many values else."""
    size = int(np.prod(shape))
    values = np.zeros(size, np.int8)
    values[np.random.default_rng(0).permutation(size)[zeros:]] = np.arange(size - zeros) % 127 + 1
    return tiny_models.fully_connected(shape, weights=values.reshape(shape))


def read_as_data_too(model):
    model.subgraphs[0].operators[0].inputs = np.array([1, 1, 2], np.int32)
    return model


@pytest.mark.parametrize(
    ("model", "takes"),
    [
        (with_zeros((16, 128), 2000), True),
        (with_zeros((23, 89), 2000), False),  # 2,047 values
        (with_zeros((16, 192), 1024), True),
        (with_zeros((16, 192), 1023), False),  # less than a third
        (read_as_data_too(with_zeros((16, 128), 2000)), False),
    ],
    ids=["2048", "2047", "a third", "less than a third", "data"],
)
def test_bounds_of_what_is_taken(model, takes):
    assert bool(list(shared_values.shareable(serde.parse(tiny_models.to_bytes(model))))) == takes


@pytest.mark.parametrize(("former_size", "takes"), [(None, False), (2047, False), (2048, True)])
def test_the_size_before_channels_left_the_file_counts(former_size, takes):
    (graph,) = graphs(serde.parse(tiny_models.to_bytes(with_zeros((16, 64), 1000))))
    assert shared_values.has_form(graph, 1, graph.uses()[1], former_size) == takes


@pytest.mark.parametrize("zeros", [1151, 1152])
@pytest.mark.parametrize(
    ("shape", "alive"), [((64, 108), np.s_[::2]), ((32, 216), np.s_[:, ::2]), ((128, 108), np.s_[::2, ::2])]
)
def test_zeros_of_dead_channels_do_not_count(shape, alive, zeros):
    """Of 3,456 weights beside outputs and inputs that are all zero a third must be."""
    weights = np.zeros(shape, np.int8)
    left = np.ones(3456, np.int8)
    left[np.random.default_rng(0).permutation(3456)[:zeros]] = 0
    weights[alive] = left.reshape(weights[alive].shape)
    model = tiny_models.fully_connected(shape, weights=weights)
    assert bool(list(shared_values.shareable(serde.parse(tiny_models.to_bytes(model))))) == (zeros == 1152)


def test_of_one_scale_less_than_0_none_is_taken():
    model = with_zeros((16, 128), 2000)
    model.subgraphs[0].tensors[1].quantization.scale[3] = -1
    assert not list(shared_values.shareable(serde.parse(tiny_models.to_bytes(model))))
    model.subgraphs[0].tensors[1].quantization.scale[3] = 1
    model.subgraphs[0].tensors[1].quantization.zeroPoint[3] = 1
    assert not list(shared_values.shareable(serde.parse(tiny_models.to_bytes(model))))


def test_weights_of_few_values_stay_as_they_are():
    model = serde.parse(tiny_models.to_bytes(with_zeros((16, 192), 3000)))
    graph, index, before = weights(model)
    buffer = model.buffers[graph.tensor(index).buffer]
    found = shared_values.apply(graph, index, 72)
    assert (found.graph, found.tensor, found.name) == (0, 1, "weight")
    assert (found.kept, found.values_before, found.values, found.error) == (72, 72, 72, 0.0)
    assert model.buffers[graph.tensor(index).buffer] is buffer
    assert (graph.constant(index) == before).all()
    assert shared_values.apply(graph, index, 71).error > 0


def test_all_zeros_stay():
    model = serde.parse(tiny_models.to_bytes(with_zeros((16, 192), 16 * 192)))
    graph, index, _ = weights(model)
    found = shared_values.apply(graph, index, 4)
    assert (found.kept, found.values_before, found.values, found.error) == (0, 0, 0, 0.0)


def test_ends_of_the_range_are_values_as_others():
    values = np.zeros((16, 192), np.int8)
    values[np.arange(4), np.arange(4)] = [-128, -127, 126, 127]
    model = serde.parse(tiny_models.to_bytes(tiny_models.fully_connected((16, 192), weights=values)))
    graph, index, _ = weights(model)
    found = shared_values.apply(graph, index, 2)
    assert (found.values_before, found.values) == (4, 2)
    shared = np.diagonal(graph.constant(index))
    assert shared[:2].tolist() in ([-128, -128], [-127, -127])
    assert shared[2:4].tolist() in ([126, 126], [127, 127])


def test_another_file_of_the_model_shares_as_many_values_by_name():
    model = serde.parse(tiny_models.to_bytes(tiny_models.fully_connected((16, 160))))
    _, index, before = weights(model)
    of_names = [SharedTensor(name=name, kept=1, values_before=9, values=5, error=0.0) for name in ("weight", "other")]
    counts = sharing.alike(model, of_names)
    assert counts == {(0, index): 5}
    assert len(np.unique(before[before != 0])) > 5
    sharing.share(model, counts)
    after = weights(model)[2]
    assert len(np.unique(after[after != 0])) == 5
    assert sharing.alike(model, of_names[1:]) == {}
