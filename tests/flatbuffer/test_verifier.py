"""Test files with wrong offsets and lengths."""

import struct
import time
from collections import Counter

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import strategies as st

from helpers import tiny_models
from helpers.tally import tally
from tflite_sparse.errors import FlatbufferError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.verifier import DamageError, verify

NASTY = (0, 1, 3, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFC, 0xFFFFFFFF)


def refused(data, words):
    """Check that the file is refused with this message, within a second on an idle machine."""
    start = time.process_time()
    with pytest.raises(FlatbufferError, match=f"x.tflite is damaged: .*{words}"):
        serde.parse(data, "x.tflite")
    assert time.process_time() - start < 1


def is_read(data):
    """Return whether a file is read; otherwise it is refused, and with no other error."""
    try:
        return serde.parse(data) is not None
    except FlatbufferError:
        return False


class Raw:
    """A file made table by table, with arbitrary offsets."""

    def __init__(self):
        self.builder = flatbuffers.Builder(1024)

    def table(self, field_count, kind_of_options=0, **offsets):
        self.builder.StartObject(field_count)
        self.builder.PrependUint8Slot(3, kind_of_options, 0)
        for number, offset in offsets.items():
            self.builder.PrependUOffsetTRelativeSlot(int(number[1:]), offset, 0)
        return self.builder.EndObject()

    def vector(self, offsets):
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return self.builder.EndVector()

    def numbers(self, values):
        return self.builder.CreateNumpyVector(np.asarray(values))

    def finished(self, **offsets):
        builder = self.builder
        builder.StartObject(10)
        builder.PrependUint32Slot(0, 3, 0)
        for number, offset in offsets.items():
            builder.PrependUOffsetTRelativeSlot(int(number[1:]), offset, 0)
        builder.Finish(builder.EndObject(), b"TFL3")
        return bytes(builder.Output())


def test_a_list_of_graphs_that_share_a_list_of_tensors():
    raw = Raw()
    tensors = raw.vector([raw.table(11)] * 3000)
    graphs = raw.vector([raw.table(6, _0=tensors)] * 3000)
    data = raw.finished(_2=graphs, _4=raw.vector([raw.table(3)]))
    assert len(data) < 30_000
    refused(data, "unfold into more than .* objects")


def test_lists_that_share_at_every_level():
    raw = Raw()
    level = raw.table(6)
    tensor = raw.table(11, _6=raw.table(3, _2=raw.vector([level] * 100)), _9=raw.vector([raw.table(3)] * 100))
    graph = raw.table(6, _0=raw.vector([tensor] * 100))
    refused(raw.finished(_2=raw.vector([graph] * 100), _4=raw.vector([raw.table(3)])), "unfold")


def test_a_long_string_that_many_tensors_share():
    raw = Raw()
    name = raw.builder.CreateString("x" * 1_000_000)
    tensors = [raw.table(11, _3=name) for _ in range(2000)]
    graph = raw.table(6, _0=raw.vector(tensors))
    refused(raw.finished(_2=raw.vector([graph]), _4=raw.vector([raw.table(3)])), "unfold")


def test_a_long_list_of_inputs_that_many_operators_share():
    raw = Raw()
    inputs = raw.numbers(np.zeros(100_000, np.int32))
    graph = raw.table(6, _3=raw.vector([raw.table(14, _1=inputs)] * 1000))
    refused(raw.finished(_2=raw.vector([graph]), _4=raw.vector([raw.table(3)])), "unfold")


def test_buffers_that_overlap():
    raw = Raw()
    # Every element is a length, so a vector of 3,000 bytes starts at each.
    data = raw.numbers(np.full(1500, 3000, np.uint32))
    buffers = raw.vector([raw.table(3), *(raw.table(3, _0=data - 4 * i) for i in range(1, 600))])
    refused(raw.finished(_2=raw.vector([raw.table(6)]), _4=buffers), "vectors overlap")


