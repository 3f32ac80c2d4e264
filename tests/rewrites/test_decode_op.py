import functools
import pickle
import subprocess
import sys
from copy import deepcopy

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import micro_process, tiny_models
from tflite_sparse.codecs import bitmask, codecs
from tflite_sparse.codecs.decodable import WHOLE, Channels
from tflite_sparse.errors import FlatbufferError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import (
    Graph,
    drop_unread_buffers,
    drop_unread_last_tensors,
    drop_unread_operator_codes,
    graphs,
    text,
)
from tflite_sparse.rewrites import decode_op

CODECS = ("prune", "huffman", "lut")


def parsed(model):
    return serde.parse(tiny_models.to_bytes(model))


def encode_all(model, names=("weight",), codec="prune"):
    """Edit a model in place; return the bytes of its file, or None if the codec does not support a constant."""
    for graph in graphs(model):
        encoded = {}
        for index, tensor in enumerate(graph.subgraph.tensors):
            if text(tensor.name) in names:
                assert decode_op.refusal(graph, index, graph.uses()[index]) is None
                values, channels = graph.constant(index), decode_op.channels_of(tensor)
                if codecs.refusal(codec, values, channels) is not None:
                    return None
                encoded[index] = codecs.encode(codec, values, channels)
        if encoded:
            decode_op.apply(graph, encoded, graph.uses())
    drop_unread_buffers(model)
    return bytes(serde.serialize(model))


def canonical(model):
    """Return the bytes of a model without unused objects, like the decoder."""
    drop_unread_operator_codes(model)
    drop_unread_last_tensors(model)
    drop_unread_buffers(model)
    return bytes(serde.serialize(model))


def names_of(graph):
    return [graph.operator_name(operator) for operator in graph.operators]


