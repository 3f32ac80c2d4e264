"""Run, compile and read the code that calls a file."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from helpers import odd_models, tiny_models
from helpers.tiny_models import fully_connected
from tflite_sparse.measurement import contract
from tflite_sparse.report.snippets import litert as snippets
from tflite_sparse.report.snippets.ports import ports_of
from tflite_sparse.runtime import litert

ROOT = Path(__file__).resolve().parents[2]
STRICT = ["-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror"]
HOSTILE = 'a"""\'; */ // ${x} \\\n\t?\\?/\u2028é'

# Declarations of LiteRT and Abseil that the snippet uses, as in litert/cc of version 2.1.
STAND_INS = {
    "absl/types/span.h": """
#include <vector>
namespace absl {
template <class T> struct Span { T* data; size_t size; };
template <class T> Span<const T> MakeConstSpan(const std::vector<T>& v) { return {v.data(), v.size()}; }
template <class T> Span<T> MakeSpan(std::vector<T>& v) { return {v.data(), v.size()}; }
}
""",
    "litert/cc/litert_expected.h": """
#include <utility>
namespace litert {
struct Unexpected {};
template <class T> struct Expected {
  Expected(T v) : value(std::move(v)) {}
  Expected(Unexpected);
  explicit operator bool() const { return true; }
  T& operator*() { return value; }
  T* operator->() { return &value; }
  T value;
};
template <> struct Expected<void> { explicit operator bool() const { return true; } };
}
""",
    "litert/cc/litert_macros.h": """
#define JOINED_(a, b) a##b
#define JOINED(a, b) JOINED_(a, b)
#define LITERT_RETURN_IF_ERROR(e) do { if (!(e)) return litert::Unexpected(); } while (0)
#define LITERT_ASSIGN_OR_RETURN(declaration, e) LITERT_ASSIGN_(declaration, (e), JOINED(expected_, __LINE__))
#define LITERT_ASSIGN_(declaration, e, name) \\
  auto name = e; if (!name) return litert::Unexpected(); declaration = std::move(*name)
""",
    "litert/cc/litert_common.h": "namespace litert { enum class HwAccelerators { kCpu = 1 }; }",
    "litert/cc/litert_environment.h": """
#include <vector>
#include "litert/cc/litert_expected.h"
namespace litert {
struct Environment {
  struct Option {};
  static Expected<Environment> Create(const std::vector<Option>&);
};
}
""",
    "litert/cc/litert_tensor_buffer.h": """
#include "absl/types/span.h"
#include "litert/cc/litert_expected.h"
namespace litert {
struct TensorBuffer {
  template <class T> Expected<void> Write(absl::Span<const T>);
  template <class T> Expected<void> Read(absl::Span<T>);
};
}
""",
    "litert/cc/litert_compiled_model.h": """
#include <string>
#include "litert/cc/litert_common.h"
#include "litert/cc/litert_environment.h"
#include "litert/cc/litert_tensor_buffer.h"
namespace litert {
struct CompiledModel {
  static Expected<CompiledModel> Create(Environment&, const std::string&, HwAccelerators);
  Expected<std::vector<TensorBuffer>> CreateInputBuffers();
  Expected<std::vector<TensorBuffer>> CreateOutputBuffers();
  Expected<void> Run(const std::vector<TensorBuffer>&, const std::vector<TensorBuffer>&);
};
}
""",
}


def without_signature():
    model = tiny_models.conv2d()
    model.signatureDefs = []
    return model


def renamed():
    model = fully_connected((4, 16), readers=2)
    for kind in (model.signatureDefs[0].inputs, model.signatureDefs[0].outputs):
        for entry in kind:
            entry.name = HOSTILE + str(entry.tensorIndex)
    return model


MODELS = {
    "int8": tiny_models.conv2d,
    "float32": lambda: tiny_models.conv2d(dtype="float32"),
    "two outputs": lambda: fully_connected((4, 16), readers=2),
    "without a signature": without_signature,
    "hostile names": renamed,
}


def code(model, file="model.tflite", labels=()):
    return snippets.snippets(contract.of_model(model, labels=labels), file)


