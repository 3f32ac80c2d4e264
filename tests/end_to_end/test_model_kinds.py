"""Export models as people build them, and check the report if something cannot be done."""

import numpy as np
import pytest

import tflite_sparse
from tflite_sparse.errors import DataError, ModelError, SettingsError
from tflite_sparse.measurement import latency
from tflite_sparse.runtime import litert


def export(model, data=None, tmp_path=None, **settings):
    return tflite_sparse.export(
        model, data, out=tmp_path / "out", **{"max_accuracy_drop": 1, "finetune_epochs": 0, **settings}
    )


def images(count=40, shape=(16, 16, 8), classes=4):
    generator = np.random.default_rng(0)
    return generator.standard_normal((count, *shape)).astype(np.float32), generator.integers(0, classes, count)


def functional(keras, kind):
    """Return a model of one kind of layer with a prunable kernel each, on (16, 16, 8) images."""
    layers = keras.layers
    x = inputs = keras.Input((16, 16, 8))
    if kind == "separable":
        x = layers.SeparableConv2D(300, 3, activation="relu")(x)
    elif kind == "transposed":
        x = layers.Conv2DTranspose(64, 3, strides=2, activation="relu")(x)
    elif kind == "grouped":
        x = layers.Conv2D(64, 3, groups=2, activation="relu")(layers.Conv2D(64, 1)(x))
    elif kind == "conv1d":
        x = layers.Conv1D(64, 5, activation="relu")(layers.Reshape((256, 8))(x))
        x = layers.Conv1D(64, 5, activation="relu")(x)
    elif kind == "shared":
        shared = layers.Conv2D(8, 6, padding="same", activation="relu")
        x = shared(shared(x))
    elif kind == "nested":
        inner = keras.Sequential([keras.Input((16, 16, 8)), layers.Conv2D(40, 3, activation="relu")], name="inner")
        x = inner(x)
    elif kind == "frozen":
        layer = layers.Conv2D(40, 3, activation="relu")
        layer.trainable = False
        x = layers.BatchNormalization()(layer(x))
    x = layers.Flatten()(x) if kind == "flattened" else x
    if kind not in ("flattened",):
        x = (layers.GlobalAveragePooling1D if kind == "conv1d" else layers.GlobalAveragePooling2D)()(x)
    return keras.Model(inputs, layers.Dense(4, activation="softmax")(x))


@pytest.mark.parametrize(
    "kind", ["separable", "transposed", "grouped", "conv1d", "shared", "nested", "frozen", "flattened"]
)
@pytest.mark.parametrize("generation", ["keras3", pytest.param("keras2", marks=pytest.mark.slow)])
def test_layers(kind, generation, request, tmp_path):
    model = functional(request.getfixturevalue(generation), kind)
    report = export(model, images(), tmp_path, sparsity=0.8, int8=True, calibration_samples=8)
    assert report.pruning.after == pytest.approx(0.8, abs=0.002)
    assert report.models.sparse_int8.file_bytes < report.models.dense_int8.file_bytes
    assert [runtime.outputs_bit_exact for runtime in report.verification.runtimes] == [True, True, True]


def test_embedding_of_tokens(keras3, tmp_path):
    layers = keras3.layers
    model = keras3.Sequential(
        [
            keras3.Input((12,), dtype="int32"),
            layers.Embedding(500, 64),
            layers.GlobalAveragePooling1D(),
            layers.Dense(3),
        ]
    )
    tokens = np.random.default_rng(0).integers(0, 500, (50, 12)).astype(np.int32)
    report = export(model, (tokens, tokens[:, 0] % 3), tmp_path, sparsity=0.9, finetune_epochs=0, int8=True)
    assert report.verification.outputs_bit_exact
    assert report.tensors[0].operator == "GATHER" or any(tensor.operator == "GATHER" for tensor in report.tensors)


@pytest.mark.slow
def test_free_height_and_width(keras3, tmp_path):
    layers = keras3.layers
    model = keras3.Sequential(
        [keras3.Input((None, None, 8)), layers.Conv2D(64, 3, activation="relu"), layers.GlobalAveragePooling2D(),
         layers.Dense(4)]
    )  # fmt: skip
    report = export(model, images(), tmp_path, sparsity=0.8, int8=True)
    assert report.verification.runtimes[0].outputs_bit_exact
    assert export(model, None, tmp_path, sparsity=0.8).verification.runtimes[0].outputs_bit_exact


def test_ending_in_a_computed_reshape_is_said_not_to_be_compared_everywhere(keras3, tmp_path):
    layers = keras3.layers
    model = keras3.Sequential([keras3.Input((16, 16, 8)), layers.Conv2D(64, 3), layers.Flatten()])
    x, _ = images()
    report = export(model, x, tmp_path, sparsity=0.8, int8=True)
    default, builtin, compiled = report.verification.runtimes
    assert default.outputs_bit_exact
    assert builtin.outputs_bit_exact
    assert compiled.outputs_bit_exact is None
    assert "the dense file does not run" in compiled.unavailable
    assert report.gates.passed
    assert "not compared in LiteRT CompiledModel" in (tmp_path / "out" / "report.md").read_text()


def two_headed(keras):
    inputs = keras.Input((64,))
    hidden = keras.layers.Dense(64, activation="relu")(inputs)
    heads = [keras.layers.Dense(width, name=name)(hidden) for name, width in (("kind", 2), ("colour", 7))]
    return keras.Model(inputs, heads)


