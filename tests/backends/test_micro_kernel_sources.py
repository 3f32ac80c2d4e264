"""The files that an app adds: they compile for microcontrollers, against declarations of our own of what they call.

By hand, on 2026-11-30, tflite_sparse_ops.cc was compiled against the real headers of tflite-micro 90b983c, with g++ 12
and arm-none-eabi-g++ 12 for a Cortex-M4.
"""

import re
import shutil
import subprocess

import pytest

from helpers import tiny_models
from tflite_sparse.backends import micro_app, micro_kernels
from tflite_sparse.backends.micro_app import Arenas
from tflite_sparse.codecs.streams.kernels import Kernel
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs
from tflite_sparse.measurement import contract
from tflite_sparse.rewrites import sparse_operator
from tflite_sparse.runtime import cortex_m
from tflite_sparse.target_registry import MICRO_FOLDER, MICRO_MADE, MICRO_SOURCES

C, CXX = "arm-none-eabi-gcc", "arm-none-eabi-g++"
STRICT = ("-Wall", "-Wextra", "-Wpedantic", "-Werror", "-mthumb")

# Names of TensorFlow Lite Micro's API, global as in its releases up to summer 2026.
COMMON = """
#pragma once
#include <cstddef>
#include <cstdint>
typedef enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 } TfLiteStatus;
typedef enum { kTfLiteUInt8 = 3, kTfLiteInt8 = 9 } TfLiteType;
struct TfLiteContext;
struct TfLiteIntArray { int size; int data[1]; };
union TfLitePtrUnion { void* data; };
struct TfLiteEvalTensor { TfLitePtrUnion data; TfLiteIntArray* dims; TfLiteType type; };
struct TfLiteNode { TfLiteIntArray* inputs; TfLiteIntArray* outputs; TfLiteIntArray* intermediates; void* user_data; };
struct TFLMRegistration {
  void* (*init)(TfLiteContext* context, const char* buffer, size_t length);
  void (*free)(TfLiteContext* context, void* buffer);
  TfLiteStatus (*prepare)(TfLiteContext* context, TfLiteNode* node);
  TfLiteStatus (*invoke)(TfLiteContext* context, TfLiteNode* node);
  void (*reset)(TfLiteContext* context, void* buffer);
  int32_t builtin_code;
  const char* custom_name;
};
#define TF_LITE_ENSURE_STATUS(a) do { const TfLiteStatus s = (a); if (s != kTfLiteOk) return s; } while (0)
"""
HEADERS = {
    "micro_common.h": COMMON,
    "micro_log.h": "#pragma once\nvoid MicroPrintf(const char* format, ...);\n",
    "kernels/kernel_util.h": """
#pragma once
#include "tensorflow/lite/micro/micro_common.h"
namespace tflite {
void* MicroContextAllocatePersistentBuffer(TfLiteContext* context, size_t bytes);
TfLiteStatus MicroContextRequestScratchBufferInArena(TfLiteContext* context, size_t bytes, int* buffer_index);
void* MicroContextGetScratchBuffer(TfLiteContext* context, int buffer_index);
namespace micro {
const TfLiteEvalTensor* GetEvalInput(const TfLiteContext* context, const TfLiteNode* node, int index);
TfLiteEvalTensor* GetEvalOutput(const TfLiteContext* context, const TfLiteNode* node, int index);
}
}
""",
    "micro_mutable_op_resolver.h": """
#pragma once
#include "tensorflow/lite/micro/micro_common.h"
namespace tflite {
struct MicroOpResolver {};
template <unsigned int count> struct MicroMutableOpResolver : MicroOpResolver {
  TfLiteStatus AddCustom(const char* name, const TFLMRegistration* registration);
};
}
""",
    "micro_interpreter.h": """
#pragma once
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
namespace tflite {
struct Model {};
const Model* GetModel(const void* buffer);
struct MicroInterpreter {
  MicroInterpreter(const Model* model, const MicroOpResolver& resolver, uint8_t* arena, size_t arena_size);
  TfLiteStatus AllocateTensors();
  TfLiteStatus Invoke();
  template <typename T> T* typed_input_tensor(int index);
  template <typename T> T* typed_output_tensor(int index);
};
}
""",
    "../schema/schema_generated.h": "#pragma once\n",
}


