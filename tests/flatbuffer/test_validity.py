"""Test files that are readable but invalid."""

import copy
import functools

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import foreign_models, odd_models, tiny_models
from tflite_sparse.errors import FlatbufferError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.verification.weights import weights_of

CSR, DENSE = schema.DimensionType.SPARSE_CSR, schema.DimensionType.DENSE


def refused(model, words):
    with pytest.raises(FlatbufferError, match=f"x.tflite is damaged: .*{words}"):
        serde.parse(tiny_models.to_bytes(model), "x.tflite")


def accepted(model):
    return serde.parse(tiny_models.to_bytes(model))


def edited(model, path, value):
    """Return the model with one attribute set: ``"subgraphs.0.tensors.1.buffer"``."""
    *parents, last = path.split(".")
    place = model
    for name in parents:
        place = place[int(name)] if name.isdigit() else getattr(place, name)
    if last.isdigit():
        place[int(last)] = value
    else:
        setattr(place, last, value)
    return model


def ints(*values):
    return np.array(values, np.int32)


TENSOR, OPERATOR = "subgraphs.0.tensors.1.", "subgraphs.0.operators.0."


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("version", 2, "version 2 instead of 3"),
        ("subgraphs", [], "no graphs"),
        ("buffers", [], "no graphs or buffers"),
        ("buffers.0.data", np.ones(4, np.uint8), "buffer 0 holds data"),
        (TENSOR + "buffer", 3, r"tensor 1 'weight' names buffer 3 of 3"),
        (TENSOR + "buffer", 2**32 - 1, "names buffer 4294967295"),
        (TENSOR + "shape", ints(4, -40), r"'weight' has the negative shape \(4, -40\)"),
        (TENSOR + "shape", ints(4, 41), r"has 164 values, which take 164 bytes; its buffer holds 160"),
        (TENSOR + "shape", ints(65536, 65536), "has more than 2,147,483,647 elements"),
        (TENSOR + "shape", ints(0, 65536, 65536), "has more than 2,147,483,647 elements"),
        (TENSOR + "shape", ints(*[2**31 - 1] * 9), "has more than 2,147,483,647 elements"),
        (TENSOR + "shape", np.ones(17, np.int32), "has more than 16 dimensions"),
        (TENSOR + "shape", np.ones(100_000, np.int32), "has more than 16 dimensions"),
        (TENSOR + "shapeSignature", np.ones(100_000, np.int32), "has more than 16 dimensions"),
        (TENSOR + "shapeSignature", ints(-1), r"signature \[-1\], which does not fit"),
        (TENSOR + "shapeSignature", ints(-1, -2), "does not fit"),
        (TENSOR + "type", schema.TensorType.FLOAT32, "take 640 bytes; its buffer holds 160"),
        (TENSOR + "type", schema.TensorType.INT4, "take 80 bytes; its buffer holds 160"),
        (TENSOR + "type", schema.TensorType.INT2, "take 40 bytes; its buffer holds 160"),
        (TENSOR + "quantization.zeroPoint", np.zeros(3, np.int64), "4 scales and 3 zero points"),
        (
            TENSOR + "quantization.zeroPoint",
            np.array([128]),
            "is int8 with the zero point 128, which int8 does not hold",
        ),
        (TENSOR + "quantization.zeroPoint", np.array([0, 0, -129, 0]), "with the zero point -129"),
        (TENSOR + "quantization.quantizedDimension", 2, "quantised along dimension 2"),
        (TENSOR + "quantization.quantizedDimension", -1, "quantised along dimension -1"),
        (TENSOR + "quantization.quantizedDimension", 1, "has 4 scales along dimension 1"),
        (OPERATOR + "opcodeIndex", 1, "operator 0 names operator code 1 of 1"),
        (OPERATOR + "inputs", ints(0, 1, 4), "inputs of graph 0, operator 0 must lie among 4 tensors, one is 4"),
        (OPERATOR + "inputs", ints(0, 1, -2), "one is -2"),
        (OPERATOR + "inputs", ints(0, -1), "lacks one of its 2 inputs"),
        (OPERATOR + "inputs", ints(0), "lacks one of its 2 inputs"),
        (OPERATOR + "inputs", None, "lacks one of its 2 inputs"),
        (OPERATOR + "inputs", ints(0, 2), r"weights of shape \(4,\), which must be of rank 2"),
        (OPERATOR + "inputs", ints(0, 1, 2, 2), r"2 further inputs of \[4, 4\] values, not a bias of 4"),
        (OPERATOR + "inputs", ints(0, 1, 2, -1), r"2 further inputs of \[4\] values, not a bias of 4"),
        (OPERATOR + "inputs", ints(0, 1, 0), r"1 further inputs of \[40\] values, not a bias of 4"),
        (OPERATOR + "outputs", ints(-1), "outputs of graph 0, operator 0 must lie"),
        (OPERATOR + "outputs", ints(2**31 - 1), "outputs of graph 0, operator 0 must lie"),
        (OPERATOR + "outputs", None, "lacks one of its 2 inputs or its output"),
        (OPERATOR + "outputs", ints(1), "'weight' is a result, and a constant or another result"),
        (OPERATOR + "inputs", ints(3, 1, 2), "'y0' is read before an operator yields it"),
        (OPERATOR + "outputs", ints(3, 3), "'y0' is a result, and a constant or another result"),
        (OPERATOR + "intermediates", ints(4), "intermediates of graph 0, operator 0"),
        ("subgraphs.0.inputs", ints(4), "inputs of graph 0 must lie among 4 tensors, one is 4"),
        ("subgraphs.0.outputs", ints(-1), "outputs of graph 0 must lie"),
        ("signatureDefs.0.subgraphIndex", 1, "signature 0 'serving_default' must lie among 1 graphs"),
        ("signatureDefs.0.inputs.0.tensorIndex", 2**32 - 1, "signature 0 'serving_default' must lie among 4 tensors"),
        ("metadataBuffer", ints(3), "metadata must lie among 3 buffers"),
    ],
)
def test_one_wrong_value(path, value, words):
    refused(edited(tiny_models.fully_connected((4, 40), per_channel=True), path, value), words)


