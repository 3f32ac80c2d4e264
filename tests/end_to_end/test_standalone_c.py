"""``--target c``: encode, verify and bench a small network; what a firmware project does with the files."""

import json
import shutil
import subprocess

import numpy as np
import pytest

from helpers import generated_c, tiny_models
from helpers.int8_nets import few_values, residual
from helpers.tools import run_cli
from tflite_sparse.codecs.streams.kernels import SHARED_KERNELS
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs
from tflite_sparse.results.files import EncodingReport
from tflite_sparse.rewrites import sparse_operator
from tflite_sparse.runtime import cortex_m, host_c, micro

pytestmark = generated_c.needed

RE_ENTRANT = """
#include "net.h"
#include <stdio.h>
#include <string.h>

static uint8_t arenas[2][NET_ARENA_BYTES] __attribute__((aligned(NET_ARENA_ALIGNMENT)));

int main(void) {
  int8_t one[NET_INPUT_0_COUNT], two[NET_INPUT_0_COUNT];
  if (fread(one, 1, sizeof one, stdin) != sizeof one || fread(two, 1, sizeof two, stdin) != sizeof two) return 1;
  memcpy(net_input_in(arenas[0], 0), one, sizeof one);
  memcpy(net_input_in(arenas[1], 0), two, sizeof two);
  if (net_run_in(arenas[0]) != 0 || net_run_in(arenas[1]) != 0) return 2;
  if (net_run_in(arenas[0] + 1) == 0 || net_run_in(NULL) == 0 || net_input_in(arenas[0], 1) != NULL) return 3;
  fwrite(net_output_in(arenas[0], 0), 1, NET_OUTPUT_0_COUNT, stdout);
  fwrite(net_output_in(arenas[1], 0), 1, NET_OUTPUT_0_COUNT, stdout);
  return 0;
}
"""


ONE_RUN = """
#include "net.h"
#include <stdio.h>

int main(void) {
  while (fread(net_input(0), 1, NET_INPUT_0_COUNT, stdin) == NET_INPUT_0_COUNT) {
    if (net_run() != 0) return 1;
    fwrite(net_output(0), 1, NET_OUTPUT_0_COUNT, stdout);
  }
  return 0;
}
"""

APP = """
#include <stdio.h>

int main(void) {
  static float given[NET_INPUT_0_COUNT], found[NET_OUTPUT_0_COUNT];
  if (fread(given, sizeof *given, NET_INPUT_0_COUNT, stdin) != NET_INPUT_0_COUNT) return 1;
  if (run_model(given, found) != 0) return 2;
  return fwrite(found, sizeof *found, NET_OUTPUT_0_COUNT, stdout) != NET_OUTPUT_0_COUNT;
}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A residual network as it comes from ``encode``, with what it printed."""
    folder = tmp_path_factory.mktemp("c")
    dense = folder / "dense.tflite"
    dense.write_bytes(tiny_models.to_bytes(residual().finished()))
    out = folder / "build"
    options = ("--target", "c", "--micro-cpu", "cortex-m4", "--name", "net", "--json")
    report = EncodingReport.model_validate_json(run_cli("encode", dense, *options, "-o", f"{out}/").stdout)
    return dense, out, report


def test_the_files_and_the_report(made):
    dense, out, report = made
    assert report.verification.passed
    assert [check.name for check in report.verification.runtimes] == [host_c.NAME]
    made_files = {"net.tflite", "net.h", "net.c", "CMakeLists.txt", "tflite_sparse_kernels.c"}
    assert made_files <= set(map(_name, out.iterdir()))
    assert not (out / "tfls_pool.c").exists()
    numbers = report.target_part.numbers
    assert numbers["arena_bytes"] <= numbers["micro_arena_bytes"]
    assert numbers["instructions"] < numbers["own_dense_instructions"] < numbers["dense_instructions"]
    found = report.target_part.inference
    assert (found.cpu, found.counted) == ("cortex-m4", cortex_m.is_available())
    assert numbers["instructions"] < found.instructions == sum(each.instructions for each in found.operators)
    if cortex_m.has_compiler():
        assert numbers["constant_bytes"] < numbers["flash_bytes"] == numbers["constant_bytes"] + numbers["code_bytes"]
        assert 0 < numbers["stack_bytes"] < 2000
    assert numbers["constant_bytes"] < 0.4 * dense.stat().st_size
    assert "0xFFFFFFFEu" not in (out / "tflite_sparse_kernels.h").read_text()
    for name in ("net.h", "net.c"):
        assert f"from {dense.name}" in (out / name).read_text().splitlines()[0]


