"""Compile the C++ for microcontroller apps and read its bytes back."""

import os
import shutil
import subprocess
import sys

import pytest
from ai_edge_litert import schema_py_generated as schema

from helpers import odd_models, tiny_models
from helpers.tflm_stand_ins import STAND_INS
from tflite_sparse.backends import micro_cpp
from tflite_sparse.errors import ExecutionError
from tflite_sparse.measurement import contract
from tflite_sparse.report.snippets import micro as snippets
from tflite_sparse.report.snippets.micro import Memory

ARM = "arm-none-eabi-g++"
STRICT = ["-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]

# Prints the operators of its input ("code name" a line) that the runtime does not know.
PROBE = """
import os, sys
from helpers import tiny_models
from tflite_micro import runtime

def is_missing(code, name):
    tiny = tiny_models.Tiny()
    x, y = tiny.tensor("x", (1,), "float32"), tiny.tensor("y", (1,), "float32")
    tiny.operator(code, 1, [x], [y])
    tiny.model.operatorCodes[0].customCode = name if code == 32 else None
    content = tiny_models.to_bytes(tiny.finished([x], [y]))
    ours, its = os.pipe()
    if os.fork() == 0:
        os.dup2(its, 2)
        try:
            runtime.Interpreter.from_bytes(content, arena_size=65536)
        finally:
            os._exit(0)
    os.close(its)
    with os.fdopen(ours) as stream:
        return "Failed to get registration" in stream.read()

for line in sys.stdin:
    code, name = line.split()
    if is_missing(int(code), name):
        print(name)
"""


@pytest.fixture(scope="module")
def arm():
    assert shutil.which(ARM), f"{ARM} is missing: apt-get install gcc-arm-none-eabi libstdc++-arm-none-eabi-newlib"
    return ARM


@pytest.fixture
def files(tmp_path):
    """Write the pair of files for ``content``."""

    def make(content, name="model_data"):
        header, source = micro_cpp.c_array(content, name)
        (tmp_path / f"{name}.h").write_text(header)
        (tmp_path / f"{name}.cc").write_text(source)
        return tmp_path / f"{name}.cc"

    return make


def run(*command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_array_compiles_for_arm_and_is_aligned_in_read_only_memory(arm, files, tmp_path):
    content = tiny_models.to_bytes(tiny_models.conv2d())
    source = files(content)
    run(arm, *STRICT, "-mcpu=cortex-m3", "-mthumb", "-fsyntax-only", source)
    built = tmp_path / "model.o"
    run(arm, *STRICT, "-mcpu=cortex-m3", "-mthumb", "-c", source, "-o", built)
    run("arm-none-eabi-objcopy", "-O", "binary", "-j", ".rodata", built, tmp_path / "model.bin")
    stored = (tmp_path / "model.bin").read_bytes()
    symbols = {line.split()[-1]: line.split() for line in run("arm-none-eabi-nm", "-S", built).splitlines()}
    start, size, kind, _ = symbols["g_model_data"]
    assert (int(start, 16) % 16, int(size, 16), kind) == (0, len(content), "R")
    assert stored[int(start, 16) :][: len(content)] == content
    start, size, kind, _ = symbols["g_model_data_size"]
    assert (int(size, 16), kind) == (4, "R")
    assert int.from_bytes(stored[int(start, 16) :][:4], "little") == len(content)
    (section,) = (line for line in run("arm-none-eabi-objdump", "-h", built).splitlines() if ".rodata" in line)
    assert int(section.split("2**")[1]) >= 4


@pytest.mark.parametrize("size", [1, 15, 16, 17, 300])
def test_an_app_reads_the_bytes_back(arm, size, files, tmp_path):
    """Include the header twice; compiling fails if the size is wrong."""
    content = bytes(range(256))[-size:] * 2
    source = files(content[:size], "small")
    checks = "".join(f"  if (g_small[{i}] != {value}) return 1;\n" for i, value in enumerate(content[:size]))
    app = tmp_path / "app.cc"
    app.write_text(
        f'#include "small.h"\n#include "small.h"\nint main() {{\n{checks}  return g_small_size != {size};\n}}'
    )
    run(arm, *STRICT, "-fsyntax-only", app)
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++: for Arm it compiled, and the bytes are compared above")
    run(compiler, *STRICT, app, source, "-o", tmp_path / "app")
    run(tmp_path / "app")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("model", "model"),
        ("model_data", "model_data"),
        ("My model-1.2 (final)", "My_model_1_2_final"),
        ("__x__y__", "x_y"),
        ("3d", "3d"),
        ("größe", "gr_e"),
        ("---", "model"),
        ("", "model"),
    ],
)
def test_names(name, found, arm, files):
    assert micro_cpp.identifier(name) == found
    if "/" not in name and name:
        run(arm, *STRICT, "-fsyntax-only", files(b"\x00", name))


