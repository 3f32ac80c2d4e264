import math

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import tiny_models
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs, new_operator, new_tensor, shape_of, signature_of
from tflite_sparse.planning.decoder import decode_file
from tflite_sparse.rewrites import fully_connected_as_conv as rewrite
from tflite_sparse.rewrites.split_axis import groups_of_channels

RESOLVERS = ("AUTO", "BUILTIN_WITHOUT_DEFAULT_DELEGATES")


def parsed(model):
    return next(graphs(serde.parse(tiny_models.to_bytes(model))))


def rewritten(model, grouped=True):
    """Return the graph after only the rewrite; the weight stays dense."""
    graph = parsed(model)
    operators = graph.operators
    assert [rewrite.refusal(graph, operator) for operator in operators] == [None] * len(operators)
    weight = graph.tensor(int(operators[0].inputs[1]))
    shape = rewrite.stored_shapes(shape_of(weight))[0 if grouped else -1]
    for operator in operators:
        rewrite.apply(graph, operator, shape)
    rewrite.set_filter_scale(weight)
    return graph


VARIANTS = {
    "plain": {},
    "no_bias": {"bias": False},
    "relu": {"relu": True},
    "keep_num_dims": {"lead": (1, 5), "keep_num_dims": True},
    "rank_four": {"lead": (1, 2, 3), "keep_num_dims": True},
    "flattened_rows": {"lead": (1, 5)},
    "prime": {"shape": (64, 251)},
    "one_prime_factor": {"shape": (64, 2 * 257)},
    "few_inputs": {"shape": (200, 40)},
    "one_scale": {"per_channel": False},
    "one_scale_rows": {"per_channel": False, "lead": (1, 5), "bias": False},
}


@pytest.mark.parametrize(
    ("inputs", "groups"),
    [
        (1, (1, 1)),
        (255, (1, 255)),
        (256, (1, 256)),
        (257, (257, 1)),
        (512, (2, 256)),
        (600, (3, 200)),
        (784, (4, 196)),
        (514, (257, 2)),
    ],
)
def test_groups_of_channels(inputs, groups):
    assert groups_of_channels(inputs) == groups


def test_stored_shapes():
    assert rewrite.stored_shapes((64, 600)) == [(64, 1, 3, 200), (64, 1, 1, 600)]
    assert rewrite.stored_shapes((64, 100)) == [(64, 1, 1, 100)]


@pytest.mark.parametrize("resolver", RESOLVERS)
@pytest.mark.parametrize("name", VARIANTS)
def test_the_rewrite_alone_changes_no_output(name, resolver):
    model = tiny_models.fully_connected(**VARIANTS[name])
    values = tiny_models.samples(model, 1)
    graph = rewritten(model)
    assert tiny_models.operator_names(graph.model) == ["RESHAPE", "CONV_2D", "RESHAPE"]
    expected = tiny_models.run_here(tiny_models.to_bytes(model), values, resolver)[0]
    found = tiny_models.run_here(serde.serialize(graph.model), values, resolver)[0]
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)


def requantised(accumulators, multiplier):
    """Requantise positive accumulators like the built-in kernels: with two roundings (TFLite's common.cc)."""
    fraction, exponent = math.frexp(multiplier)
    doubled = (accumulators * round(fraction * 2**31) + 2**30) >> 31
    return (doubled + 2 ** (-exponent - 1)) >> -exponent


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_accumulators_next_to_a_rounding_edge_keep_their_side(monkeypatch, resolver):
    """With a scale for each channel both operators multiply in float64; with one for all only CONV_2D does.

    An input at its zero point adds nothing, so each bias is an accumulator. Each here rounds differently with the two
    products.
    """
    monkeypatch.setattr(tiny_models, "INPUT_SCALE", 0.050075188)  # a pair whose float32 product is far off
    monkeypatch.setattr(tiny_models, "WEIGHT_SCALE", 0.010010101)
    model = tiny_models.fully_connected()
    source, weight, bias, target = model.subgraphs[0].tensors
    weight_scale, out_scale = weight.quantization.scale[0], 32.0  # coarse, so that many accumulators fit
    weight.quantization.scale[:], target.quantization.scale[:] = weight_scale, out_scale
    in_float32 = float(np.float32(source.quantization.scale[0]) * weight_scale) / out_scale
    in_float64 = float(source.quantization.scale[0]) * float(weight_scale) / out_scale
    accumulators = np.arange(1, int(100 / in_float64))
    sensitive = accumulators[requantised(accumulators, in_float32) != requantised(accumulators, in_float64)]
    assert sensitive.size > 0
    values = np.resize(sensitive, 64).astype(np.int32)
    model.buffers[bias.buffer].data = values.view(np.uint8)
    inputs = np.full((1, 600), source.quantization.zeroPoint[0], np.int8)
    expected = tiny_models.run_here(tiny_models.to_bytes(model), inputs, resolver)[0]
    found = tiny_models.run_here(serde.serialize(rewritten(model).model), inputs, resolver)[0]
    np.testing.assert_array_equal(found, expected)