def ran(path, model):
    """What the Python snippet of a file yields for random numbers, and the numbers."""
    found = contract.of_model(model)
    names = {}
    exec(compile(code(model, str(path))["python"], "snippet", "exec"), names)  # noqa: S102 - what is tested
    generator = np.random.default_rng(0)
    given = [generator.uniform(-3, 3, each.run_shape).astype(np.float32) for each in found.inputs]
    outputs = names["predict"](*given)
    return found, given, outputs if isinstance(outputs, tuple) else (outputs,)


@pytest.mark.parametrize("name", MODELS)
def test_python_computes_what_the_runtime_does(name, tmp_path):
    model, path = MODELS[name](), tmp_path / "model.tflite"
    path.write_bytes(tiny_models.to_bytes(model))
    found, given, outputs = ran(path, model)
    expected = litert.run(path, given[0], "default", threads=1)
    assert len(outputs) == len(found.outputs)
    for index, output in enumerate(outputs):
        np.testing.assert_array_equal(output, expected.real(index))
        assert len(np.unique(output)) > 3


@pytest.mark.parametrize("name", [name for name in MODELS if name != "without a signature"])
def test_cpp_compiles(name, tmp_path):
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++")
    for path, text in STAND_INS.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("#pragma once\n#include <cstddef>\n" + text)
    source = tmp_path / "snippet.cc"
    source.write_text(code(MODELS[name](), 'm"odel.tflite')["c++"])
    done = subprocess.run([compiler, *STRICT, "-fsyntax-only", f"-I{tmp_path}", source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", [name for name in MODELS if name != "without a signature"])
def test_kotlin_calls_what_the_android_demo_calls(name):
    """That demo is compiled against the runtime's own classes."""
    demo = "\n".join(path.read_text() for path in (ROOT / "android_demo/app/src/main/kotlin").rglob("*.kt"))
    text = code(MODELS[name]())["kotlin"]
    imported = re.findall(r"^import (com\.google\S+)", text, re.MULTILINE)
    called = re.findall(r"(?:model|inputs\[\d\]|outputs\[\d\]|CompiledModel)\.(\w+)\(", text)
    assert {"create", "createInputBuffers", "createOutputBuffers", "run", "close"} <= set(called)
    for each in imported:
        assert f"import {each}\n" in demo
    for each in called:
        assert re.search(rf"\.{each}\(", demo), each
    assert text.count("{") == text.count("}")
    assert text.count("(") == text.count(")") or name == "hostile names"


def test_an_api_without_a_type_has_no_snippet():
    assert set(code(tiny_models.conv2d(dtype="int16"))) == {"python", "c++"}
    assert set(code(without_signature())) == {"python"}


def test_literals_of_labels_are_the_labels():
    labels = (HOSTILE, *"bcdefghijklmnop")
    found = code(tiny_models.conv2d(), labels=labels)
    names = {}
    line = next(line for line in found["python"].splitlines() if line.startswith("LABELS = "))
    exec(line, names)  # noqa: S102 - what is tested
    assert names["LABELS"] == labels
    listed = re.search(r"listOf\((.*)\)", found["kotlin"])[1]
    assert json.loads(f"[{listed}]".replace("\\$", "$")) == list(labels)
    assert "$" not in listed.replace("\\$", "")


def test_names_in_code_are_identifiers_and_differ():
    found = ports_of(contract.of_model(renamed()))
    names = [each.code for each in (*found.inputs, *found.outputs)]
    assert len(set(names)) == len(names) == 3
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names)
    for word in ("model", "class", "8", "outputs"):
        model = tiny_models.conv2d()
        model.signatureDefs[0].inputs[0].name = word
        assert ports_of(contract.of_model(model)).inputs[0].code == f"t_{word}"


def test_comments_stay_in_their_line():
    for text in code(renamed()).values():
        for mark in ("#", "//", "*"):
            lines = [line for line in text.splitlines() if line.strip().startswith(mark)]
            assert all(line.isascii() and not line.endswith("\\") for line in lines)


def test_open_sizes_run_in_python(tmp_path):
    model, path = odd_models.open_image(kernel=40), tmp_path / "model.tflite"
    path.write_bytes(tiny_models.to_bytes(model))
    _, given, outputs = ran(path, model)
    np.testing.assert_array_equal(outputs[0], litert.run(path, given[0], "default", threads=1).real())