def few_values(model, name="weight", step=8):
    """Return the same with at most 33 distinct values in the constant, so that a table can hold them."""
    tensor = next(tensor for graph in model.subgraphs for tensor in graph.tensors if text(tensor.name) == name)
    data = model.buffers[tensor.buffer].data.view(np.int8)
    model.buffers[tensor.buffer].data = (data // step * step).astype(np.int8).view(np.uint8)
    return model


def around_a_zero_point(point=7):
    weights = (tiny_models.sparse_weights((64, 600)) // 2 + point).astype(np.int8)
    return tiny_models.fully_connected(weights=weights, per_channel=False, zero_point=point)


def one_channel():
    """Return a depthwise filter of one channel, without zeros, as converters write it: one scale, along dimension 3."""
    model = tiny_models.depthwise_conv2d(1)
    graph = model.subgraphs[0]
    model.buffers[graph.tensors[1].buffer].data = np.arange(-40, 50, 10).astype(np.int8).view(np.uint8)
    assert graph.tensors[1].quantization.quantizedDimension == 3
    return model


def quantised_svdf():
    return tiny_models.svdf(dtype="int8", data_dtype="int8")


def quantised_lstm():
    model = tiny_models.lstm(dtype="int8", data_dtype="int8")
    for index in model.subgraphs[0].operators[0].intermediates:
        model.subgraphs[0].tensors[index].shape = np.zeros(1, np.int32)  # else LiteRT Micro sees values in them
    return model


def several_constants(sparsity):
    """Two operators on one weight and bias, at 0 or 100 % zeros."""
    weights = np.full((16, 3, 3, 8), 0 if sparsity else 3, np.int8)
    return tiny_models.conv2d((16, 3, 3, 8), weights=weights, readers=2)


LSTM_WEIGHTS = tuple(f"weight{position}" for position in range(1, 9))
RUNTIME_CASES = {
    "fully_connected": (tiny_models.fully_connected, ("weight",)),
    "with_its_bias": (tiny_models.fully_connected, ("weight", "bias")),
    "per_tensor": (lambda: few_values(tiny_models.fully_connected(per_channel=False)), ("weight",)),
    "zero_point": (lambda: few_values(around_a_zero_point(), step=1), ("weight",)),
    "two_readers": (lambda: tiny_models.fully_connected(readers=2), ("weight", "bias")),
    "float32": (lambda: tiny_models.fully_connected(dtype="float32"), ("weight", "bias")),
    "int16_data": (lambda: tiny_models.conv2d(data_dtype="int16"), ("weight", "bias")),
    "conv": (tiny_models.conv2d, ("weight",)),
    "conv_dynamic": (lambda: tiny_models.conv2d(dynamic=True), ("weight",)),
    "conv_float32": (lambda: tiny_models.conv2d(dtype="float32"), ("weight",)),
    "conv_three_readers": (lambda: tiny_models.conv2d(readers=3), ("weight", "bias")),
    "no_zeros": (lambda: several_constants(0.0), ("weight",)),
    "all_zeros": (lambda: several_constants(1.0), ("weight",)),
    "one_weight": (lambda: tiny_models.conv2d((1, 1, 1, 1), weights=np.full((1, 1, 1, 1), 90, np.int8)), ("weight",)),
    "depthwise": (lambda: tiny_models.depthwise_conv2d(64), ("weight", "bias")),
    "depthwise_one_channel": (one_channel, ("weight",)),
    "transpose_conv": (tiny_models.transpose_conv, ("weight",)),
    "transpose_conv_float32": (lambda: tiny_models.transpose_conv(dtype="float32"), ("weight",)),
    "gather": (lambda: few_values(tiny_models.gather()), ("weight",)),
    "batch_matmul": (lambda: few_values(tiny_models.batch_matmul()), ("weight",)),
    "batch_matmul_left": (lambda: few_values(tiny_models.batch_matmul(weight_first=True)), ("weight",)),
    "add": (lambda: few_values(tiny_models.elementwise("ADD")), ("weight",)),
    "concatenation": (lambda: few_values(tiny_models.elementwise("CONCATENATION")), ("weight",)),
    "while": (lambda: tiny_models.conv2d_in_subgraph("WHILE"), ("weight",)),
    "if": (lambda: tiny_models.conv2d_in_subgraph("IF"), ("weight",)),
    "svdf_float32": (tiny_models.svdf, ("weight1", "weight2")),
    "svdf": (quantised_svdf, ("weight1", "weight2")),
    "lstm_float32": (tiny_models.lstm, LSTM_WEIGHTS),
    "lstm": (quantised_lstm, LSTM_WEIGHTS),
}
NOT_TAKEN = {
    "prune": set(),
    # Biases of int32, and floats.
    "huffman": {
        *("with_its_bias", "two_readers", "int16_data", "conv_three_readers", "depthwise"),
        *("float32", "conv_float32", "transpose_conv_float32", "svdf_float32", "lstm_float32"),
    },
    # More than 128 distinct values.
    "lut": {"float32", "conv_float32", "transpose_conv_float32", "svdf_float32", "svdf"},
}
FLAT = {"all_zeros"}  # its outputs are the bias alone


def samples(model, count=2):
    graph = model.subgraphs[0]
    first, *others = (graph.tensors[int(index)] for index in graph.inputs)
    if text(graph.tensors[1].name) == "weight" and first.type == schema.TensorType.INT32:
        values = tiny_models.samples(model, count)
        return [[values[i : i + 1]] for i in range(count)]
    shape = tuple(int(size) for size in first.shape)
    generator = np.random.default_rng(0)
    if first.type == schema.TensorType.FLOAT32:
        rows = [generator.standard_normal(shape).astype(np.float32) for _ in range(count)]
    else:
        dtype = np.int16 if first.type == schema.TensorType.INT16 else np.int8
        rows = [generator.integers(-128, 128, shape).astype(dtype) for _ in range(count)]
    return [[row, *[np.array([number % 2 == 0]) for _ in others]] for number, row in enumerate(rows)]


@functools.cache
def dense_results():
    models = [make() for make, _ in RUNTIME_CASES.values()]
    return micro_process.run([(tiny_models.to_bytes(model), samples(model)) for model in models])


@micro_process.needed
@pytest.mark.parametrize("alternate", [0, micro_process.ALTERNATE_BYTES])
@pytest.mark.parametrize("codec", CODECS)
def test_the_runtime_yields_what_it_yields_for_the_dense_file(codec, alternate):
    jobs, expected, taken = [], [], []
    for (name, (make, names)), dense in zip(RUNTIME_CASES.items(), dense_results(), strict=True):
        usable = names
        content = encode_all(parsed(make()), names, codec)
        if content is None:  # such as a bias of int32 in Huffman code
            usable = names[:1]
            content = encode_all(parsed(make()), usable, codec)
        if content is None:
            continue
        jobs.append((content, samples(make())))
        expected.append(dense)
        taken.append(name)
        assert name in FLAT or len(np.unique(dense[0][0])) > 10, name
    found = micro_process.run(jobs, alternate_bytes=alternate)
    for name, one, other in zip(taken, found, expected, strict=True):
        assert micro_process.same([one], [other]), name
    refused = {"prune": 0, "huffman": 5, "lut": 5}[codec]
    assert len(taken) >= len(RUNTIME_CASES) - refused, sorted(RUNTIME_CASES.keys() - set(taken))


@micro_process.needed
def test_alternate_memory_holds_what_the_arena_need_not():
    model = tiny_models.fully_connected((64, 2000))
    job = (encode_all(parsed(model)), samples(model))
    arena = 32 << 10
    with pytest.raises(micro_process.RefusedError):
        micro_process.run([job], arena_bytes=arena)
    assert micro_process.run([job], arena_bytes=arena, alternate_bytes=64 * 2000 + 64)


def conv_with_constants():
    graph = next(graphs(parsed(tiny_models.conv2d(readers=2))))
    encoded = {
        index: codecs.encode("prune", graph.constant(index), decode_op.channels_of(graph.tensor(index)))
        for index in (1, 2)
    }
    return graph, encoded


def test_one_decode_stands_right_before_each_reader_and_yields_all_of_its_constants():
    graph, encoded = conv_with_constants()
    before = len(graph.subgraph.tensors)
    operators = decode_op.apply(graph, encoded, graph.uses())
    assert names_of(graph) == ["TFLM_DECODE", "CONV_2D"] * 2
    first, conv, second, other = graph.operators
    assert [first, second] == operators
    pairs = [before, before + 1, before + 2, before + 3]
    assert [int(i) for i in first.inputs] == pairs == [int(i) for i in second.inputs]
    assert [int(i) for i in first.outputs] == [1, 2]
    assert [int(i) for i in second.outputs] == [before + 4, before + 5]
    assert [int(i) for i in conv.inputs] == [0, 1, 2]
    assert [int(i) for i in other.inputs] == [0, before + 4, before + 5]
    assert list(decode_op.results(graph)) == [1, 2, before + 4, before + 5]


def test_the_operator_code_is_one_custom_code():
    graph, encoded = conv_with_constants()
    decode_op.apply(graph, encoded, graph.uses())
    codes = [code for code in graph.model.operatorCodes if code.customCode is not None]
    assert len(codes) == 1
    assert (codes[0].builtinCode, codes[0].deprecatedBuiltinCode) == (32, 32)
    assert (text(codes[0].customCode), codes[0].version) == ("TFLM_DECODE", 1)


@pytest.mark.parametrize("axis", [0, 1, 3])
def test_one_scale_is_that_of_the_first_axis(axis):
    """The runtime refuses others; the table may be that of other tensors as well."""
    model = parsed(one_channel())
    graph = next(graphs(model))
    former = graph.tensor(1).quantization
    former.quantizedDimension = axis
    decode_op.apply(graph, {1: codecs.encode("prune", graph.constant(1), Channels(None, (0,)))}, graph.uses())
    found = graph.tensor(1).quantization
    assert (former.quantizedDimension, found.quantizedDimension) == (axis, 0)
    assert found.scale.tolist() == former.scale.tolist()


def test_graphs_share_the_operator_code():
    model = parsed(tiny_models.fully_connected())
    model.subgraphs.append(deepcopy(model.subgraphs[0]))
    model.operatorCodes.append(schema.OperatorCodeT())
    model.operatorCodes[-1].customCode = "TFLM_OTHER"
    encode_all(model)
    codes = [text(code.customCode) for code in model.operatorCodes if code.customCode is not None]
    assert codes == ["TFLM_OTHER", "TFLM_DECODE"]


def test_other_custom_operators_are_no_decode():
    model = parsed(tiny_models.elementwise("ADD"))
    graph = next(graphs(model))
    (code,) = model.operatorCodes
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = "TFLM_OTHER"
    assert not decode_op.is_present(graph)
    assert decode_op.results(graph) == {}
    assert decode_op.undo(graph) == []
    assert len(graph.operators) == 1


def test_tensors_keep_what_they_are_and_give_up_their_buffers():
    graph, encoded = conv_with_constants()
    before = parsed(tiny_models.conv2d(readers=2)).subgraphs[0].tensors
    decode_op.apply(graph, encoded, graph.uses())
    for index, former in enumerate(before):
        tensor = graph.tensor(index)
        assert (text(tensor.name), tensor.type, tensor.shape.tolist()) == (
            text(former.name),
            former.type,
            former.shape.tolist(),
        )
        assert tensor.quantization.scale.tolist() == former.quantization.scale.tolist()
    assert [graph.tensor(index).buffer for index in (1, 2)] == [0, 0]
    for index in range(len(before), len(before) + 4):
        tensor = graph.tensor(index)
        assert tensor.type == schema.TensorType.UINT8
        assert tensor.shape.tolist() == [graph.constant(index).size]
        assert tensor.quantization is None
        assert tensor.name is None
    for copy, index in ((len(before) + 4, 1), (len(before) + 5, 2)):
        assert graph.tensor(copy).shape.tolist() == graph.tensor(index).shape.tolist()
        assert graph.tensor(copy).buffer == 0


def test_a_constant_that_one_operator_reads_twice_is_decoded_once():
    graph = next(graphs(parsed(tiny_models.elementwise("ADD"))))
    graph.operators[0].inputs = np.array([1, 1], np.int32)
    decode_op.apply(graph, {1: codecs.encode("prune", graph.constant(1))}, graph.uses())
    decode, add = graph.operators
    assert [int(i) for i in decode.outputs] == [1]
    assert [int(i) for i in add.inputs] == [1, 1]


def test_a_second_edit_of_a_graph_is_refused():
    graph, encoded = conv_with_constants()
    decode_op.apply(graph, {1: encoded[1]}, graph.uses())
    with pytest.raises(ValueError, match="already"):
        decode_op.apply(graph, {2: encoded[2]}, graph.uses())


def test_a_buffer_that_others_read_stays_theirs():
    model = parsed(tiny_models.elementwise("ADD"))
    graph = next(graphs(model))
    twin = graph.add_tensor(decode_op._copy_of(graph.tensor(1)))
    graph.tensor(twin).buffer = graph.tensor(1).buffer
    values = graph.constant(1)
    decode_op.apply(graph, {1: codecs.encode("prune", values)}, graph.uses())
    np.testing.assert_array_equal(graph.constant(twin), values)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("case", RUNTIME_CASES)
def test_undo_gives_the_dense_file_back_to_the_byte(case, codec):
    make, names = RUNTIME_CASES[case]
    content = encode_all(parsed(make()), names, codec)
    assert (content is None) == (case in NOT_TAKEN[codec])
    if content is None:
        return
    model = serde.parse(content)
    restored = {graph.number: decode_op.undo(graph) for graph in graphs(model)}
    assert sum(map(len, restored.values())) == len(names)
    assert canonical(model) == canonical(parsed(make()))


def test_undo_leaves_a_model_without_decode_as_it_is():
    model = parsed(tiny_models.conv2d())
    assert [decode_op.undo(graph) for graph in graphs(model)] == [[]]
    assert canonical(model) == canonical(parsed(tiny_models.conv2d()))


@pytest.mark.parametrize("codec", ["huffman", "prune"])
def test_results_hold_what_was_encoded(codec):
    names = ("weight", "bias") if codec == "prune" else ("weight",)
    dense = next(graphs(parsed(tiny_models.fully_connected())))
    assert decode_op.results(dense) == {}
    graph = next(graphs(serde.parse(encode_all(parsed(tiny_models.fully_connected()), names, codec))))
    found = decode_op.results(graph)
    assert list(found) == list(range(1, 1 + len(names)))
    for place, (index, result) in enumerate(found.items()):
        np.testing.assert_array_equal(result.values, dense.constant(index))
        assert result.codec == codec
        assert result.pair == tuple(int(each) for each in graph.operators[0].inputs[2 * place : 2 * place + 2])
        assert all(map(np.array_equal, result.vectors, map(graph.constant, result.pair)))


def test_a_pair_may_be_the_first_tensors_of_a_file():
    tiny = tiny_models.Tiny()
    encoded = bitmask.encode(np.arange(8, dtype=np.int8))
    pair = [tiny.constant("", vector) for vector in (encoded.encoded, encoded.ancillary)]
    result = tiny.tensor("w", (8,), "int8")
    operator = tiny.operator(schema.BuiltinOperator.CUSTOM, 1, pair, [result])
    tiny.model.operatorCodes[operator.opcodeIndex].customCode = "TFLM_DECODE"
    graph = Graph(tiny.finished([], [result]), tiny.graph)
    assert decode_op.undo(graph) == [result]
    assert graph.constant(result).tolist() == list(range(8))
    assert not graph.operators


def damaged(change):
    model = serde.parse(encode_all(parsed(tiny_models.fully_connected())))
    graph = next(graphs(model))
    decode = graph.operators[0]
    change(graph, decode)
    return graph


def cut_ancillary(graph, decode):
    tensor = graph.tensor(int(decode.inputs[1]))
    graph.store(tensor, graph.constant(int(decode.inputs[1]))[:-1])
    tensor.shape = tensor.shape - 1


def unknown_codec(graph, decode):
    values = graph.constant(int(decode.inputs[1])).copy()
    values[0] = 127
    graph.store(graph.tensor(int(decode.inputs[1])), values)


def no_constant(graph, decode):
    graph.tensor(int(decode.inputs[0])).buffer = 0


def of_another_type(graph, decode):
    graph.tensor(int(decode.inputs[0])).type = schema.TensorType.INT8


def result_of_no_number(graph, decode):
    graph.tensor(int(decode.outputs[0])).type = schema.TensorType.STRING


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (cut_ancillary, "list of values takes"),
        (unknown_codec, "number 127"),
        (no_constant, "no constant vector of uint8"),
        (of_another_type, "no constant vector of uint8"),
        (result_of_no_number, "holds no numbers"),
    ],
)
def test_undo_names_the_tensor_that_is_damaged(change, words):
    with pytest.raises(FlatbufferError, match=f"tensor 'weight'.*{words}"):
        decode_op.undo(damaged(change))