def test_what_is_left_of_the_graph():
    graph = rewritten(tiny_models.fully_connected(relu=True))
    before, conv, after = graph.operators
    assert int(before.inputs[0]) == 0
    assert int(conv.inputs[0]) == int(before.outputs[0])
    assert int(conv.inputs[1]) == 1  # the weight keeps its index
    assert int(after.inputs[0]) == int(conv.outputs[0])
    assert int(after.outputs[0]) == 3  # as the former output does
    assert shape_of(graph.tensor(1)) == (64, 1, 3, 200)
    options = conv.builtinOptions
    assert (options.strideH, options.strideW, options.padding) == (1, 1, schema.Padding.VALID)
    assert (options.dilationHFactor, options.dilationWFactor) == (1, 1)
    assert options.fusedActivationFunction == schema.ActivationFunctionType.RELU
    assert graph.model.operatorCodes[conv.opcodeIndex].version == 3
    # The reshaped tensors have the quantisation of their sources.
    for index, source in ((int(before.outputs[0]), 0), (int(conv.outputs[0]), 3)):
        assert graph.tensor(index).quantization.scale == graph.tensor(source).quantization.scale
        assert graph.tensor(index).quantization.zeroPoint == graph.tensor(source).quantization.zeroPoint


def test_without_scales_it_is_refused():
    for place in (0, 1):
        graph = parsed(tiny_models.fully_connected(per_channel=False))
        graph.tensor(int(graph.operators[0].inputs[place])).quantization = None
        assert rewrite.refusal(graph, graph.operators[0]) == "its input or weight has no scale"


def test_with_one_scale_the_product_is_that_of_float32():
    """The input's scale becomes the float32 product, the filter's one, so that every kernel multiplies the same."""
    graph = parsed(tiny_models.fully_connected(per_channel=False))
    source, weight = (graph.tensor(int(i)).quantization for i in graph.operators[0].inputs[:2])
    product = np.float32(source.scale[0]) * np.float32(weight.scale[0])
    graph = rewritten(tiny_models.fully_connected(per_channel=False))
    conv = graph.operators[1]
    source, weight = (graph.tensor(int(i)).quantization for i in conv.inputs[:2])
    assert source.scale.tolist() == [product]
    assert weight.scale.tolist() == [1.0]


def test_a_missing_bias_becomes_zeros():
    graph = rewritten(tiny_models.fully_connected(bias=False))
    index = int(graph.operators[1].inputs[2])
    bias, weight, source = graph.tensor(index), graph.tensor(1), graph.tensor(0)
    np.testing.assert_array_equal(graph.constant(index), np.zeros(64, np.int32))
    np.testing.assert_allclose(bias.quantization.scale, source.quantization.scale * weight.quantization.scale)
    assert not np.any(bias.quantization.zeroPoint)
    assert len(bias.quantization.scale) == 64
    assert graph.operators[1].inputs.dtype == np.int32


def test_a_bias_may_be_the_first_tensor():
    graph = parsed(tiny_models.fully_connected())
    tensors = graph.subgraph.tensors
    tensors[0], tensors[2] = tensors[2], tensors[0]
    graph.subgraph.inputs, graph.operators[0].inputs = (np.array(each, np.int32) for each in ([2], [2, 1, 0]))
    rewrite.apply(graph, graph.operators[0], (64, 1, 3, 200))
    assert int(graph.operators[1].inputs[2]) == 0


