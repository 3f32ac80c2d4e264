"""Test what an app on a microcontroller is told: the layout of memory, and which files are written."""

import pytest

from helpers import tiny_models
from tflite_sparse.backends import micro_app
from tflite_sparse.backends.micro import BACKEND
from tflite_sparse.backends.micro_app import Arenas
from tflite_sparse.backends.protocol import InspectedFile
from tflite_sparse.codecs.streams.kernels import Kernel
from tflite_sparse.errors import OutputError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs
from tflite_sparse.measurement import contract
from tflite_sparse.report.snippets.micro import MARK, Memory
from tflite_sparse.rewrites import sparse_operator


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


@pytest.fixture
def computed(monkeypatch, tmp_path):
    """A file with a sparse kernel."""
    monkeypatch.setattr(micro_app.Arenas, "of", lambda *_: Arenas(64, 64, 0))
    model = serde.parse(tiny_models.to_bytes(tiny_models.conv2d()))
    graph = next(graphs(model))
    sparse_operator.apply(graph, 1, graph.uses()[1], Kernel.STRIP_DELTA8)
    path = tmp_path / "net.tflite"
    path.write_bytes(bytes(serde.serialize(model)))
    return path


def test_code_names_the_file_that_is_written_and_the_array_beside_it(computed):
    """The array of the sparse kernels is model_data, and no file is called model_data.tflite."""
    found = micro_app.code(computed, contract.of_model(serde.read(computed)), "model_data", "net.tflite", Arenas.of())
    assert "from_file('net.tflite')" in found["python"]
    assert f"{MARK} for net.tflite." in found["c++"]
    assert '#include "model_data.h"' in found["c++"]


@pytest.mark.parametrize(("own", "array"), [(False, "model_data"), (True, "net")])
def test_code_that_inspect_prints_is_for_the_array_beside_the_file(own, array, computed):
    if own:
        computed.with_suffix(".h").touch()
    model = serde.read(computed)
    about = InspectedFile(computed, model, 0, None)
    found = BACKEND.snippets(about, contract.of_model(model))
    assert f'#include "{array}.h"' in found["c++"]
    assert "from_file('net.tflite')" in found["python"]


def test_an_app_of_the_user_is_not_replaced(tmp_path):
    names = ("net.h", "net.cc", "app.cc")
    micro_app.check_app(tmp_path, names)
    (tmp_path / "app.cc").write_text(f"{MARK} for net.tflite.")
    micro_app.check_app(tmp_path, names)
    (tmp_path / "app.cc").write_text("int main() {}")
    micro_app.check_app(tmp_path, ())
    with pytest.raises(OutputError, match=r"app\.cc is not by tflite-sparse and would be replaced"):
        micro_app.check_app(tmp_path, names)