INPUT = "subgraphs.0.tensors.0."


def test_weights_that_are_computed_may_leave_their_shape_to_the_runtime():
    accepted(odd_models.weight_behind_quantize())


def test_weights_that_are_rebuilt_may_not():
    """DENSIFY and DECODE yield constants, which this package edits by their shape."""
    model = tiny_models.fully_connected((4, 40))
    _, weight = foreign_models.find(model)
    weight.shape, weight.quantization = ints(4, 1, 40), None
    sparse = foreign_models.densified(foreign_models.store_sparse(model))
    refused(sparse, r"weights of shape \(4, 1, 40\), which must be of rank 2")
    decoded = odd_models.weight_behind_quantize()
    dequantize = decoded.subgraphs[0].operators[1]
    code = decoded.operatorCodes[dequantize.opcodeIndex]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = "TFLM_DECODE"
    refused(decoded, r"weights of shape \(\), which must be of rank 2")


def of_rank_16(model):
    return edited(model, INPUT + "shape", np.ones(16, np.int32))


@pytest.mark.parametrize(
    ("path", "last", "beyond", "words"),
    [
        (INPUT + "shape", ints(2**31 - 1), ints(2, 2**30), "has more than 2,147,483,647 elements"),
        (INPUT + "shape", ints(2**31 - 1, 1), ints(2**31 - 1, 2), "has more than 2,147,483,647 elements"),
        (INPUT + "shape", ints(0, 2**31 - 1), ints(0, 2, 2**30), "has more than 2,147,483,647 elements"),
        (INPUT + "shape", np.ones(16, np.int32), np.ones(17, np.int32), "has more than 16 dimensions"),
        (INPUT + "shape", ints(0), ints(-1), "has the negative shape"),
        (INPUT + "shapeSignature", ints(-1, 40), ints(-2, 40), "does not fit"),
        (INPUT + "shapeSignature", ints(-1, -1), ints(-1, -1, -1), "does not fit"),
        (INPUT + "quantization.quantizedDimension", 1, 2, "quantised along dimension 2"),
        (INPUT + "quantization.quantizedDimension", 0, -1, "quantised along dimension -1"),
        (TENSOR + "quantization.zeroPoint", ints(0), ints(0, 0), "4 scales and 2 zero points"),
        (TENSOR + "quantization.zeroPoint", np.zeros(4, np.int64), np.zeros(5, np.int64), "4 scales and 5 zero points"),
        (TENSOR + "quantization.zeroPoint", None, np.zeros(3, np.int64), "4 scales and 3 zero points"),
        (OPERATOR + "inputs", ints(0, 1, -1), ints(0, 1, -2), "one is -2"),
        ("subgraphs.0.outputs", ints(3, 0), ints(3, 4), "outputs of graph 0 must lie among 4 tensors, one is 4"),
        ("signatureDefs.0.outputs.0.tensorIndex", 0, 4, "must lie among 4 tensors, one is 4"),
        ("metadataBuffer", ints(2, 0), ints(2, 3), "metadata must lie among 3 buffers, one is 3"),
    ],
    ids=lambda value: None if isinstance(value, str) else str(value),
)
def test_the_last_value_that_is_taken_and_the_first_that_is_not(path, last, beyond, words):
    make = functools.partial(tiny_models.fully_connected, (4, 40), per_channel=True)
    accepted(edited(make(), path, last))
    refused(edited(make(), path, beyond), words)