def test_the_input_of_a_bias_may_be_missing():
    """The input may be left out, or be -1."""
    models = [tiny_models.fully_connected(bias=False) for _ in range(2)]
    models[0].subgraphs[0].operators[0].inputs = np.array([0, 1], np.int32)
    one, two = (rewrite.overhead_bytes(graph, graph.operators[0]) for graph in map(parsed, models))
    assert one == two
    conv = rewritten(models[0]).operators[1]
    assert int(conv.inputs[2]) == int(rewritten(models[1]).operators[1].inputs[2])


def test_an_output_of_another_rank_than_the_input_has_not_kept_its_dimensions():
    graph = parsed(tiny_models.fully_connected())
    graph.tensor(3).shape = np.array([1, 1, 64], np.int32)
    rewrite.apply(graph, graph.operators[0], (64, 1, 3, 200))
    rewrite.undo(graph)
    (operator,) = graph.operators
    assert not operator.builtinOptions.keepNumDims
    assert graph.model.operatorCodes[operator.opcodeIndex].version == 4


def test_a_free_batch_stays_free():
    graph = rewritten(tiny_models.fully_connected(dynamic=True))
    before, conv, after = graph.operators
    assert signature_of(graph.tensor(int(before.outputs[0]))) == (1, -1, 3, 200)
    assert signature_of(graph.tensor(int(conv.outputs[0]))) == (1, -1, 1, 64)
    assert graph.constant(int(before.inputs[1])).tolist() == [1, -1, 3, 200]
    assert graph.constant(int(after.inputs[1])).tolist() == [-1, 64]


@pytest.mark.parametrize(
    ("signature", "target"),
    [(None, [-1, 5, 64]), ((-1, 5, 64), [-1, 5, 64]), ((1, -1, 64), [1, -1, 64])],
    ids=["none", "the first", "the second"],
)
def test_one_size_of_the_former_output_is_inferred(signature, target):
    """The free one, or the first if all are fixed."""
    model = tiny_models.fully_connected(lead=(1, 5), keep_num_dims=True)
    if signature is not None:
        for tensor in (model.subgraphs[0].tensors[index] for index in (0, 3)):
            tensor.shapeSignature = np.array([*signature[:2], tensor.shape[-1]], np.int32)
    graph = rewritten(model)
    assert graph.constant(int(graph.operators[2].inputs[1])).tolist() == target


def test_an_announced_shape_is_never_empty():
    model = tiny_models.fully_connected(dynamic=True)
    source = model.subgraphs[0].tensors[int(model.subgraphs[0].operators[0].inputs[0])]
    source.shape = np.array([1, 1], np.int32)  # announced by a converter for a shape that is computed at run time
    source.shapeSignature = np.array([-1, -1], np.int32)
    graph = rewritten(model)
    before, conv, _ = graph.operators
    assert shape_of(graph.tensor(int(before.outputs[0]))) == (1, 1, 3, 200)
    assert shape_of(graph.tensor(int(conv.outputs[0]))) == (1, 1, 1, 64)


@pytest.mark.parametrize("options", [{}, {"lead": (1, 5), "keep_num_dims": True}], ids=["plain", "keep_num_dims"])
def test_with_a_free_batch_decoding_brings_the_dense_file_back(encode, tmp_path, options):
    pair = encode(tiny_models.fully_connected(dynamic=True, **options))
    assert pair.choice().form is not None, pair.choice().reason
    decode_file(pair.sparse, tmp_path / "decoded.tflite")
    operators = [next(graphs(serde.read(path))).operators for path in (tmp_path / "decoded.tflite", pair.dense)]
    assert [len(each) for each in operators] == [1, 1]
    assert operators[0][0].builtinOptionsType == operators[1][0].builtinOptionsType


def shuffled(graph):
    graph.operators[0].builtinOptions.weightsFormat = schema.FullyConnectedOptionsWeightsFormat.SHUFFLED4x16INT8


def without_options(graph):
    graph.operators[0].builtinOptions = None


def second_output(graph):
    graph.operators[0].outputs = np.array([3, 3], np.int32)


def two_free_sizes(graph):
    graph.tensor(3).shapeSignature = np.array([-1, -1], np.int32)


def float_input(graph):
    graph.tensor(0).type = schema.TensorType.FLOAT32


def float_output(graph):
    graph.tensor(3).type = schema.TensorType.FLOAT32


def float_weight(graph):
    graph.tensor(1).type = schema.TensorType.FLOAT32


