"""Files whose offsets and lengths lie."""

import contextlib
import struct
import time

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny_models
from tflite_sparse.errors import FlatbufferError
from tflite_sparse.flatbuffer import serde

NASTY = (0, 1, 3, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFC, 0xFFFFFFFF)


def refused(data, words):
    """The file is refused in these words, within a second on a machine that does nothing else."""
    start = time.process_time()
    with pytest.raises(FlatbufferError, match=f"x.tflite is damaged: .*{words}"):
        serde.parse(data, "x.tflite")
    assert time.process_time() - start < 1


class Raw:
    """A file put together table by table, with any offset pointing anywhere."""

    def __init__(self):
        self.builder = flatbuffers.Builder(1024)

    def table(self, field_count, **offsets):
        self.builder.StartObject(field_count)
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


@pytest.mark.parametrize("value", NASTY)
def test_every_word_set_to_a_nasty_value(small, value):
    refusals = 0
    for place in range(8, len(small) - 160, 4):
        data = small[:place] + struct.pack("<I", value) + small[place + 4 :]
        try:
            serde.parse(data)
        except FlatbufferError:
            refusals += 1
    assert refusals > 50


def test_every_word_moved_by_one_table(small):
    for place in range(8, len(small) - 160, 4):
        for step in (-8, -4, 4, 8):
            word = (int.from_bytes(small[place : place + 4], "little") + step) % 2**32
            data = small[:place] + struct.pack("<I", word) + small[place + 4 :]
            with contextlib.suppress(FlatbufferError):
                serde.parse(data)


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


@pytest.mark.parametrize(("offset", "words"), [(0, "leads out"), (1000, "leads out"), (2**32 - 1, "leads out")])
def test_offsets(offset, words):
    head = b"\x10\0\0\0TFL3" + struct.pack("<HHHHH", 8, 12, 0, 4, 0)[:8]
    data = head + struct.pack("<iI", 8, offset) + bytes(16)
    refused(data, words)


@pytest.mark.parametrize("length", [100, 2**30, 2**32 - 1])
def test_lengths(length):
    head = b"\x10\0\0\0TFL3" + struct.pack("<HHHH", 8, 8, 0, 4)
    refused(head + struct.pack("<iII", 8, 4, length) + bytes(16), f"claims {length} values")


@given(st.data())
@settings(max_examples=300)
def test_several_bytes_changed_are_read_or_refused(small, data):
    changed = bytearray(small)
    for _ in range(data.draw(st.integers(1, 6))):
        changed[data.draw(st.integers(0, len(small) - 1))] = data.draw(st.integers(0, 255))
    try:
        model = serde.parse(bytes(changed))
    except FlatbufferError:
        return
    assert model.subgraphs[0].tensors is not None
