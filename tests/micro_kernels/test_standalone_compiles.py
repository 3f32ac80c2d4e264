"""The C operators compile without a warning: for each CPU, as C and as C++, with one layout of weights alone.

A file that the preprocessor makes the same text of for two CPUs is compiled for the first of them.
"""

import re
import shutil
import subprocess

import pytest

from helpers.standalone_operators import SOURCES, STRICT
from tflite_sparse.runtime import cortex_m

ALL, WITH_ASSEMBLY = sorted(cortex_m.CPUS), ["cortex-m4", "cortex-m55"]
C, CPP = ("-x", "c", "-std=c99", "-O2"), ("-x", "c++", "-std=c++17", "-O3")
BOTH_LAYOUTS = 3
COMPILER = "arm-none-eabi-gcc"
INCLUDE = f"-I{SOURCES.parent}"
BUILDS = {
    "C": (ALL, C, BOTH_LAYOUTS),
    "C++": (WITH_ASSEMBLY, CPP, BOTH_LAYOUTS),
    "plain weights": (["cortex-m0", *WITH_ASSEMBLY], C, 1),
    "paired weights": (["cortex-m0", *WITH_ASSEMBLY], C, 2),
}


def call(program, *arguments, folder):
    return subprocess.run([program, *arguments], check=True, cwd=folder, capture_output=True, text=True).stdout


@pytest.mark.slow
@pytest.mark.skipif(not cortex_m.has_compiler(), reason="arm-none-eabi-gcc is not installed")
@pytest.mark.parametrize("name", BUILDS)
def test_files_compile_without_a_warning(name, tmp_path):
    cpus, language, layouts = BUILDS[name]
    sources = sorted(SOURCES.glob("*.c"))
    if layouts != BOTH_LAYOUTS:
        sources = [SOURCES / "tfls_conv.c", SOURCES / "tfls_fully_connected.c"]
    seen = set()
    for cpu in cpus:
        flags = [
            "-mthumb",
            f"-mcpu={cpu}",
            *cortex_m.CPUS[cpu].flags,
            *language,
            *STRICT,
            INCLUDE,
            f"-DTFLS_LAYOUTS={layouts}u",
        ]
        texts = {source: call(COMPILER, *flags, "-E", source, folder=tmp_path) for source in sources}
        new = [source for source, text in texts.items() if text not in seen]
        if not new:  # all are those of a CPU before
            continue
        seen |= set(texts.values())
        call(COMPILER, *flags, "-c", *new, folder=tmp_path)
        symbols = call("arm-none-eabi-nm", *(f"{source.stem}.o" for source in new), folder=tmp_path).splitlines()
        kinds = {line.split()[-2] for line in symbols if len(line.split()) >= 2}
        assert kinds
        assert not kinds & set("BbDdC")  # no writable data
    assert len(seen) > len(sources)  # CPUs have code of their own


@pytest.mark.skipif(not cortex_m.has_compiler(), reason="arm-none-eabi-gcc is not installed")
@pytest.mark.parametrize(
    ("flags", "takes_assembly"),
    [
        (("-mcpu=cortex-m4", "-mthumb"), True),
        (("-mcpu=cortex-m4", "-mthumb", "-mno-unaligned-access"), False),
        (("-mcpu=cortex-a7", "-marm"), False),
    ],
    ids=["Thumb", "no unaligned words", "ARM state"],
)
def test_assembly_is_for_cpus_that_take_it(flags, takes_assembly, tmp_path):
    names = ("tfls_conv", "tfls_conv_3x3x1", "tfls_depthwise", "tfls_fully_connected")
    call(
        COMPILER,
        *flags,
        *C,
        *STRICT,
        "-DTFLS_LAYOUTS=3u",
        "-c",
        *(SOURCES / f"{each}.c" for each in names),
        folder=tmp_path,
    )
    code = call("arm-none-eabi-objdump", "-d", *(f"{each}.o" for each in names), folder=tmp_path)
    assert (re.search(r"\tsmlad\t", code) is not None) == takes_assembly


@pytest.mark.skipif(not cortex_m.has_compiler(), reason="arm-none-eabi-gcc is not installed")
@pytest.mark.skipif(shutil.which("clang") is None, reason="clang is not installed")
@pytest.mark.parametrize("cpu", ["cortex-m0", *WITH_ASSEMBLY])
def test_files_compile_with_clang(cpu, tmp_path):
    """Compilers that come with boards are made of it; it has no C library for them."""
    strict = [flag for flag in STRICT if flag != "-Wpedantic"]  # of strings beyond 4,095 characters, as assembly is
    root = call(COMPILER, "-print-sysroot", folder=tmp_path).strip() or "/usr/lib/arm-none-eabi"
    flags = ["--target=arm-none-eabi", "-mthumb", f"-mcpu={cpu}", *(cortex_m.CPUS[cpu].flags or ["-mfloat-abi=soft"])]
    kernels = [*sorted(SOURCES.glob("*.c")), SOURCES.parent / "tflite_sparse_kernels.c"]
    for language in (C, CPP):
        sources = kernels if language is C else kernels[:-1]
        call(
            "clang", *flags, *language, *strict, INCLUDE, "-isystem", f"{root}/include", "-c", *sources, folder=tmp_path
        )


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
@pytest.mark.parametrize("compiler", [("gcc", *C), ("g++", *CPP)], ids=["C", "C++"])
def test_files_compile_on_this_machine(compiler, tmp_path):
    subprocess.run([*compiler, *STRICT, INCLUDE, "-c", *sorted(SOURCES.glob("*.c"))], check=True, cwd=tmp_path)