def unknown_rank(graph):
    graph.tensor(0).shape = None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (shuffled, "its weights are in a shuffled format"),
        (without_options, "its weights are in a shuffled format"),
        (second_output, "it has more than one output"),
        (two_free_sizes, "more than one dimension of its output is dynamic"),
        (float_input, "it is not int8 throughout"),
        (float_output, "it is not int8 throughout"),
        (float_weight, "it is not int8 throughout"),
        (unknown_rank, "the rank of its input is unknown"),
    ],
)
def test_refusals(change, words):
    graph = parsed(tiny_models.fully_connected())
    assert rewrite.refusal(graph, graph.operators[0]) is None
    change(graph)
    assert rewrite.refusal(graph, graph.operators[0]) == words


@pytest.mark.parametrize("name", VARIANTS)
def test_undo_gives_the_operator_back(name):
    before = parsed(tiny_models.fully_connected(**VARIANTS[name]))
    graph = rewritten(tiny_models.fully_connected(**VARIANTS[name]))
    assert rewrite.undo(graph) == {1: shape_of(before.tensor(1))}
    (found,), (former,) = graph.operators, before.operators
    assert graph.operator_name(found) == "FULLY_CONNECTED"
    keeps = bool(former.builtinOptions.keepNumDims)
    assert graph.model.operatorCodes[found.opcodeIndex].version == (5 if keeps else 4)
    assert found.builtinOptionsType == schema.BuiltinOptions.FullyConnectedOptions
    assert vars(found.builtinOptions) == vars(former.builtinOptions)
    for attribute in ("inputs", "outputs"):
        assert getattr(found, attribute).tolist() == getattr(former, attribute).tolist()


def test_undo_keeps_a_bias_that_was_there():
    """One with a name, or with a value other than 0."""
    for named, value in ((True, 0), (False, 1)):
        graph = rewritten(tiny_models.fully_connected(bias=False))
        index = int(graph.operators[1].inputs[2])
        graph.tensor(index).name = "bias" if named else None
        graph.store(graph.tensor(index), np.full(64, value, np.int32))
        rewrite.undo(graph)
        assert int(graph.operators[0].inputs[2]) == index


@pytest.mark.parametrize("left_out", [True, False])
def test_undo_takes_a_convolution_without_a_bias(left_out):
    graph = rewritten(tiny_models.fully_connected(bias=False))
    source, weight, _ = graph.operators[1].inputs
    graph.operators[1].inputs = np.array([source, weight, *([-1] if left_out else [])], np.int32)
    graph.subgraph.tensors[-1].name = None  # what -1 must not stand for
    rewrite.undo(graph)
    assert graph.operators[0].inputs.tolist()[1:] == [1, *([-1] if left_out else [])]


def test_undo_takes_the_scale_of_the_constant_behind_a_densify():
    graph = rewritten(tiny_models.fully_connected(per_channel=False))
    weight = graph.tensor(1)
    dense = graph.add_tensor(new_tensor(shape_of(weight), weight.type, None, weight.quantization))
    graph.insert_before(
        graph.operators[1], new_operator(graph.operator_code(schema.BuiltinOperator.DENSIFY, 1), [1], [dense])
    )
    conv = graph.operators[2]
    conv.inputs = np.array([conv.inputs[0], dense, conv.inputs[2]], np.int32)
    weight.quantization = tiny_models.quantization(0.25)
    assert rewrite.undo(graph) == {1: (64, 600)}
    assert graph.tensor(dense).quantization.scale.tolist() == [0.25]


def padded_windows(graph):
    graph.operators[1].builtinOptions.padding = schema.Padding.SAME


def strided(graph):
    graph.operators[1].builtinOptions.strideW = 2


def higher_strides(graph):
    graph.operators[1].builtinOptions.strideH = 2


def dilated(graph):
    graph.operators[1].builtinOptions.dilationWFactor = 2


def dilated_rows(graph):
    graph.operators[1].builtinOptions.dilationHFactor = 2


def higher_filter(graph):
    graph.tensor(1).shape = np.array([32, 2, 3, 200], np.int32)


def wider_image(graph):
    graph.tensor(int(graph.operators[1].inputs[0])).shape = np.array([1, 1, 6, 100], np.int32)


def several_images(graph):
    graph.tensor(int(graph.operators[1].inputs[0])).shape = np.array([2, 1, 3, 200], np.int32)


def wider_output(graph):
    graph.tensor(int(graph.operators[1].outputs[0])).shape = np.array([1, 1, 2, 32], np.int32)