def test_several_outputs(keras3, tmp_path):
    model = two_headed(keras3)
    x = np.random.default_rng(0).standard_normal((50, 64)).astype(np.float32)
    report = export(model, x, tmp_path, sparsity=0.8, int8=True)
    assert report.accuracy.metric == "top1_agreement_with_dense_float32"
    assert report.models.dense_float32.accuracy == 1
    assert report.verification.outputs_bit_exact
    with pytest.raises(DataError, match=r"2 outputs: name them, .* yields kind \(any, 2\), colour \(any, 7\)"):
        export(model, (x, np.zeros(50, int)), tmp_path, sparsity=0.8, int8=True)


@pytest.mark.slow
def test_one_sigmoid_output(keras3, tmp_path):
    x, _ = images(classes=2)
    labels = (x.mean((1, 2, 3)) > 0).astype(np.float32)
    layers = keras3.layers
    model = keras3.Sequential([keras3.Input((16, 16, 8)), layers.Flatten(), layers.Dense(1, activation="sigmoid")])
    report = export(model, (x, labels), tmp_path, sparsity=0.3, int8=True, finetune_epochs=2)
    assert report.accuracy.metric == "binary"
    assert 0 <= report.models.sparse_int8.accuracy <= 1


@pytest.mark.slow
def test_regression(keras3, tmp_path):
    x, _ = images()
    layers = keras3.layers
    model = keras3.Sequential([keras3.Input((16, 16, 8)), layers.Flatten(), layers.Dense(2)])
    targets = np.stack([x.mean((1, 2, 3)), x[:, 0, 0, 0]], axis=1)
    report = export(model, (x, targets), tmp_path, sparsity=0.3, int8=True, finetune_epochs=1)
    assert report.accuracy.metric == "r2"


def test_nothing_to_prune_is_said(keras3, tmp_path):
    model = keras3.Sequential([keras3.Input((16,)), keras3.layers.Dense(20, name="small")])
    report = export(model, None, tmp_path, sparsity=0.8)
    assert "nothing to prune" in report.pruning.words
    assert "small/kernel with 320" in report.pruning.words


def test_nan_outside_of_kernels(keras3, tmp_path):
    model = keras3.Sequential([keras3.Input((64,)), keras3.layers.Dense(64, name="last")])
    model.layers[0].bias.assign(np.full(64, np.nan))
    with pytest.raises(ModelError, match="last/bias holds 64 NaN"):
        export(model, None, tmp_path, sparsity=0.5)


def test_outputs_that_are_nan(keras3, tmp_path):
    model = keras3.Sequential([keras3.Input((64,)), keras3.layers.BatchNormalization(), keras3.layers.Dense(64)])
    model.layers[0].moving_variance.assign(np.full(64, -1.0))
    x = np.random.default_rng(0).standard_normal((20, 64)).astype(np.float32)
    with pytest.raises(ModelError, match="yields NaN or infinity on 4 of 4 test samples"):
        export(model, x, tmp_path, sparsity=0.5)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
@pytest.mark.parametrize("generation", ["keras3", "keras2"])
def test_mixed_precision_is_built_again_in_float32(generation, policy, request, tmp_path):
    keras = request.getfixturevalue(generation)
    dtype = keras.mixed_precision.Policy(policy) if generation == "keras2" else policy
    layers = [keras.layers.Dense(64, dtype=dtype, activation="relu", name="half"), keras.layers.Dense(40, dtype=dtype)]
    model = keras.Sequential([keras.layers.Input((64,)), *layers])
    before = [np.array(values) for values in model.get_weights()]
    report = export(model, None, tmp_path)
    assert report.pruning.words.startswith("built again in float32 from mixed precision; kept at")
    x = np.random.default_rng(0).standard_normal((4, 64)).astype(np.float32)
    one, two, three, four = (values.astype(np.float32) for values in before)
    expected = np.maximum(x @ one + two, 0) @ three + four
    found = litert.run(tmp_path / "out" / "dense-float32.tflite", x).real()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_mixed_precision_of_a_subclassed_model_is_refused_with_the_cure(keras3, tmp_path):
    class Own(keras3.Model):
        def __init__(self):
            super().__init__()
            self.half = keras3.layers.Dense(64, dtype="mixed_float16", name="half")

        def call(self, inputs):
            return self.half(inputs)

    model = Own()
    model(np.zeros((1, 64), np.float32))
    with pytest.raises(ModelError, match=r"'half' computes in 16 bits.*policy 'float32'"):
        export(model, None, tmp_path)


def test_labels_are_checked_before_the_work(keras3, tmp_path):
    """The one wrong label is in the training part, near its end."""
    x, y = images(200)
    y[0], model = 9, functional(keras3, "nested")
    data = ((np.roll(x, -1, 0), np.roll(y, -1)), (x[1:20], y[1:20]))
    with pytest.raises(DataError, match="labels run from 0 to 9, the model has 4 outputs"):
        export(model, data, tmp_path, sparsity=0.5, int8=True)


def test_settings_that_contradict_each_other(model3, tmp_path):
    with pytest.raises(SettingsError, match="add `int8=True`"):
        export(model3, None, tmp_path, io="float32")
    with pytest.raises(SettingsError, match="only with a `model`"):
        export(None, None, tmp_path, finetune_epochs=1)


@pytest.mark.parametrize("with_data", [False, True])
def test_token_numbers_in_a_float_input_are_verified_with_valid_ones(keras3, with_data, tmp_path):
    # Keras's default dtype of an input is float32, also in front of an Embedding, which casts.
    layers = keras3.layers
    model = keras3.Sequential([keras3.Input((12,)), layers.Embedding(30, 128), layers.Flatten(), layers.Dense(40)])
    tokens = np.random.default_rng(0).integers(0, 30, (20, 12)).astype(np.float32) if with_data else None
    report = export(model, tokens, tmp_path, sparsity=0.9)
    assert report.verification.weights_bit_exact
    assert report.verification.outputs_bit_exact
    assert latency.first_invoke(tmp_path / "out" / "model.tflite").load_ms > 0