@pytest.mark.parametrize("inputs", [[], [4], [4, 5, 4, 5], [4, -1]])
def test_undo_refuses_an_operator_with_too_few_or_too_many_inputs(inputs):
    def change(graph, decode):
        decode.inputs = np.array(inputs, np.int32)

    for read in (decode_op.undo, decode_op.results):
        with pytest.raises(FlatbufferError, match=f"of graph 0 has {len(inputs)} inputs for 1 outputs"):
            read(damaged(change))


@pytest.mark.parametrize(
    ("channels", "scales", "is_restored", "axis"),
    [(1, [1], True, 3), (1, [1], False, 0), (2, [1], True, 0), (1, [], True, 0), (1, None, True, None)],
)
def test_the_axis_of_a_depthwise_filter_is_restored_where_converters_write_it(channels, scales, is_restored, axis):
    """Of one channel with one scale, where a DECODE had it as another axis."""
    graph = next(graphs(parsed(tiny_models.depthwise_conv2d(channels))))
    index = int(graph.operators[0].inputs[1])
    graph.tensor(index).quantization = None if scales is None else tiny_models.quantization(scales)
    decode_op._restore_axes(graph, {index} if is_restored else set())
    found = graph.tensor(index).quantization
    assert (None if found is None else found.quantizedDimension) == axis


