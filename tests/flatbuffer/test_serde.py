import os
import tracemalloc
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from helpers import foreign_models, odd_models, tiny_models
from helpers.tally import tally
from tflite_sparse.codecs import csr
from tflite_sparse.codecs.layout import Layout
from tflite_sparse.codecs.sparsity_parameters import to_table
from tflite_sparse.errors import FlatbufferError, OutputError
from tflite_sparse.flatbuffer import serde

MODELS = {
    "conv": tiny_models.conv2d(),
    "conv_float32": tiny_models.conv2d(dtype="float32"),
    "conv_dynamic_batch": tiny_models.conv2d(dynamic=True, stride=2),
    "two_convs": tiny_models.conv2d(readers=2),
    "depthwise": tiny_models.depthwise_conv2d(),
    "transpose_conv": tiny_models.transpose_conv(),
    "gather": tiny_models.gather(),
    "fully_connected": tiny_models.fully_connected(bias=False, relu=True),
    "fully_connected_per_channel": tiny_models.fully_connected(per_channel=True),
    "batch_matmul": tiny_models.batch_matmul(),
}


def plain(value):
    """Return an object of the schema as nested tuples and dictionaries that compare with ``==``."""
    if isinstance(value, np.ndarray):
        return (str(value.dtype), value.shape, value.tobytes())
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, str):
        return value.encode()
    if hasattr(value, "__dict__"):
        return {type(value).__name__: {name: plain(item) for name, item in vars(value).items()}}
    return value


def with_extras(model):
    """Return the model with metadata whose buffer only a metadata entry reads."""
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(b"1.5.0\0\0\0", np.uint8)
    model.buffers.append(buffer)
    entry.name, entry.buffer = "min_runtime_version", len(model.buffers) - 1
    model.metadata = [entry]
    return model


def sparse_model(density=0.2):
    """Return a convolution with hand-made sparsity of its filter, without DENSIFY."""
    model = tiny_models.conv2d((300, 1, 1, 7), density=density)
    tensor = model.subgraphs[0].tensors[1]
    values = model.buffers[tensor.buffer].data.view(np.int8).reshape(300, 1, 1, 7)
    encoded = csr.encode(values, Layout((300, 1, 1, 7), (1, 2, 3, 0), (False, False, False, True)))
    tensor.sparsity = to_table(encoded)
    model.buffers[tensor.buffer].data = encoded.values.view(np.uint8)
    return model, encoded


@pytest.fixture(scope="module")
def content():
    return tiny_models.to_bytes(tiny_models.conv2d())


@pytest.mark.parametrize("name", MODELS)
def test_parse_reads_what_was_packed(name):
    assert plain(serde.parse(tiny_models.to_bytes(MODELS[name]))) == plain(MODELS[name])


@pytest.mark.parametrize("name", MODELS)
def test_serialize_keeps_everything(name):
    model = MODELS[name]
    written = bytes(serde.serialize(model))
    assert plain(serde.parse(written)) == plain(model)
    # The generated reader reads files of the library, too.
    assert plain(schema.ModelT.InitFromPackedBuf(written, 0)) == plain(model)


@pytest.mark.parametrize("name", MODELS)
def test_serialize_is_a_fixed_point(name):
    once = bytes(serde.serialize(MODELS[name]))
    assert bytes(serde.serialize(serde.parse(once))) == once


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("resolver", ["AUTO", "BUILTIN_WITHOUT_DEFAULT_DELEGATES"])
def test_written_files_load_and_run_in_the_interpreter(name, resolver):
    model = MODELS[name]
    values = tiny_models.samples(model, 1)
    expected = tiny_models.run_here(tiny_models.to_bytes(model), values, resolver)
    found = tiny_models.run_here(serde.serialize(model), values, resolver)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_names_metadata_and_signatures_are_kept():
    model = with_extras(tiny_models.fully_connected())
    model.description = "größer"
    back = serde.parse(bytes(serde.serialize(model)))
    assert back.description.decode() == "größer"
    assert [tensor.name for tensor in back.subgraphs[0].tensors] == [b"x", b"weight", b"bias", b"y0"]
    assert back.metadata[0].name == b"min_runtime_version"
    assert bytes(back.buffers[back.metadata[0].buffer].data) == b"1.5.0\0\0\0"
    signature = back.signatureDefs[0]
    assert signature.signatureKey == b"serving_default"
    assert [(entry.name, entry.tensorIndex) for entry in signature.inputs] == [(b"in_0", 0)]
    assert [(entry.name, entry.tensorIndex) for entry in signature.outputs] == [(b"out_0", 3)]


