"""The firmware demo on one CPU; ``.ci/run`` has all of them."""

import shutil
import subprocess
from pathlib import Path

import pytest

from helpers import micro_process
from helpers.tflm_stand_ins import STAND_INS
from tflite_sparse.runtime import cortex_m

DEMO = Path(__file__).resolve().parents[2] / "firmware_demo"


@pytest.mark.slow
@micro_process.needed
@pytest.mark.skipif(not cortex_m.is_available(), reason="no cross compiler or no emulator")
def test_outputs_on_an_emulated_cpu_equal_python(tmp_path):
    copy = tmp_path / "firmware_demo"
    shutil.copytree(DEMO, copy, ignore=shutil.ignore_patterns("build"))
    (tmp_path / "tflite_sparse").symlink_to(DEMO.parent / "tflite_sparse")
    done = subprocess.run(["make", "-C", copy, "check-cortex-m4"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "outputs equal Python's bit for bit" in done.stdout
    (copy / "build" / "cortex-m4" / "expected.txt").write_text("dense: a 0 is taken for 1\n")
    subprocess.run(["touch", copy / "build" / "cortex-m4" / "digits.elf"], check=True)
    assert subprocess.run(["make", "-C", copy, "check-cortex-m4"], capture_output=True).returncode != 0


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler is installed")
def test_the_adapter_compiles(tmp_path):
    for name, text in STAND_INS.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#pragma once\n{text}")
    flags = ["-std=c++11", "-Wall", "-Wextra", "-Werror", f"-I{tmp_path}"]
    subprocess.run(["g++", *flags, "-c", DEMO / "tflm_adapter.cc", "-o", tmp_path / "adapter.o"], check=True)
