import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import tiny_models
from helpers.channel_models import Network
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs, shape_of, signature_of
from tflite_sparse.rewrites import factored_conv as rewrite

RESOLVERS = ("AUTO", "BUILTIN_WITHOUT_DEFAULT_DELEGATES")

# Few outputs keep these tests fast: the rewrite itself needs no minimum.
TAKEN = {
    "pointwise": {"shape": (8, 1, 1, 320)},
    "same_stride_1": {"shape": (8, 3, 3, 264)},
    "same_stride_2_even_padding": {"shape": (8, 3, 3, 264), "stride": 2, "image": (9, 9)},
    "same_stride_2_no_padding": {"shape": (8, 2, 2, 264), "stride": 2},
    "same_5x5": {"shape": (8, 5, 5, 264)},
    "same_odd_padding_of_the_height_only": {"shape": (8, 2, 3, 264)},
    "valid_stride_1": {"shape": (8, 3, 3, 264), "same": False},
    "valid_stride_2": {"shape": (8, 3, 3, 264), "same": False, "stride": 2},
    "valid_columns_left_over": {"shape": (8, 2, 2, 264), "same": False, "stride": 3},
    "per_tensor": {"shape": (8, 3, 3, 264), "per_channel": False},
    "one_byte_is_enough": {"shape": (8, 3, 3, 64)},
    "prime": {"shape": (8, 1, 1, 257)},
}


def parsed(model):
    return next(graphs(serde.parse(tiny_models.to_bytes(model))))


def rewritten(model):
    """Return the graph after only the rewrite; the filter stays dense."""
    graph = parsed(model)
    operators = graph.operators
    assert [rewrite.refusal(graph, operator) for operator in operators] == [None] * len(operators)
    for operator in operators:
        rewrite.apply(graph, operator)
    return graph


def test_stored_shape():
    assert rewrite.stored_shape((320, 1, 1, 320)) == (320, 1, 2, 160)
    assert rewrite.stored_shape((264, 3, 3, 264)) == (264, 3, 6, 132)
    assert rewrite.stored_shape((16, 3, 3, 64)) == (16, 3, 3, 64)


@pytest.mark.parametrize("resolver", RESOLVERS)
@pytest.mark.parametrize("name", TAKEN)
def test_the_rewrite_alone_changes_no_output(name, resolver):
    model = tiny_models.conv2d(**TAKEN[name])
    values = tiny_models.samples(model, 1, seed=3)
    values[0] = tiny_models.samples(model, 2, seed=3)[1]  # no edge case, but all different: a shift must show
    graph = rewritten(model)
    assert tiny_models.operator_names(graph.model) == ["RESHAPE", "CONV_2D"]
    expected = tiny_models.run_here(tiny_models.to_bytes(model), values, resolver)[0]
    assert np.unique(expected).size > 10
    np.testing.assert_array_equal(tiny_models.run_here(serde.serialize(graph.model), values, resolver)[0], expected)


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("width", [1, 2, 3, 4, 5])
def test_every_small_window_is_exact_or_refused(width, stride, same):
    """Kernel width, stride and image width determine the padding; try all of them on the built-in kernels."""
    for columns in range(width, 9):
        model = tiny_models.conv2d((3, 1, width, 257 * 2), (2, columns), same=same, stride=stride)
        graph = parsed(model)
        total = max((-(-columns // stride) - 1) * stride + width - columns, 0)
        if same and total % 2:
            assert rewrite.refusal(graph, graph.operators[0]) == "its padding along the width is odd"
            continue
        values = tiny_models.samples(model, 2)[1:]
        expected = tiny_models.run_here(tiny_models.to_bytes(model), values, RESOLVERS[1])[0]
        found = tiny_models.run_here(serde.serialize(rewritten(model).model), values, RESOLVERS[1])[0]
        np.testing.assert_array_equal(found, expected)
        assert np.unique(expected).size > min(expected.size, 8) // 2  # otherwise a shifted window might not show


def test_what_is_left_of_the_graph():
    graph = rewritten(tiny_models.conv2d((264, 3, 3, 264), stride=2, same=False))
    reshape, conv = graph.operators
    assert int(conv.inputs[0]) == int(reshape.outputs[0])
    assert (int(conv.inputs[1]), int(conv.inputs[2]), int(conv.outputs[0])) == (1, 2, 3)
    assert shape_of(graph.tensor(1)) == (264, 3, 6, 132)
    assert shape_of(graph.tensor(int(reshape.outputs[0]))) == (1, 8, 16, 132)
    assert (conv.builtinOptions.strideH, conv.builtinOptions.strideW) == (2, 4)
    quantized = graph.tensor(int(reshape.outputs[0])).quantization
    assert quantized.scale == graph.tensor(0).quantization.scale
    assert quantized.zeroPoint == graph.tensor(0).quantization.zeroPoint


def test_a_free_batch_stays_free():
    graph = rewritten(tiny_models.conv2d((8, 3, 3, 264), dynamic=True))
    assert signature_of(graph.tensor(int(graph.operators[0].outputs[0]))) == (-1, 8, 16, 132)


def without_options(graph):
    graph.operators[0].builtinOptions = None


def rank_three(graph):
    graph.tensor(0).shape = np.array([8, 8, 264], np.int32)


def free_width(graph):
    graph.tensor(0).shapeSignature = np.array([-1, 8, -1, 264], np.int32)


def free_height(graph):
    graph.tensor(0).shapeSignature = np.array([1, -1, 8, 264], np.int32)


def dilated(graph):
    graph.operators[0].builtinOptions.dilationWFactor = 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without_options, "it has no options or its input is not of rank 4"),
        (rank_three, "it has no options or its input is not of rank 4"),
        (free_width, "a dimension of its input other than the batch is dynamic"),
        (free_height, "a dimension of its input other than the batch is dynamic"),
        (dilated, "it is dilated along the width"),
    ],
)
def test_refusals(change, words):
    graph = parsed(tiny_models.conv2d((8, 3, 3, 264)))
    assert rewrite.refusal(graph, graph.operators[0]) is None
    change(graph)
    assert rewrite.refusal(graph, graph.operators[0]) == words