def test_vectors_may_claim_as_many_bytes_as_the_file_has_and_no_more():
    raw = Raw()
    data = raw.numbers(np.full(1500, 3000, np.uint32))
    buffers = raw.vector([raw.table(3), *(raw.table(3, _0=data - 4 * i) for i in (1, 2, 3))])
    file = raw.finished(_2=raw.vector([raw.table(6)]), _4=buffers)
    claimed = 4 * 1 + 4 * 4 + 3 * 3000  # the lists of graphs and buffers, and three vectors
    assert len(file) < claimed
    assert len(serde.parse(file.ljust(claimed, b"\0")).buffers) == 4
    refused(file.ljust(claimed - 1, b"\0"), "vectors overlap")


SIDE = 150


def repeated(list_field, field_count, kind_of_options=0, **held):
    """Return a file of :data:`SIDE` graphs that share a list of as many references to one table."""

    def make(raw):
        table = raw.table(field_count, kind_of_options, **{name: value(raw) for name, value in held.items()})
        graph = raw.table(6, **{list_field: raw.vector([table] * SIDE)})
        return raw.finished(_2=raw.vector([graph] * SIDE))

    return make


def graphs_with_inputs(count, length):
    def make(raw):
        return raw.finished(_2=raw.vector([raw.table(6, _1=raw.numbers(np.zeros(length, np.int32)))] * count))

    return make


def equal_buffers(count):
    def make(raw):
        return raw.finished(_4=raw.vector([raw.table(3, _0=raw.numbers(np.zeros(10_000, np.uint8)))] * count))

    return make


def of_numbers(length):
    return lambda raw: raw.numbers(np.ones(length, np.int32))


def of_characters(length):
    return lambda raw: raw.builder.CreateString("x" * length)


def of_side(objects):
    """Count the objects: the model, the list of graphs, each graph, its list, and those of each table in it."""
    return 2 + SIDE * (2 + SIDE * objects)


def empty_table(raw):
    return raw.table(1)