def test_undo_keeps_a_decoded_output_of_the_graph():
    model = serde.parse(encode_all(parsed(tiny_models.fully_connected(readers=2))))
    graph = next(graphs(model))
    copy = int(graph.operators[2].outputs[0])
    graph.subgraph.outputs = np.array([*graph.subgraph.outputs, copy], np.int32)
    assert decode_op.undo(graph) == [1, copy]
    np.testing.assert_array_equal(graph.constant(copy), graph.constant(1))


def test_undo_takes_pairs_that_nothing_else_reads_from_the_file():
    graph, encoded = conv_with_constants()
    decode_op.apply(graph, encoded, graph.uses())
    pairs = [int(index) for index in graph.operators[0].inputs]
    graph.subgraph.outputs = np.array([*graph.subgraph.outputs, pairs[1]], np.int32)
    decode_op.undo(graph)
    assert [graph.tensor(index).buffer > 0 for index in pairs] == [False, True, False, False]


def test_a_quantisation_may_have_no_scales():
    model = parsed(tiny_models.elementwise("ADD"))
    model.subgraphs[0].tensors[1].quantization = schema.QuantizationParametersT()
    graph = next(graphs(serde.parse(encode_all(model))))
    assert decode_op.undo(graph) == [1]


def test_undo_tells_results_of_one_pair_apart_by_their_quantisation():
    model = serde.parse(encode_all(parsed(tiny_models.fully_connected(readers=2, per_channel=False))))
    graph = next(graphs(model))
    copy = int(graph.operators[2].outputs[0])
    graph.tensor(copy).quantization = tiny_models.quantization(0.25, 1)
    assert decode_op.undo(graph) == [1, copy]
    assert [int(operator.inputs[1]) for operator in graph.operators] == [1, copy]
    dropped = graph.constant(1) == 0
    np.testing.assert_array_equal(graph.constant(copy), np.where(dropped, 1, graph.constant(1)))