@pytest.fixture
def folder(tmp_path):
    """What ``encode`` writes into micro/ for a small model, and the declarations."""
    assert shutil.which(CXX), f"{CXX} is missing: apt-get install gcc-arm-none-eabi libstdc++-arm-none-eabi-newlib"
    model = serde.parse(tiny_models.to_bytes(tiny_models.conv2d()))
    graph = next(graphs(model))
    sparse_operator.apply(graph, 1, graph.uses()[1], Kernel.STRIP_DELTA8)
    content = bytes(serde.serialize(model))
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    app = micro_app.code(
        path, contract.of_model(serde.read(path)), micro_kernels.ARRAY_STEM, path.name, Arenas(1234, 1234, 0)
    )
    path.unlink()
    for name, found in micro_kernels.sources(content, app["c++"]).items():
        assert name.startswith(f"{MICRO_FOLDER}/")
        (tmp_path / name.partition("/")[2]).write_bytes(found)
    for name, text in HEADERS.items():
        path = (tmp_path / "tensorflow/lite/micro" / name).resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def run(*command, cwd):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_all_files_are_there(folder):
    assert {path.name for path in folder.iterdir() if path.is_file()} == {*MICRO_SOURCES, *MICRO_MADE}


@pytest.mark.parametrize("cpu", ["cortex-m0", "cortex-m4", "cortex-m33"])
def test_operator_and_app_compile_and_hold_no_writable_data(folder, cpu):
    for source in ("tflite_sparse_ops.cc", "app.cc", "model_data.cc"):
        run(CXX, "-std=c++11", *STRICT, f"-mcpu={cpu}", "-fno-exceptions", "-I.", "-c", source, cwd=folder)
    run(C, "-std=c99", *STRICT, f"-mcpu={cpu}", "-c", "tflite_sparse_kernels.c", cwd=folder)
    for built in ("tflite_sparse_kernels.o", "tflite_sparse_ops.o"):
        _, data, bss = run("arm-none-eabi-size", built, cwd=folder).splitlines()[1].split()[:3]
        assert (built, data, bss) == (built, "0", "0")


@pytest.mark.slow
@pytest.mark.parametrize("kernel", Kernel)
def test_each_kernel_compiles_alone(folder, kernel):
    """For each CPU whose macros select other code than those of the CPUs before it."""
    seen = set()
    for cpu in cortex_m.CPUS.values():
        flags = (f"-mcpu={cpu.name}", *cpu.flags, f"-DTFLITE_SPARSE_KERNELS={1 << kernel}")
        preprocessed = run(C, "-std=c99", *STRICT, "-E", *flags, "tflite_sparse_kernels.c", cwd=folder)
        if preprocessed not in seen:
            seen.add(preprocessed)
            run(C, "-std=c99", *STRICT, "-O2", *flags, "-c", "tflite_sparse_kernels.c", cwd=folder)
    assert seen


def test_the_app_registers_one_operator_and_knows_its_arena(folder):
    app = (folder / "app.cc").read_text()
    assert "tflite::MicroMutableOpResolver<1>" in app
    assert "tflite_sparse::AddSparseOps(resolver)" in app
    assert "kArenaBytes = 1234" in app
    assert '#include "model_data.h"' in app


def test_kernels_have_the_numbers_of_the_header(folder):
    header = (folder / "tflite_sparse_kernels.h").read_text()
    found = dict(re.findall(r"#define TFLS_((?:ROW|PAIR|STRIP|PIXEL|DIRECT)_\w+) (\d+)", header))
    assert {name: int(number) for name, number in found.items()} == {kernel.name: kernel.value for kernel in Kernel}