def test_verify_compares_in_c(made):
    dense, out, _ = made
    found = json.loads(run_cli("verify", out / "net.tflite", "--against", dense, "--target", "c", "--json").stdout)
    assert [(each["name"], each["outputs_bit_exact"]) for each in found["runtimes"]] == [(host_c.NAME, True)]
    assert found["passed"]


def test_without_a_compiler_nothing_passes(made, monkeypatch, tmp_path):
    dense, out, _ = made
    monkeypatch.setattr(host_c, "compiler", lambda: None)
    verified = run_cli("verify", out / "net.tflite", "--against", dense, "--target", "c")
    assert verified.code == 2
    assert "no C compiler" in verified.stderr
    encoded = run_cli("encode", dense, "--target", "c", "-o", tmp_path / "new", "--json")
    found = json.loads(encoded.stdout)["verification"]
    assert "no C compiler" in found["not_compared"]
    assert found["runtimes"] == []


def test_without_an_emulator_every_operator_is_estimated(made, monkeypatch):
    _, out, report = made
    monkeypatch.setenv("PATH", "")
    options = ("--target", "c", "--micro-cpu", "cortex-m4", "--quiet")
    (found,) = json.loads(run_cli("bench", out / "net.tflite", *options, "--json").stdout)["files"]
    assert not found["counted"]
    expected = report.target_part.inference.operators  # counted, if there is an emulator
    assert [each["operator"] for each in found["operators"]] == [each.operator for each in expected]
    assert all(each["instructions"] > 100 for each in found["operators"])
    assert found["instructions"] == pytest.approx(report.target_part.inference.instructions, rel=0.15)
    table = run_cli("bench", out / "net.tflite", *options).stdout
    assert "Estimated by a model fitted to an emulator, off by up to" in table
    assert "compiler and emulator are not installed" in table
    other = run_cli("bench", out / "net.tflite", "--target", "c", "--micro-cpu", "cortex-m0")
    assert other.code == 2
    assert "net.tflite: " in other.stderr
    assert "cortex-m0 is unknown" in other.stderr


@pytest.mark.slow
@pytest.mark.skipif(not cortex_m.is_available(), reason="no cross compiler or no emulator")
def test_bench_counts_operators(made):
    dense, out, _ = made
    options = ("--target", "c", "--micro-cpu", "cortex-m4", "--json")
    found = json.loads(run_cli("bench", dense, out / "net.tflite", *options).stdout)
    first, second = found["files"]
    assert second["counted"]
    assert second["instructions"] == sum(each["instructions"] for each in second["operators"])
    assert second["ratio"] == pytest.approx(second["instructions"] / first["instructions"])
    assert second["ratio"] < 0.8
    assert [each["operator"] for each in first["operators"]] == [each["operator"] for each in second["operators"]]


def test_what_the_user_wrote_stays(made, tmp_path):
    dense, _, _ = made
    (tmp_path / "CMakeLists.txt").write_text("project(mine)\n")
    refused = run_cli("encode", dense, "--target", "c", "-o", tmp_path)
    assert refused.code == 2
    assert "CMakeLists.txt is not by tflite-sparse and would be replaced: move it, or choose another" in refused.stderr
    assert sorted(map(_name, tmp_path.iterdir())) == ["CMakeLists.txt"]


