"""Test every command on files with inputs of open size, and on files that no runtime here runs."""

import json

import pytest

from helpers import odd_models, tiny_models
from helpers.tools import run_cli


@pytest.fixture
def written(tmp_path):
    def write(model):
        path = tmp_path / "model.tflite"
        path.write_bytes(tiny_models.to_bytes(model))
        return path

    return write


@pytest.mark.slow
def test_a_size_that_runs_is_found_by_every_command(written):
    path = written(odd_models.open_image(kernel=40))
    sparse, dense = path.with_name("sparse.tflite"), path.with_name("dense.tflite")
    found = run_cli("inspect", path, "--json", "--quiet").report
    assert [answer["loads"] for answer in found["runtimes"][:3]] == [True] * 3
    verifications = [run_cli("encode", path, "-o", sparse, "--json", "--quiet").report["verification"]]
    verifications.append(run_cli("decode", sparse, "-o", dense, "--json", "--quiet").report["verification"])
    verifications.append(run_cli("verify", dense, "--against", path, "--samples", 1, "--json", "--quiet").report)
    for each in verifications:
        assert each["passed"]
        assert each["not_compared"] is None
        assert each["input_shapes"] == {"x": [1, 40, 40, 2]}
        assert all(check["outputs_bit_exact"] for check in each["runtimes"])
    assert run_cli("bench", path, sparse, "--rounds", 1, "--quiet").code == 0


@pytest.mark.slow
def test_a_shape_that_is_given_is_used_by_every_command(written):
    path = written(odd_models.open_length())
    sparse, dense = path.with_name("sparse.tflite"), path.with_name("dense.tflite")
    shape = ("--input-shape", "in_0=1,37,8", "--quiet")
    found = run_cli("inspect", path, "--json", *shape).report
    assert [answer["loads"] for answer in found["runtimes"][:3]] == [True] * 3
    run = run_cli("encode", path, "-o", sparse, *shape)
    assert run.code == 0, run.stderr
    assert "Inputs with open sizes were run as x (1, 37, 8)." in run.stdout
    assert "Verified: " in run.stdout
    assert "Verified: " in run_cli("decode", sparse, "-o", dense, *shape).stdout
    assert run_cli("verify", sparse, "--against", path, "--samples", 1, *shape).code == 0
    assert run_cli("bench", path, "--rounds", 1, *shape).code == 0


def test_where_no_size_is_found_nothing_is_written_unless_asked_for(written):
    path = written(odd_models.open_length())
    target = path.with_name("target.tflite")
    found = run_cli("inspect", path, "--json", "--quiet").report
    assert [answer["loads"] for answer in found["runtimes"][:3]] == [None] * 3
    assert all("`input_shapes={'in_0': (1, N, 8)}`" in answer["reason"] for answer in found["runtimes"][:3])
    assert run_cli("inspect", path, "--quiet").stdout.count("--input-shape") == 1
    assert run_cli("inspect", path, "--target", "litert", "--quiet").code == 1
    others = (("verify", path, "--against", path), ("bench", path))
    for command in (("encode", path, "-o", target), ("decode", path, "-o", target), *others):
        run = run_cli(*command, "--quiet")
        assert run.code == 2
        assert "--input-shape in_0=1,N,8" in run.stderr
        assert len(run.stderr.splitlines()) <= 2
        assert ("--unverified" in run.stderr) is (command[0] in ("encode", "decode"))
        assert list(path.parent.iterdir()) == [path]
    for command in ("encode", "decode"):
        run = run_cli(command, path, "-o", target, "--unverified", "--quiet")
        assert run.code == 0, run.stderr
        assert "Outputs were not compared: " in run.stdout
        assert "Weights: 1 of 1 tensors" in run.stdout
        report = run_cli(command, path, "-o", target, "--unverified", "--json", "--quiet").report
        assert "no size of its input 'in_0'" in report["verification"]["not_compared"]
        assert report["verification"]["weights"]["equal"] == 1


