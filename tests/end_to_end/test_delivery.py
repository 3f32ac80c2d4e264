"""Test the contents of the output folder after success, failure and interruption."""

import errno
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from helpers.forked_program import running
from helpers.tools import run_cli
from tflite_sparse import target_registry
from tflite_sparse.flatbuffer import serde
from tflite_sparse.stages.deliver import ALL_FILES


def options(model_files, out, *more):
    return ["export", model_files["keras3.keras"], "--sparsity", 0.75, "--out", out, "--quiet", *more]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_only_own_files_are_replaced(model_files, tmp_path):
    of_targets = {name for name in target_registry.possible_extra_files("model") if "/" not in name}
    assert {"model.h", "model.c", "app.cc", "model_vela.tflite"} <= of_targets
    others = {"notes.txt", "other.tflite", *of_targets}
    own = {name for name in ALL_FILES if "/" not in name} - of_targets
    for name in (*others, *own):
        (tmp_path / name).write_text("old")
    run = run_cli(*options(model_files, tmp_path))
    assert run.code == 0, run.stderr
    found = contents(tmp_path)
    assert {found[name] for name in others} == {b"old"}
    assert all(content != b"old" for name, content in found.items() if name not in others)
    # This run made no int8 file; one of an earlier run beside its report would mislead.
    assert set(found) == (others | own) - {"dense-int8.tflite"}


def test_files_of_others_with_our_names_stay(model_files, tmp_path):
    """A firmware folder has its own model.h; without a report of ours beside it, no file there is ours."""
    for name in ("model.h", "model.cc", "model_vela.tflite"):
        (tmp_path / name).write_text("mine")
    run = run_cli(*options(model_files, tmp_path))
    assert run.code == 0, run.stderr
    found = contents(tmp_path)
    assert found["model.h"] == found["model.cc"] == found["model_vela.tflite"] == b"mine"


@pytest.mark.parametrize("files_before_full", [0, 1, 3])
def test_full_disk_changes_nothing(files_before_full, model_files, tmp_path, monkeypatch):
    (tmp_path / "model.tflite").write_text("old")
    copy, done = shutil.copyfile, []

    def copy_until_full(source, target, **more):
        if Path(target).parent == tmp_path:
            if len(done) >= files_before_full:
                Path(target).write_bytes(Path(source).read_bytes()[:100])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
            done.append(target)
        return copy(source, target, **more)

    monkeypatch.setattr(shutil, "copyfile", copy_until_full)
    judged = ("--int8", "--data", "digits", "--finetune-epochs", 0, "--max-accuracy-drop", 1)
    run = run_cli(*options(model_files, tmp_path, *judged))
    if files_before_full < 3:
        assert run.code == 2
        assert "No space left on device" in run.stderr
        assert contents(tmp_path) == {"model.tflite": b"old"}
    else:  # all three copies fit
        assert run.code == 0


def test_failed_export_leaves_no_folder(model_files, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfile", fail)
    run = run_cli(*options(model_files, tmp_path / "a" / "b"))
    assert run.code == 2
    assert not (tmp_path / "a").exists()


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["done load", "done convert dense float32", "done encode"])
def test_killed_at_any_moment(moment, model_files, tmp_path):
    """SIGKILL leaves no file under a final name that is not whole, and no child behind."""
    arguments = ("export", model_files["keras3.keras"], "--sparsity", "0.75", "--out", tmp_path / "out")
    with running(*arguments, cwd=tmp_path) as (process, stderr):
        assert any(line.startswith(moment) for line in stderr)
        assert len(_running_in(tmp_path)) > 1
        process.kill()
    assert process.exitcode == -signal.SIGKILL
    final = [path for path in (tmp_path / "out").glob("*") if not path.name.startswith(".")]
    for path in final:
        assert path.name in ALL_FILES
        if path.suffix == ".tflite":
            serde.read(path)
    deadline = time.monotonic() + 10
    while _running_in(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _running_in(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code", "words"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "")])
def test_interrupted(number, code, words, model_files, tmp_path):
    """Ctrl-C and SIGTERM remove temporary files and do not look like a failed gate."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    # Ctrl-C while training goes on with what is there.
    options = ("--int8", "--data", "digits", "--finetune-epochs", 0, "--out", tmp_path / "out")
    arguments = ("export", model_files["keras3.keras"], "--sparsity", "0.75", *options)
    with running(*arguments, cwd=tmp_path, environment={"TMPDIR": str(scratch)}) as (process, stderr):
        assert any(line.startswith("done mask") for line in stderr)
        time.sleep(0.3)  # to calibrate and convert, verify and score takes longer
        os.kill(process.pid, number)
        rest = stderr.read()
    assert process.exitcode == code
    assert words in rest
    assert "Traceback" not in rest
    assert not (tmp_path / "out").exists()
    assert not list(scratch.glob("tflite-sparse-*"))


def test_folder_or_dangling_link_in_place_of_a_file(model_files, tmp_path):
    (tmp_path / "report.json").mkdir()
    (tmp_path / "model.tflite").write_text("old")
    run = run_cli(*options(model_files, tmp_path))
    assert run.code == 2
    assert "report.json is a folder" in run.stderr
    assert (tmp_path / "model.tflite").read_text() == "old"
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    run = run_cli(*options(model_files, tmp_path / "link"))
    assert run.code == 2
    assert "leads nowhere" in run.stderr


def _running_in(folder):
    """Ids of processes with this working folder, which have not ended."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            place = (process / "cwd").readlink()  # of a process that has ended: none
        except OSError:
            continue
        if place == folder:
            found.append(process.name)
    return found
