"""Test ``--layer-errors``: every tensor inside the int8 file against float32, and the layer that loses most."""

import json

import numpy as np
import pytest

import tflite_sparse
from tflite_sparse.errors import DataError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.measurement import layer_errors
from tflite_sparse.report.text import export as tables
from tflite_sparse.results.export import Report
from tflite_sparse.runtime import litert
from tflite_sparse.verification.observation import graph_of
from tflite_sparse_cli.export_tables import show


@pytest.fixture(scope="module")
def exported(model3, digits, tmp_path_factory):
    """Return the folder of an int8 export of the whole model that compared its layers."""
    out = tmp_path_factory.mktemp("layers")
    tflite_sparse.export(model3, digits, int8=True, layer_errors=True, max_accuracy_drop=1, out=out)
    return out


@pytest.fixture(scope="module")
def report(exported):
    return Report.model_validate_json((exported / "report.json").read_text())


def test_every_tensor_is_compared(report):
    assert report.layer_tensors == 8
    assert [layer.operator for layer in report.layers] == [
        "input", "CONV_2D", "CONV_2D", "MAX_POOL_2D", "RESHAPE", "FULLY_CONNECTED", "FULLY_CONNECTED", "SOFTMAX",
    ]  # fmt: skip
    for layer in report.layers:
        assert 20 < layer.snr_db < 60
        assert 0.99 < layer.cosine <= 1
        assert 0 < layer.share_of_range < 0.1
    reshape = report.layers[4]
    assert reshape.lost_db == 0, "a reshape loses nothing"


def test_the_numbers_are_those_of_their_definitions(exported, report, digits):
    """The last tensor is the output, which can be run directly."""
    rows = np.linspace(0, len(digits.x_test) - 1, 16).round().astype(int)
    x, y = (
        litert.run(exported / name, digits.x_test[rows]).real().astype(np.float64)
        for name in ("dense-float32.tflite", "dense-int8.tflite")
    )
    found = report.layers[-1]
    assert found.snr_db == pytest.approx(10 * np.log10(np.sum(x**2) / np.sum((x - y) ** 2)), abs=1e-3)
    assert found.cosine == pytest.approx(np.sum(x * y) / np.linalg.norm(x) / np.linalg.norm(y))
    assert found.largest_difference == pytest.approx(np.abs(x - y).max(), rel=1e-4)
    assert found.share_of_range == pytest.approx(np.abs(x - y).max() / np.ptp(x), rel=1e-4)
    before = report.layers[-2].snr_db
    assert found.lost_db == pytest.approx(min(before, layer_errors.FINEST_SNR_DB) - found.snr_db)


@pytest.mark.parametrize(("kind", "number"), [("CONV_2D", 0), ("CONV_2D", 1), ("FULLY_CONNECTED", 0)])
def test_a_damaged_layer_is_named(kind, number, exported, digits, tmp_path):
    model = serde.read(exported / "dense-int8.tflite")
    graph = graph_of(model)
    damaged = [operator for operator in graph.operators if graph.operator_name(operator) == kind][number]
    weight = graph.tensor(int(damaged.inputs[1]))
    values = graph.constant(int(damaged.inputs[1]))
    graph.store(weight, values // 16 * 16)
    path = tmp_path / "damaged.tflite"
    serde.write(model, path)
    found = layer_errors.measure(exported / "dense-float32.tflite", path, [digits.x_test[:8]])
    worst = max(found.layers, key=lambda layer: layer.lost_db)
    assert worst.operator == kind
    assert worst.name == [layer.name for layer in found.layers if layer.operator == kind][number]
    assert worst.lost_db > 6


def test_a_file_compared_with_itself_has_no_error(exported, digits):
    path = exported / "dense-float32.tflite"
    found = layer_errors.measure(path, path, [digits.x_test[:2]])
    assert len(found.layers) == found.tensors
    for layer in found.layers:
        assert (layer.snr_db, layer.lost_db, layer.largest_difference) == (None, 0, 0)
        assert layer.cosine == pytest.approx(1)


def test_table_and_sentence(exported, report, capsys):
    text = (exported / "report.md").read_text()
    assert "## Layers" in text
    assert "8 of 8 tensors compared with float32" in text
    (line,) = (line for line in tables.verdicts(report) if line.startswith("Layers"))
    worst = max(report.layers, key=lambda layer: layer.lost_db)
    assert worst.layer == "classes"
    assert f"loses most at {worst.layer} ({worst.operator}, by {worst.lost_db:.1f} dB)" in line
    show(report, exported)
    shown = capsys.readouterr().out
    assert "Layers where int8 loses most, 8 of 8 tensors compared" in shown
    assert f"{worst.snr_db:.1f}" in shown


@pytest.mark.slow
def test_layers_are_compared_with_float32_of_the_pruned_weights(model3, digits, tmp_path):
    """The gate fails; pruning costs all of it here, and no int8 layer is blamed."""
    report = tflite_sparse.export(
        model3,
        digits,
        sparsity=0.95,
        finetune_epochs=0,
        int8=True,
        activations="int16",
        max_accuracy_drop=0.001,
        out=tmp_path,
    )
    (failure,) = report.gates.failures
    assert "pruning costs 0." in failure
    assert "int8 loses most at " not in failure
    assert json.loads((tmp_path / "report.json").read_text())["layers"]
    assert min(layer.snr_db for layer in report.layers) > 25, "pruning is no part of it"


def test_it_needs_samples(model3, tmp_path):
    with pytest.raises(DataError, match="`layer_errors` needs data"):
        tflite_sparse.export(model3, int8=True, activations="float32", layer_errors=True, out=tmp_path)