def nothing(quantization):
    pass


def other_zero_point(quantization):
    quantization.zeroPoint[-1] = 1


def other_scale(quantization):
    quantization.scale[-1] *= 2


def other_axis(quantization):
    quantization.quantizedDimension = 1


@pytest.mark.parametrize(
    ("change", "together"),
    [(nothing, True), (other_zero_point, False), (other_scale, False), (other_axis, False)],
)
def test_results_of_one_pair_are_one_constant_where_all_of_their_quantisation_is_the_same(change, together):
    model = serde.parse(encode_all(parsed(tiny_models.fully_connected((64, 64), readers=2))))
    graph = next(graphs(model))
    twin = int(graph.operators[2].outputs[0])
    quantization = deepcopy(graph.tensor(1).quantization)
    graph.tensor(twin).quantization = quantization
    assert len(quantization.zeroPoint) == len(quantization.scale) == 64
    change(quantization)
    assert decode_op.undo(graph) == ([1] if together else [1, twin])
    assert [int(operator.inputs[1]) for operator in graph.operators] == [1, 1 if together else twin]


@pytest.mark.parametrize(
    ("scales", "points", "axis", "expected"),
    [
        ([], [], 0, WHOLE),
        ([], [3], 0, WHOLE),
        ([0.5], [], 0, WHOLE),
        ([0.5], [3], 3, Channels(None, (3,))),
        ([0.5, 1], [], 1, WHOLE),  # without zero points the runtime sees no quantisation
        ([0.5, 1], [4], 1, Channels(1, (4,))),
        ([0.5, 1], [4, 5], 0, Channels(0, (4, 5))),
    ],
)
def test_channels_are_what_the_runtime_sees(scales, points, axis, expected):
    tensor = schema.TensorT()
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale = np.array(scales, np.float32)
    tensor.quantization.zeroPoint = np.array(points, np.int64)
    tensor.quantization.quantizedDimension = axis
    assert decode_op.channels_of(tensor) == expected
    tensor.quantization = None
    assert decode_op.channels_of(tensor) == WHOLE


