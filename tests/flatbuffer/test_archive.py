"""Test the archive of associated files after a model: it is found, kept and moved, and every reader can open it."""

import io
import struct
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import foreign_models, tiny_models
from tflite_sparse.commands import encode as encode_command
from tflite_sparse.errors import FlatbufferError, VerificationError
from tflite_sparse.flatbuffer import metadata, serde

MEMBERS = {"labels.txt": b"a\nb\nc\n", "vocabulary.txt": b"the cat sat on the mat\n" * 50, "empty": b""}
MODEL = tiny_models.to_bytes(tiny_models.conv2d())


def zipped(front=b"", compression=zipfile.ZIP_STORED, comment=b"", members=None):
    """Return ``front`` followed by an archive whose offsets count from the start of ``front``."""
    stream = io.BytesIO(front)
    stream.seek(0, io.SEEK_END)
    with zipfile.ZipFile(stream, "a", compression) as archive:
        for name, content in (MEMBERS if members is None else members).items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)  # of a fixed date: two calls give the same
        archive.comment = comment
    return stream.getvalue()


FORMS = {
    "made apart": MODEL + zipped(),
    "appended in place": zipped(MODEL),
    "compressed": MODEL + zipped(compression=zipfile.ZIP_DEFLATED),
    "with a comment": zipped(MODEL, comment=b"PK\x01\x02 and more"),
    "appended twice": zipped(MODEL + zipped(members={"first.txt": b"1"})),
    "padded": MODEL + b"\0" * 100 + zipped(),
    "padded in place": zipped(MODEL + b"\0" * 100),
    "without members": zipped(MODEL, members={}),
    "external buffers": foreign_models.external(tiny_models.conv2d()) + zipped(),
    "external buffers in place": zipped(foreign_models.external(tiny_models.conv2d())),
}


def opened(content):
    """Return the members, and whether a reader that knows no prefix finds them: by offsets from the file's start."""
    end = content.rindex(b"PK\x05\x06")
    size, offset = struct.unpack_from("<2I", content, end + 12)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}, size + offset == end


def of_archive(content):
    return content[content.index(b"PK") :]


@pytest.fixture
def written(tmp_path):
    def write(content):
        path = tmp_path / "model.tflite"
        path.write_bytes(content)
        return path

    return write


@pytest.mark.usefixtures("interpreters")
@pytest.mark.parametrize("form", FORMS)
def test_encode_and_decode_keep_it(written, form):
    before = FORMS[form]
    path = written(before)
    expected = opened(before)
    archive_bytes = len(of_archive(before))
    sparse, dense = path.with_name("sparse.tflite"), path.with_name("dense.tflite")
    encoded = encode_command.encode(path, sparse, verification_samples=1)
    decoded = encode_command.decode(sparse, dense)
    for file, report in ((sparse, encoded), (dense, decoded)):
        after = file.read_bytes()
        assert opened(after) == expected
        if not expected[1]:
            assert of_archive(after) == of_archive(before)
        assert len(of_archive(after)) == archive_bytes == report.archive_bytes
        assert report.file_bytes == len(after)
        model = after[: -report.archive_bytes]
        assert len(bytes(serde.serialize(serde.parse(model)))) == len(model)
    assert sparse.stat().st_size < dense.stat().st_size


@pytest.mark.parametrize("name", ["made apart", "appended in place"])
def test_other_targets_and_the_estimates_of_inspect_keep_it(written, name):
    from tflite_sparse.commands.inspect import inspect

    path = written(FORMS[name])
    found = inspect(path)
    assert found.archive_bytes == len(zipped())
    micro = path.with_name("micro.tflite")
    report = encode_command.encode(path, micro, target="micro", verification_samples=1)
    assert opened(micro.read_bytes()) == opened(FORMS[name])
    assert report.archive_bytes == found.archive_bytes
    assert report.file_bytes == next(each.file_bytes for each in found.estimates if each.target == "micro")
    assert metadata.describe(micro, ["yes", "no"], (0.0, 1.0), most_bytes=micro.stat().st_size + 1000)
    assert opened(micro.read_bytes()) == opened(FORMS[name])
    assert metadata.get(serde.read(micro), metadata.LABELS) == b"yes\nno"


def test_a_file_that_would_become_larger_stays_as_it_is(written):
    plain = bytes(serde.serialize(tiny_models.conv2d(density=1.0)))
    path = written(zipped(plain))
    report = encode_command.encode(path, path, verification_samples=1)
    assert path.read_bytes() == zipped(plain)
    assert report.archive_bytes == len(zipped(plain)) - len(plain)