def of_rank_three(graph):
    graph.tensor(1).shape = np.array([64, 3, 200], np.int32)


def another_type(graph):
    graph.tensor(1).type = schema.TensorType.UINT8


def named_before(graph):
    graph.tensor(int(graph.operators[1].inputs[0])).name = "mine"


def named_after(graph):
    graph.tensor(int(graph.operators[1].outputs[0])).name = "mine"


def yielded(graph):
    graph.subgraph.outputs = np.array([*graph.subgraph.outputs, graph.operators[1].outputs[0]], np.int32)


def read_twice(graph):
    graph.operators[2].inputs = np.array([graph.operators[2].inputs[0]] * 2, np.int32)


@pytest.mark.parametrize(
    "change",
    [
        padded_windows,
        strided,
        higher_strides,
        dilated,
        dilated_rows,
        higher_filter,
        wider_image,
        several_images,
        wider_output,
        of_rank_three,
        another_type,
        named_before,
        named_after,
        yielded,
        read_twice,
    ],
)
def test_undo_leaves_what_others_made(change):
    graph = rewritten(tiny_models.fully_connected())
    change(graph)
    assert rewrite.undo(graph) == {}
    assert len(graph.operators) == 3


@pytest.mark.parametrize("name", ["plain", "no_bias", "keep_num_dims"])
def test_overhead_is_what_the_edit_really_adds(name):
    model = tiny_models.fully_connected(**VARIANTS[name])
    before = parsed(model)
    predicted = rewrite.overhead_bytes(before, before.operators[0])
    graph = rewritten(model)
    real = len(serde.serialize(graph.model)) - len(serde.serialize(before.model))
    two_operator_codes = 48
    assert predicted - 64 <= real <= predicted + two_operator_codes + 32


@pytest.mark.parametrize(
    "name",
    ["plain", "no_bias", "relu", "keep_num_dims", "flattened_rows", "one_prime_factor", "few_inputs"],
)
def test_outputs_of_the_encoded_file_are_the_dense_files_to_the_bit(encode, name):
    model = tiny_models.fully_connected(**VARIANTS[name])
    pair = encode(model)
    assert pair.choice().form is not None, pair.choice().reason
    assert pair.choice().form.words == "FULLY_CONNECTED as CONV_2D"
    assert sorted(pair.operators) == ["CONV_2D", "DENSIFY", "RESHAPE", "RESHAPE"]
    assert pair.sparse.stat().st_size < 0.6 * pair.dense.stat().st_size
    pair.check_same(tiny_models.samples(model))


@pytest.mark.parametrize(
    "options",
    [{}, {"bias": False}, {"lead": (1, 5), "keep_num_dims": True}],
    ids=["plain", "no_bias", "keep_num_dims"],
)
def test_float32_outputs_of_the_encoded_file_are_the_dense_files_to_the_bit(encode, options):
    model = tiny_models.fully_connected(dtype="float32", **options)
    pair = encode(model)
    assert pair.choice().form is not None, pair.choice().reason
    # CONV_2D adds in another order: built-in kernels with two threads would differ in the last bit.
    assert pair.operators == ["DENSIFY", "FULLY_CONNECTED"]
    pair.check_same(tiny_models.samples(model))


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("resolver", RESOLVERS)
@pytest.mark.parametrize(
    "options",
    [{}, {"bias": False, "per_channel": True}, {"lead": (1, 5), "keep_num_dims": True}, {"dtype": "float32"}],
    ids=["plain", "no_bias", "keep_num_dims", "float32"],
)
def test_encoded_files_take_any_batch(encode, options, resolver, batch):
    model = tiny_models.fully_connected(dynamic=True, **options)
    pair = encode(model)
    assert pair.choice().form is not None, pair.choice().reason
    values = tiny_models.samples(model, batch)
    found = tiny_models.run_here(pair.sparse.read_bytes(), values, resolver)[0]
    expected = tiny_models.run_here(pair.dense.read_bytes(), values, resolver)[0]
    assert found.shape == expected.shape
    assert found.shape[0] == batch
    np.testing.assert_array_equal(found, expected)


def test_a_free_batch_runs_everywhere(encode):
    model = tiny_models.fully_connected(dynamic=True)
    encode(model).check_same(tiny_models.samples(model, 5))