# The resolver


def app(model, name="model_data", *, arena=4096, decoded=0):
    made = micro_cpp.app_of(model, name, f"{name}.tflite", Memory(arena, decoded))
    return snippets.cpp(contract.of_model(model), made)


def with_decode():
    model = tiny_models.fully_connected()
    tiny = tiny_models.Tiny()
    tiny.model, tiny.graph = model, model.subgraphs[0]
    tiny.operator(schema.BuiltinOperator.CUSTOM, 1, [1, 1], [1])
    model.operatorCodes[-1].customCode = micro_cpp.DECODE
    return model


MODELS = {
    "conv": (tiny_models.conv2d, ["AddConv2D"], {}),
    "two of a kind": (odd_models.two_layers, ["AddFullyConnected"], {}),
    "decode": (with_decode, ["AddDecode", "AddFullyConnected"], {}),
    "decode elsewhere": (with_decode, ["AddDecode", "AddFullyConnected"], {"decoded": 38400}),
    "subgraphs": (tiny_models.conv2d_in_subgraph, None, {}),
    "variables": (
        odd_models.accumulator,
        ["AddAdd", "AddAssignVariable", "AddCallOnce", "AddReadVariable", "AddVarHandle"],
        {},
    ),
}


@pytest.fixture
def stand_ins(tmp_path):
    """Write the declarations of the runtime; return the folder."""
    for path, text in STAND_INS.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("#pragma once\n" + text)
    return tmp_path


@pytest.mark.parametrize("name", MODELS)
def test_the_app_code_compiles(name, arm, files, tmp_path, stand_ins):
    make, methods, arguments = MODELS[name]
    model = make()
    code = app(model, **arguments)
    (tmp_path / "app.cc").write_text(code)
    files(tiny_models.to_bytes(model))
    run(arm, *STRICT, "-mcpu=cortex-m3", "-mthumb", "-fsyntax-only", "-I", stand_ins, tmp_path / "app.cc")
    registered = [line.split("resolver.")[1].split("(")[0] for line in code.splitlines() if "resolver.Add" in line]
    if methods is not None:
        assert registered == methods
    assert f"MicroMutableOpResolver<{len(registered)}>" in code
    assert "kArenaBytes = 4096;" in code
    assert ("SetDecompressionMemory" in code) == ("kDecodedBytes = 38400;" in code) == bool(arguments)
    assert ("MicroResourceVariables::Create(allocator, 1)" in code) == (name == "variables")


def test_without_a_measured_arena_it_does_not_compile_until_it_is_set(arm, files, tmp_path, stand_ins):
    model = tiny_models.conv2d()
    (tmp_path / "app.cc").write_text(app(model, arena=None))
    files(tiny_models.to_bytes(model))
    command = [arm, *STRICT, "-fsyntax-only", "-I", str(stand_ins), str(tmp_path / "app.cc")]
    refused = subprocess.run(command, capture_output=True, text=True)
    assert refused.returncode != 0
    assert "#error" in refused.stderr
    assert "was not measured" in refused.stderr
    run(*command, "-DARENA_BYTES=4096")