def test_equal_vectors_are_written_once():
    model = tiny_models.conv2d((16, 1, 1, 64), weights=tiny_models.sparse_weights((16, 1, 1, 64), density=1))
    single = len(serde.serialize(model))
    twin = serde.parse(tiny_models.to_bytes(model))
    copy = schema.BufferT()
    copy.data = twin.buffers[1].data.copy()
    twin.buffers.append(copy)  # 1,024 equal bytes in a second buffer
    shared = bytes(serde.serialize(twin))
    assert single <= len(shared) < single + 64
    assert len(shared) < len(tiny_models.to_bytes(twin)) - 1024
    back = serde.parse(shared)
    assert back.buffers[1].data.tobytes() == back.buffers[-1].data.tobytes() == copy.data.tobytes()


def test_equal_quantisation_tables_are_written_once():
    small = len(serde.serialize(tiny_models.conv2d(readers=1)))
    plain_growth = len(tiny_models.to_bytes(tiny_models.conv2d(readers=9))) - len(
        tiny_models.to_bytes(tiny_models.conv2d(readers=1))
    )
    assert len(serde.serialize(tiny_models.conv2d(readers=9))) - small < 0.6 * plain_growth


def test_vectors_that_differ_in_one_value_or_only_in_type_stay_apart():
    model = tiny_models.fully_connected()
    for data in ([1, 0, 0, 0], [1, 0, 0, 1], [1, 0, 0, 0, 0, 0, 0, 0]):
        buffer = schema.BufferT()
        buffer.data = np.array(data, np.uint8)
        model.buffers.append(buffer)
    tensor = model.subgraphs[0].tensors[0]
    tensor.shape = np.array([1], np.int32)  # the bytes of the first of the buffers above
    tensor.quantization.zeroPoint = np.array([1], np.int64)  # and of the last
    back = serde.parse(bytes(serde.serialize(model)))
    assert plain(back) == plain(model)


def test_builder_shares_equal_tables_and_not_others():
    builder = serde.SharingBuilder()
    first = tiny_models.conv_options(same=True, stride=2).Pack(builder)
    size = builder.Offset()
    assert tiny_models.conv_options(same=True, stride=2).Pack(builder) == first
    assert builder.Offset() == size
    assert tiny_models.conv_options(same=True, stride=1).Pack(builder) != first
    assert tiny_models.conv_options(same=False, stride=2).Pack(builder) != first
    # Equal in every field that is set, but of another kind with another number of fields.
    pool = schema.Pool2DOptionsT()
    pool.padding, pool.strideW, pool.strideH = schema.Padding.SAME, 2, 2
    assert pool.Pack(builder) != first


def test_builder_shares_equal_strings():
    builder = serde.SharingBuilder()
    assert builder.CreateString("weight") == builder.CreateString("weight") == builder.CreateString(b"weight")
    assert builder.CreateString("weights") != builder.CreateString("weight")


def test_builder_refuses_vectors_of_rank_two():
    with pytest.raises(TypeError, match="one dimension"):
        serde.SharingBuilder().CreateNumpyVector(np.zeros((2, 2), np.int32))


