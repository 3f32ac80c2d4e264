"""``--micro-kernels sparse``: whole models in TensorFlow Lite Micro beside the dense file; each command on them."""

import json
import re

import numpy as np
import pytest

from helpers import micro_process, tiny_models
from helpers.int8_nets import Net, few_values, residual
from helpers.tools import run_cli
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs
from tflite_sparse.results.files import EncodingReport
from tflite_sparse.results.micro import IN_PLACE
from tflite_sparse.rewrites import sparse_operator
from tflite_sparse.runtime import micro, micro_operators
from tflite_sparse.target_registry import MICRO_MADE, MICRO_SOURCES

pytestmark = [
    micro_process.needed,
    pytest.mark.skipif(not micro_operators.is_available(), reason="no C and C++ compilers are installed"),
]

LARGEST_ARENA_SHARE = 1.02


def ds_cnn():
    net = Net((25, 5, 32))
    for _ in range(3):
        net.depthwise().conv(32, (1, 1))
    return net.dense(12)


def mobile():
    net = Net((24, 24, 3)).conv(8, (3, 3), 2, density=1.0)
    for outputs, stride in ((16, 1), (32, 2), (32, 1), (64, 2)):
        net.depthwise(stride).conv(outputs, (1, 1))
    return net.conv(10, (3, 3), same=False).dense(10)


def cnn():
    return Net((16, 16, 3)).conv(16, (3, 3), density=1.0).conv(32, (3, 3)).conv(32, (3, 3), 2).dense(64).dense(10)


def dilated():
    return Net((20, 20, 8)).conv(48, (3, 3), 1, 2).conv(16, (1, 1)).conv(32, (3, 3), 1, 2, same=False).dense(10)


def per_tensor():
    net = Net((12, 12, 16)).conv(32, (3, 3), per_channel=False).conv(32, (1, 1), per_channel=False)
    return net.dense(10, per_channel=False)


NETS = {
    "CNN": cnn,
    "residual": residual,
    "DS-CNN": ds_cnn,
    "MobileNet": mobile,
    "MLP": lambda: Net((200,)).dense(300).dense(128).dense(10),
    "Conv1D": lambda: Net((1, 128, 9)).conv(32, (1, 5)).conv(64, (1, 3)).conv(64, (1, 3), same=False).dense(6),
    "stride 2": lambda: Net((20, 20, 8)).conv(32, (3, 3), 2).conv(32, (1, 1), 2).dense(10),
    "dilation 2": dilated,
    "per tensor": per_tensor,
    "few values": few_values,
}


@pytest.fixture
def source(tmp_path):
    def write(name):
        path = tmp_path / "dense.tflite"
        path.write_bytes(tiny_models.to_bytes(NETS[name]().finished()))
        return path

    return write