def test_a_signature_may_have_16_dimensions_too():
    make = functools.partial(tiny_models.fully_connected, (4, 40))
    signature = INPUT + "shapeSignature"
    accepted(edited(of_rank_16(make()), signature, np.full(16, -1, np.int32)))
    refused(edited(of_rank_16(make()), signature, np.full(17, -1, np.int32)), "has more than 16 dimensions")


def test_scales_are_one_or_as_many_as_the_dimension_has_entries():
    for count in range(6):
        model = tiny_models.fully_connected((4, 40))
        model.subgraphs[0].tensors[1].quantization = tiny_models.quantization(np.ones(count))
        if count in (0, 1, 4):
            accepted(model)
        else:
            refused(model, f"has {count} scales along dimension 0")


@pytest.mark.parametrize("field", ["strideW", "strideH", "dilationWFactor", "dilationHFactor"])
@pytest.mark.parametrize("value", [0, -1])
def test_strides_and_dilations(field, value):
    refused(edited(tiny_models.conv2d(), f"{OPERATOR}builtinOptions.{field}", value), f"{field} {value}")


def test_options_of_another_operator():
    model = tiny_models.conv2d()
    operator = model.subgraphs[0].operators[0]
    operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    operator.builtinOptions = schema.FullyConnectedOptionsT()
    refused(model, "operator 0 has no Conv2DOptions")


def test_missing_options():
    model = tiny_models.conv2d()
    model.subgraphs[0].operators[0].builtinOptionsType, model.subgraphs[0].operators[0].builtinOptions = 0, None
    refused(model, "operator 0 has no Conv2DOptions")


def test_fully_connected_has_default_options_where_it_gives_none():
    model = tiny_models.fully_connected()
    values = tiny_models.samples(model, 1)
    model.subgraphs[0].operators[0].builtinOptionsType, model.subgraphs[0].operators[0].builtinOptions = 0, None
    expected = tiny_models.run_here(tiny_models.to_bytes(model), values)
    read = accepted(model)
    assert read.subgraphs[0].operators[0].builtinOptions.keepNumDims is False
    np.testing.assert_array_equal(tiny_models.run_here(serde.serialize(read), values), expected)


def test_options_that_are_given_stay():
    model = tiny_models.fully_connected(keep_num_dims=True, relu=True)
    options = accepted(model).subgraphs[0].operators[0].builtinOptions
    assert options.keepNumDims is True
    assert options.fusedActivationFunction == schema.ActivationFunctionType.RELU


def test_other_operators_without_options_get_none():
    operator = accepted(tiny_models.embedding_lookup()).subgraphs[0].operators[0]
    assert (operator.builtinOptionsType, operator.builtinOptions) == (0, None)


def test_a_metadata_entry_of_a_buffer_that_is_not_there():
    model = tiny_models.fully_connected((4, 40))
    entry = schema.MetadataT()
    entry.name, entry.buffer = "min_runtime_version", 2
    model.metadata = [entry]
    accepted(model)
    entry.buffer = 3
    refused(model, "metadata must lie among 3 buffers, one is 3")


@pytest.mark.parametrize("name", ["CONV_2D", "FULLY_CONNECTED", "DENSIFY"])
def test_custom_operators_by_the_name_of_a_builtin_one(name):
    model = tiny_models.gather()
    code = model.operatorCodes[0]
    code.customCode = name
    assert accepted(model).operatorCodes[0].customCode is None  # it is a GATHER
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    refused(model, f"custom operator by the name of the builtin {name}")
    code.customCode = "MyOperator"
    assert accepted(model).operatorCodes[0].customCode == b"MyOperator"