@given(st.lists(st.tuples(st.binary(max_size=40), st.sampled_from((1, 4, 16))), max_size=12))
@example([(b"sixteen bytes...", 1), (b"sixteen bytes...", 16)])
@example([(b"sixteen bytes...", 1), (b"sixteen bytes...", 16), (b"8 bytes.", 1)])
def test_builder_aligns_every_vector_and_keeps_its_bytes(vectors):
    builder = serde.SharingBuilder()
    places = [builder.aligned_vector(np.frombuffer(data, np.uint8), alignment) for data, alignment in vectors]
    builder.Finish(tiny_models.conv_options().Pack(builder))
    file = bytes(builder.Output())
    for (data, alignment), place in zip(vectors, places, strict=True):
        start = len(file) - place
        assert int.from_bytes(file[start : start + 4], "little") == len(data)
        assert file[start + 4 : start + 4 + len(data)] == data
        assert (start + 4) % alignment == 0


def place_in(file, vector):
    """Return where a vector of the raw reader lies in the file."""
    return vector.__array_interface__["data"][0] - np.frombuffer(file, np.uint8).__array_interface__["data"][0]


@pytest.mark.parametrize("name", MODELS)
def test_buffers_lie_on_sixteen_bytes(name):
    model = with_extras(serde.parse(tiny_models.to_bytes(MODELS[name])))
    for data in (b"a", b"abc", b"abcdefghijklmnopq"):  # lengths that push the next buffer off its place
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(data, np.uint8)
        model.buffers.append(buffer)
    file = bytes(serde.serialize(model))
    root = schema.Model.GetRootAs(file, 0)
    seen = 0
    for i in range(root.BuffersLength()):
        if root.Buffers(i).DataLength():
            assert place_in(file, root.Buffers(i).DataAsNumpy()) % 16 == 0
            seen += 1
    assert seen == len(model.buffers) - 1


def test_index_vectors_lie_on_four_bytes():
    model, encoded = sparse_model()
    file = bytes(serde.serialize(model))
    level = schema.Model.GetRootAs(file, 0).Subgraphs(0).Tensors(1).Sparsity().DimMetadata(3)
    for union, kind, expected in (
        (level.ArraySegments(), schema.Uint16Vector, encoded.levels[3].segments),
        (level.ArrayIndices(), schema.Uint16Vector, encoded.levels[3].indices),
    ):
        vector = kind()
        vector.Init(union.Bytes, union.Pos)
        np.testing.assert_array_equal(vector.ValuesAsNumpy(), expected)
        assert place_in(file, vector.ValuesAsNumpy()) % 4 == 0


def test_a_sparse_tensor_is_written_and_read_as_it_is():
    model, _ = sparse_model()
    assert plain(serde.parse(bytes(serde.serialize(model)))) == plain(model)


def test_constants_are_views_of_the_file(content):
    model = serde.parse(content)
    assert np.shares_memory(model.buffers[1].data, np.frombuffer(content, np.uint8))


def test_buffers_outside_the_flatbuffer_are_resolved():
    file = foreign_models.external(tiny_models.conv2d())
    expected = tiny_models.conv2d()
    model = serde.parse(file)
    assert plain(model) == plain(expected)
    values = tiny_models.samples(expected, 1)
    found = tiny_models.run_here(serde.serialize(model), values)[0]
    np.testing.assert_array_equal(found, tiny_models.run_here(tiny_models.to_bytes(expected), values)[0])
    np.testing.assert_array_equal(found, tiny_models.run_here(file, values)[0])


@pytest.mark.parametrize("gap", [1, 1000, 1 << 40, (1 << 63)])
def test_buffers_outside_the_file_are_refused(gap):
    file = foreign_models.external(tiny_models.conv2d(), gap)
    with pytest.raises(FlatbufferError, match="buffer 1 ends"):
        serde.parse(file, "some.tflite")


def with_ranges(*ranges):
    """Return a file with a buffer at each (offset, size). Negative offsets count from the end."""
    model, found = tiny_models.gather(8, 8), []
    for _ in range(2):  # the size of the file does not depend on the numbers
        del model.buffers[2:]
        for offset, size in ranges:
            buffer = schema.BufferT()
            buffer.offset, buffer.size = offset % (len(found) or 1 << 20), size % (len(found) or 1 << 20)
            model.buffers.append(buffer)
        found = tiny_models.to_bytes(model)
    return found