def with_pad():
    """PAD of int8 by a constant."""
    tiny = tiny_models.Tiny()
    x = tiny.activation("x", (1, 4), "int8")
    paddings = tiny.constant("weight", np.array([[0, 0], [1, 2]], np.int32))
    y = tiny.activation("y", (1, 7), "int8")
    tiny.operator(
        schema.BuiltinOperator.PAD, 1, [x, paddings], [y], schema.BuiltinOptions.PadOptions, schema.PadOptionsT()
    )
    return tiny.finished([x], [y])


@micro_process.needed
def test_what_is_read_before_decoding_is_refused_here_and_by_the_runtime():
    graph = next(graphs(parsed(with_pad())))
    assert "kernel of PAD reads it before" in decode_op.refusal(graph, 1, graph.uses()[1])
    micro_process.run([(tiny_models.to_bytes(with_pad()), samples(with_pad()))])
    decode_op.apply(graph, {1: codecs.encode("prune", graph.constant(1))}, graph.uses())
    with pytest.raises(micro_process.RefusedError, match="paddings"):
        micro_process.run([(serde.serialize(graph.model), samples(with_pad()))])


@pytest.mark.parametrize(
    ("make", "name"), [(quantised_lstm, "weight1"), (quantised_lstm, "bias3"), (quantised_svdf, "weight1")]
)
def test_kernels_for_arm_want_the_weights_of_recurrent_layers_constant(make, name):
    graph = next(graphs(parsed(make())))
    index = next(i for i, tensor in enumerate(graph.subgraph.tensors) if text(tensor.name) == name)
    uses = graph.uses()[index]
    assert decode_op.refusal(graph, index, uses) is None
    assert "cmsis-nn kernel" in decode_op.refusal(graph, index, uses, kernels=["cmsis-nn"])


