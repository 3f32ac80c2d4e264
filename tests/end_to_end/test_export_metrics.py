"""Test accuracy in the report of an export: metrics, intervals, comparisons, and uses of the test part."""

import json

import numpy as np
import pytest

import tflite_sparse
from helpers.tools import run_cli
from tflite_sparse.sources.dataset import Dataset


def poisoned(data):
    """The same training part, and a test part that would spoil anything that used it."""
    generator = np.random.default_rng(0)
    x = generator.normal(scale=1000, size=data.x_test.shape).astype(np.float32)
    return Dataset(data.name, data.x_train, data.y_train, x, generator.permutation(data.y_test), data.labels)


@pytest.mark.slow
def test_the_test_part_changes_nothing_but_scores(model3, digits, tmp_path):
    """Neither calibration nor fine-tuning uses it: the files are bit-identical."""
    found = {}
    for name, data in (("clean", digits), ("poisoned", poisoned(digits))):
        report = tflite_sparse.export(
            model3, data, sparsity=0.75, int8=True, finetune_epochs=1, out=tmp_path / name, max_accuracy_drop=1
        )
        found[name] = report, {path.name: path.read_bytes() for path in (tmp_path / name).glob("*.tflite")}
    assert len(found["clean"][1]) == 3
    assert found["clean"][1] == found["poisoned"][1]
    assert found["clean"][0].models.sparse.accuracy > 0.9
    assert found["poisoned"][0].models.sparse.accuracy < 0.5


