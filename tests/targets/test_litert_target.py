import copy

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import tiny_models
from tflite_sparse.commands.verify import verify
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs
from tflite_sparse.planning import planner
from tflite_sparse.targets import litert

MODELS = {
    "CONV_2D": tiny_models.conv2d,
    "DEPTHWISE_CONV_2D": tiny_models.depthwise_conv2d,
    "TRANSPOSE_CONV": tiny_models.transpose_conv,
    "GATHER": tiny_models.gather,
    "FULLY_CONNECTED": tiny_models.fully_connected,
    "BATCH_MATMUL": tiny_models.batch_matmul,
}


def answer(model, name=b"weight"):
    graph = next(graphs(serde.parse(tiny_models.to_bytes(model))))
    index = next(i for i, tensor in enumerate(graph.subgraph.tensors) if tensor.name == name)
    return litert.answer(graph, index, graph.uses()[index])


@pytest.mark.parametrize("dtype", ["int8", "float32"])
@pytest.mark.parametrize("name", MODELS)
def test_every_reader_takes_a_sparse_weight(encode, name, dtype):
    """Check the table of readers: the runtime loads and runs each, with the outputs of the dense file."""
    model = MODELS[name](dtype=dtype)
    pair = encode(model)
    assert pair.choice().form is not None, pair.choice().reason
    assert pair.model.subgraphs[0].tensors[pair.choice().tensor_index].sparsity is not None
    assert pair.sparse.stat().st_size < 0.75 * pair.dense.stat().st_size
    pair.check_same(tiny_models.samples(model, 2))