OBJECTS = {
    "tensors": (repeated("_0", 11), of_side(1)),
    "63 characters": (repeated("_0", 11, _3=of_characters(63)), of_side(2)),
    "64 characters": (repeated("_0", 11, _3=of_characters(64)), of_side(3)),
    "255 numbers": (repeated("_0", 11, _0=of_numbers(255)), of_side(2)),
    "256 numbers": (repeated("_0", 11, _0=of_numbers(256)), of_side(3)),
    "15 inputs of an operator": (repeated("_3", 14, _1=of_numbers(15)), of_side(2)),
    "16 inputs of an operator": (repeated("_3", 14, _1=of_numbers(16)), of_side(3)),
    "options": (repeated("_3", 14, schema.BuiltinOptions.Conv2DOptions, _4=empty_table), of_side(2)),
    "options of a newer kind": (repeated("_3", 14, 250, _4=empty_table), of_side(1)),
    "15 inputs of a graph": (graphs_with_inputs(21_000, 15), 2 + 21_000 * 2),
    "16 inputs of a graph": (graphs_with_inputs(11_000, 16), 2 + 11_000 * 3),
    "data of any length": (equal_buffers(23_000), 2 + 23_000 * 2),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_a_file_may_unfold_into_20_000_objects_and_one_for_each_of_its_words(name):
    make, objects = OBJECTS[name]
    data, size = make(Raw()), 4 * (objects - 20_000)
    assert len(data) < size
    verify(memoryview(data.ljust(size, b"\0")))
    refused(data.ljust(size - 1, b"\0"), f"unfold into more than {objects - 1:,} objects")


@pytest.mark.parametrize("described", [False, True])
def test_no_file_may_unfold_into_more_than_two_million_objects(described):
    raw = Raw()
    more = {"_3": of_characters(1)(raw)} if described else {}
    graph = raw.table(6, _0=raw.vector([raw.table(11)] * 2000))
    data = raw.finished(_2=raw.vector([graph] * 999), **more)  # 2 + 999 * (2 + 2000), and the description
    data = data.ljust(9_000_000, b"\0")
    if described:
        refused(data, "unfold into more than 2,000,000 objects")
    else:
        verify(memoryview(data))


def test_tables_that_writers_share_are_no_fault():
    model = tiny_models.conv2d()
    for _ in range(5000):
        model.subgraphs[0].tensors.append(model.subgraphs[0].tensors[0])
        model.subgraphs[0].operators.append(model.subgraphs[0].operators[0])
    for place, operator in enumerate(model.subgraphs[0].operators[1:]):
        twin = schema.OperatorT()
        twin.__dict__.update(operator.__dict__)
        twin.outputs = np.array([4 + place], np.int32)
        model.subgraphs[0].operators[1 + place] = twin
    data = bytes(serde.serialize(model))
    assert len(data) < 500_000
    assert len(serde.parse(data).subgraphs[0].operators) == 5001


@pytest.fixture(scope="module")
def small():
    return bytes(serde.serialize(tiny_models.fully_connected((4, 40))))


def test_every_length_is_refused(small):
    for length in range(len(small) - 160):  # the last bytes are the weights
        with pytest.raises(FlatbufferError):
            serde.parse(small[:length])


def words_of_tables(file):
    return range(8, len(file) - 160, 4)


@pytest.mark.parametrize("value", NASTY)
def test_every_word_set_to_a_nasty_value(small, value):
    seen = Counter(
        is_read(small[:place] + struct.pack("<I", value) + small[place + 4 :]) for place in words_of_tables(small)
    )
    assert seen[False] > 100
    assert seen[True] > 40  # scales, names, and offsets of what is then a default


def test_every_word_moved_by_one_table(small):
    seen = Counter()
    for place in words_of_tables(small):
        for step in (-8, -4, 4, 8):
            word = (int.from_bytes(small[place : place + 4], "little") + step) % 2**32
            seen[is_read(small[:place] + struct.pack("<I", word) + small[place + 4 :])] += 1
    assert seen[False] > 450
    assert seen[True] > 300


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xff\xff\xff\xffTFL3", "would lie at byte 4294967295"),
        (b"\x05\0\0\0TFL3", "Model table would lie at byte 5"),
        (b"\x08\0\0\0TFL3" + struct.pack("<i", 100), "virtual table of a Model table lies outside"),
        (b"\x08\0\0\0TFL3" + struct.pack("<i", -100), "virtual table of a Model table lies outside"),
        (b"\x08\0\0\0TFL3" + struct.pack("<iHH", -4, 2, 4), "impossible length"),
        (b"\x08\0\0\0TFL3" + struct.pack("<iHH", -4, 5, 4) + bytes(9), "impossible length"),
        (b"\x08\0\0\0TFL3" + struct.pack("<iHH", -4, 400, 4), "impossible length"),
        (b"\x08\0\0\0TFL3" + struct.pack("<iHH", -4, 4, 3), "impossible length"),
        (b"\x08\0\0\0TFL3" + struct.pack("<iHH", -4, 4, 400), "Model table at byte 8 passes the end"),
        (b"\x08\0\0\0TFL3" + struct.pack("<iHHH", -4, 6, 8, 6) + bytes(9), "field 0 of a Model table lies outside"),
        (b"\x08\0\0\0TFL3" + struct.pack("<iHHH", -4, 6, 8, 2) + bytes(9), "field 0 of a Model table lies outside"),
    ],
)
def test_roots_and_virtual_tables(data, words):
    refused(data, words)


HEAD = b"\x08\0\0\0TFL3"


def described(length):
    """Return a model with only a description of so many characters."""
    table = struct.pack("<6H", 12, 8, 0, 0, 0, 4) + struct.pack("<iI", 12, 4)
    return b"\x14\0\0\0TFL3" + table + struct.pack("<I", length) + b"x" * length


def with_metadata_buffers(count):
    table = struct.pack("<8H", 16, 8, 0, 0, 0, 0, 0, 4) + struct.pack("<iI", 16, 4)
    return b"\x18\0\0\0TFL3" + table + struct.pack("<I", count) + bytes(4 * count)


