"""Test decoding: files of this package return to their sources, files of others become dense."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import tiny_models
from helpers.foreign_models import densified, find, store_sparse
from helpers.tiny_models import conv2d, depthwise_conv2d, fully_connected, gather, transpose_conv
from tflite_sparse.errors import FlatbufferError, OutputError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.planning.decoder import decode_file
from tflite_sparse.planning.encoder import encode_file
from tflite_sparse.targets import litert
from tflite_sparse.verification.weights import weights_of

RESOLVERS = ("AUTO", "BUILTIN_WITHOUT_DEFAULT_DELEGATES")
INT8_VERSION, INT8_VERSION_THAT_KEEPS_DIMENSIONS = 4, 5  # of FULLY_CONNECTED, as TensorFlow's converter writes it
CHANNELS = (320, 1, 1, 320)


def converted(**options):
    """Return an int8 FULLY_CONNECTED model with the operator version of TensorFlow's converter."""
    model = fully_connected(**options)
    del model.operatorCodes[1:]
    keeps = options.get("keep_num_dims")
    model.operatorCodes[0].version = INT8_VERSION_THAT_KEEPS_DIMENSIONS if keeps else INT8_VERSION
    for operator in model.subgraphs[0].operators:
        operator.opcodeIndex = 0
    return model


CONVOLUTIONS = {
    f"{name}_{dtype}": make(dtype)
    for dtype in ("int8", "float32")
    for name, make in {
        "conv": lambda dtype: conv2d(dtype=dtype),
        "conv_dynamic": lambda dtype: conv2d(dtype=dtype, dynamic=True),
        "conv_in_groups": lambda dtype: conv2d(dtype=dtype, groups=2),
        "conv_three_readers": lambda dtype: conv2d(dtype=dtype, readers=3),
        "conv_factored": lambda dtype: conv2d(CHANNELS, dtype=dtype),
        "conv_factored_two_readers": lambda dtype: conv2d(CHANNELS, dtype=dtype, readers=2),
        "conv_factored_dynamic": lambda dtype: conv2d(CHANNELS, dtype=dtype, dynamic=True),
        "conv_factored_strided": lambda dtype: conv2d(
            (320, 2, 2, 320), (9, 7), dtype, same=False, stride=2, density=0.03
        ),
        "depthwise": lambda dtype: depthwise_conv2d(dtype=dtype),
        "transpose_conv": lambda dtype: transpose_conv(dtype=dtype),
        "gather": lambda dtype: gather(dtype=dtype),
    }.items()
}
FULLY_CONNECTED_OPTIONS = {
    "per_channel": {},
    "per_tensor": {"per_channel": False},
    "no_bias": {"bias": False},
    "per_tensor_no_bias": {"per_channel": False, "bias": False},
    "flattening": {"lead": (2, 3)},
    "keeping_dimensions": {"lead": (2, 3), "keep_num_dims": True},
    "relu": {"relu": True},
    "dynamic": {"dynamic": True},
    "three_readers": {"readers": 3},
}
FULLY_CONNECTED = {f"fully_connected_{name}_int8": converted(**how) for name, how in FULLY_CONNECTED_OPTIONS.items()}
FULLY_CONNECTED |= {
    f"fully_connected_{name}_float32": fully_connected(dtype="float32", **how)
    for name, how in FULLY_CONNECTED_OPTIONS.items()
}
OURS = CONVOLUTIONS | FULLY_CONNECTED


@pytest.fixture
def decode(tmp_path):
    """Write a model's bytes, decode the file, and return the new file's bytes and the number of sparse constants."""

    def run(content):
        source, target = tmp_path / "source.tflite", tmp_path / "decoded.tflite"
        source.write_bytes(content)
        former = decode_file(source, target)
        return target.read_bytes(), former

    return run


def encoded(model, tmp_path):
    source, target = tmp_path / "dense.tflite", tmp_path / "sparse.tflite"
    source.write_bytes(tiny_models.to_bytes(model))
    choices = encode_file(source, target, litert.answer)
    return target.read_bytes(), choices


def names_and_versions(model):
    names = tiny_models.operator_names(model)
    codes = [model.operatorCodes[operator.opcodeIndex] for operator in model.subgraphs[0].operators]
    return [(name, code.version) for name, code in zip(names, codes, strict=True)]


def same_outputs(found, expected, values, resolvers=RESOLVERS):
    for resolver in resolvers:
        wanted = tiny_models.run_here(expected, values, resolver)
        for a, b in zip(tiny_models.run_here(found, values, resolver), wanted, strict=True):
            np.testing.assert_array_equal(a, b)
            assert np.unique(b).size > 10


def all_dense(model):
    return all(tensor.sparsity is None for graph in model.subgraphs for tensor in graph.tensors)


