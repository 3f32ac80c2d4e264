"""Run ``encode``, ``decode`` and ``inspect`` as a user does."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from helpers import odd_models, tiny_models
from helpers.foreign_models import densified, find, store_sparse
from helpers.tools import run_cli, run_program
from tflite_sparse.flatbuffer import serde
from tflite_sparse.results.files import DecodingReport, EncodingReport
from tflite_sparse.results.inspection import Inspection
from tflite_sparse.runtime import litert, micro


@pytest.fixture
def dense(tmp_path):
    path = tmp_path / "dense.tflite"
    path.write_bytes(tiny_models.to_bytes(tiny_models.conv2d()))
    return path


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.tflite"


def error_of(run, code):
    """Return the message of a failed command: one or two lines, no traceback, nothing on stdout."""
    assert run.code == code
    assert run.stdout == ""
    lines = run.stderr.splitlines()
    message = lines[next(i for i, line in enumerate(lines) if line.startswith(("error:", "Error:"))) :]
    assert 1 <= len(message) <= 2
    assert "Traceback" not in run.stderr
    assert "defect" not in run.stderr
    return "\n".join(message)


def test_there_and_back(dense, out, tmp_path):
    back, plain = tmp_path / "back.tflite", tmp_path / "plain.tflite"
    encoding = run_cli("encode", dense, "-o", out)
    assert encoding.code == 0, encoding.stderr
    assert f"{dense.stat().st_size:,} to {out.stat().st_size:,} bytes" in encoding.stdout
    assert out.stat().st_size < 0.5 * dense.stat().st_size
    decoding = run_cli("decode", out, "-o", back)
    assert decoding.code == 0, decoding.stderr
    assert "1 sparse constant" in decoding.stdout
    assert run_cli("decode", dense, "-o", plain).code == 0
    assert back.read_bytes() == plain.read_bytes()
    values = tiny_models.samples(tiny_models.conv2d(), 1)
    outputs = [tiny_models.run_here(path.read_bytes(), values)[0] for path in (dense, out, back)]
    assert np.unique(outputs[0]).size > 10
    np.testing.assert_array_equal(outputs[1], outputs[0])
    np.testing.assert_array_equal(outputs[2], outputs[0])


@pytest.mark.parametrize("command", ["encode", "decode"])
def test_the_source_may_be_replaced(dense, out, command):
    assert run_cli(command, dense, "-o", out, "--quiet").code == 0
    assert run_cli(command, dense, "-o", dense, "--quiet").code == 0
    assert dense.read_bytes() == out.read_bytes()
    assert sorted(path.name for path in dense.parent.iterdir()) == ["dense.tflite", "out.tflite"]


@pytest.mark.parametrize(
    ("command", "kind"), [("encode", EncodingReport), ("decode", DecodingReport), ("inspect", Inspection)]
)
def test_json_is_one_document_and_nothing_else(dense, out, tmp_path, command, kind):
    target = [] if command == "inspect" else ["-o", out]
    run = run_program(command, dense, *target, "--json", cwd=tmp_path)
    assert run.code == 0, run.stderr
    report = kind.model_validate_json(run.stdout)
    assert set(run.report) == set(kind.model_fields)
    assert report.version == 1
    assert report.tool.startswith("tflite-sparse ")
    if command == "inspect":
        assert (report.path, report.file_bytes) == (str(dense), dense.stat().st_size)
        assert not out.exists()
    else:
        assert (report.source, report.destination) == (str(dense), str(out))
        assert (report.source_bytes, report.file_bytes) == (dense.stat().st_size, out.stat().st_size)


@pytest.mark.parametrize("command", ["encode", "decode", "inspect"])
def test_quiet_says_nothing_on_stderr(dense, out, command):
    run = run_cli(command, dense, *([] if command == "inspect" else ["-o", out]), "--quiet")
    assert (run.code, run.stderr) == (0, "")
    assert run.stdout


@pytest.mark.parametrize("command", ["encode", "inspect"])
@pytest.mark.parametrize("columns", [80, 120])
def test_a_narrow_terminal_shows_every_number_whole(tmp_path, command, columns):
    model = tiny_models.conv2d()
    find(model)[1].name = "a_rather_long_name/of_a_layer/with_a_kernel"
    source = tmp_path / "source.tflite"
    source.write_bytes(tiny_models.to_bytes(model))
    out = [] if command == "inspect" else ["-o", tmp_path / "out.tflite"]
    terminal = {"TTY_COMPATIBLE": "1", "TERM": "xterm", "NO_COLOR": "1", "COLUMNS": str(columns)}
    run = run_program(command, source, *out, "--quiet", cwd=tmp_path, **terminal)
    assert run.code == 0, run.stderr
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in run.stdout.splitlines()]
    heading = next(i for i, line in enumerate(lines) if "zeros" in line)
    table = lines[heading : lines.index("", heading) if "" in lines[heading:] else None]
    assert max(len(line.rstrip()) for line in table) <= columns
    (row,) = [line for line in table if "16x3x3x64" in line]
    assert "0.875" in row
    assert "9,216" in row


def test_inspect_tells_what_is_in_the_file(tmp_path):
    path = tmp_path / "sparse.tflite"
    path.write_bytes(tiny_models.to_bytes(densified(store_sparse(tiny_models.conv2d()))))
    run = run_cli("inspect", path, "--quiet")
    assert run.code == 0, run.stderr
    for words in (
        "weight",
        "CONV_2D",
        "16x3x3x64",
        "int8",
        "0.875",
        "one-byte indices along the inputs",
        "1 CONV_2D, 1 DENSIFY",
    ):
        assert words in run.stdout
    assert "XNNPACK" in run.stdout
    assert "TensorFlow Lite Micro" in run.stdout


@pytest.mark.parametrize("command", ["encode", "decode", "inspect"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot read"),
        (b"", "is not a .tflite file"),
        (b"PK\x03\x04 a zip file", "is not a .tflite file"),
        (b"\x1c\x00\x00\x00TFL3" + bytes(100), "is damaged"),
    ],
    ids=["absent", "empty", "zip", "damaged"],
)
def test_bad_sources(tmp_path, out, command, content, words):
    source = tmp_path / "source.tflite"
    if content is not None:
        source.write_bytes(content)
    message = error_of(run_cli(command, source, *([] if command == "inspect" else ["-o", out])), 2)
    assert words in message
    assert "source.tflite" in message
    assert list(tmp_path.iterdir()) == ([] if content is None else [source])


@pytest.mark.parametrize("command", ["encode", "decode", "inspect"])
def test_a_folder_is_no_source(tmp_path, out, command):
    (tmp_path / "model").mkdir()
    run = run_cli(command, tmp_path / "model", *([] if command == "inspect" else ["-o", out]))
    assert "model" in error_of(run, 2)
    assert not out.exists()


@pytest.mark.parametrize("command", ["encode", "decode"])
def test_bad_places(dense, tmp_path, command):
    assert "absent" in error_of(run_cli(command, dense, "-o", tmp_path / "absent" / "b.tflite"), 2)
    (tmp_path / "folder").mkdir()
    assert "folder" in error_of(run_cli(command, dense, "-o", tmp_path / "folder"), 2)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["dense.tflite", "folder"]


@pytest.mark.parametrize("command", ["encode", "decode"])
def test_a_read_only_folder(dense, out, command, monkeypatch):
    """Simulated, because tests may run as root, who may write anywhere."""

    def refuse(parent, prefix, suffix):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(parent))

    monkeypatch.setattr("tflite_sparse.base.atomic_files.scratch.file", refuse)
    message = error_of(run_cli(command, dense, "-o", out), 2)
    assert "out.tflite" in message
    assert "Read-only file system" in message
    assert list(out.parent.iterdir()) == [dense]


@pytest.mark.parametrize("command", ["encode", "decode"])
def test_what_is_no_ordinary_file_is_not_replaced(dense, tmp_path, command):
    """As root, a device such as /dev/null would become a file."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert "pipe" in error_of(run_cli(command, dense, "-o", pipe), 2)
    assert pipe.is_fifo()


