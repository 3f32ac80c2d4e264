"""Compare the lists of operators that run on an Ethos-U with Vela itself."""

import re
import subprocess
import sys

import pytest

from helpers import odd_models, tiny_models
from tflite_sparse.errors import ExecutionError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.planning.encoder import encode_file
from tflite_sparse.runtime import vela
from tflite_sparse.targets import ethos_u
from tflite_sparse.targets import litert as litert_target

MODELS = {
    "convolution": (tiny_models.conv2d, None),
    "fully connected, one scale": (lambda: tiny_models.fully_connected(per_channel=False), None),
    "fully connected, a scale a row": (tiny_models.fully_connected, None),
    "depthwise": (tiny_models.depthwise_conv2d, None),
    "transposed": (tiny_models.transpose_conv, None),
    "dynamic batch": (lambda: tiny_models.conv2d(dynamic=True), None),
    "int16 data": (lambda: tiny_models.conv2d(data_dtype="int16"), None),
    "two layers": (odd_models.two_layers, None),
    "float32": (lambda: tiny_models.conv2d(dtype="float32"), "it has float32 tensors; the NPU needs int8"),
    "dynamic range": (
        lambda: tiny_models.fully_connected(per_channel=False, data_dtype="float32"),
        "it has float32 tensors; the NPU needs int8",
    ),
    "GATHER": (tiny_models.gather, "ethos-u55-128 does not have it"),
    "SVDF": (tiny_models.svdf, "ethos-u55-128 does not have it"),
    "CONV_3D": (tiny_models.conv3d, "ethos-u55-128 does not have it"),
}


@pytest.mark.parametrize("name", MODELS)
def test_warnings_are_what_vela_says(name, tmp_path):
    make, why = MODELS[name]
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny_models.to_bytes(make()))
    found = ethos_u.warnings_for(serde.read(path))
    assert [line.partition(": ")[2] for line in found] == ([] if why is None else [why])
    assert len(vela.compile_file(path, folder=tmp_path).left_to_cpu) == len(found)


def test_a_warning_names_operator_and_output():
    (found,) = ethos_u.warnings_for(tiny_models.gather())
    assert found == "GATHER that yields 'y' stays on the CPU: ethos-u55-128 does not have it"
    model = tiny_models.conv2d(readers=2, dtype="float32")
    assert [line.split("'")[1] for line in ethos_u.warnings_for(model)] == ["y0", "y1"]


def test_operators_of_every_graph_are_looked_at():
    found = ethos_u.warnings_for(tiny_models.conv2d_in_subgraph("WHILE"))
    assert any(line.startswith("WHILE") for line in found)


def test_a_larger_accelerator_takes_more():
    assert ethos_u.warnings_for(tiny_models.gather(), "ethos-u85-256") == []
    assert len(ethos_u.warnings_for(tiny_models.svdf(), "ethos-u85-256")) == 1


def test_a_sparse_file(tmp_path):
    """DENSIFY stays on the CPU, and Vela refuses the convolution after it."""
    dense, sparse = tmp_path / "dense.tflite", tmp_path / "sparse.tflite"
    dense.write_bytes(tiny_models.to_bytes(tiny_models.conv2d()))
    encode_file(dense, sparse, litert_target.answer)
    (found,) = ethos_u.warnings_for(serde.read(sparse))
    assert found == "DENSIFY that yields 'weight' stays on the CPU: ethos-u55-128 does not have it"
    with pytest.raises(ExecutionError, match=r"\(Conv2D\) could not run on NPU"):
        vela.compile_file(sparse, folder=tmp_path)


def test_a_weight_that_the_operator_reads_sparse():
    model = tiny_models.fully_connected()
    model.subgraphs[0].tensors[1].sparsity = object()
    (found,) = ethos_u.warnings_for(model)
    assert "does not read sparse tensors; decode the file" in found


def test_weights_of_16_bits():
    model = tiny_models.fully_connected()
    model.subgraphs[0].tensors[1].type = tiny_models.KINDS["int16"]
    (found,) = ethos_u.warnings_for(model)
    assert found.endswith("its weights are int16; int8 is needed")


def test_the_lists_are_vela_s_own(tmp_path):
    assert vela.is_available(), "pip install '.[ethos-u]'"
    command = [sys.executable, "-m", "ethosu.vela", "--supported-ops-report"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    report = (tmp_path / "SUPPORTED_OPS.md").read_text()
    for heading, accelerator in (
        ("## Ethos-U55 and Ethos-U65 TFLite Summary Table\n", "ethos-u65-512"),
        ("## Ethos-U85 TFLite Summary Table\n", "ethos-u85-128"),
    ):
        table = report.split(heading)[1].split("\n## ")[0]
        listed = set(re.findall(r"^\| ([A-Z][A-Z0-9_]+) \|", table, re.MULTILINE))
        assert listed == ethos_u.supported_operators(accelerator)
        assert len(listed) > 50
