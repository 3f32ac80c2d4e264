"""Load files with weights only, with a function of the user that makes the architecture."""

import h5py
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from helpers.tools import run_cli

BUILDERS = """
import {package} as keras

def make(units=16, more=()):
    L = keras.layers
    return keras.Sequential([
        L.Input((8, 8, 1)),
        L.Conv2D(16, 3, padding="same", activation="relu", name="conv1"),
        L.Conv2D(32, 3, padding="same", activation="relu", name="conv2"),
        L.MaxPooling2D(),
        L.Flatten(),
        L.Dense(units, activation="relu", name="dense"),
        *more,
        L.Dense(10, activation="softmax", name="classes"),
    ])

def other_width():
    return make(12)

def one_layer_more():
    return make(more=[keras.layers.Dense(16, name="more")])

def one_layer_less():
    model = make()
    return keras.Model(model.inputs, model.layers[-2].output)

def raises():
    raise RuntimeError("no such thing")

def not_built():
    return keras.Sequential([keras.layers.Dense(3)])

def no_model():
    return 7
"""


@pytest.fixture(scope="module")
def builders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("builders")
    for package in ("keras", "tf_keras"):
        (folder / f"with_{package}.py").write_text(BUILDERS.format(package=package))
    return folder


@pytest.fixture(scope="module")
def weight_files(tmp_path_factory, model3, model2):
    folder = tmp_path_factory.mktemp("weights")
    model3.save_weights(folder / "keras3.weights.h5")
    model2.save_weights(str(folder / "keras2.h5"))
    model2.save_weights(str(folder / "keras2.weights.h5"))
    (folder / "old_layout.weights.h5").write_bytes((folder / "keras2.h5").read_bytes())
    return folder


def export(path, builder, out):
    return run_cli("export", path, "--builder", builder, "--out", out, "--quiet")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("keras3.weights.h5", "keras"),
        ("keras2.h5", "tf_keras"),
        ("keras2.h5", "keras"),
        ("keras2.weights.h5", "tf_keras"),
        ("old_layout.weights.h5", "tf_keras"),
    ],
)
def test_outputs_are_those_of_the_trained_model(
    name, package, weight_files, builders, model3, model2, digits, tmp_path
):
    run = export(weight_files / name, f"{builders / f'with_{package}.py'}:make", tmp_path / "out")
    assert run.code == 0, run.stderr
    interpreter = Interpreter(str(tmp_path / "out" / "model.tflite"))
    samples = digits.x_test[:16].astype(np.float32)
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], samples.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], samples)
    interpreter.invoke()
    reference = model3 if "keras3" in name else model2
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(found, reference.predict(samples, verbose=0), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "package", "function", "words"),
    [
        (
            "keras3.weights.h5",
            "keras",
            "other_width",
            ["dense/kernel", "(512, 12) in the model", "(512, 16) in the file"],
        ),
        ("keras2.h5", "tf_keras", "other_width", ["dense/kernel", "(512, 12) in the model", "(512, 16) in the file"]),
        ("keras2.h5", "keras", "other_width", ["dense", "(512, 12)", "(512, 16)"]),
        ("keras3.weights.h5", "keras", "one_layer_more", ["does not fit the model of", "(16, 16) in the model"]),
        ("keras2.h5", "tf_keras", "one_layer_more", ["expected 5 layers", "4 saved layers"]),
        ("keras3.weights.h5", "keras", "one_layer_less", ["layers/dense_1/vars/0", "(16, 10)", "not in the model"]),
        ("keras3.weights.h5", "keras", "raises", ["raises raised RuntimeError: no such thing"]),
        ("keras3.weights.h5", "keras", "not_built", ["not built", "Input"]),
        ("keras3.weights.h5", "keras", "no_model", ["type int", "must return a Keras model"]),
        ("keras3.weights.h5", "keras", "absent", ["has no function 'absent'"]),
    ],
)
def test_what_does_not_fit(name, package, function, words, weight_files, builders, tmp_path):
    file = builders / f"with_{package}.py"
    check_refused(export(weight_files / name, f"{file}:{function}", tmp_path / "out"), tmp_path / "out", *words)


def test_needless_or_malformed_builder(model_files, weight_files, builders, tmp_path):
    out, builder = tmp_path / "out", f"{builders / 'with_keras.py'}:make"
    for form in ("keras3.keras", "keras3.h5", "keras3-export"):
        check_refused(export(model_files[form], builder, out), out, "holds a whole model", "leave --builder out")
    run = export(weight_files / "keras2.h5", "make", out)
    check_refused(run, out, "--builder takes FILE.py:FUNCTION, not 'make'")


def test_without_a_builder(weight_files, tmp_path):
    out = tmp_path / "out"
    for path in weight_files.iterdir():
        run = run_cli("export", path, "--out", out, "--quiet")
        check_refused(run, out, path.name, "holds weights only", "--builder FILE.py:FUNCTION")


def test_links_in_a_weights_file_are_not_followed(weight_files, builders, tmp_path):
    path = tmp_path / "linked.weights.h5"
    path.write_bytes((weight_files / "keras3.weights.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        file["layers/away"] = h5py.ExternalLink(str(weight_files / "keras2.h5"), "/dense")
    run = export(path, f"{builders / 'with_keras.py'}:make", tmp_path / "out")
    check_refused(run, tmp_path / "out", "linked.weights.h5", "is a link")


def check_refused(run, out, *words):
    assert run.code == 2, run.stderr
    assert len(run.stderr.splitlines()) == 1, run.stderr
    for word in words:
        assert word in run.stderr
    assert not out.exists()


def test_prune_takes_a_builder(weight_files, builders, digits, tmp_path):
    data = {name: getattr(digits, name)[:200] for name in ("x_train", "y_train", "x_test", "y_test")}
    np.savez(tmp_path / "data.npz", **data)
    options = ["--data", tmp_path / "data.npz", "--sparsity", 0.5, "--epochs", 2, "-o", tmp_path / "out.keras"]
    builder = f"{builders / 'with_keras.py'}:make"
    run = run_cli("prune", weight_files / "keras3.weights.h5", "--builder", builder, *options, "--json")
    assert run.code == 0, run.stderr
    assert run.report["sparsity"] == pytest.approx(0.5, abs=0.01)
    assert run.report["before"] > 0.9  # the weights of the file were trained
    without = run_cli("prune", weight_files / "keras3.weights.h5", *options)
    assert without.code == 2
    assert "give --builder FILE.py:FUNCTION" in without.stderr