@pytest.mark.parametrize(
    ("data", "beyond", "words"),
    [
        (HEAD + struct.pack("<iHH", -4, 4, 8), HEAD + struct.pack("<iHH", -4, 4, 9), "Model table at byte 8 passes"),
        (HEAD + struct.pack("<iHH", -4, 4, 4), HEAD + struct.pack("<iHH", -5, 4, 4), "table lies outside"),
        (HEAD + struct.pack("<iHH", -4, 4, 4), HEAD + struct.pack("<iH", -4, 4) + b"\4", "table lies outside"),
        (HEAD + struct.pack("<iHHH", -4, 6, 4, 0), HEAD + struct.pack("<iHHHB", -4, 8, 4, 0, 0), "impossible length"),
        (HEAD + struct.pack("<iHHHH", -4, 6, 8, 4, 0), HEAD + struct.pack("<iHHHH", -4, 6, 8, 3, 0), "field 0"),
        (HEAD + struct.pack("<iHHHH", -4, 6, 8, 4, 0), HEAD + struct.pack("<iHHHH", -4, 6, 8, 5, 0), "field 0"),
        (described(0), described(0)[:-1], "leads out of the file"),
        (described(5), described(5)[:-1], "claims 5 values and passes the end"),
        (with_metadata_buffers(3), with_metadata_buffers(3)[:-1], "claims 3 values and passes the end"),
    ],
    ids=[
        "table",
        "place of the virtual table",
        "end of the virtual table",
        "length of the virtual table",
        "start of a field",
        "end of a field",
        "offset",
        "string",
        "vector",
    ],
)
def test_what_ends_with_the_file_is_read_and_a_byte_more_is_refused(data, beyond, words):
    verify(memoryview(data))
    refused(beyond, words)


def test_a_virtual_table_may_be_the_first_bytes_of_the_file_and_lie_no_further_ahead():
    refused(HEAD + struct.pack("<i", 8), "impossible length")  # read there, as (8, 0)
    refused(HEAD + struct.pack("<i", 9), "virtual table of a Model table lies outside")


@pytest.mark.parametrize("length", [0, 7])
def test_less_than_the_root_and_the_identifier_is_refused(length):
    with pytest.raises(DamageError, match=f"it has only {length} bytes"):
        verify(memoryview(bytes(length)))
    with pytest.raises(DamageError, match="impossible length"):
        verify(memoryview(bytes(8)))


def test_an_entry_of_a_list_that_leads_to_itself_is_refused():
    raw = Raw()
    data = bytearray(raw.finished(_2=raw.vector([raw.table(6)] * 9)))
    place = data.index(struct.pack("<I", 9)) + 4  # behind the length
    verify(memoryview(data))
    data[place : place + 4] = bytes(4)
    refused(bytes(data), "list of SubGraph tables .* leads out of the file")


def with_options_anywhere(kind):
    raw = Raw()
    no_table = raw.numbers(np.full(4, 2**31 - 1, np.int32)) - 4
    graph = raw.table(6, _3=raw.vector([raw.table(14, kind, _4=no_table)]))
    return raw.finished(_2=raw.vector([graph]))


def test_options_are_checked_as_the_table_that_their_kind_names():
    refused(with_options_anywhere(schema.BuiltinOptions.Conv2DOptions), "virtual table of a Conv2DOptions table lies")
    for nothing_that_is_read in (schema.BuiltinOptions.NONE, 250):
        verify(memoryview(with_options_anywhere(nothing_that_is_read)))


@pytest.mark.parametrize(("offset", "words"), [(0, "leads out"), (1000, "leads out"), (2**32 - 1, "leads out")])
def test_offsets(offset, words):
    head = b"\x10\0\0\0TFL3" + struct.pack("<HHHHH", 8, 12, 0, 4, 0)[:8]
    data = head + struct.pack("<iI", 8, offset) + bytes(16)
    refused(data, words)


@pytest.mark.parametrize("length", [100, 2**30, 2**32 - 1])
def test_lengths(length):
    head = b"\x10\0\0\0TFL3" + struct.pack("<HHHH", 8, 8, 0, 4)
    refused(head + struct.pack("<iII", 8, 4, length) + bytes(16), f"claims {length} values")


def test_several_bytes_changed_are_read_or_refused(small):
    def change(draw):
        changed = bytearray(small)
        for _ in range(draw(st.integers(1, 6))):
            changed[draw(st.integers(0, len(small) - 1))] = draw(st.integers(0, 255))
        return is_read(bytes(changed))

    seen = tally(change, examples=300)
    assert seen[False] > 150
    assert seen[True] > 5
