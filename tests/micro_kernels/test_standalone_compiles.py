"""The C operators compile without a warning: for each CPU, as C and as C++, with one layout of weights alone."""

import shutil
import subprocess

import pytest

from helpers.standalone_operators import SOURCES, STRICT
from tflite_sparse.runtime import cortex_m

ALL, WITH_ASSEMBLY = sorted(cortex_m.CPUS), ["cortex-m4", "cortex-m55"]
C, CPP = ("-x", "c", "-std=c99", "-O2"), ("-x", "c++", "-std=c++17", "-O3")
BOTH_LAYOUTS = 3
BUILDS = [
    *((cpu, C, BOTH_LAYOUTS) for cpu in ALL),
    *((cpu, CPP, BOTH_LAYOUTS) for cpu in WITH_ASSEMBLY),
    *((cpu, C, 1 << layout) for cpu in ("cortex-m0", *WITH_ASSEMBLY) for layout in (0, 1)),
]


@pytest.mark.skipif(not cortex_m.has_compiler(), reason="arm-none-eabi-gcc is not installed")
@pytest.mark.parametrize(
    ("cpu", "language", "layouts"), BUILDS, ids=lambda each: {C: "C", CPP: "C++"}.get(each, str(each))
)
def test_files_compile_without_a_warning(cpu, language, layouts, tmp_path):
    sources = sorted(SOURCES.glob("*.c"))
    if layouts != BOTH_LAYOUTS:
        sources = [SOURCES / "tfls_conv.c", SOURCES / "tfls_fully_connected.c"]
    flags = ["-mthumb", f"-mcpu={cpu}", *cortex_m.CPUS[cpu].flags, *language, *STRICT, f"-DTFLS_LAYOUTS={layouts}u"]
    subprocess.run(["arm-none-eabi-gcc", *flags, "-c", *sources], check=True, cwd=tmp_path)
    symbols = subprocess.run(["arm-none-eabi-nm", *tmp_path.glob("*.o")], check=True, capture_output=True, text=True)
    kinds = {line.split()[-2] for line in symbols.stdout.splitlines() if len(line.split()) >= 2}
    assert not kinds & set("BbDdC")  # no writable data


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
@pytest.mark.parametrize("compiler", [("gcc", *C), ("g++", *CPP)], ids=["C", "C++"])
def test_files_compile_on_this_machine(compiler, tmp_path):
    subprocess.run([*compiler, *STRICT, "-c", *sorted(SOURCES.glob("*.c"))], check=True, cwd=tmp_path)
