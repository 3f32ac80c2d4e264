import itertools

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import tiny_models
from helpers.channel_models import Network
from tflite_sparse.codecs import csr, search
from tflite_sparse.codecs.layout import Layout
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import drop_unread_buffers, graphs, new_operator, text
from tflite_sparse.rewrites import densify
from tflite_sparse.verification.weights import weights_of

RESOLVERS = ("AUTO", "BUILTIN_WITHOUT_DEFAULT_DELEGATES")


def densified(model, layout=None):
    """Apply only the rewrite to a copy of ``model``; return its graph, the original model, and both indices."""
    dense = serde.parse(tiny_models.to_bytes(model))
    copy = serde.parse(tiny_models.to_bytes(model))
    graph = next(graphs(copy))
    index = next(i for i, tensor in enumerate(graph.subgraph.tensors) if text(tensor.name) == "weight")
    values = graph.constant(index)
    encoded = csr.encode(values, layout or search.cheapest(values).layout)
    return graph, dense, index, densify.apply(graph, index, encoded, graph.uses()[index])


@pytest.mark.parametrize("readers", [1, 3])
def test_one_densify_stands_in_front_of_every_reader(readers):
    graph, _, sparse, dense = densified(tiny_models.conv2d(readers=readers))
    assert tiny_models.operator_names(graph.model) == ["DENSIFY", *["CONV_2D"] * readers]
    first, *rest = graph.operators
    assert (list(first.inputs), list(first.outputs)) == ([sparse], [dense])
    assert [int(operator.inputs[1]) for operator in rest] == [dense] * readers


def test_other_inputs_and_tensors_stay():
    graph, before, _, dense = densified(tiny_models.conv2d())
    reader = graph.operators[1]
    assert [int(i) for i in reader.inputs] == [0, dense, 2]
    assert [text(t.name) for t in graph.subgraph.tensors[:4]] == [text(t.name) for t in before.subgraphs[0].tensors]
    np.testing.assert_array_equal(graph.constant(2), next(graphs(before)).constant(2))


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_the_output_is_the_dense_tensor_again(dtype):
    graph, before, sparse, dense = densified(tiny_models.depthwise_conv2d(dtype=dtype))
    stored, twin = graph.tensor(sparse), graph.tensor(dense)
    former = before.subgraphs[0].tensors[1]
    for tensor in (stored, twin):
        assert tensor.shape.tolist() == former.shape.tolist()
        assert tensor.type == former.type
        if dtype == "int8":
            assert tensor.quantization.scale.tolist() == former.quantization.scale.tolist()
            assert tensor.quantization.zeroPoint.tolist() == former.quantization.zeroPoint.tolist()
            assert tensor.quantization.quantizedDimension == 3
    assert stored.sparsity is not None
    assert twin.sparsity is None
    assert twin.buffer == 0  # no constant of its own


def test_the_constant_decodes_to_what_it_was():
    graph, before, sparse, _ = densified(tiny_models.conv2d())
    np.testing.assert_array_equal(weights_of(graph.model)[0, sparse], weights_of(before)[0, sparse])


@pytest.mark.parametrize("resolver", RESOLVERS)
@pytest.mark.parametrize(("rank", "seed"), [(4, 0), (4, 1), (4, 2), (2, 0), (2, 1)])
def test_the_runtime_reads_every_kind_of_layout(rank, seed, resolver):
    """The interpreter rebuilds the arrays that the encoder stored in random orders, compressed levels and blocks."""
    model = tiny_models.conv2d((16, 3, 3, 64)) if rank == 4 else tiny_models.gather(64, 100)
    values = tiny_models.samples(model, 1)
    expected = tiny_models.run_here(tiny_models.to_bytes(model), values, resolver)[0]
    assert np.unique(expected).size > 50  # otherwise a wrong weight might not show
    generator = np.random.default_rng(seed)
    shape = tuple(int(size) for size in model.subgraphs[0].tensors[1].shape)
    for _ in range(6):
        layout = random_layout(shape, generator)
        graph, *_ = densified(model, layout)
        found = tiny_models.run_here(serde.serialize(graph.model), values, resolver)[0]
        np.testing.assert_array_equal(found, expected, err_msg=str(layout))


