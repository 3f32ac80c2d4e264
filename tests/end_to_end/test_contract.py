"""Export from a folder of images: what range is fed, what the reports tell an app, and that the app's code is right."""

import json

import numpy as np
import pytest
from PIL import Image

from helpers.tools import run_cli
from tflite_sparse.results.export import Report
from tflite_sparse.runtime import litert

pytestmark = pytest.mark.slow
NAMES = ("dark", "grey", "light")


@pytest.fixture(scope="module")
def model(tmp_path_factory, keras3):
    """Tells dark, grey and light images of 0..1 apart by the mean, and by nothing else."""
    layers = keras3.layers
    kernel = np.array([[-8.0, 0.0, 8.0]], np.float32)
    made = keras3.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.AveragePooling2D(8),
            layers.Flatten(),
            layers.Dense(3, activation="softmax", name="dense"),
        ],
        name="brightness",
    )
    made.layers[-1].set_weights([kernel, np.array([2.0, 0.7, -6.0], np.float32)])
    path = tmp_path_factory.mktemp("model") / "brightness.keras"
    made.save(path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Sixty images of each class: means of about 0.1, 0.5 and 0.9 of the range."""
    path = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    for name, mean in zip(NAMES, (25, 128, 230), strict=True):
        (path / name).mkdir()
        for number in range(60):
            pixels = generator.integers(mean - 20, mean + 20, (8, 8)).astype(np.uint8)
            Image.fromarray(pixels).save(path / name / f"{number}.png")
    return path


def export(model, folder, out, *options):
    return run_cli("export", model, "--int8", "--data", folder, "--out", out, "--quiet", *options)


def test_a_range_that_does_not_fit_is_refused(model, folder, tmp_path):
    run = export(model, folder, tmp_path / "out")
    assert run.code == 2
    assert "pixels are 0..255, where the float model has top1 0." in run.stderr
    assert "Give --pixels 0..1 if the model was trained on 0..1" in run.stderr
    assert not (tmp_path / "out").exists()


def test_uint8_arrays_are_checked_as_folders_are(model, folder, tmp_path):
    files = [(file, label) for label, name in enumerate(NAMES) for file in sorted((folder / name).iterdir())]
    x = np.stack([np.asarray(Image.open(file)) for file, _ in files])[..., None]
    np.savez(tmp_path / "data.npz", x=x, y=[label for _, label in files])
    run = export(model, tmp_path / "data.npz", tmp_path / "out")
    assert run.code == 2
    assert "Give --pixels 0..1" in run.stderr


def test_what_is_told_is_fed_and_the_app_is_told(model, folder, tmp_path):
    run = export(model, folder, tmp_path, "--pixels", "0..1")
    assert run.code == 0, run.stderr
    report = Report.model_validate_json((tmp_path / "report.json").read_text())
    (x,), (y,) = report.contract.inputs, report.contract.outputs
    assert (x.meaning, report.pixels.fed, report.pixels.told) == ("pixels, 0..1", "0..1", True)
    assert 0.003 < x.scale < 1 / 255
    assert x.data.low >= 0
    assert x.data.high <= 1
    assert y.meaning == "probabilities of classes, 0..1"
    assert report.contract.labels == list(NAMES)
    assert set(report.contract.snippets) == {"python", "kotlin", "c++"}
    assert [tensor.layer for tensor in report.tensors] == ["dense"]
    for text in (run.stdout, (tmp_path / "report.md").read_text(), (tmp_path / "report.html").read_text()):
        assert "pixels, 0..1" in text
        assert f"{x.scale:.6g}" in text
        assert "dense_1" not in text
    assert "```kotlin" in (tmp_path / "report.md").read_text()
    names = {}
    code = report.contract.snippets["python"].replace("'model.tflite'", repr(str(tmp_path / "model.tflite")))
    exec(compile(code, "snippet", "exec"), names)  # noqa: S102 - what is tested
    for label, name in enumerate(NAMES):
        image = np.asarray(Image.open(folder / name / "0.png"), np.float32)[None, ..., None] / 255
        found = names["predict"](image)
        assert names["LABELS"][int(found.argmax())] == name == NAMES[label]
        np.testing.assert_array_equal(found, litert.run(tmp_path / "model.tflite", image, "default").real())


def test_inspect_prints_the_code_alone(model, folder, tmp_path):
    assert export(model, folder, tmp_path, "--pixels", "0..1").code == 0
    report = json.loads((tmp_path / "report.json").read_text())
    for language, code in report["contract"]["snippets"].items():
        run = run_cli("inspect", tmp_path / "model.tflite", "--quiet", "--snippet", language)
        assert run.code == 0, run.stderr
        # The file itself tells nothing of pixels, but the range of the data.
        without = [line for line in code.splitlines() if "pixels" not in line]
        assert [line for line in run.stdout.splitlines() if "numbers; 0" not in line] == without


def test_prune_checks_the_range_too(model, folder, tmp_path):
    run = run_cli("prune", model, "--data", folder, "-o", tmp_path / "pruned.keras", "--epochs", 1, "--quiet")
    assert run.code == 2
    assert "Give --pixels 0..1" in run.stderr