@pytest.mark.parametrize("name", OURS)
def test_decoding_undoes_encoding_to_the_byte(decode, tmp_path, name):
    model = OURS[name]
    sparse, choices = encoded(model, tmp_path)
    assert next(choice for choice in choices if choice.name == "weight").form is not None
    back, former = decode(sparse)
    plain, nothing = decode(tiny_models.to_bytes(model))
    assert back == plain
    assert (former.count, nothing.count) == (1, 0)


@pytest.mark.parametrize("name", OURS)
def test_what_comes_back_is_the_source(decode, tmp_path, name):
    """Compare with the source itself, because the byte-wise test compares two outputs of one program."""
    source = OURS[name]
    back, _ = decode(encoded(source, tmp_path)[0])
    model = serde.parse(back)
    assert names_and_versions(model) == names_and_versions(source)
    assert all_dense(model)
    graph, former = model.subgraphs[0], source.subgraphs[0]
    assert len(graph.tensors) == len(former.tensors)
    for found, wanted in zip(graph.tensors, former.tensors, strict=True):
        assert found.name.decode() == wanted.name
        assert found.shape.tolist() == wanted.shape.tolist()
        data, expected = (m.buffers[t.buffer].data for m, t in ((model, found), (source, wanted)))
        assert (b"" if data is None else bytes(data)) == (b"" if expected is None else bytes(expected))
        if wanted.quantization is not None:
            assert found.quantization.scale.tolist() == wanted.quantization.scale.tolist()
            assert found.quantization.quantizedDimension == wanted.quantization.quantizedDimension
    for found, wanted in zip(graph.operators, former.operators, strict=True):
        assert found.inputs.tolist() == wanted.inputs.tolist()
        assert found.outputs.tolist() == wanted.outputs.tolist()
        assert vars(found.builtinOptions) == vars(wanted.builtinOptions)
    same_outputs(back, tiny_models.to_bytes(source), tiny_models.samples(source, source.subgraphs[0].inputs.size))


def test_a_second_decoding_changes_nothing(decode, tmp_path):
    model = fully_connected(readers=2)
    once, former = decode(encoded(model, tmp_path)[0])
    again, nothing = decode(once)
    assert (former.count, nothing.count) == (1, 0)
    assert again == once


def test_signatures_metadata_and_names_survive(decode, tmp_path):
    model = fully_connected(dynamic=True, readers=2, bias=False)
    entry = schema.MetadataT()
    entry.name, entry.buffer = "TFLITE_METADATA", len(model.buffers)
    model.buffers.append(schema.BufferT())
    model.buffers[-1].data = np.frombuffer(b"labels and such", np.uint8)
    model.metadata = [entry]
    sparse, _ = encoded(model, tmp_path)
    for content in (sparse, decode(sparse)[0]):
        found = serde.parse(content)
        assert [(e.name, bytes(found.buffers[e.buffer].data)) for e in found.metadata] == [
            (b"TFLITE_METADATA", b"labels and such")
        ]
        assert found.description == b"tiny"
        graph, (signature,) = found.subgraphs[0], found.signatureDefs
        assert graph.name == b"main"
        assert graph.inputs.tolist() == model.subgraphs[0].inputs.tolist()
        assert graph.outputs.tolist() == model.subgraphs[0].outputs.tolist()
        assert signature.signatureKey == b"serving_default"
        ends = [(e.name, graph.tensors[e.tensorIndex].name) for e in [*signature.inputs, *signature.outputs]]
        assert ends == [(b"in_0", b"x"), (b"out_0", b"y0"), (b"out_1", b"y1")]
        assert graph.tensors[0].shapeSignature.tolist() == [-1, 600]


# Files of others.


FOREIGN_LAYOUTS = {
    "wide_vectors": {"segments": "int32", "indices": "int32"},
    "two_byte_vectors": {"segments": "uint16", "indices": "uint16"},
    "mixed_vectors": {"segments": "int32", "indices": "uint8"},
    "explicit_zeros": {"explicit_zeros": 40},
    "permuted": {"order": (3, 1, 2, 0), "compressed": {0}},
    "permuted_two_levels": {"order": (1, 3, 0, 2), "compressed": {0, 2}, "segments": "uint16", "indices": "uint8"},
    "outermost_level": {"order": (3, 0, 1, 2), "compressed": {3}},
    "blocks_1x4": {"blocks": {3: 4}},
    "blocks_4x4": {"blocks": {0: 4, 3: 4}, "indices": "uint16"},
    "blocks_permuted": {"order": (2, 3, 1, 0), "compressed": {0}, "blocks": {0: 2}, "indices": "uint8"},
    "nothing_compressed": {"compressed": frozenset()},
}