def test_scales_along_the_inputs():
    for model in (
        tiny_models.fully_connected((24, 24), per_channel=True),
        tiny_models.fully_connected((2, 2), per_channel=True),
        tiny_models.conv2d((16, 1, 1, 16)),
    ):
        weight = model.subgraphs[0].tensors[1]
        weight.quantization.quantizedDimension = weight.shape.size - 1
        refused(model, "operator 0 reads weights with scales along another dimension than 0")
        weight.quantization = tiny_models.quantization(0.5, axis=weight.shape.size - 1)  # one scale has no dimension
        accepted(model)


def test_a_scalar_may_have_scales_along_any_dimension():
    model = tiny_models.fully_connected((4, 40))
    scalar = model.subgraphs[0].tensors[3]
    scalar.shape, scalar.quantization = ints(), tiny_models.quantization([1, 2], axis=3)
    accepted(model)
    scalar.quantization.quantizedDimension = -1
    refused(model, r"of shape \(\) is quantised along dimension -1")


def test_missing_lists_are_empty_ones():
    model = tiny_models.fully_connected()
    graph = schema.SubGraphT()
    model.subgraphs.append(graph)
    model.signatureDefs[0].inputs = None
    read = accepted(model)
    model.signatureDefs[0].outputs = None
    accepted(model)
    model.signatureDefs = None
    accepted(model)
    assert read.subgraphs[1].tensors == read.subgraphs[1].operators == []
    assert read.subgraphs[1].inputs.tolist() == read.subgraphs[1].outputs.tolist() == []


@pytest.mark.parametrize("control", ["WHILE", "IF"])
def test_graphs_that_control_operators_name(control):
    model = tiny_models.conv2d_in_subgraph(control)
    accepted(model)
    operator = next(
        o
        for o in model.subgraphs[0].operators
        if hasattr(o.builtinOptions, "__dict__") and any("ubgraph" in name for name in vars(o.builtinOptions))
    )
    field = next(iter(vars(operator.builtinOptions)))
    for wrong in (-1, len(model.subgraphs)):
        setattr(operator.builtinOptions, field, wrong)
        refused(model, f"{field} of graph 0, operator .* must lie among {len(model.subgraphs)} graphs, one is {wrong}")


@pytest.mark.parametrize("kind", ["STRING", "RESOURCE", "VARIANT"])
def test_the_size_of_strings_and_handles_says_nothing(kind):
    model = tiny_models.gather()
    tensor = copy.copy(model.subgraphs[0].tensors[1])
    tensor.type, tensor.shape = getattr(schema.TensorType, kind), ints(1)
    model.subgraphs[0].tensors.append(tensor)
    accepted(model)


@pytest.mark.parametrize(("kind", "count", "size"), [("INT4", 5, 3), ("INT2", 5, 2), ("UINT4", 1, 1), ("INT4", 4, 2)])
def test_values_of_less_than_a_byte_are_packed(kind, count, size):
    tiny = tiny_models.Tiny()
    index = tiny.constant("packed", np.zeros(size, np.int8))
    tiny.graph.tensors[index].type = getattr(schema.TensorType, kind)
    tiny.graph.tensors[index].shape = ints(count)
    model = tiny.finished([], [index])
    accepted(model)
    refused(edited(model, "subgraphs.0.tensors.0.shape", ints(count + 8)), "'packed' of shape")


def sparse(blocks=None):
    model = tiny_models.fully_connected((4, 48), dtype="float32", density=0.3)
    return foreign_models.densified(foreign_models.store_sparse(model, blocks=blocks))


