"""Export sequences that are too long for unrolling: the file is one time step, and the app feeds its states back."""

import re
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

import tflite_sparse
from helpers.tools import run_cli
from tflite_sparse.base.progress import Silent
from tflite_sparse.conversion import traces
from tflite_sparse.errors import ModelError
from tflite_sparse.flatbuffer import serde, signature
from tflite_sparse.runtime import litert, over_time
from tflite_sparse.sources import keras_model

STEPS = 300
TARGETS = Path(__file__).resolve().parents[2] / "docs" / "targets.md"


class Notes(Silent):
    """Keep the notes and stages of the program."""

    def __init__(self):
        self.said = []

    def note(self, text):
        self.said.append(text)


def hidden_digits(x, y, count, steps, generator):
    """Return sequences of rows of 8 pixels: eight rows of a digit somewhere, else zeros; the label is the digit."""
    chosen = generator.integers(0, len(x), count)
    found = np.zeros((count, steps, 8), np.float32)
    for sequence, digit in zip(found, chosen, strict=True):
        begin = generator.integers(0, steps - 7)
        sequence[begin : begin + 8] = x[digit].reshape(8, 8)
    return found, y[chosen]


@pytest.fixture(scope="module")
def long_data(digits):
    generator = np.random.default_rng(1)
    train = hidden_digits(digits.x_train, digits.y_train, 120, STEPS, generator)
    test = hidden_digits(digits.x_test, digits.y_test, 60, STEPS, generator)
    return train, test


@pytest.fixture(scope="module")
def exported(keras3, digits, long_data, tmp_path_factory):
    """Return folder, report and notes of a GRU trained and pruned on short sequences, exported for long ones."""
    generator = np.random.default_rng(0)
    keras3.utils.set_random_seed(0)
    layers = keras3.layers
    model = keras3.Sequential([keras3.Input((None, 8)), layers.GRU(48, name="memory"), layers.Dense(10)])
    loss = keras3.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras3.optimizers.Adam(1e-2, clipnorm=1.0), loss)
    for steps, epochs in ((8, 5), (16, 3), (64, 6)):
        x, y = hidden_digits(digits.x_train, digits.y_train, 3000, steps, generator)
        callbacks = [tflite_sparse.pruning.MagnitudePruning(0.75)] if steps == 64 else []
        model.fit(x, y, batch_size=64, epochs=epochs, verbose=0, callbacks=callbacks)
    out, notes = tmp_path_factory.mktemp("step") / "out", Notes()
    report = tflite_sparse.export(model, long_data, int8=True, max_accuracy_drop=0.05, out=out, progress=notes)
    return out, report, notes.said


@pytest.mark.slow
def test_long_sequences_are_exported_as_one_step(exported):
    out, report, said = exported
    assert report.gates.failures == []
    assert report.verification.outputs_bit_exact
    assert min(report.models.dense_float32.accuracy, report.models.sparse_int8.accuracy) > 0.7
    assert "recurrent layers: one time step, 300 steps are more than the 256 that are unrolled" in said
    assert report.time_step.steps == STEPS
    assert [(state.name, state.units, state.rescaled) for state in report.time_step.states] == [("memory_h", 48, False)]
    assert any(tensor.layout != "dense" for tensor in report.tensors)
    assert "feed x step by step and each of memory_h at zero" in (out / "report.md").read_text()
    (graph,) = serde.read(out / "model.tflite").subgraphs
    assert len(graph.operators) < 40
    names = signature.names_of(out / "model.tflite")
    assert set(names.inputs) == {"x", "memory_h"}
    assert set(names.outputs) == {"y", "memory_h"}


def outputs_of(path, x):
    feedback = over_time.feedback_of(signature.names_of(path), every_step=False)
    return litert.run(path, x, feedback=feedback)


@pytest.mark.slow
def test_the_documented_loop_is_what_was_measured(exported, long_data, monkeypatch):
    out, report, _ = exported
    x, labels = long_data[1]
    (example,) = re.findall(r"```py\n(.*?)```", TARGETS.read_text(encoding="utf-8"), re.S)
    monkeypatch.chdir(out)
    found = []
    for sequence in x[:20]:
        known = {"sequence": sequence}
        exec(compile(example, TARGETS.name, "exec"), known)  # noqa: S102 - the document is ours
        found.append(known["y"])
    wanted = outputs_of(out / "model.tflite", x)
    np.testing.assert_array_equal(np.concatenate(found), wanted.real()[:20])
    assert np.mean(wanted.real().argmax(-1) == labels) == report.models.sparse_int8.accuracy