@pytest.mark.parametrize("dtype", ["int8", "float32"])
@pytest.mark.parametrize("layout", FOREIGN_LAYOUTS)
def test_any_layout_of_others_becomes_dense(decode, layout, dtype):
    shape = (8, 3, 3, 16)
    plain = tiny_models.to_bytes(conv2d(shape, dtype=dtype))
    sparse = densified(store_sparse(conv2d(shape, dtype=dtype), **FOREIGN_LAYOUTS[layout]))
    back, former = decode(tiny_models.to_bytes(sparse))
    assert back == decode(plain)[0]
    assert (former.count, dict(former.native)) == (1, {})
    same_outputs(tiny_models.to_bytes(sparse), back, tiny_models.samples(sparse, 1))  # the runtime agrees


@pytest.mark.parametrize("dtype", ["int8", "float32"])
@pytest.mark.parametrize("layout", FOREIGN_LAYOUTS)
def test_any_layout_of_others_is_encoded_anew(tmp_path, layout, dtype):
    shape = (8, 3, 3, 16)
    sparse = densified(store_sparse(conv2d(shape, dtype=dtype), **FOREIGN_LAYOUTS[layout]))
    anew, _ = encoded(sparse, tmp_path)
    of_dense, _ = encoded(conv2d(shape, dtype=dtype), tmp_path)
    assert len(anew) <= len(tiny_models.to_bytes(sparse))
    assert abs(len(anew) - len(of_dense)) <= 32  # padding: the tables are the same
    np.testing.assert_array_equal(weights_of(serde.parse(anew))[0, 1], weights_of(serde.parse(of_dense))[0, 1])


def test_one_densify_with_several_consumers(decode):
    sparse = densified(store_sparse(conv2d(readers=3)))
    assert tiny_models.operator_names(sparse).count("DENSIFY") == 1
    back, _ = decode(tiny_models.to_bytes(sparse))
    assert tiny_models.operator_names(serde.parse(back)) == ["CONV_2D"] * 3
    assert back == decode(tiny_models.to_bytes(conv2d(readers=3)))[0]


def test_several_densify_of_one_constant(decode, tmp_path):
    plain = tiny_models.to_bytes(conv2d(readers=2))
    sparse = densified(store_sparse(conv2d(readers=2)), for_each_reader=True)
    assert tiny_models.operator_names(sparse).count("DENSIFY") == 2
    back, former = decode(tiny_models.to_bytes(sparse))
    assert tiny_models.operator_names(serde.parse(back)) == ["CONV_2D", "CONV_2D"]
    assert former.count == 1
    values = tiny_models.samples(sparse, 1)
    same_outputs(back, plain, values)
    anew, _ = encoded(sparse, tmp_path)
    assert tiny_models.operator_names(serde.parse(anew)).count("DENSIFY") == 1
    same_outputs(anew, plain, values)


def test_densify_in_the_body_of_a_while(decode):
    make = tiny_models.conv2d_in_subgraph
    sparse = densified(store_sparse(make(), graph=2), graph=2)
    back, former = decode(tiny_models.to_bytes(sparse))
    index, _ = find(sparse, graph=2)
    assert former.densified == {(2, index)}
    assert back == decode(tiny_models.to_bytes(make()))[0]
    same_outputs(back, tiny_models.to_bytes(sparse), tiny_models.samples(sparse, 1))


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_densify_then_dequantize(decode, tmp_path, dtype):
    """MediaPipe ships float16 in this form, and weight-only int8."""
    make = lambda: tiny_models.through_dequantize(conv2d(dtype="float32"), dtype)  # noqa: E731
    sparse = densified(store_sparse(make()))
    assert tiny_models.operator_names(sparse) == ["DENSIFY", "DEQUANTIZE", "CONV_2D"]
    back, former = decode(tiny_models.to_bytes(sparse))
    assert former.count == 1
    assert tiny_models.operator_names(serde.parse(back)) == ["DEQUANTIZE", "CONV_2D"]
    assert back == decode(tiny_models.to_bytes(make()))[0]
    values = tiny_models.samples(sparse, 1)
    same_outputs(back, tiny_models.to_bytes(sparse), values)
    anew, _ = encoded(sparse, tmp_path)
    assert len(anew) <= len(tiny_models.to_bytes(sparse))
    assert tiny_models.operator_names(serde.parse(anew)) == ["DENSIFY", "DEQUANTIZE", "CONV_2D"]
    same_outputs(anew, back, values)
    assert decode(anew)[0] == back