def test_two_arenas_at_once(made, tmp_path):
    dense, out, _ = made
    rng = np.random.default_rng(3)
    inputs = [[rng.integers(-128, 128, (1, 16, 16, 3)).astype(np.int8)] for _ in range(2)]
    (tmp_path / "main.c").write_text(RE_ENTRANT)
    sources = [*map(str, out.glob("*.c")), str(tmp_path / "main.c")]
    flags = ["-std=c99", *generated_c.SANITIZED, "-DNET_ARENA_EXTERNAL", f"-I{out}"]
    subprocess.run([host_c.compiler(), *flags, *sources, "-o", tmp_path / "two"], check=True)
    fed = b"".join(array.tobytes() for sample in inputs for array in sample)
    found = subprocess.run([tmp_path / "two"], input=fed, capture_output=True, check=True).stdout
    expected = micro.run_separately(dense, inputs).rows
    assert found == b"".join(row[0].tobytes() for row in expected)


@pytest.mark.slow
def test_shared_values_compute_what_the_dense_file_does(tmp_path):
    """Kernels of few values, some with two tables, as the user compiles them: with warnings and sanitizers."""
    dense, out = tmp_path / "dense.tflite", tmp_path / "c"
    dense.write_bytes(tiny_models.to_bytes(few_values().finished()))
    done = run_cli("encode", dense, "--target", "c", "--micro-cpu", "cortex-m4", "--name", "net", "-o", out)
    assert done.code == 0, done.stderr
    operators = sparse_operator.operators(next(graphs(serde.read(out / "net.tflite"))))
    assert sum(each.options.kernel in SHARED_KERNELS for each in operators) >= 4
    assert max(each.tables for each in operators) == 2
    (tmp_path / "main.c").write_text(ONE_RUN)
    sources = [*map(str, out.glob("*.c")), str(tmp_path / "main.c")]
    flags = ["-std=c99", *generated_c.SANITIZED, f"-I{out}"]
    subprocess.run([host_c.compiler(), *flags, *sources, "-o", tmp_path / "run"], check=True)
    rng = np.random.default_rng(5)
    inputs = [[rng.integers(-128, 128, (1, 16, 16, 3)).astype(np.int8)] for _ in range(3)]
    fed = b"".join(sample[0].tobytes() for sample in inputs)
    found = subprocess.run([tmp_path / "run"], input=fed, capture_output=True, check=True).stdout
    expected = [row[0].tobytes() for row in micro.run_separately(dense, inputs).rows]
    assert found == b"".join(expected)
    assert len(set(expected)) == len(inputs)


@pytest.mark.slow
def test_the_snippet_of_the_contract_runs_the_model(made, tmp_path):
    dense, out, report = made
    code = report.contract.snippets["c"]
    assert run_cli("inspect", out / "net.tflite", "--target", "c", "--snippet", "c", "--quiet").stdout == code
    (tmp_path / "app.c").write_text(code + APP)
    sources = [*map(str, out.glob("*.c")), str(tmp_path / "app.c")]
    flags = ["-std=c99", *generated_c.SANITIZED, f"-I{out}"]
    subprocess.run([host_c.compiler(), *flags, *sources, "-lm", "-o", tmp_path / "app"], check=True)
    port, result = report.contract.inputs[0], report.contract.outputs[0]
    given = np.random.default_rng(5).normal(0, 60 * port.scale, port.run_shape).astype(np.float32)
    found = subprocess.run([tmp_path / "app"], input=given.tobytes(), capture_output=True, check=True).stdout
    stored = np.clip(np.rint(given / np.float32(port.scale)) + port.zero_point, -128, 127).astype(np.int8)
    ((expected,),) = micro.run_separately(dense, [[stored]]).rows
    real = (expected.astype(np.float32) - result.zero_point) * np.float32(result.scale)
    np.testing.assert_array_equal(np.frombuffer(found, np.float32), real.reshape(-1))


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler is installed")
def test_cpp_compiles_it_without_a_warning(made, tmp_path):
    _, out, _ = made
    for path in sorted(out.glob("*.c")):
        command = ["g++", "-std=c++17", "-x", "c++", *generated_c.STRICT, f"-I{out}", "-c", path, "-o", tmp_path / "o"]
        subprocess.run(command, check=True)


def _name(path):
    return path.name
