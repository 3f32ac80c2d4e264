"""Test what an app on a microcontroller is told: the layout of memory, and which files are written."""

import pytest

from helpers import tiny_models
from tflite_sparse.backends import micro_app
from tflite_sparse.backends.micro_app import Arenas
from tflite_sparse.errors import OutputError
from tflite_sparse.report.snippets.micro import MARK, Memory


@pytest.mark.parametrize(
    ("arenas", "least"),
    [
        (Arenas(56_272, 6_464, 49_000), Memory(6_464, 49_000)),
        (Arenas(56_272, 19_944, 49_000), Memory(56_272)),
        (Arenas(56_272, 6_272, 50_000), Memory(56_272)),  # the same: one arena is simpler
        (Arenas(6_272, 6_272, 0), Memory(6_272)),
        (Arenas(None, None, 49_000), Memory(None)),
    ],
)
def test_the_layout_that_takes_less_is_chosen(arenas, least):
    assert arenas.least == least


def test_without_the_runtime_no_arena_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(micro_app.runtime, "is_available", lambda: False)
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny_models.to_bytes(tiny_models.conv2d()))
    assert Arenas.of(path) == Arenas(None, None, 0)


def test_an_app_of_the_user_is_not_replaced(tmp_path):
    names = ("net.h", "net.cc", "app.cc")
    micro_app.check_app(tmp_path, names)
    (tmp_path / "app.cc").write_text(f"{MARK} for net.tflite.")
    micro_app.check_app(tmp_path, names)
    (tmp_path / "app.cc").write_text("int main() {}")
    micro_app.check_app(tmp_path, ())
    with pytest.raises(OutputError, match=r"app\.cc is not by tflite-sparse and would be replaced"):
        micro_app.check_app(tmp_path, names)