def test_what_is_no_constant_of_operators_alone_is_refused():
    graph = next(graphs(parsed(tiny_models.fully_connected())))
    assert decode_op.refusal(graph, 0, graph.uses()[0]) == "it is no dense constant of numbers"
    assert decode_op.refusal(graph, 1, []) == "it is not read by operators alone"
    graph.subgraph.outputs = np.array([1], np.int32)
    assert decode_op.refusal(graph, 1, graph.uses()[1]) == "it is not read by operators alone"
    model = parsed(tiny_models.fully_connected())
    model.operatorCodes[0].builtinCode = model.operatorCodes[0].deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    model.operatorCodes[0].customCode = "Mine"
    graph = Graph(model, model.subgraphs[0])
    assert "custom operator Mine" in decode_op.refusal(graph, 1, graph.uses()[1])


@pytest.mark.parametrize("case", ["fully_connected", "conv_three_readers", "depthwise", "float32", "transpose_conv"])
def test_overhead_is_what_the_edit_adds_at_most(case):
    make, _ = RUNTIME_CASES[case]
    before = parsed(make())
    graph = next(graphs(before))
    index = next(i for i, tensor in enumerate(graph.subgraph.tensors) if text(tensor.name) == "weight")
    values, tensor = graph.constant(index), graph.tensor(index)
    predicted = codecs.nbytes("prune", values, decode_op.channels_of(tensor)) - values.nbytes
    predicted += decode_op.overhead_bytes(tensor, len(graph.uses()[index]))
    real = len(encode_all(parsed(make()))) - len(serde.serialize(before))
    operator_code = 40
    assert predicted - 96 <= real <= predicted + operator_code


def test_each_further_reader_costs_an_operator_and_a_copy_of_the_tensor():
    graph = next(graphs(parsed(tiny_models.conv2d())))
    costs = [decode_op.overhead_bytes(graph.tensor(1), readers) for readers in range(1, 6)]
    assert all(64 <= cost < 100 for cost in np.diff(costs))


