"""Test ``--bias-correction`` on a real network, pruned at once and not trained afterwards."""

import numpy as np
import pytest

import tflite_sparse
from tflite_sparse.errors import SettingsError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.runtime import litert
from tflite_sparse.settings import ExportSettings
from tflite_sparse.verification.weights import weights_of


def outputs(path, data):
    return litert.run(path, data.x_test).real().astype(np.float64)


@pytest.mark.slow
def test_outputs_come_nearer_to_those_of_the_unpruned_model(model3, digits, tmp_path):
    reports = {
        name: tflite_sparse.export(
            model3,
            digits,
            sparsity=0.7,
            finetune_epochs=0,
            int8=True,
            max_accuracy_drop=1,
            out=tmp_path / name,
            **settings,
        )
        for name, settings in (("without", {}), ("with", {"bias_correction": True}))
    }
    wanted = outputs(tmp_path / "with" / "dense-float32.tflite", digits)
    errors = {name: np.mean((outputs(tmp_path / name / "model.tflite", digits) - wanted) ** 2) for name in reports}
    assert errors["with"] < 0.95 * errors["without"]
    assert reports["with"].accuracy.drop <= reports["without"].accuracy.drop + 0.01

    assert reports["with"].verification.weights_bit_exact
    assert reports["with"].verification.outputs_bit_exact
    files = [tmp_path / name / "dense-int8.tflite" for name in reports]
    before, after = (weights_of(serde.read(path)) for path in files)
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[key], after[key]) for key in before), "only biases change"
    more = files[1].stat().st_size - files[0].stat().st_size
    assert more <= 4 * (16 + 32 + 16 + 10) + 1000, "four bytes a channel, and a table for a bias that was not there"


@pytest.mark.parametrize("settings", [{}, {"int8": True, "activations": "float32"}])
def test_it_needs_integer_biases(settings):
    with pytest.raises(SettingsError, match="`bias_correction` applies to integer biases"):
        ExportSettings(bias_correction=True, **settings)
