"""Compile the C that calls a model of the target c."""

import re
import shutil
import subprocess

import pytest

from helpers import generated_c
from tflite_sparse.report.snippets import standalone_c as snippets
from tflite_sparse.results.contract import Contract, Port
from tflite_sparse.runtime import host_c

HEADER_NAMES = "input input_in labels output output_in run run_in"
KEYWORDS = """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t class co_await co_return
    co_yield compl concept const const_cast consteval constexpr constinit continue decltype default delete do double
    dynamic_cast else enum explicit export extern false float for friend goto if inline int long mutable namespace new
    noexcept not not_eq nullptr operator or or_eq private protected public register reinterpret_cast requires restrict
    return short signed sizeof static static_assert static_cast struct switch template this thread_local throw true try
    typedef typeid typename typeof union unsigned using virtual void volatile wchar_t while xor xor_eq
"""
MACROS_AND_TYPES = "errno i386 int8_t int32_t linux size_t stderr stdin stdout uint8_t unix"
CLASHING = "x x_stored y_stored y y_stored_stored x_2 X x:0 8 8_stored"
PREFIXES = ["model", "x"]


def port(name, index, dtype="int8"):
    scale, zero_point = (0.5, 3) if dtype == "int8" else (None, None)
    return Port(
        index=index, place=index, name=name, shape=(1, 4), run_shape=(1, 4), dtype=dtype, scale=scale,
        zero_point=zero_point, meaning="numbers",
    )  # fmt: skip


def contract_of(inputs, outputs):
    types = ("int8", "float32", "int32")
    named = [[port(name, index, types[index % 3]) for index, name in enumerate(each)] for each in (inputs, outputs)]
    return Contract(signature=None, inputs=named[0], outputs=named[1], labels=[])


def header(contract, prefix):
    """Of a model with these inputs and outputs."""
    lines = ["#include <errno.h>", "#include <stdint.h>", "#include <stdio.h>"]
    lines += [f"void* {prefix}_{each}(int index);" for each in ("input", "output")]
    lines += [f"int {prefix}_run(void);", f"extern const char* const {prefix}_labels[1];"]
    for words, ports in (("INPUT", contract.inputs), ("OUTPUT", contract.outputs)):
        for each in ports:
            for what, value in (("COUNT", 4), ("SCALE", "0.5f"), ("ZERO_POINT", 3)):
                lines.append(f"#define {prefix.upper()}_{words}_{each.index}_{what} {value}")
    return "\n".join(lines) + "\n"


def names(prefix):
    """Whatever may not be a parameter, and all that the code says itself."""
    plain = snippets.snippets(contract_of(["a"], ["b"]), prefix)["c"]
    of_header = [f"{prefix}_{each}" for each in HEADER_NAMES.split()]
    words = [*KEYWORDS.split(), *MACROS_AND_TYPES.split(), *CLASHING.split(), *of_header]
    return list(dict.fromkeys([*words, *re.findall(r"[a-z_]\w*", plain)]))


@pytest.mark.skipif(
    host_c.compiler() is None or shutil.which("g++") is None, reason="no C or C++ compiler is installed"
)
@pytest.mark.parametrize("prefix", PREFIXES)
def test_any_name_of_an_input_or_output_compiles(prefix, tmp_path):
    found = names(prefix)
    contract = contract_of(found, [*reversed(found), "plain"])
    (tmp_path / f"{prefix}.h").write_text(header(contract, prefix))
    source = tmp_path / "app.c"
    source.write_text(snippets.snippets(contract, prefix)["c"])
    flags = [*generated_c.STRICT, "-Wshadow", "-fsyntax-only", f"-I{tmp_path}"]
    for command in ([host_c.compiler(), "-std=gnu99"], ["g++", "-std=gnu++20", "-x", "c++"]):
        done = subprocess.run([*command, *flags, source], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_parameters_differ_from_all_other_names():
    code = snippets.snippets(contract_of(["x", "x_stored", "model_run"], ["y"]), "model")["c"]
    declared = re.search(r"int run_model\((.*)\);", code)[1]
    assert re.findall(r"(\w+)\[4\]", declared) == ["x", "x_stored_2", "model_run_2", "y"]