def random_layout(shape, generator):
    rank = len(shape)
    chosen = sorted(generator.permutation(rank)[: generator.integers(0, 3)].tolist())
    split = [axis for axis in chosen if shape[axis] % 2 == 0]
    order = (*generator.permutation(rank).tolist(), *(rank + generator.permutation(len(split))).tolist())
    compressed = [bool(flag) for flag in generator.random(rank) < 0.6]
    if not any(compressed):
        compressed[-1] = True
    flags = (*compressed, *[False] * len(split))
    return Layout(shape, order, flags, tuple(split), tuple(2 for _ in split))


@pytest.mark.parametrize(
    "model",
    [
        tiny_models.conv2d(),
        tiny_models.conv2d(dtype="float32"),
        tiny_models.conv2d(readers=3),
        tiny_models.depthwise_conv2d(),
        tiny_models.gather(),
        tiny_models.transpose_conv(),
    ],
    ids=["conv", "conv_float32", "three_readers", "depthwise", "gather", "transpose_conv"],
)
def test_overhead_is_what_the_edit_really_adds(model):
    """This excludes values and indices. Only the operator code, once for a model, and padding are not predicted."""
    graph, before, sparse, _ = densified(model)
    tensor = before.subgraphs[0].tensors[sparse]
    dense_values = next(graphs(before)).constant(sparse)
    cost = search.cheapest(dense_values)
    predicted = cost.nbytes - dense_values.nbytes + densify.overhead_bytes(tensor, cost.layout)
    drop_unread_buffers(graph.model)
    real = len(serde.serialize(graph.model)) - len(serde.serialize(before))
    operator_code = 24
    assert predicted - 64 <= real <= predicted + operator_code + 32


@pytest.mark.parametrize("compressed", [c for c in itertools.product((False, True), repeat=4) if any(c)])
def test_every_compressed_level_is_paid_for(compressed):
    """With too low an estimate the planner would choose a form that is larger than the dense one."""
    layout = Layout((16, 3, 3, 64), (0, 1, 2, 3), compressed)
    graph, before, sparse, _ = densified(tiny_models.conv2d(), layout)
    dense_values = next(graphs(before)).constant(sparse)
    predicted = csr.encode(dense_values, layout).nbytes - dense_values.nbytes
    predicted += densify.overhead_bytes(before.subgraphs[0].tensors[sparse], layout)
    drop_unread_buffers(graph.model)
    real = len(serde.serialize(graph.model)) - len(serde.serialize(before))
    operator_code = 24
    assert predicted - 64 <= real <= predicted + operator_code + 32


@pytest.mark.parametrize(
    ("model", "operator"),
    [
        (tiny_models.conv2d(), "CONV_2D"),
        (tiny_models.conv2d(dtype="float32"), "CONV_2D"),
        (tiny_models.conv2d(per_channel=False), "CONV_2D"),
        (tiny_models.conv2d(same=False, stride=2, image=(11, 14)), "CONV_2D"),
        (tiny_models.conv2d(dilation=2), "CONV_2D"),
        (tiny_models.conv2d(groups=2), "CONV_2D"),
        (tiny_models.conv2d(dynamic=True), "CONV_2D"),
        (tiny_models.depthwise_conv2d(dynamic=True), "DEPTHWISE_CONV_2D"),
        (tiny_models.transpose_conv(), "TRANSPOSE_CONV"),
        (tiny_models.gather(), "GATHER"),
    ],
    ids=lambda value: None if isinstance(value, schema.ModelT) else value,
)
def test_outputs_are_the_dense_files_to_the_bit(encode, model, operator):
    pair = encode(model)
    assert pair.choice().form is not None, pair.choice().reason
    assert pair.choice().form.words == ""
    assert pair.operators == ["DENSIFY", operator]
    assert pair.sparse.stat().st_size < 0.75 * pair.dense.stat().st_size
    pair.check_same(tiny_models.samples(model))


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("resolver", RESOLVERS)
@pytest.mark.parametrize("make", [tiny_models.conv2d, tiny_models.depthwise_conv2d])
def test_the_batch_stays_free(encode, make, resolver, batch):
    model = make(dynamic=True)
    pair = encode(model)
    assert pair.choice().form is not None
    values = tiny_models.samples(model, batch)
    found = tiny_models.run_here(pair.sparse.read_bytes(), values, resolver)[0]
    assert found.shape[0] == batch
    np.testing.assert_array_equal(found, tiny_models.run_here(pair.dense.read_bytes(), values, resolver)[0])


