"""Test layers and tensors whose names look like paths: nothing is written outside of the user's folder."""

import numpy as np
import pytest

from helpers.tools import run_cli

EVIL = "../../evil"


@pytest.fixture(scope="module")
def evil_model(keras2, tmp_path_factory):
    """Keras 3 allows no slash in a name; Keras 2 does, and a file may hold any name."""
    keras2.utils.set_random_seed(0)
    layers = keras2.layers
    model = keras2.Sequential(
        [
            layers.Input((64,), name=EVIL),
            layers.Dense(128, activation="relu", name=f"{EVIL}_hidden"),
            layers.Dense(10, name=f"{EVIL}_classes"),
        ],
        name=f"{EVIL}_model",
    )
    path = tmp_path_factory.mktemp("source") / "model.h5"
    model.save(path)
    return path


@pytest.fixture
def work(tmp_path):
    """Return a folder so deep that every path two steps up ends inside ``tmp_path``."""
    folder = tmp_path / "a" / "b" / "c"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "xy.npz", x=rng.normal(size=(64, 64)).astype(np.float32), y=rng.integers(0, 10, 64))
    return folder


def check_only_inside(tmp_path, out, before):
    written = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert written
    assert all(path.resolve().is_relative_to(out.resolve()) for path in written), written
    assert not [path for path in written if "evil" in path.name]


def files_in(folder):
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_export_and_encode(evil_model, work, tmp_path, monkeypatch):
    monkeypatch.chdir(work)
    before = files_in(tmp_path)
    out = work / "out"
    run = run_cli(
        "export", evil_model, "--sparsity", 0.8, "--finetune-epochs", 0,
        "--int8", "--data", tmp_path / "xy.npz", "--max-accuracy-drop", 1,
        "--out", out, "--json", "--quiet",
    )  # fmt: skip
    assert run.code == 0, run.stderr
    check_only_inside(tmp_path, out, before)
    before = files_in(tmp_path)
    encoded = work / "encoded"
    encoded.mkdir()
    run = run_cli(
        "encode", out / "dense-int8.tflite", "-o", encoded / "model.tflite", "--target", "micro", "--c-array", "--quiet"
    )
    assert run.code == 0, run.stderr
    check_only_inside(tmp_path, encoded, before)
    assert {path.name for path in encoded.iterdir()} >= {"model.tflite", "model.h", "model.cc"}
    assert "evil" not in (encoded / "model.h").read_text()


def test_prune(evil_model, work, tmp_path, monkeypatch):
    monkeypatch.chdir(work)
    before = files_in(tmp_path)
    out = work / "out"
    out.mkdir()
    run = run_cli(
        "prune",
        evil_model,
        "--sparsity",
        0.8,
        "--data",
        tmp_path / "xy.npz",
        "--epochs",
        1,
        "-o",
        out / "pruned.keras",
        "--quiet",
    )
    assert run.code == 0, run.stderr
    check_only_inside(tmp_path, out, before)
