"""What generated C says of itself, and where it does not compile: headers of another model, a CPU of another kind."""

import re
import subprocess

import pytest

from helpers import generated_c, tiny_models
from helpers.int8_nets import Net
from tflite_sparse.backends.protocol import InspectedFile
from tflite_sparse.backends.standalone_c import BACKEND
from tflite_sparse.flatbuffer import serde
from tflite_sparse.measurement import contract
from tflite_sparse.runtime import host_c
from tflite_sparse.standalone_c import depthwise, files
from tflite_sparse.standalone_c.header import Naming

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


@pytest.mark.parametrize(("cpu", "is_told"), [("cortex-m4", True), ("cortex-m55", False)])
def test_outputs_upon_inputs_are_told_and_do_not_compile_where_they_would_be_wrong(cpu, is_told):
    """A depthwise layer of a wide image computes strips with Helium, which leave no input that is not read any more."""
    model = Net((12, 20, 16)).depthwise().finished()
    text = generated_c.generated(model, cpu).files["model.c"].decode()
    assert ("lies upon what of its input is not read any more" in text) is is_told
    assert ('#error "MODEL_ARENA_BYTES is for CPUs without Helium' in text) is is_told


@pytest.mark.parametrize(
    ("cpu", "relu", "expected"),
    [
        ("cortex-m4", True, depthwise.BY_3X3_CLAMPED),
        ("cortex-m4", False, depthwise.BY_3X3),
        ("cortex-m0", True, depthwise.BY_3X3),
        ("cortex-m55", True, depthwise.BY_3X3),
        ("generic", True, depthwise.BY_3X3),
    ],
)
def test_depthwise_layers_that_are_clamped_at_the_zero_point(cpu, relu, expected):
    model = Net((6, 6, 4)).depthwise(relu=relu).finished()
    (step,) = generated_c.generated(model, cpu).program.steps
    assert [call.function for call in step.calls] == [expected]


@pytest.mark.parametrize(
    ("headers", "prefix"),
    [
        ({}, "net"),
        ({"digits": "net.tflite"}, "digits"),
        ({"digits": "other.tflite"}, "digits"),  # `encode other.tflite -o net.tflite --name digits`
        ({"digits": "other.tflite", "net": "other.tflite"}, "net"),
        ({"digits": "other.tflite", "letters": "other.tflite"}, "net"),
        ({"digits": "net.tflite", "letters": "net.tflite"}, "net"),
        ({"digits": "net.tflite", "letters": "other.tflite"}, "digits"),
    ],
)
def test_code_that_calls_a_file_has_the_names_of_the_header_beside_it(headers, prefix, tmp_path):
    """`export --name digits` writes model.tflite and digits.h."""
    model = tiny_models.fully_connected((64, 640))
    for name, source in headers.items():
        made = files.generate(
            serde.parse(tiny_models.to_bytes(model)), Naming(name, "tflite-sparse", source), "generic"
        )
        for file in (f"{name}.h", f"{name}.c"):
            (tmp_path / file).write_bytes(made.files[file])
    for name in ("binary.h", "binary.c", "theirs.c"):
        (tmp_path / name).write_bytes(b"\xff\x00" * 5000)
    (tmp_path / "theirs.h").write_text("/* by hand */")
    path = tmp_path / "net.tflite"
    path.write_bytes(tiny_models.to_bytes(model))
    found = serde.read(path)
    code = BACKEND.snippets(InspectedFile(path, found, 0, None), contract.of_model(found))["c"]
    assert f'#include "{prefix}.h"' in code
    assert f"{prefix}_run()" in code