def test_groups_are_refused():
    graph = parsed(tiny_models.conv2d((8, 3, 3, 264), groups=2))
    assert rewrite.refusal(graph, graph.operators[0]) == "it has several groups"


def test_strides_of_the_edit_stay_within_32_bits():
    graph = parsed(tiny_models.conv2d((8, 3, 3, 264)))
    graph.operators[0].builtinOptions.strideW = (2**31 - 1) // 264
    assert rewrite.refusal(graph, graph.operators[0]) is None
    graph.operators[0].builtinOptions.strideW += 1
    assert rewrite.refusal(graph, graph.operators[0]) == "its stride along the width is out of range"
    graph = parsed(tiny_models.conv2d((8, 3, 3, 1), same=False))
    graph.operators[0].builtinOptions.strideW = 2**31 - 1
    assert rewrite.refusal(graph, graph.operators[0]) is None


def test_dilation_of_the_height_alone_is_taken():
    model = tiny_models.conv2d((8, 3, 3, 264), image=(8, 8))
    options = model.subgraphs[0].operators[0].builtinOptions
    options.dilationHFactor = 2  # SAME: the output keeps its size
    values = tiny_models.samples(model, 2)[1:]
    graph = rewritten(model)
    for resolver in RESOLVERS:
        np.testing.assert_array_equal(
            tiny_models.run_here(serde.serialize(graph.model), values, resolver)[0],
            tiny_models.run_here(tiny_models.to_bytes(model), values, resolver)[0],
        )


def test_readers_that_share_a_filter_reshape_it_once():
    graph = rewritten(tiny_models.conv2d((8, 3, 3, 264), readers=2))
    assert tiny_models.operator_names(graph.model) == ["RESHAPE", "CONV_2D"] * 2
    assert shape_of(graph.tensor(1)) == (8, 3, 6, 132)
    assert [operator.builtinOptions.strideW for operator in graph.operators[1::2]] == [2, 2]


@pytest.mark.parametrize(("readers", "stride"), [(1, 2), (1, 3), (2, 2)])
def test_undo_gives_the_convolution_back(readers, stride):
    model = tiny_models.conv2d((8, 3, 3, 264), stride=stride, same=False, readers=readers)
    graph = rewritten(model)
    found = rewrite.undo(graph)
    assert found == {1: (8, 3, 3, 264)}
    assert {type(size) for size in found[1]} == {int}
    assert tiny_models.operator_names(graph.model) == ["CONV_2D"] * readers
    for operator in graph.operators:
        assert [int(index) for index in operator.inputs] == [0, 1, 2]
        assert (operator.builtinOptions.strideH, operator.builtinOptions.strideW) == (stride, stride)
    serde.serialize(graph.model)  # strides are integers


def test_undo_takes_what_stands_behind_other_convolutions():
    net = Network(shape=(1, 4, 4, 264))
    graph = parsed(net.finished(net.conv(net.conv(net.source, 264), 8)))
    second = graph.operators[1]
    rewrite.apply(graph, second)
    assert rewrite.undo(graph) == {int(second.inputs[1]): (8, 1, 1, 264)}
    assert tiny_models.operator_names(graph.model) == ["CONV_2D"] * 2


def of_another_maker(graph):
    graph.tensor(int(graph.operators[1].inputs[0])).name = "mine"


def a_second_reader(graph):
    graph.operators[1].inputs = np.array([*graph.operators[1].inputs[:2], graph.operators[1].inputs[0]], np.int32)


def an_output(graph):
    graph.subgraph.outputs = np.array([*graph.subgraph.outputs, graph.operators[1].inputs[0]], np.int32)


def another_operator(graph):
    graph.operators[0].opcodeIndex = graph.operator_code(schema.BuiltinOperator.SQUEEZE, 1)


def odd_stride(graph):
    graph.operators[1].builtinOptions.strideW = 5


def odd_kernel(graph):
    graph.tensor(1).shape = np.array([8, 3, 5, 132], np.int32)