@pytest.mark.slow
def test_sequences_do_not_affect_each_other(exported, long_data):
    path, x = exported[0] / "model.tflite", long_data[1][0]
    together = outputs_of(path, x[:4]).arrays[0]
    apart = np.concatenate([outputs_of(path, x[i : i + 1]).arrays[0] for i in range(4)])
    np.testing.assert_array_equal(together, apart)
    assert len(np.unique(together, axis=0)) > 1


@pytest.fixture(scope="module")
def short_data():
    return np.random.default_rng(0).standard_normal((12, 5, 6)).astype(np.float32)


@pytest.mark.slow
def test_keras_2_at_every_step_with_float32_inputs_by_command(keras2, short_data, tmp_path):
    keras2.utils.set_random_seed(2)
    layers = keras2.layers
    model = keras2.Sequential(
        [
            keras2.Input((None, 6)),
            layers.LSTM(24, return_sequences=True, stateful=False, name="lstm"),
            layers.SimpleRNN(16, return_sequences=True, name="simple"),
        ]
    )
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "data.npz", x=short_data)
    arguments = ["--int8", "--recurrent", "step", "--data", tmp_path / "data.npz", "--max-accuracy-drop", 1]
    run = run_cli(
        "export", tmp_path / "model.keras", *arguments, "--io", "float32", "--out", tmp_path / "out", "--json"
    )
    assert run.code == 0, run.stderr
    found = run.report["time_step"]
    assert found["every_step"]
    assert [state["name"] for state in found["states"]] == ["lstm_h", "lstm_c", "simple_h"]
    path = tmp_path / "out" / "dense-float32.tflite"
    feedback = over_time.feedback_of(signature.names_of(path), every_step=True)
    (y,) = litert.run(path, short_data, feedback=feedback).arrays
    np.testing.assert_allclose(y, model.predict(short_data, verbose=0), atol=1e-5)
    step = Interpreter(str(tmp_path / "out" / "model.tflite")).get_signature_runner()
    assert {each["dtype"] for each in step.get_input_details().values()} == {np.float32}


def test_without_data_in_float32(keras3, tmp_path):
    model = keras3.Sequential([keras3.Input((None, 6)), keras3.layers.LSTM(16)])
    report = tflite_sparse.export(model, recurrent="step", out=tmp_path / "out")
    assert report.gates.passed
    assert report.time_step.steps is None
    assert report.accuracy is None


def test_what_cannot_be_one_step_is_refused(keras3, tmp_path):
    layers = keras3.layers
    model = keras3.Sequential([keras3.Input((STEPS, 6)), layers.Bidirectional(layers.GRU(4), name="both")])
    words = "layer 'both' .Bidirectional. does not work on each time step by itself"
    x = np.zeros((4, STEPS, 6), np.float32)
    with pytest.raises(ModelError, match=words):
        tflite_sparse.export(model, x, int8=True, recurrent="step", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ModelError, match=words):  # an export reports it and tries the other forms
        traces.as_time_step(keras_model.from_memory(model), x, "auto", calibrated=True)


@pytest.mark.parametrize(("steps", "calibrated"), [(STEPS, False), (256, True)])
def test_other_forms_are_used_if_they_work(keras3, steps, calibrated):
    model = keras_model.from_memory(keras3.Sequential([keras3.Input((None, 6)), keras3.layers.GRU(4)]))
    x = np.zeros((4, steps, 6), np.float32)
    assert traces.as_time_step(model, x, "auto", calibrated=calibrated) is None
    assert traces.as_time_step(model, x, "step", calibrated=calibrated).steps == steps


def test_a_savedmodel_has_no_layers_to_make_a_step_of(keras3, tmp_path):
    model = keras3.Sequential([keras3.Input((5, 6)), keras3.layers.GRU(4)])
    model.export(str(tmp_path / "saved"), verbose=False)
    with pytest.raises(ModelError, match="is a SavedModel without its Keras model: `recurrent='step'` needs that"):
        tflite_sparse.export(tmp_path / "saved", recurrent="step", out=tmp_path / "out")