@pytest.mark.parametrize("command", ["encode", "decode"])
def test_without_output_is_a_usage_error(dense, command):
    run = run_cli(command, dense)
    assert run.code == 2
    assert "--output" in run.stderr


@pytest.mark.parametrize("target", ["litert", "micro"])
def test_seed_and_samples_decide_what_the_new_file_is_compared_on(target, dense, out, in_this_process, monkeypatch):
    runs = []

    def record(path, samples, *_, **__):
        runs.append(np.concatenate([array for (array,) in samples]))
        return litert.SeparateOutputs(("y0",), (0,), tuple((sample[0],) for sample in samples))

    for runtime in (litert, micro):
        monkeypatch.setattr(runtime, "run_separately", record)
    monkeypatch.setattr(micro, "is_available", lambda: True)
    monkeypatch.setattr(micro, "arena", lambda *_, **__: 16)

    def drawn(*options):
        runs.clear()
        run = run_cli("encode", dense, "-o", out, "--target", target, "--quiet", "--json", *options)
        assert run.code == 0, run.stderr
        first, *others = runs
        assert others
        assert all(np.array_equal(first, other) for other in others)
        assert run.report["verification"]["samples"] == len(first)
        return first

    zero, again, other, fewer = (drawn(*options) for options in ((), ("--seed", 0), ("--seed", 7), ("--samples", 2)))
    assert [len(found) for found in (zero, other, fewer)] == [11, 11, 5]
    assert [np.unique(sample).tolist() for sample in zero[:3]] == [[-128], [127], [-3]]
    assert np.array_equal(zero, again)
    assert not any(np.array_equal(*pair) for pair in zip(zero[3:], other[3:], strict=True))


