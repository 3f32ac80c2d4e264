"""Test mistakes of users: one or two lines with thing and cure, exit code 2, and nothing written."""

import json
import zipfile

import numpy as np
import pytest

from helpers.tools import run_cli


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def check_refused(run, out, *words):
    assert run.code == 2, run.stderr
    assert run.stdout == ""
    lines = run.stderr.strip().splitlines()
    assert 1 <= len(lines) <= 2, run.stderr
    assert lines[0].startswith("error: ")
    assert "Traceback" not in run.stderr
    for word in words:
        assert word in run.stderr
    assert not out.exists()


def export(out, *arguments):
    return run_cli("export", *arguments, "--out", out, "--quiet")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing.keras", None, ["no such file"]),
        ("model.pt", b"x", [".keras, .h5 or .hdf5 file or a SavedModel folder"]),
        ("model.tflite", b"x", ["is a .tflite file already"]),
        ("model.keras", b"no zip at all", ["is no .keras model"]),
        ("model.h5", b"no hdf5 at all", ["cannot be read as an HDF5 file"]),
        ("model.keras", b"", ["is no .keras model"]),
    ],
)
def test_what_is_no_model(name, content, words, tmp_path, out):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    check_refused(export(out, path, "--sparsity", 0.5), out, name, *words)


def test_folder_that_is_no_savedmodel(tmp_path, out):
    check_refused(export(out, tmp_path), out, "is no SavedModel")


def test_broken_savedmodel(tmp_path, out):
    (tmp_path / "saved_model.pb").write_bytes(b"\x00\x01garbage")
    check_refused(export(out, tmp_path), out, "cannot be loaded as a SavedModel")


@pytest.mark.slow
def test_truncated_keras_archive(model_files, tmp_path, out):
    path = tmp_path / "cut.keras"
    path.write_bytes(model_files["keras3.keras"].read_bytes()[:-500])
    check_refused(export(out, path), out, "cut.keras", "is no .keras model")


def test_weights_only(model3, tmp_path, out):
    model3.save_weights(tmp_path / "only.weights.h5")
    check_refused(export(out, tmp_path / "only.weights.h5"), out, "holds weights only", "save it whole as .keras")


def test_model_of_another_keras_version(model_files, tmp_path, out):
    """The metadata of this file of Keras 3 name Keras 2: a version mismatch."""
    path = tmp_path / "mismatch.keras"
    with zipfile.ZipFile(model_files["keras3.keras"]) as old, zipfile.ZipFile(path, "w") as new:
        for entry in old.namelist():
            content = old.read(entry)
            if entry == "metadata.json":
                content = json.dumps({**json.loads(content), "keras_version": "2.15.0"}).encode()
            new.writestr(entry, content)
    check_refused(export(out, path), out, "mismatch.keras was written by Keras 2.15.0", "cannot load it")


@pytest.mark.parametrize("sparsity", [-0.1, 1, 1.5, "nan"])
def test_sparsity_out_of_range(sparsity, model_files, out):
    check_refused(
        export(out, model_files["keras3.keras"], "--sparsity", sparsity),
        out,
        f"error: --sparsity {float(sparsity)}: ",
        "than",
    )


@pytest.mark.parametrize(
    ("option", "value"),
    [("--finetune-epochs", -1), ("--calibration-samples", 0)],
)
def test_settings_out_of_range(option, value, model_files, out):
    words = (f"error: {option} {value}: ", "greater than or equal to")
    check_refused(export(out, model_files["keras3.keras"], option, value), out, *words)


def test_int8_without_data(model_files, out):
    run = export(out, model_files["keras3.keras"], "--int8")
    check_refused(run, out, "--int8 needs data", "mnist-5k", ".npz", "module.py:function")


def test_finetuning_without_data_or_labels(model_files, tmp_path, digits, out):
    model = model_files["keras3.keras"]
    check_refused(export(out, model, "--finetune-epochs", 1), out, "--finetune-epochs needs labelled data")
    np.savez(tmp_path / "x.npz", x=digits.x_test)
    run = export(out, model, "--finetune-epochs", 1, "--data", tmp_path / "x.npz")
    check_refused(run, out, "has no labels")


