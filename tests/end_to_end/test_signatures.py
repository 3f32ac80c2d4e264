"""Export SavedModels with one signature, several, or none."""

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from helpers.tools import run_cli
from tflite_sparse import errors, export
from tflite_sparse.sources import tensorflow_import


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return folders by their signatures: ``doubled`` is 2 x, ``added`` is a + b."""
    tf = tensorflow_import.tensorflow()
    module = tf.Module()
    vector = tf.TensorSpec((None, 4), name="x")
    doubled = tf.function(lambda x: {"y": 2.0 * x}, input_signature=[vector])
    pair = [tf.TensorSpec((None, 3), name="a"), tf.TensorSpec((None, 3), name="b")]
    added = tf.function(lambda a, b: {"sum": a + b}, input_signature=pair)
    module.doubled, module.added = doubled, added
    folder = tmp_path_factory.mktemp("saved")
    for name, signatures in {
        "one": {"doubled": doubled},
        "two": {"doubled": doubled, "added": added},
        "default": {"serving_default": doubled, "added": added},
        "none": {},
    }.items():
        tf.saved_model.save(module, str(folder / name), signatures=signatures)
    return folder


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("one", [], 2.0),
        ("one", ["--signature", "doubled"], 2.0),
        ("default", [], 2.0),
        ("two", ["--signature", "doubled"], 2.0),
        ("two", ["--signature", "added"], {"sum": 3.0}),
        ("default", ["--signature", "added"], {"sum": 3.0}),
    ],
)
def test_the_chosen_one_is_converted(name, options, expected, saved, tmp_path):
    run = run_cli("export", saved / name, *options, "--out", tmp_path / "out", "--quiet")
    assert run.code == 0, run.stderr
    runner = Interpreter(str(tmp_path / "out" / "model.tflite")).get_signature_runner("serving_default")
    if isinstance(expected, dict):
        found = runner(a=np.full((1, 3), 1, np.float32), b=np.full((1, 3), 2, np.float32))
        np.testing.assert_array_equal(found["sum"], np.full((1, 3), 3))
    else:
        np.testing.assert_array_equal(runner(x=np.ones((1, 4), np.float32))["y"], np.full((1, 4), expected))


@pytest.mark.slow
def test_signature_of_a_savedmodel_with_a_keras_model(model_files, tmp_path):
    out = tmp_path / "out"
    run = run_cli(
        "export", model_files["keras2-savedmodel"], "--signature", "serving_default", "--sparsity", 0.8, "--out", out,
        "--json", "--quiet",
    )  # fmt: skip
    assert run.code == 0, run.stderr
    assert run.report["pruning"]["after"] == pytest.approx(0.8, abs=0.001)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        (
            "two",
            [],
            ["added(a: float32 (None, 3), b: float32 (None, 3)); doubled(x: float32 (None, 4))", "--signature"],
        ),
        ("two", ["--signature", "tripled"], ["no signature 'tripled'", "added(a: float32", "doubled(x: float32"]),
        ("one", ["--signature", "serving_default"], ["no signature 'serving_default'", "doubled(x: float32"]),
        ("none", [], ["has no signatures", "signatures="]),
    ],
)
def test_refused(name, options, words, saved, tmp_path):
    check_refused(run_cli("export", saved / name, *options, "--out", tmp_path / "out", "--quiet"), tmp_path, *words)


def test_of_what_has_none(model_files, model3, tmp_path):
    for form in ("keras3.keras", "keras3.h5"):
        run = run_cli("export", model_files[form], "--signature", "serve", "--out", tmp_path / "out", "--quiet")
        check_refused(run, tmp_path, "is no SavedModel folder", "leave --signature out")
    with pytest.raises(errors.SettingsError, match="not to a model in memory"):
        export(model3, signature="serve", out=tmp_path / "out")


def check_refused(run, tmp_path, *words):
    assert run.code == 2, run.stderr
    assert len(run.stderr.splitlines()) == 1, run.stderr
    for word in words:
        assert word in run.stderr
    assert not (tmp_path / "out").exists()
