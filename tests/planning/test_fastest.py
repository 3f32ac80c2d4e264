import json
from types import SimpleNamespace

import numpy as np
import pytest

from helpers import tiny_models
from helpers.tools import run_cli
from tflite_sparse.codecs.layout import Layout
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs
from tflite_sparse.measurement import latency
from tflite_sparse.planning import fastest, planner
from tflite_sparse.planning.encoder import encode_file
from tflite_sparse.targets import litert


def block_weights(side, block, dtype, density=0.125):
    generator = np.random.default_rng(0)
    kept = np.repeat(generator.random((side, side // block)) < density, block, 1)
    if dtype == "int8":
        return generator.integers(1, 127, (side, side)).astype(np.int8) * kept
    return np.where(kept, generator.standard_normal((side, side)), 0).astype(np.float32)


def model(dtype="float32", side=256, **options):
    block = {"int8": 16, "float32": 4}[dtype]
    return tiny_models.fully_connected((side, side), dtype=dtype, weights=block_weights(side, block, dtype), **options)


@pytest.fixture
def measured(monkeypatch):
    """Set times of files: {words in a form: milliseconds}; dense takes 1."""

    def pretend(**times):
        def interleaved(paths, **_):
            found = []
            for path in paths:
                names = tiny_models.operator_names(serde.read(path))
                tensors = serde.read(path).subgraphs[0].tensors
                kind = "dense"
                if "DENSIFY" in names:
                    kind = "densify"
                elif any(tensor.sparsity is not None for tensor in tensors):
                    kind = "native"
                found.append(np.full(5, times.get(kind, 1.0)))
            return np.array(found)

        monkeypatch.setattr(latency, "interleaved", interleaved)

    return pretend


def choose(content, target):
    return next(choice for choice in planner.plan(serde.parse(content), target) if choice.name == "weight")


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_a_native_kernel_that_is_faster_is_taken(dtype, measured, tmp_path):
    measured(native=0.5)
    source, destination = tmp_path / "a.tflite", tmp_path / "b.tflite"
    serde.write(model(dtype), source)
    choices = encode_file(source, destination, fastest.target_for("latency"))
    choice = next(choice for choice in choices if choice.name == "weight")
    block = {"int8": 16, "float32": 4}[dtype]
    assert choice.layout == Layout((256, 256), (0, 1, 2), (False, True, False), (1,), (block,))
    assert "read sparse by FULLY_CONNECTED, 0.5 ms (dense 1 ms)" in choice.reason
    found = serde.read(destination)
    assert tiny_models.operator_names(found) == ["FULLY_CONNECTED"]
    assert found.operatorCodes[0].version == 8
    assert fastest.allowed_difference(choices) > 0


def test_a_sparse_form_that_is_slower_than_dense_is_not_taken(measured):
    measured(native=2.0, densify=1.5)
    choice = choose(serde.serialize(model()), fastest.target_for("latency"))
    assert choice.form is None
    assert choice.reason == "dense it runs in 1 ms, sparse in 1.5 ms"


def test_of_equally_fast_forms_the_smallest_is_taken(measured):
    measured(native=0.97, densify=1.0)
    content = serde.serialize(model("int8"))
    choice = choose(content, fastest.target_for("latency"))
    native = next(form for form in forms(content) if not form.exact)
    assert choice.encoded_bytes <= native.layout(block_weights(256, 16, "int8")).nbytes + 1000


def forms(content):
    graph = next(graphs(serde.parse(content)))
    return litert.answer_with_native(graph, 1, graph.uses()[1]).forms


def test_size_never_takes_a_form_that_is_not_exact():
    for dtype in ("int8", "float32"):
        content = serde.serialize(model(dtype))
        choice = choose(content, fastest.target_for("size"))
        assert choice.form.exact
        assert fastest.allowed_difference([choice]) == 0


def test_one_kernel_of_another_rounding_allows_a_difference_whatever_the_others_are():
    dense, exact, native = (
        SimpleNamespace(form=form) for form in (None, SimpleNamespace(exact=True), SimpleNamespace(exact=False))
    )
    assert fastest.allowed_difference([]) == fastest.allowed_difference([dense, exact]) == 0
    assert fastest.allowed_difference([native]) == 0.02
    assert fastest.allowed_difference([exact, native, dense]) == 0.02


@pytest.mark.parametrize(
    ("other", "offered"),
    [
        ({}, True),
        ({"lead": (1, 3)}, False),  # several rows: a matrix-vector kernel would be slower
        ({"side": 250, "weights": None}, False),
        ({"shuffled": True}, False),
        ({"data_dtype": "float32"}, False),
    ],
)
def test_native_is_offered_only_where_its_kernel_fits(other, offered):
    side = other.pop("side", 256)
    weights = tiny_models.sparse_weights((side, side)) if "weights" in other else block_weights(side, 16, "int8")
    other.pop("weights", None)
    content = serde.serialize(tiny_models.fully_connected((side, side), weights=weights, **other))
    graph = next(graphs(serde.parse(content)))
    found = litert.answer_with_native(graph, 1, graph.uses()[1]).forms
    assert any(not form.exact for form in found) == offered


def test_real_measurements_through_the_program(tmp_path):
    source, destination = tmp_path / "a.tflite", tmp_path / "b.tflite"
    serde.write(model(), source)
    result = run_cli("encode", source, "-o", destination, "--optimize", "latency", "--quiet", "--json")
    assert result.code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["settings"]["optimize"] == "latency"
    assert report["verification"]["passed"]
    reason = next(tensor["reason"] for tensor in report["tensors"] if tensor["name"] == "weight")
    assert " ms" in reason
    assert destination.stat().st_size <= source.stat().st_size