def other_channels(graph):
    graph.tensor(1).shape = np.array([8, 3, 6, 66], np.int32)


def other_height(graph):
    graph.tensor(0).shape = np.array([1, 4, 8, 264], np.int32)


def other_columns(graph):
    graph.tensor(0).shape = np.array([1, 8, 4, 264], np.int32)


def of_rank_three(graph):
    graph.tensor(0).shape = np.array([8, 8, 264], np.int32)


def other_batch(graph):
    graph.tensor(0).shape = np.array([2, 8, 8, 264], np.int32)


def without_channels(graph):
    graph.tensor(int(graph.operators[1].inputs[0])).shape = np.array([1, 8, 16, 0], np.int32)
    graph.tensor(1).shape = np.array([8, 3, 6, 0], np.int32)


def to_rank_three(graph):
    graph.tensor(int(graph.operators[1].inputs[0])).shape = np.array([8, 16, 132], np.int32)


def one_channel_more(graph):
    graph.tensor(0).shape = np.array([1, 8, 8, 265], np.int32)


def not_shortened(graph):
    graph.tensor(0).shape = graph.tensor(int(graph.operators[1].inputs[0])).shape


@pytest.mark.parametrize(
    "change",
    [
        of_another_maker,
        a_second_reader,
        an_output,
        another_operator,
        odd_stride,
        odd_kernel,
        other_channels,
        other_height,
        other_columns,
        of_rank_three,
        one_channel_more,
        to_rank_three,
        other_batch,
        without_channels,
        not_shortened,
    ],
)
def test_undo_leaves_what_others_made(change):
    graph = rewritten(tiny_models.conv2d((8, 3, 3, 264)))
    change(graph)
    assert rewrite.undo(graph) == {}
    assert len(graph.operators) == 2


def test_overhead_is_what_the_edit_really_adds():
    model = tiny_models.conv2d((8, 3, 3, 264))
    before = parsed(model)
    predicted = rewrite.overhead_bytes(before, before.operators[0])
    real = len(serde.serialize(rewritten(model).model)) - len(serde.serialize(before.model))
    operator_code = 24
    assert predicted - 64 <= real <= predicted + operator_code + 32


ENCODED = {
    "pointwise": {"shape": (320, 1, 1, 320)},
    "same_stride_1": {"shape": (264, 3, 3, 264)},
    "valid_stride_2": {"shape": (264, 3, 3, 264), "same": False, "stride": 2},
    "pointwise_dynamic": {"shape": (320, 1, 1, 320), "dynamic": True},
}


@pytest.mark.parametrize("name", ENCODED)
def test_outputs_of_the_encoded_file_are_the_dense_files_to_the_bit(encode, name):
    model = tiny_models.conv2d(**ENCODED[name])
    pair = encode(model)
    assert pair.choice().form is not None, pair.choice().reason
    assert pair.choice().form.words == "CONV_2D in channel groups"
    assert sorted(pair.operators) == ["CONV_2D", "DENSIFY", "RESHAPE"]
    pair.check_same(tiny_models.samples(model))


@pytest.mark.parametrize("shape", [(320, 1, 1, 320), (264, 3, 3, 264)])
def test_float32_outputs_of_the_encoded_file_are_the_dense_files_to_the_bit(encode, shape):
    model = tiny_models.conv2d(shape, dtype="float32")
    pair = encode(model)
    assert pair.choice().form is not None, pair.choice().reason
    pair.check_same(tiny_models.samples(model))


def test_odd_padding_takes_the_plain_form(encode):
    model = tiny_models.conv2d((264, 3, 3, 264), stride=2)  # 8 columns: 1 of padding, right of the image
    pair = encode(model)
    assert pair.choice().form is not None
    assert pair.choice().form.words == ""
    assert pair.operators == ["DENSIFY", "CONV_2D"]
    pair.check_same(tiny_models.samples(model), ("default", "builtin"))


@pytest.mark.parametrize("shape", [(256, 1, 1, 320), (320, 1, 1, 256)])
def test_up_to_256_channels_on_one_side_the_plain_form_is_enough(encode, shape):
    pair = encode(tiny_models.conv2d(shape))
    assert pair.choice().form.words == ""
    tensor = pair.model.subgraphs[0].tensors[1]
    assert tensor.shape.tolist() == list(shape)
    compressed = [level for level in tensor.sparsity.dimMetadata if level.format == schema.DimensionType.SPARSE_CSR]
    assert {level.arrayIndicesType for level in compressed} == {schema.SparseIndexVector.Uint8Vector}


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("resolver", RESOLVERS)
def test_encoded_files_take_any_batch(encode, resolver, batch):
    model = tiny_models.conv2d((320, 1, 1, 320), dynamic=True)
    pair = encode(model)
    assert pair.choice().form.words == "CONV_2D in channel groups"
    values = tiny_models.samples(model, batch)
    found = tiny_models.run_here(pair.sparse.read_bytes(), values, resolver)[0]
    assert found.shape[0] == batch
    np.testing.assert_array_equal(found, tiny_models.run_here(pair.dense.read_bytes(), values, resolver)[0])
