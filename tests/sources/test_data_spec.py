"""Test what is told of data before they are read."""

import subprocess
import sys

import numpy as np
import pytest

from tflite_sparse.errors import DataError
from tflite_sparse.sources import data_spec


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("missing.npz", "missing.npz: no such file"),
        ("missing.py:function", "missing.py: no such Python file"),
        ("minst-5k", r"'minst-5k' is no data set; did you mean mnist-5k\?"),
        ("my data", "'my data' is no data set: `data` takes a built-in name"),
    ],
)
def test_what_is_no_data_set_is_refused(spec, words):
    with pytest.raises(DataError, match=words):
        data_spec.check(spec)


def test_what_may_be_one_passes(tmp_path):
    (tmp_path / "data.npz").write_bytes(b"is read later")
    (tmp_path / "data.py").write_text("")
    specs = ("digits", tmp_path, tmp_path / "data.npz", f"{tmp_path / 'data.py'}:made", np.zeros((2, 3)), None)
    for spec in specs:
        data_spec.check(spec)


@pytest.mark.parametrize(
    "call",
    [
        "export('net.keras', 'missing.npz')",
        "prune('net.keras', 'missing.npz', 'pruned.keras', sparsity=0.5)",
        "fit('net.keras', 'missing.npz', gate=True)",
        "sweep(None, 'missing.npz')",
    ],
)
def test_commands_refuse_a_missing_file_before_tensorflow_is_imported(call, tmp_path):
    code = f"""
import pathlib, sys, tflite_sparse
pathlib.Path("net.keras").touch()
try:
    tflite_sparse.{call}
except tflite_sparse.errors.DataError as error:
    assert str(error) == "missing.npz: no such file.", error
else:
    raise AssertionError("not refused")
assert "tensorflow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["net.keras"]