def test_a_densify_that_the_graph_yields_stays(decode):
    """Its output is an output of the model, which no constant can replace."""
    sparse = densified(store_sparse(conv2d()))
    yielded = int(sparse.subgraphs[0].operators[0].outputs[0])
    sparse.subgraphs[0].outputs = np.array([*sparse.subgraphs[0].outputs, yielded], np.int32)
    content = tiny_models.to_bytes(sparse)
    back, former = decode(content)
    assert former.count == 0
    # The delegate never writes that output: only the built-in kernels compute it.
    same_outputs(back, content, tiny_models.samples(sparse, 1), RESOLVERS[1:])


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_all_zero_weights_come_back(decode, tmp_path, dtype):
    """Packed, no bytes of them are left."""
    model = conv2d(dtype=dtype, weights=np.zeros((16, 3, 3, 64), dtype))
    sparse, _ = encoded(model, tmp_path)
    assert len(sparse) < len(tiny_models.to_bytes(model)) / 5
    assert decode(sparse)[0] == decode(tiny_models.to_bytes(model))[0]


def lookalike(*, tensor_names, yielded=False, second_reader=False):
    """RESHAPE, CONV_2D, RESHAPE over a sparse filter, with the shapes of this package's rewrite of FULLY_CONNECTED."""
    tiny = tiny_models.Tiny()
    values = tiny_models.sparse_weights((64, 1, 3, 200))
    x = tiny.activation("x", (1, 600), "int8")
    before_shape = tiny.constant("before_shape", np.array([1, -1, 3, 200], np.int32))
    after_shape = tiny.constant("after_shape", np.array([-1, 64], np.int32))
    before = tiny.activation(tensor_names and "before", (1, 1, 3, 200), "int8")
    w, b = tiny.weight(values), tiny.bias(64, values)
    after = tiny.activation(tensor_names and "after", (1, 1, 1, 64), "int8", 0.5, -20)
    y = tiny.activation("y", (1, 64), "int8", 0.5, -20)
    kind = schema.BuiltinOptions.Conv2DOptions
    builtin = schema.BuiltinOperator
    tiny.operator(builtin.RESHAPE, 1, [x, before_shape], [before])
    tiny.operator(builtin.CONV_2D, 3, [before, w, b], [after], kind, tiny_models.conv_options(same=False))
    tiny.operator(builtin.RESHAPE, 1, [after, after_shape], [y])
    ends = [y]
    if yielded:
        ends += [after]
    if second_reader:
        z = tiny.activation("z", (1, 64), "int8", 0.5, -20)
        tiny.operator(builtin.RESHAPE, 1, [after, after_shape], [z])
        ends.append(z)
    return tiny.finished([x], ends)


def test_the_lookalike_without_names_is_taken_for_ours(decode):
    """This validates the next test, whose graph differs only in names."""
    back, _ = decode(tiny_models.to_bytes(lookalike(tensor_names=None)))
    assert tiny_models.operator_names(serde.parse(back)) == ["FULLY_CONNECTED"]
    model = lookalike(tensor_names=None)
    same_outputs(back, tiny_models.to_bytes(model), tiny_models.samples(model, 1))


@pytest.mark.parametrize(
    "options",
    [
        {"tensor_names": True},
        {"tensor_names": None, "yielded": True},
        {"tensor_names": None, "second_reader": True},
    ],
    ids=["named", "yielded", "two_readers"],
)
def test_a_graph_that_only_looks_like_a_rewrite_is_left_alone(decode, options):
    model = lookalike(**options)
    content = tiny_models.to_bytes(model)
    back, former = decode(content)
    assert former.count == 0
    assert names_and_versions(serde.parse(back)) == names_and_versions(model)
    same_outputs(back, content, tiny_models.samples(model, 1))
    sparse = densified(store_sparse(lookalike(**options), indices="uint8"))
    assert decode(tiny_models.to_bytes(sparse))[0] == back


def test_nothing_is_written_where_reading_or_writing_fails(tmp_path):
    source, target = tmp_path / "a.tflite", tmp_path / "b.tflite"
    with pytest.raises(FlatbufferError, match=r"cannot read .*a\.tflite"):
        decode_file(source, target)
    source.write_bytes(tiny_models.to_bytes(conv2d()))
    with pytest.raises(OutputError, match="cannot write"):
        decode_file(source, tmp_path / "absent" / "b.tflite")
    assert list(tmp_path.iterdir()) == [source]


def test_a_sparse_constant_that_contradicts_itself_is_named(decode, tmp_path):
    sparse = densified(store_sparse(conv2d()))
    _, tensor = find(sparse)
    tensor.sparsity.dimMetadata[3].arrayIndices.values[5] = 64
    with pytest.raises(FlatbufferError, match=r"source\.tflite is damaged: .*'weight'"):
        decode(tiny_models.to_bytes(sparse))
    assert not (tmp_path / "decoded.tflite").exists()
