"""Test faults that a comparison within TensorFlow Lite Micro cannot show: both files compute garbage there."""

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

import tflite_sparse
from helpers import micro_process, odd_models, tiny_models
from tflite_sparse.commands import encode as encode_command
from tflite_sparse.errors import ExecutionError, VerificationError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.report.text import export as tables
from tflite_sparse.report.text import verification as verification_tables
from tflite_sparse.results.export import Verification
from tflite_sparse.runtime import announced_shapes, micro
from tflite_sparse.stages.deliver import DENSE_INT8, SPARSE

pytestmark = micro_process.needed


@pytest.fixture
def write(tmp_path):
    def to_file(model, name="source.tflite"):
        (tmp_path / name).write_bytes(tiny_models.to_bytes(model))
        return tmp_path / name

    return to_file


@pytest.fixture
def shapes_are_not_looked_at(monkeypatch):
    """Simulate a fault of unknown cause."""
    monkeypatch.setattr(announced_shapes, "refusal", lambda path: None)


def verify(file, against, samples):
    return tflite_sparse.verify(file, against, target="micro", samples=samples)


def in_litert(path, samples):
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    given, made = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    rows = []
    for sample in samples:
        interpreter.set_tensor(given, sample[None])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(made)[0].copy())
    return np.array(rows)


@pytest.mark.parametrize("codec", ["dense", "auto"])
def test_a_file_that_leaves_the_batch_open_is_refused_with_the_cause(codec, write, tmp_path):
    source = write(odd_models.dilated())
    with pytest.raises(ExecutionError, match="leaves the batch open: convert it with a batch of 1") as caught:
        encode_command.encode(source, tmp_path / "out.tflite", target="micro", micro_codec=codec)
    assert str(source) in str(caught.value)
    assert list(tmp_path.iterdir()) == [source]


def test_verify_refuses_it_too(write):
    bad, good = write(odd_models.dilated(), "bad.tflite"), write(odd_models.dilated(4), "good.tflite")
    for file, against in ((bad, good), (good, bad)):
        with pytest.raises(ExecutionError, match=r"bad\.tflite is not for TensorFlow Lite Micro: it leaves the batch"):
            verify(file, against, samples=1)
    assert verify(good, good, samples=1).passed


@pytest.mark.usefixtures("shapes_are_not_looked_at")
def test_garbage_in_both_files_does_not_pass(write, tmp_path):
    source = write(odd_models.dilated())
    report = verify(source, source, samples=4)
    (across,) = report.across
    assert [check.outputs_bit_exact for check in report.runtimes] == [True]
    assert across.explained is False
    assert across.largest_difference > 50
    assert not report.passed
    assert any("beside LiteRT" in line and "rounding does not explain" in line for line in report.failures)
    with pytest.raises(VerificationError, match="the dense file in TensorFlow Lite Micro beside LiteRT"):
        encode_command.encode(source, tmp_path / "out.tflite", target="micro")
    assert not (tmp_path / "out.tflite").exists()


def test_an_operator_that_errs_in_micro_is_named(write):
    """tflite-micro of October 2026 pads with 0 where LiteRT pads with the zero point."""
    source = write(odd_models.dilated(4, zero_point=-3))
    report = verify(source, source, samples=2)
    (failure,) = report.failures
    assert "SPACE_TO_BATCH_ND is the first to compute something else from the same values" in failure
    assert "'net/conv/blocks' is apart by up to 3" in failure


def test_weights_are_checked_if_outputs_never_vary(write):
    """All outputs are at the end of their range, for any weights."""

    def at_the_end(tensor, model):
        tensor.quantization.scale, tensor.quantization.zeroPoint = np.array([1e4], np.float32), np.array([127])

    def spoil(tensor, model):
        model.buffers[tensor.buffer].data = model.buffers[tensor.buffer].data ^ np.uint8(64)

    def model():
        return odd_models.edited(odd_models.two_layers(), "y", at_the_end)

    dense = write(model(), "dense.tflite")
    other = write(odd_models.edited(model(), "first weight", spoil), "other.tflite")
    report = verify(other, dense, samples=2)
    (check,) = report.runtimes
    assert (check.outputs_bit_exact, check.outputs_vary, check.within_tolerance) == (True, False, False)
    assert check.first_difference.tensor == "hidden"
    assert any(
        "all are the same for every sample; the first tensor to differ is 'hidden'" in line for line in report.failures
    )
    assert verify(dense, dense, samples=2).passed