@pytest.mark.slow
def test_allocation_does_not_see_the_test_part(model3, digits, tmp_path):
    model3.save(tmp_path / "model.keras")
    kernels, weights = [], []
    for name, data in (("clean", digits), ("poisoned", poisoned(digits))):
        output = tmp_path / f"{name}.keras"
        report = tflite_sparse.prune(tmp_path / "model.keras", data, output, sparsity=0.8, allocate=True, epochs=1)
        kernels.append(report.kernels)
        weights.append(type(model3).from_config(model3.get_config()))
        weights[-1].load_weights(output)
        scores = report.after
    assert kernels[0] == kernels[1]
    assert len({kernel.asked for kernel in kernels[0]}) > 1  # it did allocate
    assert scores < 0.5
    for one, other in zip(*(model.get_weights() for model in weights), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_intervals_comparison_and_confusion(model_files, digits, tmp_path):
    run = run_cli(
        "export", model_files["keras3.keras"], "--data", "digits", "--sparsity", 0.95, "--finetune-epochs", 0,
        "--int8", "--out", tmp_path,
        "--max-accuracy-drop", 1, "--quiet",
    )  # fmt: skip
    assert run.code == 0, run.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    files, accuracy = report["models"], report["accuracy"]
    assert accuracy["metric"] == "top1"
    for name in ("dense_float32", "dense_int8", "sparse_int8"):
        assert files[name]["interval"]["low"] < files[name]["accuracy"] < files[name]["interval"]["high"]
        assert files[name]["interval"]["method"] == "wilson"
    (confusion,) = accuracy["confusion"]
    counts = np.array(confusion["counts"])
    assert confusion["labels"] == list("0123456789")
    assert np.trace(counts) / counts.sum() == pytest.approx(files["sparse_int8"]["accuracy"])
    np.testing.assert_array_equal(counts.sum(1), np.bincount(digits.y_test, minlength=10))
    float32, int8 = accuracy["paired"]
    assert (int8["against"], int8["lost"], int8["gained"], int8["p_value"]) == ("dense_int8", 0, 0, 1)
    lost = float32["lost"] - float32["gained"]
    assert lost / accuracy["samples"] == pytest.approx(accuracy["drop"])
    assert float32["interval"]["low"] <= -accuracy["drop"] <= float32["interval"]["high"]
    assert float32["p_value"] < 0.05  # a one-shot mask to 95 % costs more than chance would
    low, high = files["sparse_int8"]["interval"]["low"], files["sparse_int8"]["interval"]["high"]
    for text in (run.stdout, (tmp_path / "report.md").read_text()):
        assert f"{files['sparse_int8']['accuracy']:.4f} [{low:.3f}, {high:.3f}]" in text
        assert f"Against dense float32: a loss that {accuracy['samples']} samples show (p = " in text
        assert f"Against dense int8: no difference on any of {accuracy['samples']} samples." in text


@pytest.fixture(scope="module")
def regression(keras3):
    keras3.utils.set_random_seed(0)
    model = keras3.Sequential([keras3.layers.Input((4,)), keras3.layers.Dense(8, "relu"), keras3.layers.Dense(1)])
    x = np.random.default_rng(0).normal(size=(400, 4)).astype(np.float32)
    y = 100 * x[:, 0]
    model.compile(keras3.optimizers.Adam(0.05), "mse")
    model.fit(x, y, epochs=20, verbose=0)
    return model, (x, y)


@pytest.mark.slow
def test_mse_is_gated_by_what_it_explains(regression, tmp_path):
    model, data = regression
    by_mse = tflite_sparse.export(
        model, data, metric="mse", int8=True, out=tmp_path / "mse", max_accuracy_drop=0, alternatives="all"
    )
    by_r2 = tflite_sparse.export(model, data, int8=True, out=tmp_path / "r2", max_accuracy_drop=1)
    mse, r2 = by_mse.accuracy, by_r2.accuracy
    assert (mse.metric, mse.drop_of, mse.lower_is_better) == ("mse", "r2", True)
    assert (r2.metric, r2.drop_of, r2.lower_is_better) == ("r2", "score", False)
    assert mse.drop == pytest.approx(r2.drop)
    assert mse.drop > 0  # int8 rounds
    (paired, _) = mse.paired
    assert paired.difference > 0
    assert paired.p_value is None
    assert not mse.confusion
    text = (tmp_path / "mse" / "report.md").read_text()
    assert f"the outputs explain {mse.drop:.4f} less of the labels' spread; 0 less is allowed" in text
    assert f"(difference {paired.difference:.4g} [" in text
    assert any("less of the labels' spread (gate of mse)" in failure for failure in by_mse.gates.failures)
    drops = {each.option: each.drop for each in by_mse.alternatives}
    assert drops["--activations float32"] == pytest.approx(0, abs=1e-3)  # which loses next to nothing


def test_a_metric_of_the_user(model_files, tmp_path):
    (tmp_path / "mine.py").write_text("def right(outputs, labels):\n    return outputs.argmax(-1) == labels\n")
    run = run_cli(
        "export", model_files["keras3.keras"], "--data", "digits", "--metric", f"{tmp_path / 'mine.py'}:right",
        "--out", tmp_path / "out", "--json", "--quiet",
    )  # fmt: skip
    assert run.code == 0, run.stderr
    accuracy = run.report["accuracy"]
    assert accuracy["metric"] == "right"
    assert accuracy["paired"][0]["p_value"] == 1  # booleans are tested as shares are
    assert run.report["models"]["dense_float32"]["accuracy"] > 0.9


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("accuracy", "--metric accuracy: it takes auto, top1, top5, mse, psnr, auc or FILE.py:FUNCTION"),
        ("nowhere.py:score", "nowhere.py: no such Python file"),
        ("mse", "--metric mse compares numbers"),
        ("auc", "--metric auc needs one yes or no"),
    ],
)
def test_a_metric_that_cannot_be_is_told_before_the_work(metric, words, model_files, tmp_path):
    arguments = ("export", model_files["keras3.keras"], "--metric", metric, "--out", tmp_path / "out", "--quiet")
    run = run_cli(*arguments, "--data", "digits")
    assert run.code == 2
    assert words in run.stderr
    assert not (tmp_path / "out").exists()
    if metric in ("mse", "auc"):
        run = run_cli(*arguments)
        assert run.code == 2
        assert f"--metric {metric} needs data" in run.stderr