SPARSITY = TENSOR + "sparsity."


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("traversalOrder", None, "0 levels"),
        ("traversalOrder", ints(0, 0), "is no permutation"),
        ("traversalOrder", ints(0, 2), "is no permutation"),
        ("traversalOrder", ints(-1, 1), "is no permutation"),
        ("traversalOrder", ints(0, 1, 2), "3 levels and 2 level descriptions"),
        ("blockMap", ints(1), "2 levels"),
        ("dimMetadata", None, "2 levels and 0 level descriptions"),
        ("dimMetadata.0.denseSize", 5, "axis 0 is said to have 5 entries, the shape gives 4"),
        ("dimMetadata.0.denseSize", 0, "axis 0 is said to have 0"),
        ("dimMetadata.0.denseSize", -4, "axis 0 is said to have -4"),
        ("dimMetadata.0.format", 7, "neither dense nor compressed"),
        ("dimMetadata.0.format", CSR, "lacks its segments or indices"),
        ("dimMetadata.1.format", DENSE, "axis 1 is said to have 0"),
        ("dimMetadata.1.arraySegments.values", ints(0, 1, 2), "3 segments for 4 nodes"),
        ("dimMetadata.1.arraySegments.values", None, "0 segments for 4 nodes"),
        ("dimMetadata.1.arraySegments.values", ints(0, 9, 5, 20, 58), "segments do not rise from 0"),
        ("dimMetadata.1.arraySegments.values", ints(0, 9, 15, 20, 57), "segments do not rise from 0"),
        ("dimMetadata.1.arraySegments.values", ints(1, 9, 15, 20, 58), "segments do not rise from 0"),
        ("dimMetadata.1.arraySegments.values", ints(0, 2**31 - 1, -5, 20, 58), "segments do not rise from 0"),
        ("dimMetadata.1.arrayIndices.values", np.zeros(193, np.int32), "193 indices for 4 times 48 coordinates"),
        ("dimMetadata.1.arrayIndices.values.0", 48, "an index lies outside 0..47"),
        ("dimMetadata.1.arrayIndices.values.0", -1, "an index lies outside 0..47"),
    ],
)
def test_one_wrong_value_of_a_sparse_constant(path, value, words):
    model = sparse()
    assert model.subgraphs[0].tensors[1].sparsity.dimMetadata[1].arrayIndices.values.size == 58
    refused(edited(model, SPARSITY + path, value), f"sparse graph 0, tensor 1 'weight': .*{words}")


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("dimMetadata.2.denseSize", 0, "blocks of 0 along axis 1"),
        ("dimMetadata.2.denseSize", -4, "blocks of -4 along axis 1"),
        ("dimMetadata.2.denseSize", 5, "blocks of 5 along axis 1"),
        ("dimMetadata.2.format", CSR, "blocks of 4 along axis 1"),
        ("blockMap", ints(2), "does not name own axes"),
        ("blockMap", ints(-1), "does not name own axes"),
        ("blockMap", ints(1, 0), "3 levels"),
        ("traversalOrder", ints(0, 2, 1), "is no permutation"),
    ],
)
def test_one_wrong_value_of_blocks(path, value, words):
    model = sparse(blocks={1: 4})
    accepted(model)
    refused(edited(model, SPARSITY + path, value), words)


@pytest.mark.parametrize("change", [-4, 4])
def test_too_few_or_too_many_values(change):
    model = sparse()
    model.buffers[1].data = np.resize(model.buffers[1].data, model.buffers[1].data.size + change)
    refused(model, f"'weight' of shape .* 58 values stored, which take 232 bytes; its buffer holds {232 + change}")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("shape", ints(48, 4)),
        ("shape", ints(4, 47)),
        ("shape", ints(4, 48, 1)),
        ("shape", ints(192)),
        ("type", schema.TensorType.INT32),
        ("type", schema.TensorType.FLOAT16),
    ],
    ids=str,
)
def test_a_densify_to_another_shape_or_type(path, value):
    model = sparse()
    densify = next(o for o in model.subgraphs[0].operators if len(o.inputs) == 1)
    accepted(model)
    model = edited(model, f"subgraphs.0.tensors.{int(densify.outputs[0])}.{path}", value)
    refused(model, "is a DENSIFY, but not of a sparse constant to one of the same type and shape")


@pytest.mark.parametrize("kind", ["STRING", "RESOURCE", "VARIANT"])
def test_strings_and_handles_are_not_sparse(kind):
    model = edited(sparse(), TENSOR + "type", getattr(schema.TensorType, kind))
    refused(model, "sparse graph 0, tensor 1 'weight' is of a type that holds no numbers")


def test_a_densify_of_a_dense_constant():
    model = sparse()
    model.subgraphs[0].tensors[1].sparsity = None
    model.buffers[1].data = np.zeros(4 * 48 * 4, np.uint8)
    refused(model, "is a DENSIFY, but not of a sparse constant")