def test_the_comparison_is_reported(write):
    source = write(odd_models.dilated(4))
    report = verify(source, source, samples=2)
    (across,) = report.across
    assert (across.runtime, across.samples, across.explained) == (micro.NAME, 5, True)
    words = f"{source} in TensorFlow Lite Micro beside LiteRT interpreter, reference kernels: "
    assert [line for line in verification_tables.verdicts(report) if line.startswith(words)]
    assert "the dense file in TensorFlow Lite Micro beside" in tables.verification(Verification.of(report, micro.NAME))


def test_what_litert_does_not_run_is_not_compared(write):
    """Only TensorFlow Lite Micro runs ZEROS_LIKE in int8."""
    model = tiny_models.Tiny()
    x, y = model.activation("x", (1, 8), "int8"), model.activation("y", (1, 8), "int8")
    model.operator(odd_models.schema.BuiltinOperator.ZEROS_LIKE, 1, [x], [y])
    source = write(model.finished([x], [y]))
    report = verify(source, source, samples=1)
    assert report.passed
    assert report.across[0].explained is None
    assert "ZEROS_LIKE" in report.across[0].unavailable


def test_layers_that_the_runtime_does_not_have_are_named(keras3, tmp_path):
    layers = keras3.layers
    inputs = keras3.Input((16,))
    hidden = layers.RepeatVector(5, name="copies")(layers.Dense(8, activation="gelu", name="smooth")(inputs))
    model = keras3.Model(inputs, layers.Dense(3)(hidden), name="net")
    with pytest.raises(ExecutionError) as caught:
        tflite_sparse.export(model, target="micro", out=tmp_path / "out")
    found = str(caught.value)
    assert "TensorFlow Lite Micro does not have GELU, which yields" in found
    assert "; nor TILE, which yields" in found
    assert found.endswith("In the model: layer 'net/smooth' (Dense), layer 'net/copies' (RepeatVector).")
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def dilated_export(keras3, tmp_path_factory):
    """Export a convolution dilated in time, from a model with open batch and length."""
    layers = keras3.layers
    inputs = keras3.Input((None, 9), name="signal")
    hidden = layers.Conv1D(16, 3, padding="causal", activation="relu")(inputs)
    hidden = layers.Conv1D(16, 3, dilation_rate=4, padding="causal", activation="relu")(hidden)
    model = keras3.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(hidden)))
    x = np.random.default_rng(0).normal(0, 1, (40, 64, 9)).astype(np.float32)
    out = tmp_path_factory.mktemp("dilated")
    report = tflite_sparse.export(model, x, int8=True, target="micro", calibration_samples=10, out=out)
    return report, out


@pytest.mark.slow
def test_a_dilated_convolution_computes_what_it_computes_in_litert(dilated_export):
    report, out = dilated_export
    assert report.gates.passed
    assert report.verification.outputs_bit_exact
    assert [each.explained for each in report.verification.across] == [True]
    samples = np.random.default_rng(1).integers(-128, 128, (8, 64, 9)).astype(np.int8)
    expected = in_litert(out / DENSE_INT8, samples).astype(int)
    assert np.ptp(expected) > 50
    for name in (DENSE_INT8, SPARSE):
        assert np.abs(micro.run(out / name, samples).arrays[0].astype(int) - expected).max() <= 1


@pytest.mark.slow
def test_a_length_that_the_model_leaves_open_is_that_of_the_data(dilated_export):
    _, out = dilated_export
    (graph,) = serde.read(Path(out / DENSE_INT8)).subgraphs
    (index,) = graph.inputs
    assert graph.tensors[index].shape.tolist() == [1, 64, 9]
    assert graph.tensors[index].shapeSignature is None or min(graph.tensors[index].shapeSignature) > 0