def test_unknown_data(model_files, out):
    check_refused(
        export(out, model_files["keras3.keras"], "--data", "cifar"), out, "'cifar' is no data set", "mnist-5k"
    )


def test_data_of_another_shape(model_files, out):
    run = export(out, model_files["keras3.keras"], "--int8", "--data", "mnist-5k")
    check_refused(run, out, "(28, 28, 1)", "(8, 8, 1)")


def _npz(path, **arrays):
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"a": np.zeros(3)}, ["holds a; expected x, y"]),
        ({"x": np.zeros((4, 8, 8, 1)), "y": np.zeros(3)}, ["4 samples", "3 labels"]),
        ({"x": np.full((4, 8, 8, 1), np.nan)}, ["NaN or infinity"]),
        ({"x": np.zeros((4, 8, 8, 1), complex)}, ["complex128"]),
        ({"x": np.zeros((4, 8, 8))}, ["(8, 8)", "(8, 8, 1)"]),
        ({"x": np.zeros((1, 8, 8, 1))}, ["at least two samples"]),
        ({"x": np.zeros((20, 8, 8, 1)), "y": np.full(20, 12)}, ["labels run from 12 to 12", "10 outputs"]),
        ({"x": np.zeros((20, 8, 8, 1)), "y": np.zeros((20, 3))}, ["labels of shape", "do not fit"]),
    ],
)
def test_bad_data(arrays, words, model_files, tmp_path, out):
    path = _npz(tmp_path / "data.npz", **arrays)
    run = export(out, model_files["keras3.keras"], "--sparsity", 0.5, "--finetune-epochs", 0, "--data", path)
    check_refused(run, out, *words)


def test_pickles_in_data_are_not_loaded(model_files, tmp_path, out):
    path = _npz(tmp_path / "data.npz", x=np.array([{"a": 1}, None], object))
    check_refused(
        export(out, model_files["keras3.keras"], "--data", path), out, "cannot be read as an .npz of plain arrays"
    )


def test_data_that_is_no_npz(model_files, tmp_path, out):
    (tmp_path / "data.npz").write_bytes(b"nothing")
    check_refused(
        export(out, model_files["keras3.keras"], "--data", tmp_path / "data.npz"), out, "cannot be read as an .npz"
    )


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("def other(): pass", ["has no function 'make'"]),
        ("def make(): raise KeyError('lost')", ["raised KeyError", "lost"]),
        ("raise OSError('at import')", ["raised OSError", "at import"]),
        ("def make(): return 'text'", ["not supported"]),
    ],
)
def test_data_function_that_fails(code, words, model_files, tmp_path, out):
    (tmp_path / "source.py").write_text(code)
    run = export(out, model_files["keras3.keras"], "--data", f"{tmp_path / 'source.py'}:make")
    check_refused(run, out, "source.py", *words) if "not supported" not in words else check_refused(run, out, *words)


def test_nan_weights(keras3, model3, tmp_path, out):
    copy = keras3.models.clone_model(model3)
    weights = model3.get_weights()
    weights[2][0, 0, 0, 0] = np.nan
    copy.set_weights(weights)
    copy.save(tmp_path / "nan.keras")
    check_refused(export(out, tmp_path / "nan.keras"), out, "conv2/kernel holds 1 NaN")


CUSTOM = """
import keras

@keras.saving.register_keras_serializable(package="mine")
class Doubled(keras.layers.Dense):
    def call(self, inputs):
        return 2 * super().call(inputs)
"""


