"""Test that a command does not write among the results of another one."""

import pytest

import tflite_sparse
from tflite_sparse.errors import OutputError


@pytest.mark.parametrize(
    ("call", "report", "owner"),
    [
        (lambda net, out: tflite_sparse.export(net, out=out), "fit.json", "fit"),
        (lambda net, out: tflite_sparse.export(net, out=out), "sweep.json", "sweep"),
        (lambda net, out: tflite_sparse.fit(net, "digits", gate=True, out=out), "sweep.json", "sweep"),
        (lambda net, out: tflite_sparse.sweep(None, "digits", out=out), "fit.json", "fit"),
        (lambda net, out: tflite_sparse.sweep(None, "digits", out=out), "report.json", "export"),
    ],
)
def test_a_folder_with_another_result_is_refused(call, report, owner, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / report).write_text("{}")
    (tmp_path / "net.keras").touch()
    with pytest.raises(OutputError, match=rf"holds the result of {owner} \({report}\).*choose another `out`"):
        call(tmp_path / "net.keras", out)
    assert [path.name for path in out.iterdir()] == [report]