def encoded(given, *options, name="sparse.tflite"):
    out = given.with_name(name)
    run = run_cli(
        *("encode", given, "-o", out, "--target", "micro", "--micro-kernels", "sparse", "--samples", 2),
        *("--quiet", "--json", *options),
    )
    assert run.code == 0, run.stderr
    return out, EncodingReport.model_validate_json(run.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_whole_models_bit_for_bit_within_their_arena(name, source):
    given = source(name)
    out, report = encoded(given, "--micro-cpu", "cortex-m4")
    assert report.verification.passed
    (check,) = report.verification.runtimes
    assert check.outputs_bit_exact
    assert check.outputs_vary
    assert out.stat().st_size < given.stat().st_size
    on_cpu = report.micro.on_cpu
    assert sum(each.kernel is not None for each in on_cpu.operators) >= 2
    assert on_cpu.instructions < on_cpu.dense_instructions
    assert report.micro.arena_decoded_bytes <= LARGEST_ARENA_SHARE * report.micro.arena_dense_bytes


@pytest.mark.slow
def test_few_values_are_a_byte_each(source):
    """At 87.5 % zeros, where places and distances of 8 bits take a quarter of the dense weights."""
    out, report = encoded(source("few values"), "--micro-cpu", "cortex-m4")
    kernels = [each.kernel for each in report.micro.on_cpu.operators]
    assert sum("shared values" in (kernel or "") for kernel in kernels) >= 4
    shown = json.loads(run_cli("inspect", out, "--json", "--quiet").stdout)
    shared = [each for each in shown["constants"] if "shared values" in (each["layout"] or "")]
    assert len(shared) >= 4
    assert all(each["stored_bytes"] < 0.2 * each["dense_bytes"] for each in shared)
    assert {each.tables for each in sparse_operator.operators(next(graphs(serde.read(out))))} >= {1, 2}


def test_decode_gives_the_dense_file_back(source):
    given = source("residual")
    out, _ = encoded(given)
    back = given.with_name("back.tflite")
    run = run_cli("decode", out, "-o", back, "--quiet")
    assert run.code == 0, run.stderr
    models = [serde.read(path) for path in (given, back)]
    first, second = (next(graphs(model)) for model in models)
    for index in range(len(first.subgraph.tensors)):
        one, two = first.tensor(index), second.tensor(index)
        assert (one.name, list(one.shape), one.type) == (two.name, list(two.shape), two.type)
        assert np.array_equal(one.quantization.scale, two.quantization.scale)
        values = first.constant(index), second.constant(index)
        assert np.array_equal(*values) if values[0] is not None else values[1] is None
    assert [first.operator_name(each) for each in first.operators] == [
        second.operator_name(each) for each in second.operators
    ]


@pytest.mark.slow
def test_verify_and_inspect_know_the_operators(source):
    given = source("CNN")
    out, _ = encoded(given)
    run = run_cli("verify", out, "--against", given, "--target", "micro", "--samples", 2, "--quiet")
    assert run.code == 0, run.stderr
    assert "weights computed on as stored" in run.stdout
    shown = run_cli("inspect", out, "--json", "--quiet")
    assert shown.code == 0, shown.stderr
    constants = {each["name"]: each for each in json.loads(shown.stdout)["constants"]}
    weights = constants["layer2/weight"]
    assert (weights["operator"], weights["dtype"], weights["shape"]) == ("TFLITE_SPARSE", "int8", [32, 3, 3, 16])
    assert weights["sparsity"] == pytest.approx(0.875)
    assert re.search("CONV_2D, (distances of . bits|shared values)", weights["layout"])
    assert weights["stored_bytes"] < weights["dense_bytes"] / 3


def test_litert_refuses_the_file_with_the_reason(source):
    given = source("MLP")
    out, _ = encoded(given)
    run = run_cli("verify", out, "--against", given, "--samples", 1, "--quiet")
    assert run.code == 1
    assert "unresolved custom op: TFLITE_SPARSE" in run.stdout + run.stderr


@pytest.mark.slow
def test_the_report_shows_the_other_form_of_either(source):
    given = source("MLP")
    _, sparse = encoded(given, "--micro-cpu", "cortex-m4")
    run = run_cli("encode", given, "-o", given.with_name("d.tflite"), "--target", "micro", "--quiet", "--json")
    decoded = EncodingReport.model_validate_json(run.stdout)
    assert (sparse.micro.kernels, decoded.micro.kernels) == ("sparse", "tflm")
    assert (sparse.micro.on_cpu.other.kernels, decoded.micro.on_cpu.other.kernels) == ("tflm", "sparse")
    assert sparse.micro.on_cpu.other.file_bytes == decoded.file_bytes
    assert decoded.micro.on_cpu.other.instructions < decoded.micro.on_cpu.instructions
    assert sparse.micro.statement == IN_PLACE
    assert sparse.micro.decoded_bytes_per_invoke == 0
    shown = run_cli(
        "encode", given, "-o", given.with_name("s.tflite"), "--target", "micro", "--micro-kernels", "sparse"
    )
    assert "With --micro-kernels tflm: a file of" in shown.stdout
    assert "nothing ran on a chip" in shown.stdout
    assert "Verdict: flash" in shown.stdout


def test_the_files_of_an_app_lie_beside(source):
    given = source("MLP")
    out, report = encoded(given, "--c-array")
    assert {path.name for path in (out.parent / "micro").iterdir()} == {*MICRO_SOURCES, *MICRO_MADE}
    assert out.with_suffix(".h").exists()
    assert "tflite_sparse::AddSparseOps(resolver)" in report.micro.cpp
    apps = [(path / "app.cc").read_text() for path in (out.parent, out.parent / "micro")]
    assert all(f"kArenaBytes = {report.micro.arena_decoded_bytes};" in app for app in apps)
    assert ['#include "sparse.h"' in app for app in apps] == [True, False]
    assert ['#include "model_data.h"' in app for app in apps] == [False, True]


def test_an_app_of_the_users_own_stays(source):
    given = source("MLP")
    (given.parent / "micro").mkdir()
    (given.parent / "micro" / "app.cc").write_text("int main() {}")
    out = given.with_name("sparse.tflite")
    run = run_cli("encode", given, "-o", out, "--target", "micro", "--micro-kernels", "sparse")
    assert run.code == 2
    assert "leave out --micro-kernels" in run.stderr
    assert not out.exists()


@pytest.mark.slow
def test_a_file_with_sparse_kernels_is_encoded_anew(source):
    given = source("MLP")
    out, first = encoded(given, "--micro-cpu", "cortex-m4")
    again, second = encoded(out, "--micro-cpu", "cortex-m4", name="again.tflite")
    assert second.file_bytes == first.file_bytes
    run = run_cli("encode", out, "-o", given.with_name("d.tflite"), "--target", "micro", "--samples", 2, "--quiet")
    assert run.code == 0, run.stderr
    samples = [[np.full((1, 200), value, np.int8)] for value in (-128, 3, 90)]
    wanted = micro.run_separately(given, samples)
    for path in (out, again, given.with_name("d.tflite")):
        found = micro.run_separately(path, samples)
        assert all(np.array_equal(a[0], b[0]) for a, b in zip(found.rows, wanted.rows, strict=True))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--micro-cpu", "cortex-m4"), "applies to"),
        (("--optimize", "latency"), "applies to"),
        (("--micro-kernels", "sparse", "--micro-codec", "lut"), "applies to"),
        (("--micro-kernels", "sparse", "--micro-cpu", "cortex-a53"), "cortex-m4"),
    ],
)
def test_settings_of_the_other_kernels_are_refused(options, words, source):
    given = source("MLP")
    run = run_cli("encode", given, "-o", given.with_name("out.tflite"), "--target", "micro", *options)
    assert run.code == 2
    assert words in run.stderr
    assert not given.with_name("out.tflite").exists()


def test_sparse_kernels_are_for_the_target_micro(source):
    given = source("MLP")
    run = run_cli("encode", given, "-o", given.with_name("out.tflite"), "--micro-kernels", "sparse")
    assert run.code == 2
    assert "micro" in run.stderr
