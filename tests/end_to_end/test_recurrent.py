"""Export recurrent models as loops, fused, and unrolled: the outputs are always Keras's."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

import tflite_sparse
from tflite_sparse.errors import ConversionError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.rewrites import lstm_cell_clip
from tflite_sparse.runtime import litert

STEPS, WIDTH, UNITS = 3, 64, 64
NAMES = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}


@pytest.fixture(scope="module")
def sequences():
    return np.random.default_rng(0).standard_normal((40, STEPS, WIDTH)).astype(np.float32)


def model_of(keras, kind, steps=STEPS):
    keras.utils.set_random_seed(3)
    layers = keras.layers
    x = inputs = keras.Input((steps, WIDTH))
    x = layers.Masking()(x) if kind == "masked" else x
    rnn = {
        "lstm": lambda: layers.LSTM(UNITS),
        "gru": lambda: layers.GRU(UNITS),
        "simple": lambda: layers.SimpleRNN(2 * UNITS),  # smaller kernels pay in no sparse form
        "bidirectional": lambda: layers.Bidirectional(layers.LSTM(UNITS)),
        "stacked": lambda: keras.Sequential([layers.LSTM(UNITS, return_sequences=True), layers.GRU(UNITS)]),
        "hard sigmoid": lambda: layers.LSTM(UNITS, recurrent_activation="hard_sigmoid", recurrent_dropout=0.2),
        "masked": lambda: layers.GRU(UNITS),
    }[kind]()
    return keras.Model(inputs, layers.Dense(4)(rnn(x)), name="recurrent")


def export(model, data, tmp_path, **settings):
    settings = {"sparsity": 0.875, "max_accuracy_drop": 1, "calibration_samples": 30, "finetune_epochs": 0, **settings}
    return tflite_sparse.export(model, data, out=tmp_path / "out", **settings)


def operators(path):
    model = serde.read(path)
    return [
        NAMES[model.operatorCodes[op.opcodeIndex].builtinCode] for graph in model.subgraphs for op in graph.operators
    ]


KINDS = ["lstm", "gru", "simple", "bidirectional", "stacked", "hard sigmoid", "masked"]


@pytest.mark.slow
@pytest.mark.parametrize("generation", ["keras3", "keras2"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind(kind, generation, sequences, request, tmp_path):
    model = model_of(request.getfixturevalue(generation), kind)
    wanted = model.predict(sequences[:10], verbose=0)
    report = export(model, sequences, tmp_path, int8=True)
    float32 = litert.run(tmp_path / "out" / "dense-float32.tflite", sequences[:10]).real()
    np.testing.assert_allclose(float32, wanted, atol=2e-6)
    assert report.verification.outputs_bit_exact
    stored = [tensor for tensor in report.tensors if tensor.layout != "dense"]
    assert len(stored) >= 2, [(tensor.name, tensor.layout, tensor.reason) for tensor in report.tensors]
    names = operators(tmp_path / "out" / "model.tflite")
    assert "WHILE" not in names
    assert names.count("DENSIFY") == len(stored)  # each read by all steps through one DENSIFY
    test = sequences[np.random.default_rng(0).permutation(40)[:8]]  # the split's test part
    got = litert.run(tmp_path / "out" / "model.tflite", test).real()
    dense = litert.run(tmp_path / "out" / "dense-int8.tflite", test).real()
    np.testing.assert_array_equal(got, dense)
    assert report.models.sparse_int8.sparsity > 0.8


def test_cells_are_not_clipped(keras2, tmp_path):
    """The converter clips at 10. The cell counts up by 1 a step to 50, then down to 5; clipped it would end below 0."""
    layers = keras2.layers
    model = keras2.Sequential([keras2.Input((95, 1)), layers.LSTM(1), layers.Dense(1)])
    kernel = np.array([[0, 0, 40, 0]], np.float32)  # input, forget, cell, output
    bias = np.array([40, 40, 0, 40], np.float32)
    model.set_weights(
        [kernel, np.zeros((1, 4), np.float32), bias, np.ones((1, 1), np.float32), np.zeros(1, np.float32)]
    )
    steps = np.repeat(np.float32([1, -1]), [50, 45]).reshape(1, 95, 1)
    x = np.concatenate([steps, -steps] * 4)
    export(model, x, tmp_path, sparsity=None)
    got = litert.run(tmp_path / "out" / "dense-float32.tflite", x).real()
    np.testing.assert_allclose(got, model.predict(x, verbose=0), atol=1e-5)
    assert got[0, 0] > 0.99
    path = tmp_path / "out" / "dense-float32.tflite"
    (lstm,) = (
        op.builtinOptions for op in serde.read(path).subgraphs[0].operators if hasattr(op.builtinOptions, "cellClip")
    )
    assert lstm.cellClip == 0
    assert lstm_cell_clip.drop(serde.read(path)) == 0


def test_state_does_not_pass_from_sample_to_sample(keras2, sequences, tmp_path):
    model = model_of(keras2, "lstm")
    export(model, sequences, tmp_path, sparsity=None)
    path = tmp_path / "out" / "dense-float32.tflite"
    assert "UNIDIRECTIONAL_SEQUENCE_LSTM" in operators(path)
    together = litert.run(path, sequences[:6]).real()
    apart = np.concatenate([litert.run(path, sequences[i : i + 1]).real() for i in range(6)])
    np.testing.assert_array_equal(together, apart)


@pytest.mark.slow
def test_loops_are_kept_where_they_are_asked_for(keras2, keras3, sequences, tmp_path):
    export(model_of(keras2, "lstm"), sequences, tmp_path, int8=True, recurrent="loop")
    assert "UNIDIRECTIONAL_SEQUENCE_LSTM" in operators(tmp_path / "out" / "model.tflite")
    with pytest.raises(ConversionError, match=r"crashed.*GRU is a loop.*`recurrent='unroll'`"):
        export(model_of(keras3, "gru"), sequences, tmp_path, int8=True, recurrent="loop")


@pytest.mark.slow
def test_any_number_of_steps_takes_that_of_the_data(keras3, sequences, tmp_path):
    report = export(model_of(keras3, "gru", steps=None), sequences, tmp_path, int8=True, layer_errors=True)
    assert report.verification.outputs_bit_exact
    assert len(report.layers) == report.layer_tensors > 15 * STEPS, "float32 is compared step by step too"
    (found,) = litert.inputs(tmp_path / "out" / "model.tflite")
    assert found.signature == (1, STEPS, WIDTH)


@pytest.mark.slow
def test_a_wrong_conversion_fails_the_run(keras2, sequences, tmp_path):
    """TensorFlow 2.21 misreads the output of a fused LSTM in a loop after it."""
    report = export(model_of(keras2, "stacked"), sequences, tmp_path, sparsity=None, recurrent="loop")
    assert not report.gates.passed
    assert any(failure.startswith("conversion: output 'dense") for failure in report.gates.failures)
    assert export(model_of(keras2, "stacked"), sequences, tmp_path, sparsity=None).gates.passed


def test_unrolling_the_baseline_takes_the_number_of_steps_from_the_data(keras2, sequences, tmp_path):
    keras2.utils.set_random_seed(3)
    inputs = keras2.Input((None, WIDTH))
    hidden = keras2.layers.GRU(16)(keras2.layers.LSTM(16, return_sequences=True)(inputs))
    report = export(keras2.Model(inputs, hidden), sequences, tmp_path, sparsity=None)
    assert report.gates.passed
    assert "WHILE" not in operators(tmp_path / "out" / "dense-float32.tflite")


@pytest.mark.slow
def test_layers_are_as_before(keras2, keras3, sequences, tmp_path):
    for keras in (keras2, keras3):
        model = model_of(keras, "lstm")
        export(model, sequences, tmp_path, int8=True)
        assert model.layers[1].unroll is False


@pytest.mark.slow
def test_savedmodel_with_a_loop(keras2, keras3, sequences, tmp_path):
    model_of(keras2, "lstm").export(str(tmp_path / "two"))
    report = export(tmp_path / "two", sequences, tmp_path, int8=True)
    assert report.verification.outputs_bit_exact
    model_of(keras3, "gru").export(str(tmp_path / "three"), verbose=False)
    with pytest.raises(ConversionError, match=r"free batch.*Export from the Keras model"):
        export(tmp_path / "three", sequences, tmp_path)
