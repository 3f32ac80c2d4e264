"""``--bias-correction`` on a real network, pruned at once and not trained afterwards."""

import pytest

import tflite_sparse
from tflite_sparse.errors import SettingsError


def test_it_gives_back_what_pruning_took_and_the_report_proposes_it(model3, digits, tmp_path):
    report = tflite_sparse.export(model3, digits, sparsity=0.75, int8=True, out=tmp_path / "without")
    assert report.accuracy.drop > 0.03
    proposed = {each.option: each for each in report.alternatives}["--bias-correction"]
    assert proposed.drop < report.accuracy.drop
    corrected = tflite_sparse.export(
        model3, digits, sparsity=0.75, int8=True, bias_correction=True, layer_errors=True, out=tmp_path / "with"
    )
    assert corrected.accuracy.drop == proposed.drop
    assert corrected.verification.weights_bit_exact
    assert corrected.verification.outputs_bit_exact
    assert corrected.models.sparse_int8.file_bytes == proposed.file_bytes
    more = corrected.models.sparse_int8.file_bytes - report.models.sparse_int8.file_bytes
    assert more <= 4 * (16 + 32 + 16 + 10) + 1000, "four bytes a channel, and a table for each bias that was not there"
    assert "--bias-correction" not in {each.option for each in corrected.alternatives}


@pytest.mark.parametrize("settings", [{}, {"int8": True, "activations": "float32"}])
def test_it_needs_integer_biases(settings):
    with pytest.raises(SettingsError, match="bias_correction speaks of integer biases"):
        tflite_sparse.config.ExportSettings(bias_correction=True, **settings)