OTHERS = {
    "conv3d": tiny_models.conv3d(),
    "conv3d_transposed": tiny_models.conv3d(transposed=True),
    "conv_16x8": tiny_models.conv2d(data_dtype="int16"),
    "float16_weight": tiny_models.through_dequantize(tiny_models.conv2d(dtype="float32"), names=("weight", "bias")),
    "weight_only_int8": tiny_models.through_dequantize(tiny_models.conv2d(dtype="float32"), "int8"),
    "in_a_while": tiny_models.conv2d_in_subgraph("WHILE"),
    "in_an_if": tiny_models.conv2d_in_subgraph("IF"),
    "batch_matmul_from_the_left": tiny_models.batch_matmul(weight_first=True),
    "hybrid_depthwise": tiny_models.depthwise_conv2d(data_dtype="float32"),
    "svdf": tiny_models.svdf(),
    "lstm": tiny_models.lstm(),
    "embedding_lookup": tiny_models.embedding_lookup(),
    "embedding_lookup_float32": tiny_models.embedding_lookup(dtype="float32"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_readers_take_one_too(encode, name):
    pair = encode(OTHERS[name])
    forms = [choice for choice in pair.choices if choice.form is not None]
    assert forms, [choice.reason for choice in pair.choices]
    report = verify(pair.sparse, pair.dense, samples=4)
    assert report.passed, report.failures
    assert report.weights.equal == report.weights.compared > 0
    assert sum(check.outputs_bit_exact is True for check in report.runtimes) >= 2


def test_transpose_conv_without_bias(encode):
    model = tiny_models.transpose_conv(bias=False)
    pair = encode(model)
    assert pair.choice().form is not None, pair.choice().reason
    pair.check_same(tiny_models.samples(model, 2), ("default", "builtin"))


@pytest.mark.parametrize(
    ("model", "forms"),
    [
        (tiny_models.conv2d(), [""]),
        (tiny_models.conv2d((320, 1, 1, 320)), ["", "CONV_2D in channel groups"]),
        (tiny_models.conv2d((257, 1, 1, 257)), ["", "CONV_2D in channel groups"]),
        (tiny_models.conv2d((256, 1, 1, 320)), [""]),
        (tiny_models.conv2d((320, 1, 1, 256)), [""]),
        (tiny_models.conv2d((264, 3, 3, 264), stride=2), [""]),
        (tiny_models.conv2d((264, 3, 3, 264), stride=2, same=False), ["", "CONV_2D in channel groups"]),
        (tiny_models.conv2d((264, 3, 3, 264), dilation=2), [""]),
        (tiny_models.fully_connected(), ["FULLY_CONNECTED as CONV_2D"] * 2),
        (tiny_models.fully_connected((64, 250)), ["FULLY_CONNECTED as CONV_2D"]),
        (tiny_models.depthwise_conv2d(), [""]),
    ],
)
def test_forms_that_are_offered(model, forms):
    assert [form.words for form in answer(model).forms] == forms


def test_forms_store_the_same_number_of_values():
    for model in (tiny_models.conv2d((320, 1, 1, 320)), tiny_models.fully_connected()):
        tensor = model.subgraphs[0].tensors[1]
        forms = answer(model).forms
        assert len(forms) == 2
        for form in forms:
            assert np.prod(form.shape) == np.prod(tensor.shape)


def test_an_answer_does_not_change_the_graph():
    model = serde.parse(tiny_models.to_bytes(tiny_models.fully_connected()))
    before = bytes(serde.serialize(model))
    graph = next(graphs(model))
    litert.answer(graph, 1, graph.uses()[1])
    assert bytes(serde.serialize(model)) == before


def second_reader(model, other):
    """Return ``model`` with a second operator that reads its weight, as its first (GATHER) or second input."""
    graph = model.subgraphs[0]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = other
    code.version = 2
    model.operatorCodes.append(code)
    operator = schema.OperatorT()
    operator.opcodeIndex = len(model.operatorCodes) - 1
    position = 0 if other == schema.BuiltinOperator.GATHER else 1
    operator.inputs = np.array([1, 0] if position == 0 else [0, 1], np.int32)
    graph.tensors.append(copy.copy(graph.tensors[int(graph.outputs[0])]))
    operator.outputs = np.array([len(graph.tensors) - 1], np.int32)
    graph.operators.append(operator)
    return model


REFUSED = {
    "shuffled": (tiny_models.fully_connected(shuffled=True), "shuffled format"),
    "zero_point": (tiny_models.conv2d(per_channel=False, zero_point=3), "zero point is not 0"),
    "zero_point_of_fully_connected": (tiny_models.fully_connected(zero_point=-1), "zero point is not 0"),
    "hybrid_conv": (
        tiny_models.conv2d(data_dtype="float32"),
        "refuses CONV_2D with float32 data and a sparse int8 weight",
    ),
    "hybrid_fully_connected": (
        tiny_models.fully_connected(data_dtype="float32", bias=False),
        "refuses FULLY_CONNECTED with float32 data and a sparse int8 weight",
    ),
    "hybrid_batch_matmul": (
        tiny_models.batch_matmul(data_dtype="float32"),
        "BATCH_MATMUL with float32 data and a sparse int8 weight",
    ),
    "one_reader_of_two": (
        second_reader(tiny_models.conv2d(), schema.BuiltinOperator.TILE),
        "no runtime was tried with a sparse int8 constant as input 1 of TILE",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_weights_stay_dense_and_the_reason_is_told(encode, name):
    model, words = REFUSED[name]
    assert answer(model).forms == ()
    assert words in answer(model).refusal
    pair = encode(model)
    choice = pair.choice()
    assert choice.form is None
    assert choice.layout.is_dense
    assert words in choice.reason
    assert choice.encoded_bytes == choice.dense_bytes
    assert "DENSIFY" not in pair.operators
    assert pair.operators == tiny_models.operator_names(model)
    assert all(tensor.sparsity is None for tensor in pair.model.subgraphs[0].tensors)


@pytest.mark.parametrize("make", [tiny_models.conv2d, tiny_models.fully_connected])
@pytest.mark.parametrize("channel", [0, 1, 15])
def test_a_zero_point_of_one_channel_is_enough_to_stay_dense(channel, make):
    model = make((16, 1, 1, 64) if make is tiny_models.conv2d else (16, 64))
    points = model.subgraphs[0].tensors[1].quantization.zeroPoint
    assert len(points) == 16
    assert answer(model).forms
    points[channel] = -1
    found = answer(model)
    assert found.forms == ()
    assert found.refusal == "its zero point is not 0, and the runtime fills what is left out with 0"


def test_int8_lstm_stays_dense_because_it_would_crash(encode):
    pair = encode(tiny_models.lstm(dtype="int8", data_dtype="int8"))
    assert all(choice.form is None for choice in pair.choices)
    assert "crashes on UNIDIRECTIONAL_SEQUENCE_LSTM" in pair.choice("weight1").reason


@pytest.mark.parametrize("kind", [schema.TensorType.INT16, schema.TensorType.UINT8, schema.TensorType.INT32])
def test_other_types_stay_dense(kind):
    model = tiny_models.conv2d()
    model.subgraphs[0].tensors[1].type = kind
    size = {schema.TensorType.INT16: 2, schema.TensorType.UINT8: 1, schema.TensorType.INT32: 4}[kind]
    model.buffers[1].data = np.repeat(model.buffers[1].data, size)
    name = {v: k for k, v in vars(schema.TensorType).items() if isinstance(v, int)}[kind].lower()
    assert answer(model).refusal == f"{name} constants are left dense"


def test_a_weight_that_is_read_as_another_input_stays_dense():
    model = tiny_models.conv2d()
    model.subgraphs[0].operators[0].inputs = np.array([1, 1, 2], np.int32)
    assert "no runtime was tried with a sparse int8 constant as input 0 of CONV_2D" in answer(model).refusal


def test_int8_fully_connected_beside_gather_stays_dense():
    """FULLY_CONNECTED would need its weight in another shape than GATHER."""
    assert answer(tiny_models.fully_connected()).forms
    taken = answer(second_reader(tiny_models.fully_connected(), schema.BuiltinOperator.GATHER))
    assert taken.forms == ()
    assert "refuses FULLY_CONNECTED with a sparse int8 weight" in taken.refusal


def test_dense_models_with_refused_weights_still_run(encode):
    model = tiny_models.fully_connected(data_dtype="float32", bias=False)
    pair = encode(model)
    assert all(choice.form is None for choice in pair.choices)
    pair.check_same(tiny_models.samples(model, 2), ("default", "builtin"))


def test_a_filter_of_two_convolutions_gets_one_densify(encode):
    model = tiny_models.conv2d(readers=2)
    pair = encode(model)
    assert pair.choice().form is not None
    assert pair.choice().operators == ("CONV_2D", "CONV_2D")
    assert pair.operators == ["DENSIFY", "CONV_2D", "CONV_2D"]
    densify, *readers = pair.model.subgraphs[0].operators
    assert [int(operator.inputs[1]) for operator in readers] == [int(densify.outputs[0])] * 2
    pair.check_same(tiny_models.samples(model, 2))


def test_a_filter_of_two_convolutions_in_channel_groups(encode):
    model = tiny_models.conv2d((320, 1, 1, 320), readers=2)
    pair = encode(model)
    assert pair.choice().form.words == "CONV_2D in channel groups"
    assert sorted(pair.operators) == ["CONV_2D", "CONV_2D", "DENSIFY", "RESHAPE", "RESHAPE"]
    pair.check_same(tiny_models.samples(model, 2))


@pytest.mark.parametrize("bias", [True, False])
def test_a_weight_of_two_fully_connected_goes_through_two_convolutions(encode, bias):
    model = tiny_models.fully_connected(readers=2, bias=bias)
    pair = encode(model)
    assert pair.choice().form.words == "FULLY_CONNECTED as CONV_2D"
    assert sorted(pair.operators) == ["CONV_2D", "CONV_2D", "DENSIFY", *["RESHAPE"] * 4]
    operators = pair.model.subgraphs[0].operators
    names = pair.operators
    dense = int(operators[names.index("DENSIFY")].outputs[0])
    readers = [operator for operator, name in zip(operators, names, strict=True) if name == "CONV_2D"]
    assert [int(operator.inputs[1]) for operator in readers] == [dense, dense]
    pair.check_same(tiny_models.samples(model, 2))


def test_a_refusal_of_one_of_two_fully_connected_is_a_refusal_of_both():
    model = tiny_models.fully_connected(readers=2)
    options = model.subgraphs[0].operators[1].builtinOptions
    options.weightsFormat = schema.FullyConnectedOptionsWeightsFormat.SHUFFLED4x16INT8
    taken = answer(model)
    assert taken.forms == ()
    assert "shuffled" in taken.refusal


def test_a_weight_that_is_also_an_output_still_reads_as_it_did(encode):
    """A caller who requests the weight must not get the packed values."""
    model = tiny_models.conv2d()
    graph = model.subgraphs[0]
    graph.outputs = np.array([3, 1], np.int32)
    model.signatureDefs = None
    pair = encode(model)
    assert pair.choice().reason == "the graph yields it as an output, which would then be the packed values"
    values = tiny_models.samples(model, 1)
    expected = tiny_models.run_here(pair.dense.read_bytes(), values)
    found = tiny_models.run_here(pair.sparse.read_bytes(), values)
    assert len(expected) == 2
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_module_is_a_target():
    assert callable(litert.answer)
    model = serde.parse(tiny_models.to_bytes(tiny_models.conv2d()))
    assert [choice.reason for choice in planner.plan(model, litert.answer)]
