"""Test ``--dense-scales per-tensor``: Dense kernels with one scale; sparse, exact and smaller."""

import pytest

import tflite_sparse
from tflite_sparse.errors import SettingsError
from tflite_sparse.flatbuffer import serde


def scales(path):
    """Return the number of scales of the kernels of a file, by shape."""
    model = serde.read(path)
    tensors = model.subgraphs[0].tensors
    stored = [each for each in tensors if each.shape is not None and model.buffers[each.buffer].data is not None]
    return {tuple(map(int, tensor.shape)): len(tensor.quantization.scale) for tensor in stored if len(tensor.shape) > 1}


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"calibration": "mse"}, {"activations": "int16"}, {"target": "micro"}])
def test_dense_kernels_have_one_scale_and_convolutions_many(options, model3, digits, tmp_path):
    report = tflite_sparse.export(
        model3,
        digits,
        sparsity=0.85,
        finetune_epochs=0,
        int8=True,
        dense_scales="per-tensor",
        max_accuracy_drop=1,
        out=tmp_path,
        **options,
    )
    assert report.verification.weights_bit_exact
    assert report.verification.outputs_bit_exact
    assert report.gates.passed
    found = scales(tmp_path / report.models.dense_int8.path)
    assert found == {(16, 3, 3, 1): 16, (32, 3, 3, 16): 32, (16, 512): 1, (10, 16): 1}


@pytest.mark.slow
def test_a_sparse_file_with_one_scale_is_smaller_and_loses_little(dense_net, digits, tmp_path):
    model = dense_net(units=512, epochs=4)
    several, one = (
        tflite_sparse.export(
            model,
            digits,
            sparsity=0.8,
            finetune_epochs=0,
            int8=True,
            dense_scales=each,
            keep_channels=True,
            out=tmp_path / each,
        )
        for each in ("per-channel", "per-tensor")
    )
    # A scale of kernel and of bias, and a zero point of 8 bytes, for each output.
    assert several.models.sparse.file_bytes - one.models.sparse.file_bytes > 512 * 14
    assert one.verification.outputs_bit_exact
    assert one.accuracy.drop - several.accuracy.drop < 0.02


@pytest.mark.slow
def test_fit_counts_bytes_with_one_scale(model3, digits, tmp_path):
    report = tflite_sparse.fit(
        model3, digits, budget=8500, dense_scales="per-tensor", epochs=0, blocks=("1x1",), out=tmp_path
    )
    assert report.gates.passed
    assert abs(report.prediction_error) < 0.02
    file = tmp_path / "model.tflite"
    assert file.stat().st_size == report.file_bytes <= 8500
    assert scales(tmp_path / "dense-int8.tflite")[(16, 512)] == 1


@pytest.mark.parametrize("options", [{}, {"int8": True, "activations": "float32"}])
def test_it_needs_integer_kernels(options, model3, digits, tmp_path):
    with pytest.raises(SettingsError, match="`dense_scales='per-tensor'` applies to integer kernels: add `int8=True`"):
        tflite_sparse.export(model3, digits, dense_scales="per-tensor", out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_failed_gate_reports_the_result_with_several_scales(uneven3, digits, tmp_path):
    report = tflite_sparse.export(
        uneven3, digits, int8=True, dense_scales="per-tensor", alternatives="all", out=tmp_path
    )
    assert not report.gates.passed
    several = next(each for each in report.alternatives if each.option == "--dense-scales per-channel")
    assert several.drop < report.accuracy.drop
    assert several.file_bytes > report.models.sparse.file_bytes
