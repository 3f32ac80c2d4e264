"""Test the output of ``bench``, but no speed."""

import pytest

from helpers import odd_models, tiny_models
from helpers.tools import run_cli
from tflite_sparse.base import child
from tflite_sparse.measurement.latency import Loading
from tflite_sparse.results.latency import BenchReport

SHORT = ("--rounds", 2)


@pytest.fixture
def pair(encode):
    return encode(tiny_models.conv2d((32, 3, 3, 128)))


@pytest.mark.slow
@pytest.mark.parametrize("kernels", ["default", "builtin"])
def test_json(kernels, pair):
    run = run_cli("bench", pair.dense, pair.sparse, *SHORT, "--kernels", kernels, "--threads", 2, "--json", "--quiet")
    assert run.code == 0
    assert run.stderr == ""
    report = BenchReport.model_validate_json(run.stdout)
    assert (report.version, report.threads, report.rounds, report.kernels) == (1, 2, 2, kernels)
    dense, sparse = report.files
    assert (dense.path, sparse.path) == (str(pair.dense), str(pair.sparse))
    assert set(dense.ratios.model_dump().values()) == {1}
    assert sparse.file_bytes == pair.sparse.stat().st_size
    assert sparse.ratios.file_bytes == pytest.approx(sparse.file_bytes / dense.file_bytes)
    assert sparse.ratios.file_bytes < 0.5
    assert sparse.ratios.load == pytest.approx(sparse.load_ms / dense.load_ms)
    for entry in report.files:
        assert 0 < entry.latency_ms_median <= entry.latency_ms_p90


@pytest.mark.parametrize(("threads", "kernels", "rounds"), [(1, "default", 2), (3, "builtin", 4)])
def test_options_reach_every_process(threads, kernels, rounds, pair, monkeypatch):
    asked = []

    def call(function, /, *, on_step=None, **arguments):
        asked.append((function.partition(":")[2], arguments))
        if "files" in arguments:
            return [[1.0] * arguments["rounds"] for _ in arguments["files"]]
        return Loading(1.0, 1)

    monkeypatch.setattr(child, "call", call)
    options = ("--threads", threads, "--kernels", kernels, "--rounds", rounds, "--quiet")
    assert run_cli("bench", pair.dense, pair.sparse, *options).code == 0
    *loads, (name, running) = asked
    assert name == "interleaved_here"
    files = [(str(path), kernels) for path in (pair.dense, pair.sparse)]
    assert (running["files"], running["threads"], running["rounds"]) == (files, threads, rounds)
    assert running["shapes"] == [None, None]
    asked_of_all = {"needs": "fresh", "threads": threads, "kernels": kernels, "shapes": None}
    assert loads == [("first_invoke_here", {"path": path, **asked_of_all}) for path, _ in files] * 5


@pytest.mark.slow
def test_text(pair):
    run = run_cli("bench", pair.dense, pair.sparse, pair.dense, *SHORT)
    assert run.code == 0
    assert "1 thread, 2 rounds, default kernels" in run.stdout
    rows = [line.split() for line in run.stdout.splitlines() if ".tflite" in line]
    assert len(rows) == 3
    assert rows[0].count("1.00x") == 4
    assert f"{pair.sparse.stat().st_size:,}" in rows[1]
    assert "done measure" in run.stderr


@pytest.mark.slow
def test_a_model_with_state(tmp_path):
    path = tmp_path / "state.tflite"
    path.write_bytes(tiny_models.to_bytes(odd_models.recurrent()))
    assert run_cli("bench", path, *SHORT, "--quiet").code == 0


@pytest.mark.parametrize("content", [None, b"garbage" * 50])
def test_a_refused_file_is_named(content, pair, tmp_path):
    bad = tmp_path / "bad.tflite"
    if content is not None:
        bad.write_bytes(content)
    run = run_cli("bench", pair.dense, bad, *SHORT, "--quiet")
    assert run.code == 2
    assert run.stdout == ""
    assert run.stderr.startswith("error: ")
    assert str(bad) in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1


def test_bad_usage(pair):
    assert run_cli("bench").code == 2
    for option in (("--rounds", 0), ("--threads", 0), ("--kernels", "gpu")):
        run = run_cli("bench", pair.dense, *option)
        assert run.code == 2
        assert option[0] in run.stderr
