"""Test which model is the one before pruning, and what is known of it."""

import numpy as np
import pytest

from tflite_sparse.base.progress import Silent, Timed
from tflite_sparse.errors import ModelError
from tflite_sparse.pruning import masks
from tflite_sparse.results.prune import Curve, PruneReport, report_path
from tflite_sparse.settings import ExportSettings
from tflite_sparse.sources import keras_model, tensorflow_import
from tflite_sparse.stages import baseline, load


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with dense.keras, pruned.keras made of it, and other.keras, which has more outputs."""
    found = tmp_path_factory.mktemp("models")
    for name, outputs in (("dense", 8), ("other", 9)):
        network(outputs).save(found / f"{name}.keras")
    pruned = network(8)
    masks.mask_to(masks.prunable(keras_model.from_memory(pruned)), 0.75)
    pruned.save(found / "pruned.keras")
    return found


def network(outputs):
    keras = tensorflow_import.keras3()
    keras.utils.set_random_seed(1)
    layers = keras.layers
    return keras.Sequential([keras.Input((64,)), layers.Dense(48, name="hidden"), layers.Dense(outputs)])


def opened(folder, name="pruned.keras"):
    return keras_model.open_model(folder / name)


def find(folder, name="pruned.keras", **settings):
    return baseline.find(folder / name, opened(folder, name), ExportSettings(**settings), Timed(Silent()))


@pytest.fixture
def report(folder):
    """Write the report of prune beside pruned.keras, with changes, for one test."""
    path = report_path(folder / "pruned.keras")

    def write(**changes):
        named = baseline.named_by_prune(
            folder / "dense.keras", folder / "pruned.keras", 0.0, "top1", 0.953, 172, "data.npz"
        )
        found = PruneReport(
            tool="t", model="dense.keras", data="data.npz", output="pruned.keras", settings={}, masks_applied=0,
            kernels=[], sparsity_before=0, sparsity=0.75, metric="top1", samples=172, before=0.953, after=0.9,
            baseline=named.model_copy(update=changes), warnings=[],
            curve=Curve(steps=[], sparsity=[], learning_rate=[]), seconds={},
        )  # fmt: skip
        path.write_text(found.model_dump_json())
        return found

    yield write
    path.unlink(missing_ok=True)


def test_a_model_without_zeros_is_its_own_baseline(folder):
    found = find(folder, "dense.keras").described(opened(folder, "dense.keras"), 0, 0.04)
    assert (found.origin, found.is_unpruned, found.reason) == ("model", True, None)


@pytest.mark.parametrize(("applied", "sparsity"), [(0, 0.05), (1, 0.0)])
def test_zeros_and_masks_tell_that_a_model_was_pruned(applied, sparsity, folder):
    found = find(folder).described(opened(folder), applied, sparsity)
    assert not found.is_unpruned
    assert "was pruned before" in found.reason


def test_the_model_that_prune_names_is_the_baseline(folder, report):
    report()
    found = find(folder)
    assert (found.source.name, found.origin) == (str(folder / "dense.keras"), "prune")
    told = found.described(opened(folder), 0, 0.75)
    assert told.is_unpruned
    assert told.sparsity < 0.01, "of the baseline, not of the exported model"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"path": "gone.keras"}, "is not there"),
        ({"sha256": "0"}, "changed since"),
        ({"path": "other.keras"}, "changed"),
    ],
)
def test_what_prune_named_and_is_not_the_same_now_is_no_baseline(changes, words, folder, report):
    report(**changes)
    found = find(folder)
    assert found.source is None
    assert words in found.reason
    assert "prune measured top1 0.9530 of it on 172 test samples of data.npz" in found.reason
    assert not found.described(opened(folder), 0, 0.0).is_unpruned, "a report says that it was pruned"


def test_a_given_baseline_goes_before_what_prune_named_and_must_have_the_same_outputs(folder, report):
    report(path="gone.keras")
    assert find(folder, baseline=folder / "dense.keras").origin == "option"
    with pytest.raises(ModelError, match=r"other.keras has outputs .* \(None, 9\).*`baseline` takes the same net"):
        find(folder, baseline=folder / "other.keras")


def test_a_given_baseline_that_holds_zeros_is_told_to_be_pruned(folder):
    found = find(folder, "dense.keras", baseline=folder / "pruned.keras").described(opened(folder, "dense.keras"), 0, 0)
    assert not found.is_unpruned


def test_prune_of_a_pruned_model_names_the_first_one(folder, report):
    named = report().baseline
    below = folder / "below" / "twice.keras"
    again = baseline.named_by_prune(folder / "pruned.keras", below, 0.75, "top1", 0.9, 172, "data.npz")
    assert again == named.model_copy(update={"path": "../dense.keras"})
    report(sha256="0")
    assert baseline.named_by_prune(folder / "pruned.keras", below, 0.75, "top1", 0.9, 172, "data.npz") is None


def test_prune_of_a_model_with_zeros_names_none(folder):
    assert baseline.named_by_prune(folder / "pruned.keras", folder / "x.keras", 0.75, "top1", 0.9, 9, "d") is None


def test_a_folder_is_known_by_names_and_contents(tmp_path):
    def checksum(**files):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_text(content)
        return baseline.named_by_prune(folder, tmp_path / "x.keras", 0.0, "top1", 0.9, 9, "d").sha256

    assert checksum(a="1", b="2") == checksum(b="2", a="1")
    assert np.unique([checksum(a="1"), checksum(a="2"), checksum(b="1"), checksum(a="1", b="")]).size == 4


def test_a_builder_for_the_weights_before_pruning(folder, tmp_path):
    """`prune` made a whole model of a file with weights only; `export` reads both."""
    network(8).save_weights(tmp_path / "dense.weights.h5")
    (tmp_path / "build.py").write_text(
        "import keras\n\ndef make():\n    layers = keras.layers\n"
        "    return keras.Sequential([keras.Input((64,)), layers.Dense(48), layers.Dense(8)])\n"
    )
    builder, progress = f"{tmp_path / 'build.py'}:make", Timed(Silent())
    settings = ExportSettings(baseline=tmp_path / "dense.weights.h5", builder=builder)
    source, *_ = load.load(folder / "pruned.keras", None, settings, "top1", progress)
    assert baseline.find(folder / "pruned.keras", source, settings, progress).source is not None
    for before in (None, folder / "dense.keras"):
        with pytest.raises(ModelError, match=r"pruned\.keras holds a whole model: leave `builder` out"):
            load.load(folder / "pruned.keras", None, ExportSettings(baseline=before, builder=builder), "top1", progress)