def test_an_archive_inside_the_model_is_part_of_it(written):
    """A constant that is an archive lies at the end of a file that a builder wrote from back to front."""
    model = tiny_models.conv2d()
    content = zipped()
    metadata.put(model, "files", content)
    model.buffers.insert(1, model.buffers.pop())  # written first, so it lies last
    model.metadata[0].buffer = 1
    for tensor in model.subgraphs[0].tensors:
        tensor.buffer += bool(tensor.buffer)
    file = bytes(serde.serialize(model))
    assert file.rstrip(b"\0").endswith(content.rstrip(b"\0"))
    path = written(file)
    assert serde.archive_of(path) is None
    report = encode_command.encode(path, path, verification_samples=1)
    assert report.archive_bytes == 0
    assert path.read_bytes().count(b"PK\x05\x06") == 1
    assert metadata.get(serde.read(path), "files") == content


def changed(content, place, form, value):
    result = bytearray(content)
    struct.pack_into(form, result, place, value)
    return bytes(result)


END = FORMS["made apart"].rindex(b"PK\x05\x06")
DIRECTORY = FORMS["made apart"].index(b"PK\x01\x02")


@pytest.mark.parametrize(
    ("place", "form", "value", "words"),
    [
        (END + 10, "<H", 2, "does not end after 2 members"),
        (END + 10, "<H", 4, "does not hold its 4 members"),
        (END + 10, "<H", 2**16 - 1, "does not hold its 65535 members"),
        (END + 12, "<I", 2**32 - 1, "leads out of it"),
        (END + 12, "<I", END, "leads out of it"),
        (END + 16, "<I", 2**32 - 1, "ZIP64"),
        (END + 16, "<I", 2**31, "member 0 .* does not lie where it says"),
        (END + 20, "<H", 1, "leads out of it"),
        (DIRECTORY + 42, "<I", 5, "member 0 .* does not lie where it says"),
        (DIRECTORY + 42, "<I", 2**32 - 1, "member 0 .* does not lie where it says"),
        (DIRECTORY + 30, "<H", 2**16 - 1, "does not hold its 3 members"),
        (DIRECTORY, "<I", 0, "does not hold its 3 members"),
    ],
)
def test_what_contradicts_itself_is_refused_before_anything_is_written(written, place, form, value, words):
    path = written(changed(FORMS["made apart"], place, form, value))
    target = path.with_name("target.tflite")
    for run in (encode_command.encode, encode_command.decode):
        with pytest.raises(FlatbufferError, match=f"model.tflite is damaged: .*{words}"):
            run(path, target)
    assert list(path.parent.iterdir()) == [path]


@given(st.integers(0, len(zipped()) - 1), st.integers(0, 255), st.sampled_from(["made apart", "appended in place"]))
def test_any_byte_may_be_wrong(tmp_path_factory, place, value, form):
    content = bytearray(FORMS[form])
    content[len(MODEL) + place] = value
    path = tmp_path_factory.getbasetemp() / "fuzzed.tflite"
    path.write_bytes(content)
    try:
        found = serde.archive_of(path)
    except FlatbufferError:
        return
    if found is not None:
        assert found.start >= len(MODEL)
        assert len(found.behind(10**6)) == found.nbytes == len(content) - found.start


def test_an_offset_that_cannot_be_moved_is_refused(written, monkeypatch):
    path = written(zipped(MODEL))
    archive = serde.archive_of(path)
    with pytest.raises(Exception, match="cannot be moved"):
        archive.behind(2**32)
    monkeypatch.setattr(serde, "MAX_FILE_BYTES", len(MODEL))
    with pytest.raises(FlatbufferError, match=r"2 GiB of a \.tflite file together with its archive"):
        serde.write_content(memoryview(MODEL), path, archive)
    assert path.read_bytes() == zipped(MODEL)


def test_a_lost_archive_is_not_delivered(written, monkeypatch):
    path = written(FORMS["made apart"])
    monkeypatch.setattr(serde, "write_content", lambda content, path, behind: path.write_bytes(content))
    with pytest.raises(VerificationError, match=r"the archive behind the model is not that of .*model\.tflite"):
        encode_command.decode(path, path)
    assert path.read_bytes() == FORMS["made apart"]


def test_the_end_of_a_model_is_that_of_its_last_byte():
    from tflite_sparse.flatbuffer.verifier import DamageError, verify

    for model in (tiny_models.conv2d(), tiny_models.fully_connected(), tiny_models.conv2d_in_subgraph()):
        for content in (tiny_models.to_bytes(model), bytes(serde.serialize(model))):
            end = verify(memoryview(content))
            assert verify(memoryview(content + b"behind")) == end == verify(memoryview(content[:end]))
            with pytest.raises(DamageError):
                verify(memoryview(content[: end - 1]))