_UPSTREAM = """
import pickle, sys, warnings
warnings.simplefilter("ignore")
from tflite_micro import compression
from tflite_micro.tensorflow.lite.micro.compression import constant_inputs, spec
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema
names = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
content, tensor, bits, axis = pickle.load(sys.stdin.buffer)
mode = spec.PerTensor() if axis is None else spec.PerChannel(axis=axis)
specs = compression.SpecBuilder().add_tensor(subgraph=0, tensor=tensor).with_lut(bits, mode).build()
inputs = [[names[code], position] for code, position in constant_inputs._REQUIRED_INPUTS]
sys.stdout.buffer.write(pickle.dumps((bytes(compression.compress(content, specs)), inputs)))
"""


def upstream(content, tensor, bits, axis):
    """Return a file of LiteRT Micro's encoder, with tables, and the inputs that this encoder leaves unchanged."""
    job = pickle.dumps((content, tensor, bits, axis))
    child = subprocess.run([sys.executable, "-c", _UPSTREAM], input=job, capture_output=True, check=True, timeout=300)
    return pickle.loads(child.stdout)  # noqa: S301 - written by the child above


@micro_process.needed
@pytest.mark.parametrize(("make", "bits", "axis"), [(tiny_models.fully_connected, 7, 0), (one_channel, 4, None)])
def test_files_of_the_upstream_encoder_hold_the_same_vectors_and_are_read(make, bits, axis):
    dense = tiny_models.to_bytes(make())
    graph = next(graphs(serde.parse(dense)))
    values = graph.constant(1)
    ours = codecs.encode("lut", values, decode_op.channels_of(graph.tensor(1)))
    content, inputs = upstream(dense, 1, bits, axis)
    theirs = next(graphs(schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))))
    decode = next(operator for operator in theirs.operators if theirs.operator_name(operator) == "TFLM_DECODE")
    encoded, ancillary = (theirs.constant(int(index)) for index in decode.inputs)
    np.testing.assert_array_equal(encoded, ours.encoded)
    np.testing.assert_array_equal(ancillary, ours.ancillary)
    (index,) = decode_op.undo(theirs)
    assert [theirs.constant(int(pair)) for pair in decode.inputs] == [None, None]
    np.testing.assert_array_equal(theirs.constant(index), values)
    assert {tuple(pair) for pair in inputs} == decode_op.PREPARE_INPUTS["reference"]


@pytest.mark.parametrize(
    ("make", "bits", "axis"),
    [
        (tiny_models.fully_connected, 7, 0),
        (functools.partial(tiny_models.fully_connected, readers=2), 7, 0),
    ],
)
def test_files_of_the_upstream_encoder_can_be_read(make, bits, axis):
    """The encoded tensor keeps the dense tensor's quantisation."""
    dense = tiny_models.to_bytes(make())
    content, _ = upstream(dense, 1, bits, axis)
    graph = next(graphs(serde.parse(content)))
    (index,) = decode_op.undo(graph)
    np.testing.assert_array_equal(graph.constant(index), next(graphs(serde.parse(dense))).constant(1))


def test_many_results_of_one_pair_are_no_memory_bomb():
    tiny = tiny_models.Tiny()
    encoded = bitmask.encode(np.zeros(1 << 22, np.int64))
    pair = [tiny.constant("", vector.view(np.int8)) for vector in (encoded.encoded, encoded.ancillary)]
    ends = []
    for index in pair:
        tiny.graph.tensors[index].type = schema.TensorType.UINT8
    for number in range(40):
        ends.append(tiny.tensor(f"w{number}", (1 << 22,), "int64"))
        operator = tiny.operator(schema.BuiltinOperator.CUSTOM, 1, pair, [ends[-1]])
        tiny.model.operatorCodes[operator.opcodeIndex].customCode = "TFLM_DECODE"
    with pytest.raises(FlatbufferError, match="when decoded"):
        serde.parse(tiny_models.to_bytes(tiny.finished([], ends)))