def test_buffers_outside_the_flatbuffer_may_take_as_much_as_the_file_and_no_more():
    """Buffers that share their bytes count once."""
    for ranges in ([(16, -16), (-16, 16)], [(16, -16)] * 3, [(2, -2), (-2, 2), (2, -2)], [(9, -20), (11, 20)]):
        file = with_ranges(*ranges)
        found = [bytes(buffer.data) for buffer in serde.parse(file).buffers[2:]]
        assert found == [file[offset:][: size % len(file)] for offset, size in ranges]
    for ranges in ([(16, -16), (-17, 17)], [(16, -16), (-16, 16), (16, 1)], [(2, -2), (2, -3)], [(16, -40), (17, -40)]):
        with pytest.raises(FlatbufferError, match="external buffers overlap: together they claim more bytes"):
            serde.parse(with_ranges(*ranges))


@pytest.mark.parametrize(("offset", "size"), [(-16, 17), (2, -1), (-1, 2)])
def test_a_buffer_that_ends_a_byte_behind_the_file_is_refused(offset, size):
    file = with_ranges((offset, size))
    with pytest.raises(FlatbufferError, match=f"buffer 2 ends at byte {len(file) + 1} of {len(file)}"):
        serde.parse(file)


def test_an_offset_of_one_is_none():
    file = with_ranges((1, -1), (2, -2))
    unset, whole = serde.parse(file).buffers[2:]
    assert unset.data is None
    assert bytes(whole.data) == file[2:]


@pytest.mark.parametrize("field", ["builtinOptionsType", "builtinOptions2Type"])
def test_options_newer_than_the_schema_are_refused(field):
    model = tiny_models.conv2d()
    setattr(model.subgraphs[0].operators[0], field, 250)
    with pytest.raises(FlatbufferError, match=r"new\.tflite: operator 0 has options that this version does not know"):
        serde.parse(tiny_models.to_bytes(model), "new.tflite")


def test_custom_options_outside_the_flatbuffer_are_refused():
    model = tiny_models.conv2d()
    operator = model.subgraphs[0].operators[0]
    operator.largeCustomOptionsOffset, operator.largeCustomOptionsSize = 64, 8
    with pytest.raises(FlatbufferError, match="operator 0"):
        serde.parse(tiny_models.to_bytes(model))
    operator.largeCustomOptionsOffset = 2
    with pytest.raises(FlatbufferError, match="operator 0"):
        serde.parse(tiny_models.to_bytes(model))
    operator.largeCustomOptionsOffset = 1  # of the format: not set
    assert len(serde.parse(tiny_models.to_bytes(model)).subgraphs[0].operators) == 1


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\x08\0\0\0TFL", b"PK\x03\x04" * 40, b"\x1c\0\0\0TFL2" + bytes(64)])
def test_other_files_are_refused(data):
    with pytest.raises(FlatbufferError, match=r"x\.bin is not a \.tflite file"):
        serde.parse(data, "x.bin")


@pytest.mark.parametrize("length", [*range(0, 40, 4), *range(50, 100, 7)])
@pytest.mark.parametrize("name", ["conv", "conv_float32", "fully_connected"])
def test_the_start_of_a_file_is_refused(name, length):
    with pytest.raises(FlatbufferError):
        serde.parse(tiny_models.to_bytes(MODELS[name])[:length])


