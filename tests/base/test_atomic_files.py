"""Test that files appear whole, with the permissions of a new file, or not at all."""

import os
import signal
import stat
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tflite_sparse.base import atomic_files
from tflite_sparse.errors import OutputError


@pytest.fixture
def umask():
    """Set the umask; restore the old one afterwards."""
    old = os.umask(0)
    os.umask(old)
    yield os.umask
    os.umask(old)


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def permissions(path):
    return stat.S_IMODE(path.stat().st_mode)


@given(chunks=st.lists(st.binary(max_size=50), max_size=5))
def test_chunks_are_joined(chunks, tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "out.bin"
    atomic_files.write_bytes(path, *chunks)
    assert path.read_bytes() == b"".join(chunks)
    assert names(path.parent) == ["out.bin"]


def test_takes_every_kind_of_bytes(tmp_path):
    atomic_files.write_bytes(tmp_path / "x", b"ab", bytearray(b"cd"), memoryview(b"ef"))
    assert (tmp_path / "x").read_bytes() == b"abcdef"


def test_replaces_a_file(tmp_path):
    (tmp_path / "x").write_bytes(b"old, and longer")
    atomic_files.write_bytes(tmp_path / "x", b"new")
    assert (tmp_path / "x").read_bytes() == b"new"


@pytest.mark.parametrize(("mask", "expected"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664), (0o000, 0o666)])
def test_permissions_follow_the_umask(mask, expected, tmp_path, umask):
    umask(mask)
    atomic_files.write_bytes(tmp_path / "ours", b"x")
    (tmp_path / "plain").write_bytes(b"x")
    assert permissions(tmp_path / "ours") == permissions(tmp_path / "plain") == expected
    assert umask(mask) == mask  # unchanged by the write


def test_old_file_is_there_until_the_end(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with atomic_files.replacing(path) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".x.")
        assert temporary.suffix == ".part"
        temporary.write_bytes(b"half of the n")
        assert path.read_bytes() == b"old"
        temporary.write_bytes(b"new")
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["x"]


@pytest.mark.parametrize("existed", [True, False])
def test_the_bytes_are_on_the_disk_before_the_file_has_its_name(existed, tmp_path, monkeypatch):
    """A crash in between must not leave the name on an empty file."""
    path = tmp_path / "x"
    if existed:
        path.write_bytes(b"old")
    flushed, fsync = [], os.fsync

    def noted(handle):
        fsync(handle)
        status = os.fstat(handle)
        flushed.append((status.st_ino, status.st_size, path.read_bytes() if path.exists() else None))

    monkeypatch.setattr(os, "fsync", noted)
    atomic_files.write_bytes(path, b"new", b", and whole")
    assert flushed == [(path.stat().st_ino, len(b"new, and whole"), b"old" if existed else None)]


def test_an_open_reader_keeps_the_old_content(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with path.open("rb") as reader:
        atomic_files.write_bytes(path, b"new")
        assert reader.read() == b"old"


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt()], ids=["ValueError", "KeyboardInterrupt"])
@pytest.mark.parametrize("existed", [True, False])
def test_failure_leaves_what_was_there(error, existed, tmp_path):
    path = tmp_path / "x"
    if existed:
        path.write_bytes(b"old")

    def write():
        with atomic_files.replacing(path) as temporary:
            temporary.write_bytes(b"half")
            raise error

    with pytest.raises(type(error)):
        write()
    assert names(tmp_path) == (["x"] if existed else [])
    if existed:
        assert path.read_bytes() == b"old"


KILLED = """
import os, signal, sys
from pathlib import Path
from tflite_sparse.base import atomic_files
with atomic_files.replacing(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_that_is_killed_while_it_writes_leaves_the_old_file(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", KILLED, path], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert path.read_bytes() == b"old"


def test_a_chunk_that_is_no_bytes(tmp_path):
    (tmp_path / "x").write_bytes(b"old")
    with pytest.raises(TypeError):
        atomic_files.write_bytes(tmp_path / "x", b"good", "text")
    assert (tmp_path / "x").read_bytes() == b"old"
    assert names(tmp_path) == ["x"]


def test_full_disk(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")

    def write():
        with atomic_files.replacing(path):
            raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left on device") as caught:
        write()
    assert str(path) in str(caught.value)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["x"]


@pytest.mark.parametrize(
    "write", [atomic_files.write_bytes, atomic_files.temporary_name_beside], ids=["write", "temporary"]
)
def test_missing_folder(write, tmp_path):
    with pytest.raises(OutputError, match=r"there is no folder .*missing\. Make it, or choose another") as caught:
        write(tmp_path / "missing" / "x")
    assert str(tmp_path / "missing" / "x") in str(caught.value)
    assert names(tmp_path) == []


def test_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(OutputError, match="file/x"):
        atomic_files.write_bytes(tmp_path / "file" / "x", b"y")


def test_place_taken_by_a_folder(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*x: "):
        atomic_files.write_bytes(tmp_path / "x", b"y")
    assert names(tmp_path) == ["x"]
    assert names(tmp_path / "x") == []


def test_temporary_names_differ_and_are_private(tmp_path):
    first, second = (atomic_files.temporary_name_beside(tmp_path / "x") for _ in range(2))
    assert first != second
    assert first.read_bytes() == second.read_bytes() == b""
    assert permissions(first) == 0o600


def test_publish(tmp_path, umask):
    umask(0o027)
    temporary = atomic_files.temporary_name_beside(tmp_path / "x")
    temporary.write_bytes(b"content")
    atomic_files.publish(temporary, tmp_path / "x")
    assert names(tmp_path) == ["x"]
    assert (tmp_path / "x").read_bytes() == b"content"
    assert permissions(tmp_path / "x") == 0o640


def test_publish_what_is_gone(tmp_path):
    (tmp_path / "x").write_bytes(b"old")
    with pytest.raises(OutputError, match=r"cannot write .*x"):
        atomic_files.publish(tmp_path / "gone.part", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"old"
