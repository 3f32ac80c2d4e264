"""Export models with several inputs and outputs, with data by name, through every stage to files that run."""

import numpy as np
import pytest

import tflite_sparse
from helpers.tools import run_cli
from tflite_sparse.errors import DataError
from tflite_sparse.flatbuffer.signature import names_of
from tflite_sparse.pruning import training
from tflite_sparse.runtime import litert
from tflite_sparse.scoring import keras_score
from tflite_sparse.sources import dataset, keras_model
from tflite_sparse.sources.named_arrays import Signature

COUNT = 120


def columns():
    """Return images, tokens, and labels from each: the image's sign, and the first token."""
    generator = np.random.default_rng(0)
    image = generator.standard_normal((COUNT, 8, 8, 4)).astype(np.float32)
    image += np.where(generator.random(COUNT) < 0.5, 0.5, -0.5)[:, None, None, None].astype(np.float32)
    tokens = generator.integers(0, 50, (COUNT, 6)).astype(np.int32)
    kind = (image.mean((1, 2, 3)) > 0).astype(np.int64)
    size = tokens[:, :1].astype(np.float32) / 50
    return {"image": image, "tokens": tokens}, {"kind": kind, "size": size}


def two_by_two(keras, form="list"):
    """Build a model with two inputs, in another order than in the file, and two outputs of different kinds."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    tokens = keras.Input((6,), dtype="int32", name="tokens")
    image = keras.Input((8, 8, 4), name="image")
    left = layers.Flatten()(layers.Conv2D(32, 3, activation="relu", name="conv")(image))
    right = layers.Flatten()(layers.Embedding(50, 64, name="words")(tokens))
    hidden = layers.Dense(64, activation="relu", name="hidden")(layers.Concatenate()([left, right]))
    kind = layers.Dense(2, activation="softmax", name="kind")(hidden)
    size = layers.Dense(1, name="size")(hidden)
    if form == "dict":
        return keras.Model({"tokens": tokens, "image": image}, {"size": size, "kind": kind})
    return keras.Model([tokens, image], [size, kind])


def export(model, data, folder, **settings):
    options = {"sparsity": 0.7, "int8": True, "max_accuracy_drop": 1, "calibration_samples": 20, "finetune_epochs": 0}
    return tflite_sparse.export(model, data, out=folder / "out", **{**options, **settings})


@pytest.mark.slow
@pytest.mark.parametrize("form", ["list", "dict"])
@pytest.mark.parametrize("generation", ["keras3", "keras2"])
def test_finetuned_and_measured_by_output(generation, form, request, tmp_path):
    x, y = columns()
    model = two_by_two(request.getfixturevalue(generation), form)
    report = export(model, (x, y), tmp_path, finetune_epochs=12)
    assert report.verification.outputs_bit_exact
    assert [runtime.outputs_bit_exact for runtime in report.verification.runtimes] == [True] * 3
    assert report.accuracy.metric == "mean"
    scores = {each.name: each for each in report.accuracy.outputs}
    assert {name: each.metric for name, each in scores.items()} == {"kind": "top1", "size": "r2"}
    assert scores["kind"].sparse > 0.8
    assert report.models.sparse_int8.accuracy == pytest.approx((scores["kind"].sparse + scores["size"].sparse) / 2)
    assert "kind: top1" in (tmp_path / "out" / "report.md").read_text()


def test_inputs_reach_the_file_by_name(keras3, tmp_path):
    """The float32 file computes the same as the model, in any order of inputs of the converter."""
    x, _ = columns()
    model = two_by_two(keras3)
    report = export(model, x, tmp_path, sparsity=None)
    assert report.models.dense_int8.accuracy > 0.8
    assert report.accuracy.metric == "mean_agreement_with_dense_float32"
    path = tmp_path / "out" / "dense-float32.tflite"
    names = names_of(path)
    assert set(names.inputs) == {"image", "tokens"}
    outputs = litert.run(path, [x[name] for name in names.inputs])
    size, kind = model.predict([x["tokens"], x["image"]], verbose=0)
    for name, expected in (("size", size), ("kind", kind)):
        np.testing.assert_allclose(outputs.real(names.outputs.index(name)), expected, atol=1e-5)


def named(x, y):
    return {**x, **y}


def in_parts(separator):
    def arrays(x, y):
        return {
            f"{letter}_{part}{separator}{name}": array[rows]
            for letter, columns in (("x", x), ("y", y))
            for name, array in columns.items()
            for part, rows in (("train", slice(90)), ("test", slice(90, None)))
        }

    return arrays


def test_npz(keras3, tmp_path):
    two_by_two(keras3).save(tmp_path / "model.keras")
    np.savez(tmp_path / "data.npz", **named(*columns()))
    run = run_cli(
        "export", tmp_path / "model.keras", "--data", tmp_path / "data.npz", "--int8", "--calibration-samples", 10,
        "--max-accuracy-drop", 1, "--out", tmp_path / "out", "--json", "--quiet",
    )  # fmt: skip
    assert run.code == 0, run.stderr
    assert {each["name"] for each in run.report["accuracy"]["outputs"]} == {"kind", "size"}


@pytest.mark.parametrize(
    ("arrays", "in_order"),
    [
        (named, False),
        (in_parts("/"), True),
        (in_parts("."), True),
        (lambda x, y: {**{f"{name}:0": x[name] for name in x}, **y}, False),
    ],
    ids=["names", "slash", "dot", "names of tensors"],
)
def test_names_in_an_npz(arrays, in_order, keras3, tmp_path):
    """Without parts of its own, a test part is split off at random."""
    x, y = columns()
    np.savez(tmp_path / "data.npz", **arrays(x, y))
    source = keras_model.from_memory(two_by_two(keras3))
    found = dataset.of_model(tmp_path / "data.npz", Signature(source.inputs(), source.outputs()))
    for given, train, test in ((x, found.x_train, found.x_test), (y, found.y_train, found.y_test)):
        assert set(train) == set(test) == set(given)
        for name, values in given.items():
            whole = np.concatenate([train[name], test[name]])
            if in_order:
                np.testing.assert_array_equal(train[name], values[:90])
                np.testing.assert_array_equal(whole, values)
            else:
                assert whole.shape == values.shape
                np.testing.assert_array_equal(np.sort(whole, axis=None), np.sort(values, axis=None))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tokens": None}, r"no array for the input 'tokens': the model takes tokens \(any, 6\) int32, image \(any"),
        ({"colour": np.zeros(COUNT)}, r"'colour', the name of no input or output: the model takes .* and yields size"),
        ({"tokens": np.zeros((COUNT, 7), np.int32)}, r"sample of tokens has shape \(7\), .*'tokens' takes \(6\)"),
        ({"tokens": np.zeros((COUNT, 6), np.float32)}, "tokens is float32, the model's input 'tokens' takes int32"),
        ({"tokens": np.zeros((7, 6), np.int32)}, "120 samples of 'image' and 7 of 'tokens'"),
        ({"kind": np.full(COUNT, 5)}, "output 'kind': labels run from 5 to 5, the model has 2 outputs"),
        ({"kind": np.zeros(3)}, "y/kind has 3 labels"),
    ],
)
def test_refused_in_one_line(change, words, keras3, tmp_path):
    x, y = columns()
    arrays = {name: array for name, array in {**x, **y, **change}.items() if array is not None}
    with pytest.raises(DataError, match=words) as raised:
        export(two_by_two(keras3), arrays, tmp_path)
    assert len(str(raised.value).splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_arrays_without_names_are_refused(keras3, tmp_path):
    x, y = columns()
    with pytest.raises(DataError, match="x_train is one array, the model has 2 inputs: name them, the model takes"):
        export(two_by_two(keras3), (x["image"], y), tmp_path)
    with pytest.raises(DataError, match=r"y_train is one array, the model has 2 outputs.*leave y out"):
        export(two_by_two(keras3), (x, y["kind"]), tmp_path)
    with pytest.raises(DataError, match="no labels for the output 'size'"):
        export(two_by_two(keras3), (x, {"kind": y["kind"]}), tmp_path, finetune_epochs=1)


@pytest.mark.slow
def test_one_labelled_output_is_measured_alone(keras3, tmp_path):
    x, y = columns()
    report = export(two_by_two(keras3), (x, {"kind": y["kind"]}), tmp_path)
    assert report.accuracy.metric == "top1"
    assert report.accuracy.outputs == []


@pytest.mark.slow
def test_tf_data(keras3, tmp_path):
    import tensorflow as tf

    x, y = columns()
    by_name = tf.data.Dataset.from_tensor_slices((x, y))
    by_place = tf.data.Dataset.from_tensor_slices(((x["tokens"], x["image"]), (y["size"], y["kind"])))
    reports = [export(two_by_two(keras3), data, tmp_path) for data in (by_name, by_place)]
    assert reports[0].accuracy == reports[1].accuracy
    assert len(reports[0].accuracy.outputs) == 2


def test_one_tensor_by_two_names(keras3, tmp_path):
    inputs = keras3.Input((64,))
    hidden = keras3.layers.Dense(64, name="hidden")(inputs)
    model = keras3.Model(inputs, {"first": hidden, "second": hidden})
    x = np.random.default_rng(0).standard_normal((40, 64)).astype(np.float32)
    report = tflite_sparse.export(model, x, sparsity=0.8, out=tmp_path / "out", max_accuracy_drop=1)
    assert report.verification.outputs_bit_exact
    assert not [failure for failure in report.gates.failures if "conversion" in failure]


@pytest.mark.slow
@pytest.mark.parametrize(("generation", "form"), [("keras3", "list"), ("keras3", "dict"), ("keras2", "list")])
def test_pruned_while_training(generation, form, request, tmp_path):
    x, y = columns()
    two_by_two(request.getfixturevalue(generation), form).save(tmp_path / "dense.keras")
    np.savez(tmp_path / "data.npz", **x, **y)
    options = ["--sparsity", 0.7, "--epochs", 12, "--batch-size", 16, "--allocate", "--json"]
    output = tmp_path / "pruned.keras"
    run = run_cli("prune", tmp_path / "dense.keras", "--data", tmp_path / "data.npz", "-o", output, *options)
    assert run.code == 0, run.stderr
    report = run.report
    assert report["sparsity"] == pytest.approx(0.7, abs=0.01)
    assert report["metric"] == "mean"
    scores = {each["name"]: each for each in report["outputs"]}
    assert {name: each["metric"] for name, each in scores.items()} == {"kind": "top1", "size": "r2"}
    assert report["after"] == pytest.approx((scores["kind"]["after"] + scores["size"]["after"]) / 2)
    assert scores["kind"]["after"] > max(scores["kind"]["before"], 0.8)
    assert scores["size"]["after"] > scores["size"]["before"]


def test_prune_wants_labels_of_every_output(keras3, tmp_path):
    x, y = columns()
    two_by_two(keras3).save(tmp_path / "dense.keras")
    with pytest.raises(DataError, match="no labels for the output 'size'"):
        tflite_sparse.prune(tmp_path / "dense.keras", (x, {"kind": y["kind"]}), tmp_path / "out.keras", sparsity=0.5)
    assert not (tmp_path / "out.keras").exists()


def test_a_scan_measures_the_mean_over_outputs(keras3):
    x, y = columns()
    source = keras_model.from_memory(two_by_two(keras3))
    samples = dataset.of_model((x, y), Signature(source.inputs(), source.outputs()))
    training.compile_for(source, samples, "sgd")
    found = keras_score.evaluator(source, x, y)()
    outputs = source.compute(x)
    top1 = np.mean(outputs["kind"].argmax(-1) == y["kind"])
    error = np.mean((outputs["size"] - y["size"]) ** 2)
    assert found.metric == pytest.approx((top1 + 1 - error / np.var(y["size"])) / 2, abs=1e-4)
    entropy = -np.mean(np.log(outputs["kind"][np.arange(COUNT), y["kind"]]))
    assert found.loss == pytest.approx(error + entropy, rel=1e-4)