@pytest.mark.parametrize("writer", [tiny_models.to_bytes, lambda model: bytes(serde.serialize(model))])
@pytest.mark.parametrize("percent", [3, 10, 25, 50, 75, 90, 97])
@pytest.mark.parametrize("name", ["conv", "two_convs", "fully_connected"])
def test_a_cut_file_is_refused(writer, name, percent):
    file = writer(MODELS[name])
    with pytest.raises(FlatbufferError, match="damaged"):
        serde.parse(file[: len(file) * percent // 100])


@given(st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_random_bytes_are_refused(data):
    with pytest.raises(FlatbufferError):
        serde.parse(data)


def test_an_empty_table_is_no_model():
    # Without a version, graphs and buffers there is nothing to plan or to write.
    with pytest.raises(FlatbufferError):
        serde.parse(b"\x08\0\0\0TFL3" + bytes(16))


@given(st.integers(8, 400), st.binary(min_size=16, max_size=400))
def test_random_bytes_behind_the_identifier_are_refused(root, data):
    with pytest.raises(FlatbufferError):
        serde.parse(root.to_bytes(4, "little") + b"TFL3" + data)


def test_a_flipped_byte_is_read_or_refused_but_never_another_error():
    file = bytes(serde.serialize(MODELS["fully_connected"]))

    def is_read(draw):
        flipped = bytearray(file)
        # The tables lie in front of the constants.
        flipped[draw(st.integers(8, 1200))] ^= draw(st.integers(1, 255))
        try:
            return serde.parse(bytes(flipped)) is not None
        except FlatbufferError:
            return False

    seen = tally(is_read, examples=300)
    assert min(seen[True], seen[False]) > 30


def test_read_and_write(tmp_path):
    path = tmp_path / "model.tflite"
    size = serde.write(MODELS["gather"], path)
    assert size == path.stat().st_size
    assert plain(serde.read(path)) == plain(MODELS["gather"])
    assert list(tmp_path.iterdir()) == [path]


def test_read_names_the_file(tmp_path):
    with pytest.raises(FlatbufferError, match=r"cannot read .*absent\.tflite"):
        serde.read(tmp_path / "absent.tflite")
    with pytest.raises(FlatbufferError, match="cannot read"):
        serde.read(tmp_path)
    other = tmp_path / "notes.txt"
    other.write_text("no model at all")
    with pytest.raises(FlatbufferError, match=r"notes\.txt is not a \.tflite file"):
        serde.read(other)


def test_a_name_that_is_not_utf_8_is_told(tmp_path):
    """Neither LiteRT nor JSON takes it."""
    path = tmp_path / os.fsdecode(b"caf\xe9.tflite")
    path.write_bytes(b"")
    with pytest.raises(
        FlatbufferError, match=r"^cannot read '.*caf\\udce9\.tflite': its name is not UTF-8; rename it\.$"
    ):
        serde.read(path)


def test_read_takes_regular_files_only(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero"), tmp_path):
        with pytest.raises(FlatbufferError, match=f"^cannot read {path}: it is not a regular file.$"):
            serde.read(path)
    empty = tmp_path / "empty.tflite"
    empty.touch()
    with pytest.raises(FlatbufferError, match=r"empty\.tflite is not a \.tflite file"):
        serde.read(empty)
    closed = tmp_path / "closed.tflite"
    closed.write_bytes(b"x")
    closed.chmod(0)
    with pytest.raises(FlatbufferError, match=r"closed\.tflite"):  # root may read it, and finds no model
        serde.read(closed)


def test_files_beyond_the_size_limit_are_not_read(tmp_path):
    large = tmp_path / "large.tflite"
    with large.open("wb") as stream:
        stream.truncate(2**31)
    with pytest.raises(
        FlatbufferError, match=r"large\.tflite: 2,147,483,648 bytes, but a \.tflite file has under 2 GiB"
    ):
        serde.read(large)
    os.truncate(large, 2**31 - 1)
    with pytest.raises(FlatbufferError, match=r"large\.tflite is not a \.tflite file"):  # it was read
        serde.read(large)


def test_a_file_may_be_replaced_while_its_model_is_in_use(tmp_path):
    path = tmp_path / "model.tflite"
    serde.write(MODELS["gather"], path)
    model = serde.read(path)
    serde.write(MODELS["conv"], path)
    assert plain(model) == plain(MODELS["gather"])
    assert serde.write(model, path) == path.stat().st_size
    assert plain(serde.read(path)) == plain(MODELS["gather"])


def test_reading_maps_the_constants(tmp_path):
    path = tmp_path / "model.tflite"
    serde.write(tiny_models.gather(10_000, 1000), path)
    tracemalloc.start()
    model = serde.read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert model.buffers[1].data.size == 10_000_000
    assert peak < 1_000_000


@pytest.mark.slow
def test_writing_holds_the_file_once():
    model = tiny_models.gather(40_000, 1000)
    tracemalloc.start()
    content = serde.serialize(model)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(content) > 40_000_000
    assert peak < len(content) + 3_000_000


def test_writing_sparse_constants_holds_the_file_once():
    tiny = tiny_models.Tiny()
    array = tiny_models.sparse_weights((5000, 2000), density=0.5)
    index = tiny.constant("weight", array)
    encoded = csr.encode(array, Layout((5000, 2000), (0, 1), (False, True)))
    tiny.graph.tensors[index].sparsity = to_table(encoded)
    tiny.model.buffers[1].data = encoded.values.view(np.uint8)
    tracemalloc.start()
    content = serde.serialize(tiny.finished([], [index]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(content) > 15_000_000  # five million values, their indices two bytes each
    assert peak < len(content) + 3_000_000


@pytest.mark.slow
def test_models_over_a_gigabyte(tmp_path):
    tiny = tiny_models.Tiny()
    block = np.arange(1 << 20, dtype=np.int32).view(np.uint8)
    indices = []
    for number in range(11):  # of 100 MiB each
        values = np.tile(block, 25)
        values[0] = number
        indices.append(tiny.constant(f"weight{number}", values.view(np.int8).reshape(100, -1)))
    model = tiny.finished([], indices)
    path = tmp_path / "large.tflite"
    size = serde.write(model, path)
    assert 1_150_000_000 < size == path.stat().st_size
    read = serde.read(path)
    for before, after in zip(model.buffers[1:], read.buffers[1:], strict=True):
        assert np.array_equal(before.data, after.data)
    path.unlink()


def test_a_model_beyond_the_size_limit_is_refused(monkeypatch):
    """The limit is lowered: the library takes nine seconds to reach its own."""
    assert (flatbuffers.Builder.MAX_BUFFER_SIZE, serde.MAX_FILE_BYTES) == (2**31, 2**31 - 1)
    monkeypatch.setattr(flatbuffers.Builder, "MAX_BUFFER_SIZE", 2**24)
    monkeypatch.setattr(serde, "MAX_FILE_BYTES", 2**24 - 1)
    tiny = tiny_models.Tiny()
    for number in range(2):
        half = np.zeros((1 << 10, 1 << 13), np.int8)
        half[0, 0] = number  # equal ones would be written once
        tiny.constant(f"half{number}", half)
    with pytest.raises(FlatbufferError, match="2 GiB"):
        serde.serialize(tiny.finished([], [0, 1]))


def test_write_into_a_missing_folder_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match="cannot write"):
        serde.write(MODELS["gather"], tmp_path / "absent" / "model.tflite")


def test_a_model_at_the_size_limit_is_written_and_one_beyond_it_refused(monkeypatch):
    size = len(serde.serialize(MODELS["conv"]))
    monkeypatch.setattr(serde, "MAX_FILE_BYTES", size)
    assert len(serde.serialize(MODELS["conv"])) == size
    for less in (size - 1, 1000):
        monkeypatch.setattr(serde, "MAX_FILE_BYTES", less)
        with pytest.raises(FlatbufferError, match="2 GiB"):
            serde.serialize(MODELS["conv"])


def test_packed_bytes_counts_equal_tables_once():
    one = tiny_models.quantization(np.arange(1, 100))
    assert serde.packed_bytes(one) == serde.packed_bytes(one, tiny_models.quantization(np.arange(1, 100)))
    other = tiny_models.quantization(np.arange(2, 101))
    # The zero points are the same in both, the scales are not.
    assert (
        serde.packed_bytes(one) + 99 * 4 <= serde.packed_bytes(one, other) < 2 * serde.packed_bytes(one) - 99 * 8 + 64
    )


def test_types_of_tensors_are_those_of_all_graphs(tmp_path):
    model = odd_models.two_signatures()
    types = {tensor.type for graph in model.subgraphs for tensor in graph.tensors}
    model.subgraphs[-1].tensors[0].type = schema.TensorType.RESOURCE
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny_models.to_bytes(model))
    assert serde.tensor_types(path) == types | {schema.TensorType.RESOURCE}