def test_a_shape_that_does_not_run_is_no_verification(written):
    path = written(odd_models.open_length())
    target = path.with_name("target.tflite")
    run = run_cli("encode", path, "-o", target, "--input-shape", "x=1,36,8", "--quiet")
    assert run.code == 2
    assert "outputs cannot be compared" in run.stderr
    assert not target.exists()


def test_operators_that_no_runtime_has_are_told_whatever_is_shown(written):
    path = written(odd_models.with_custom_operator(tiny_models.conv2d()))
    target = path.with_name("target.tflite")
    for command in ("encode", "decode"):
        run = run_cli(command, path, "-o", target, "--quiet")
        assert (run.code, run.stderr) == (0, "")
        assert "Outputs were not compared: LiteRT interpreter, default (XNNPACK) refuses" in run.stdout
        assert "UnheardOf" in run.stdout
        shown = run_cli(command, path, "-o", target, "--json", "--quiet")
        assert "UnheardOf" in json.loads(shown.stdout)["verification"]["not_compared"]


def test_a_source_that_a_runtime_refuses_is_not_written_unverified(written):
    model = tiny_models.conv2d()
    model.operatorCodes[0].version = 99
    path = written(model)
    target = path.with_name("target.tflite")
    for command in ("encode", "decode"):
        assert run_cli(command, path, "-o", target, "--quiet").code == 2
        assert not target.exists()
    assert run_cli("encode", path, "-o", target, "--unverified", "--quiet").code == 0


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("1,37,8", "give an input and its whole shape"),
        ("=1,37,8", "give an input"),
        ("x=", "give an input"),
        ("x=1,,8", "give an input"),
        ("x=1,0,8", "give an input"),
        ("x=1,-1,8", "give an input"),
        ("x=1;37", "give an input"),
        ("z=1,37,8", "no input 'z' to give a shape to; it has 'in_0', 'x'"),
        ("x=1,37,9", "takes shapes (?, ?, 8), not (1, 37, 9)"),
    ],
)
@pytest.mark.parametrize("command", ["inspect", "encode"])
def test_shapes_that_make_no_sense(written, command, value, words):
    path = written(odd_models.open_length())
    target = () if command == "inspect" else ("-o", path.with_name("target.tflite"))
    run = run_cli(command, path, *target, "--input-shape", value, "--quiet")
    assert run.code == 2
    assert words in " ".join(run.stderr.split())
    assert list(path.parent.iterdir()) == [path]


def test_shapes_are_given_once_and_for_litert(written):
    path = written(odd_models.open_length())
    shape = ("--input-shape", "x=1,37,8")
    assert "'x' is given twice" in run_cli("inspect", path, *shape, *shape).stderr
    run = run_cli("encode", path, "-o", path.with_name("t.tflite"), "--target", "micro", *shape)
    assert "--input-shape applies to the target litert, not to micro" in run.stderr
    run = run_cli("encode", path, "-o", path.with_name("t.tflite"), "--target", "micro", "--unverified")
    assert "--unverified applies to the target litert, not to micro" in run.stderr
    run = run_cli("verify", path, "--against", path, "--target", "micro", *shape)
    assert "--input-shape applies to the target litert, not to micro" in run.stderr


@pytest.mark.slow
def test_an_export_without_data_finds_a_size_too_or_asks_for_data(keras3, tmp_path):
    layers = keras3.layers
    keras3.Sequential([keras3.Input((None, 1)), layers.Conv1D(8, 40)]).save(tmp_path / "any.keras")
    run = run_cli("export", tmp_path / "any.keras", "--sparsity", 0.8, "--out", tmp_path / "out", "--json", "--quiet")
    assert run.code == 0, run.stderr
    assert run.report["verification"]["outputs_bit_exact"]
    keras3.Sequential([keras3.Input((None, 8)), layers.Reshape((37 * 8,)), layers.Dense(4)]).save(
        tmp_path / "one.keras"
    )
    run = run_cli("export", tmp_path / "one.keras", "--sparsity", 0.8, "--out", tmp_path / "none", "--quiet")
    assert run.code == 2
    assert "was found that runs" in run.stderr
    assert "Give --data, whose sizes are taken" in run.stderr
    assert "--input-shape" not in run.stderr