# An app, and a stand-in for the runtime that yields the stored values of its input.
ECHO = """
#include <algorithm>
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
namespace tflite {
int8_t in[4096], out[1024];
const Model* GetModel(const void*) { return nullptr; }
MicroInterpreter::MicroInterpreter(const Model*, const MicroOpResolver&, uint8_t*, size_t, MicroResourceVariables*,
                                   MicroProfilerInterface*, bool) {}
TfLiteStatus MicroInterpreter::AllocateTensors() { return kTfLiteOk; }
TfLiteStatus MicroInterpreter::Invoke() { std::copy(in, in + 1024, out); return kTfLiteOk; }
template <> int8_t* MicroInterpreter::typed_input_tensor<int8_t>(int i) { return i == 0 ? in : nullptr; }
template <> int8_t* MicroInterpreter::typed_output_tensor<int8_t>(int i) { return i == 0 ? out : nullptr; }
template <unsigned int N> TfLiteStatus MicroMutableOpResolver<N>::AddConv2D() { return kTfLiteOk; }
}
#include "app.cc"
float x[4096], y[1024];
int main() {
  x[0] = 0.05f; x[1] = -1000.f; x[2] = 1000.f; x[3] = 0.f; x[4] = 0.12f; x[5] = 0.18f;
  if (!RunModel(x, y)) return 100;
  // Quantised with scale 0.05 and zero point -3, halves to the even one.
  const int stored[] = {-2, -128, 127, -3, -1, 1};
  for (int i = 0; i < 6; ++i) {
    if (tflite::in[i] != stored[i]) return i + 1;
    if (y[i] != static_cast<float>(stored[i] - 5) * 0.8478387f) return 10 + i;
  }
  return 0;
}
"""


def test_the_app_code_quantises_what_it_feeds_and_reads(files, tmp_path, stand_ins):
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++: for Arm it compiled, above")
    model = tiny_models.conv2d()
    (tmp_path / "app.cc").write_text(app(model))
    (tmp_path / "main.cc").write_text(ECHO)
    array = files(tiny_models.to_bytes(model))
    run(compiler, *STRICT, "-I", stand_ins, tmp_path / "main.cc", array, "-o", tmp_path / "main")
    run(tmp_path / "main")


def test_operators_of_every_graph_are_registered():
    code = app(tiny_models.conv2d_in_subgraph("WHILE"))
    assert "AddWhile()" in code
    assert "AddConv2D()" in code


def test_the_memory_for_decoded_weights_is_left_out_where_nothing_is_decoded():
    assert "Decompression" not in app(tiny_models.conv2d(), decoded=100)


def test_operators_that_the_runtime_does_not_have():
    model = tiny_models.conv3d()
    assert micro_cpp.unsupported(tiny_models.conv2d()) == ()
    assert micro_cpp.unsupported(model) == ("CONV_3D",)
    with pytest.raises(ExecutionError, match="does not have CONV_3D"):
        app(model)
    model = with_decode()
    model.operatorCodes[-1].customCode = "Mine"
    assert micro_cpp.unsupported(model) == ("Mine",)
    model.operatorCodes[-1].customCode = "ADD"  # a custom operator under a builtin's name
    assert micro_cpp.unsupported(model) == ("ADD",)


def test_the_tables_are_what_the_runtime_has():
    builtin = {n: code for n, code in vars(schema.BuiltinOperator).items() if isinstance(code, int) and n != "CUSTOM"}
    custom = dict.fromkeys([*micro_cpp.CUSTOM_METHODS, "NoSuchOperator"], schema.BuiltinOperator.CUSTOM)
    asked = builtin | custom
    lines = "".join(f"{code} {name}\n" for name, code in asked.items())
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
    missing = set(run(sys.executable, "-c", PROBE, input=lines, env=environment).split())
    assert set(builtin) - missing == set(micro_cpp.METHODS)
    # "ethos-u" exists only in builds for chips with one.
    assert set(custom) - missing == set(micro_cpp.CUSTOM_METHODS) - {"ethos-u"}