@pytest.mark.parametrize("readers", [1, 3])
def test_undo_gives_constant_and_readers_back(readers):
    graph, before, sparse, _ = densified(tiny_models.conv2d(readers=readers))
    assert densify.undo(graph) == [sparse]
    assert tiny_models.operator_names(graph.model) == ["CONV_2D"] * readers
    former = next(graphs(before)).operators
    for found, wanted in zip(graph.operators, former, strict=True):
        assert [int(index) for index in found.inputs] == [int(index) for index in wanted.inputs]
    assert graph.tensor(sparse).sparsity is None
    np.testing.assert_array_equal(graph.constant(sparse), next(graphs(before)).constant(sparse))
    assert densify.undo(graph) == []


def test_undo_takes_the_quantisation_that_readers_saw():
    graph, _, sparse, dense = densified(tiny_models.conv2d())
    graph.tensor(dense).quantization = tiny_models.quantization(0.5)
    densify.undo(graph)
    assert graph.tensor(sparse).quantization.scale.tolist() == [0.5]


def test_undo_joins_what_several_densifies_make_of_one_constant():
    graph, _, sparse, dense = densified(tiny_models.conv2d(readers=2))
    twin = graph.add_tensor(graph.tensor(dense))
    first, _, last = graph.operators
    graph.insert_before(last, new_operator(first.opcodeIndex, [sparse], [twin]))
    last.inputs = np.array([last.inputs[0], twin, last.inputs[2]], np.int32)
    assert densify.undo(graph) == [sparse]
    assert [int(operator.inputs[1]) for operator in graph.operators] == [sparse, sparse]


def test_undo_takes_every_constant_that_is_sparse():
    net = Network()
    model = net.finished(net.conv(net.conv(net.source, 16, 1), 16, 1))
    graph = next(graphs(serde.parse(tiny_models.to_bytes(model))))
    kernels = [int(operator.inputs[1]) for operator in graph.operators]
    for index in kernels:
        encoded = csr.encode(
            graph.constant(index),
            Layout((16, 1, 1, 8 if index == kernels[0] else 16), (0, 1, 2, 3), (False, False, False, True)),
        )
        densify.apply(graph, index, encoded, graph.uses()[index])
    assert densify.undo(graph) == kernels
    assert tiny_models.operator_names(graph.model) == ["CONV_2D"] * 2
    assert [int(operator.inputs[1]) for operator in graph.operators] == kernels


def test_a_dense_constant_stays_in_its_buffer():
    graph = next(graphs(serde.parse(tiny_models.to_bytes(tiny_models.conv2d()))))
    buffer = graph.model.buffers[graph.tensor(1).buffer]
    densify.store_dense(graph, 1)
    assert graph.model.buffers[graph.tensor(1).buffer] is buffer


def test_undo_leaves_an_output_of_the_graph():
    graph, _, sparse, dense = densified(tiny_models.conv2d())
    graph.subgraph.outputs = np.array([*graph.subgraph.outputs, dense], np.int32)
    assert densify.undo(graph) == []
    assert tiny_models.operator_names(graph.model) == ["DENSIFY", "CONV_2D"]
    assert graph.tensor(sparse).sparsity is not None
    assert int(graph.operators[1].inputs[1]) == dense