def bomb(*shapes):
    """Return sparse constants of these shapes without a value."""
    tiny = tiny_models.Tiny()
    for number, shape in enumerate(shapes):
        index = tiny.constant(f"bomb{number}", np.zeros(1, np.int8))
        tensor = tiny.graph.tensors[index]
        tensor.buffer, tensor.shape = 0, ints(*shape)
        tensor.sparsity = schema.SparsityParametersT()
        tensor.sparsity.traversalOrder = ints(*range(len(shape)))
        tensor.sparsity.dimMetadata = [schema.DimensionMetadataT() for _ in shape]
        for level, segments in zip(tensor.sparsity.dimMetadata, (ints(0, 0), ints(0)), strict=False):
            level.format = CSR
            level.arraySegmentsType = level.arrayIndicesType = schema.SparseIndexVector.Int32Vector
            level.arraySegments, level.arrayIndices = schema.Int32VectorT(), schema.Int32VectorT()
            level.arraySegments.values, level.arrayIndices.values = segments, ints()
    return tiny.finished([], [0])


def test_what_constants_may_take_when_decoded():
    rows = (256 << 20) // 1_000_000
    assert weights_of(accepted(bomb((rows, 1_000_000)))) == {}
    refused(bomb((rows + 1, 1_000_000)), "tensor 0 'bomb0': up to here .* 256 MiB and 64 times the file")
    refused(bomb(*[(1, 1_000_000)] * 300), "tensor 2[67]. 'bomb2[67].': up to here the constants take more")
    refused(bomb((2148, 1_000_000)), "has more than 2,147,483,647 elements")


def yielded_by_decode():
    """Return a constant that LiteRT Micro rebuilds; its two vectors take 32 bytes."""
    tiny = tiny_models.Tiny()
    end = tiny.tensor("yielded", (1,), "int8")
    pair = [tiny.constant(name, np.zeros(16, np.int8)) for name in ("encoded", "ancillary")]
    operator = tiny.operator(schema.BuiltinOperator.CUSTOM, 1, pair, [end])
    tiny.model.operatorCodes[operator.opcodeIndex].customCode = "TFLM_DECODE"
    return tiny.finished([], [end])


def test_the_vectors_of_decode_lose_their_quantisation_and_nothing_else_does():
    """The encoder of LiteRT Micro leaves the encoded tensor's quantisation on them."""
    model = yielded_by_decode()
    tensors = model.subgraphs[0].tensors
    for tensor in tensors:
        tensor.quantization = tiny_models.quantization([0.25] * 9)
    tensors[0].quantization = tiny_models.quantization(0.5)
    read = accepted(model).subgraphs[0].tensors
    assert [tensor.quantization is None for tensor in read] == [False, True, True]
    decode = model.subgraphs[0].operators[0]
    decode.inputs = ints(1, -1)
    tensors[2].quantization = tensors[1].quantization = tiny_models.quantization(0.75)
    read = accepted(model).subgraphs[0].tensors
    assert [tensor.quantization is None for tensor in read] == [False, True, False]
    decode.inputs = ints(1, 3)
    refused(model, "inputs of graph 0, operator 0 must lie among 3 tensors, one is 3")


def in_two_graphs():
    model = bomb((1,))
    model.subgraphs.append(model.subgraphs[0])
    return model


@pytest.mark.parametrize(
    ("make", "kind", "bits", "others", "words"),
    [
        (functools.partial(bomb, (1,)), "INT8", 8, 0, "graph 0, tensor 0 'bomb0'"),
        (functools.partial(bomb, (1,)), "FLOAT32", 32, 0, "graph 0, tensor 0 'bomb0'"),
        (functools.partial(bomb, (1,)), "INT4", 4, 0, "graph 0, tensor 0 'bomb0'"),
        (functools.partial(bomb, (1,), (1, 1000)), "INT8", 8, 1000, "graph 0, tensor 1 'bomb1'"),
        (in_two_graphs, "INT8", 2 * 8, 0, "graph 1, tensor 0 'bomb0'"),
        (yielded_by_decode, "INT8", 8, 32, "graph 0, tensor 2 'ancillary'"),
        (yielded_by_decode, "STRING", 8, 32, "graph 0, tensor 2 'ancillary'"),
    ],
    ids=["int8", "float32", "int4", "two constants", "two graphs", "decoded", "decoded strings"],
)
def test_constants_may_take_256_mib_and_64_times_the_file_to_the_byte(make, kind, bits, others, words):
    model = make()
    tensor = model.subgraphs[0].tensors[0]
    tensor.type = getattr(schema.TensorType, kind)
    size = len(tiny_models.to_bytes(model))
    most = ((256 << 20) + 64 * size - others) * 8 // bits
    tensor.shape = ints(most)
    assert len(tiny_models.to_bytes(model)) == size
    accepted(model)
    tensor.shape = ints(most + 1)
    refused(model, f"{words}: up to here .* 256 MiB and 64 times the file")
