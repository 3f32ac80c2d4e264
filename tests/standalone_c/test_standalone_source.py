"""Test that C does not compile with headers that were written for another model in the same folder."""

import re
import subprocess

import pytest

from helpers import generated_c, tiny_models
from tflite_sparse.runtime import host_c

HEADERS = {"TFLITE_SPARSE_KERNELS": "tflite_sparse_kernels.h", "TFLS_LAYOUTS": "tfls_operators.h"}


@generated_c.needed
@pytest.mark.parametrize("macro", sorted(HEADERS))
def test_headers_that_leave_out_its_kernels(macro, tmp_path):
    make = generated_c.sparse if macro == "TFLITE_SPARSE_KERNELS" else generated_c.generated
    sources = make(tiny_models.fully_connected((64, 640)), "cortex-m4")
    used = sources.program.masks[macro]
    host_c.write(sources.files, tmp_path)
    command = [host_c.compiler(), "-std=c99", "-fsyntax-only", "model.c"]
    assert not subprocess.run(command, cwd=tmp_path).returncode
    header = tmp_path / HEADERS[macro]
    text, count = re.subn(rf"(#define {macro} ){used:#x}u", r"\g<1>0x10000u", header.read_text("utf-8"))
    assert count == 1
    header.write_text(text, "utf-8")
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode
    assert f"these headers were written for another model: define {macro}=" in found.stderr
    everything = [*command, f"-D{macro}=0xFFFFFFFFu"]
    assert not subprocess.run(everything, cwd=tmp_path).returncode