@pytest.mark.parametrize("arguments", [["--samples", "-1"], ["--seed", "-1"]], ids=" ".join)
def test_bad_options_are_named_as_they_were_given(dense, out, arguments):
    run = run_cli("encode", dense, "-o", out, *arguments)
    assert run.code == 2
    assert arguments[0] in run.stderr
    assert not out.exists()


@pytest.mark.parametrize("command", ["encode", "decode"])
def test_a_failed_verification_delivers_nothing(dense, out, command, monkeypatch):
    """The written file lacks a weight."""
    serialize = serde.serialize

    def spoil(model):
        return memoryview(bytes(serialize(model)).replace(values, bytes([values[0] ^ 1]) + values[1:]))

    weights = tiny_models.sparse_weights((16, 3, 3, 64), density=0.9)
    dense.write_bytes(tiny_models.to_bytes(tiny_models.conv2d(weights=weights)))  # stays dense
    values = weights.tobytes()
    monkeypatch.setattr(serde, "serialize", spoil)
    out.write_bytes(b"old")
    message = error_of(run_cli(command, dense, "-o", out), 1)
    assert "weight 'weight'" in message
    assert ".part" not in message
    assert ".." not in message
    assert out.read_bytes() == b"old"
    assert sorted(path.name for path in out.parent.iterdir()) == ["dense.tflite", "out.tflite"]


@pytest.mark.parametrize("moment", ["done read", "done compare weights"])
def test_terminated_on_the_way(tmp_path, moment):
    """SIGTERM leaves the old file under the final name, and nothing temporary; the work then takes seconds."""
    source, out, scratch = tmp_path / "source.tflite", tmp_path / "out.tflite", tmp_path / "scratch"
    source.write_bytes(tiny_models.to_bytes(tiny_models.conv2d((640, 3, 3, 320), (48, 48))))
    out.write_bytes(b"old")
    scratch.mkdir()
    command = [Path(sys.executable).with_name("tflite-sparse"), "encode", source, "-o", out]
    environment = {**os.environ, "TMPDIR": str(scratch)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, text=True) as process:
        assert any(line.startswith(moment) for line in process.stderr)
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
    assert process.returncode == 143
    assert out.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.tflite", "scratch", "source.tflite"]
    assert not list(scratch.glob("tflite-sparse-*"))


def test_names_that_look_like_markup_are_shown_as_they_are(tmp_path):
    model = tiny_models.conv2d()
    tensor = next(tensor for tensor in model.subgraphs[0].tensors if tensor.name == "weight")
    tensor.name = "[red]a[/red]/b"
    path = tmp_path / "a[bold]b.tflite"
    path.write_bytes(tiny_models.to_bytes(model))
    run = run_cli("inspect", path, "--quiet")
    assert run.code == 0, run.stderr
    assert "[red]a[/red]/b" in run.stdout
    assert "a[bold]b.tflite" in run.stdout


def test_an_unusual_name_of_the_result(dense, tmp_path):
    """The name keeps its suffix, and the permissions are those of a new file."""
    target = tmp_path / "a b.bin"
    assert run_cli("encode", dense, "-o", target, "--quiet").code == 0
    assert serde.read(target).subgraphs
    dense.touch()
    assert target.stat().st_mode == dense.stat().st_mode


def test_a_source_that_no_runtime_runs(tmp_path, out):
    source = tmp_path / "source.tflite"
    source.write_bytes(tiny_models.to_bytes(odd_models.with_custom_operator(tiny_models.conv2d())))
    run = run_cli("encode", source, "-o", out)
    assert run.code == 0, run.stderr
    assert "outputs were not compared" in run.stderr
    assert "UnheardOf" in run.stderr
    assert "outputs equal" not in run.stdout
    found = json.loads(run_cli("inspect", out, "--json", "--quiet").stdout)
    assert found["operators"]["UnheardOf"] == 1
    assert found["runtimes"][0]["loads"] is False
