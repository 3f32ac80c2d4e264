"""Temporary files and folders go, whenever a signal arrives."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tflite_sparse.base import scratch


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """Return the folder for temporary files."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_a_folder_of_the_user_alone(temporary):
    with scratch.folder() as folder:
        assert folder.parent == temporary
        assert folder.name.startswith("tflite-sparse-")
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_bytes(b"x")
    assert list(temporary.iterdir()) == []


def test_a_place_and_a_name(tmp_path):
    (tmp_path / "place").mkdir()
    with scratch.folder(tmp_path / "place", ".model.") as folder:
        assert folder.parent == tmp_path / "place"
        assert folder.name.startswith(".model.")


def test_a_relative_place_after_a_change_of_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with scratch.folder(Path()) as folder:
        monkeypatch.chdir("/")
        assert folder.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_errors_pass(temporary):
    with pytest.raises(KeyError), scratch.folder():
        raise KeyError("own")
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("function", "make"),
    [("mkdir", lambda _: scratch.folder().__enter__()), ("open", lambda parent: scratch.file(parent, ".", ".part"))],
    ids=["folder", "file"],
)
def test_a_signal_as_soon_as_it_is_made(temporary, monkeypatch, function, make):
    """Where a signal's exception arrives before the caller has the path, the path goes when Python exits."""
    real = getattr(os, function)

    def interrupted(path, *arguments, **options):
        real(path, *arguments, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, function, interrupted)
        with pytest.raises(KeyboardInterrupt):
            make(temporary)
    scratch._remove_all()
    assert list(temporary.iterdir()) == []


def test_a_signal_while_it_is_removed(temporary, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt), scratch.folder() as folder:
            (folder / "file").write_bytes(b"x")
    assert folder.is_dir()
    scratch._remove_all()
    assert list(temporary.iterdir()) == []


def test_the_end_of_python_removes_what_is_left(tmp_path):
    program = f"""
        from pathlib import Path
        from tflite_sparse.base import scratch
        made = scratch.lasting_folder()
        (made / "file").write_bytes(b"x")
        print(made.is_dir(), scratch.file(Path({str(tmp_path)!r}), ".x.", ".part").is_file())
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["True", "True"]
    assert list(tmp_path.iterdir()) == []


def test_a_fork_leaves_what_its_parent_made(temporary):
    with scratch.folder() as folder:
        child = os.fork()
        if child == 0:
            scratch.remove(folder)
            scratch._remove_all()
            os._exit(0)
        os.waitpid(child, 0)
        assert folder.is_dir()


def test_nothing_else_is_removed(temporary):
    (temporary / "file").write_bytes(b"x")
    scratch.remove(temporary / "file")
    assert (temporary / "file").is_file()


def test_what_was_renamed_stays(temporary):
    made = scratch.file(temporary, ".", ".part")
    made.rename(temporary / "result")
    scratch.remove(made)
    assert made not in scratch._noted
    scratch._remove_all()
    assert [path.name for path in temporary.iterdir()] == ["result"]