def test_custom_layer_with_and_without_its_file(keras3, tmp_path, out):
    file = tmp_path / "mine.py"
    file.write_text(CUSTOM)
    # As from another program: none of its classes is registered here afterwards.
    from tflite_sparse.errors import ModelError
    from tflite_sparse.sources.user_code import load_module

    layer = load_module(file, ModelError).Doubled
    model = keras3.Sequential([keras3.Input((300,)), layer(64)])
    model.save(tmp_path / "custom.keras")
    keras3.saving.get_custom_objects().clear()
    run = export(out, tmp_path / "custom.keras", "--sparsity", 0.8)
    check_refused(run, out, "'Doubled'", "--custom-objects")
    run = export(out, tmp_path / "custom.keras", "--sparsity", 0.8, "--custom-objects", file)
    assert run.code == 0, run.stderr
    keras3.saving.get_custom_objects().clear()


def test_custom_objects_file_that_fails(model_files, tmp_path, out):
    model = model_files["keras3.keras"]
    check_refused(export(out, model, "--custom-objects", tmp_path / "no.py"), out, "no such Python file")
    (tmp_path / "bad.py").write_text("1 / 0")
    check_refused(export(out, model, "--custom-objects", tmp_path / "bad.py"), out, "raised ZeroDivisionError")


@pytest.mark.parametrize("generation", ["keras3.keras", "keras2.keras", "keras2.h5", "keras2-savedmodel"])
def test_code_in_a_model_file_is_not_run(generation, keras3, keras2, tmp_path, out):
    """A Lambda layer would write a file when it is called; loading it must be refused before that."""
    keras = keras3 if generation.startswith("keras3") else keras2
    trace = tmp_path / "it-ran"
    code = f"__import__('pathlib').Path({str(trace)!r}).touch()"
    function = eval(f"lambda x: (x, {code})[0]")
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Lambda(function, name="sneaky")])
    path = tmp_path / (generation.replace("-", "_"))
    model.save(path, **({"save_format": "tf"} if "savedmodel" in generation else {}))
    trace.unlink(missing_ok=True)
    check_refused(export(out, path), out, "is a Lambda layer", "runs code")
    assert not trace.exists()


def test_class_of_a_foreign_module_is_not_imported(model_files, tmp_path, out):
    path = tmp_path / "foreign.keras"
    with zipfile.ZipFile(model_files["keras3.keras"]) as old, zipfile.ZipFile(path, "w") as new:
        for entry in old.namelist():
            content = old.read(entry)
            if entry == "config.json":
                config = json.loads(content)
                config["config"]["layers"][1].update(module="antigravity", class_name="Evil", registered_name="Evil")
                content = json.dumps(config).encode()
            new.writestr(entry, content)
    check_refused(export(out, path), out, "uses 'Evil'", "--custom-objects")


def test_zip_bomb_in_a_keras_file(tmp_path, out):
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.0.0"}))
        archive.writestr("config.json", b" " * (101 * 2**20))
        archive.writestr("model.weights.h5", b"")
    check_refused(export(out, path), out, "unpacks to more than 100 MiB")


def test_demo_network_on_data_without_classes(tmp_path, out):
    _npz(tmp_path / "x.npz", x=np.zeros((10, 28, 28, 1)))
    check_refused(export(out, "--data", tmp_path / "x.npz"), out, "needs class numbers from 0 to 9")


def test_out_is_a_file(model_files, tmp_path):
    path = tmp_path / "file"
    path.write_text("mine")
    run = run_cli("export", model_files["keras3.keras"], "--out", path, "--quiet")
    assert run.code == 2
    assert "is a file; --out takes a folder" in run.stderr
    assert path.read_text() == "mine"


def test_out_on_a_disk_that_cannot_be_written(model_files):
    run = run_cli("export", model_files["keras3.keras"], "--out", "/proc/tflite-sparse/out", "--quiet")
    assert run.code == 2
    assert run.stderr.startswith("error: cannot ")
    assert len(run.stderr.splitlines()) == 1


def test_unknown_option_and_help():
    run = run_cli("export", "--sparsty", 0.5)
    assert run.code == 2
    assert "--sparsity" in run.stderr
    assert "--block" not in run_cli("export", "--help").stdout
