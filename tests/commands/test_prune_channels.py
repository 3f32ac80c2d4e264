"""Run ``prune --block channel`` and an export by a recipe of channels, from a model file to the reports."""

import numpy as np
import pytest

import tflite_sparse
from helpers.tools import run_cli
from tflite_sparse.commands.sweep import command as sweeping
from tflite_sparse.errors import ModelError, SettingsError
from tflite_sparse.settings import SweepSettings
from tflite_sparse.sources import keras_model, tensorflow_import

SAMPLES = 192


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    generator = np.random.default_rng(0)
    x = generator.standard_normal((SAMPLES, 8, 8, 2)).astype(np.float32)
    y = x[..., 0].mean((1, 2)).argsort().argsort() * 3 // SAMPLES
    path = tmp_path_factory.mktemp("data") / "data.npz"
    np.savez(path, x=x, y=y)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Two groups that can be masked, a layer whose channels are not followed, and the classes."""
    keras = tensorflow_import.keras3()
    keras.utils.set_random_seed(1)
    layers = keras.layers
    built = keras.Sequential(
        [
            layers.Input((8, 8, 2)),
            layers.Conv2D(16, 3, use_bias=False, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(),
            layers.DepthwiseConv2D(3, name="depthwise"),
            layers.Flatten(),
            layers.Dense(32, activation="relu", name="hidden"),
            layers.Dense(24, name="mixed"),
            layers.LayerNormalization(),
            layers.Dense(3, activation="softmax", name="classes"),
        ],
        name="net",
    )
    path = tmp_path_factory.mktemp("model") / "dense.keras"
    built.save(path)
    return path


GROUPS = [("conv/kernel", 8, 16), ("hidden/kernel", 16, 32)]


def short(name):
    return "/".join(name.split("/")[-2:])


@pytest.mark.slow
def test_the_report_of_prune_tells_what_is_kept_of_each_group(model, data, tmp_path):
    output = tmp_path / "pruned.keras"
    common = ["prune", model, "--data", data, "--sparsity", 0.5, "--block", "channel", "--epochs", 2]
    result = run_cli(*common, "--batch-size", 16, "-o", output)
    assert result.code == 0, result.stderr
    report = tflite_sparse.results.prune.report_beside(output)
    assert [(short(each.kernels[0]), each.kept, each.channels) for each in report.channels] == GROUPS
    assert [each.asked for each in report.channels] == [0.5, 0.5]
    assert [(short(each.name), each.block) for each in report.kernels] == [
        ("conv/kernel", "channel"),
        ("hidden/kernel", "channel"),
    ]
    left = {short(each.name): each.reason for each in report.left_dense.kernels}
    assert left == {
        "mixed/kernel": "channels meet net/layer_normalization (LayerNormalization)",
        "classes/kernel": "channels reach an output of the model",
    }
    assert "channels meet net/layer_normalization" in result.stderr  # told before the training
    assert "Channels kept: 24 of 48 (net/conv/kernel 8 of 16, net/hidden/kernel 16 of 32)." in " ".join(
        result.stdout.split()
    )
    written = keras_model.open_model(output).model
    gamma, hidden = written.get_layer("norm").gamma.numpy(), written.get_layer("hidden").bias.numpy()
    assert np.count_nonzero(gamma) == 8
    assert np.count_nonzero(hidden) == 16
    dead = gamma == 0
    assert not np.asarray(written.get_layer("conv").kernel)[..., dead].any()
    assert not np.asarray(written.get_layer("depthwise").kernel)[:, :, dead].any()
    assert report.sparsity == pytest.approx(0.5)


@pytest.mark.slow
def test_an_export_masks_channels_and_what_remains_by_recipe(model, data, tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'version = 1\n[[rule]]\ntypes = ["Conv2D", "Dense"]\nblock = "channel"\nsparsity = 0.5\n'
        '[[rule]]\nlayers = "hidden"\nsparsity = 0.75\n',
        encoding="utf-8",
    )
    report = tflite_sparse.export(model, data, recipe=recipe, finetune_epochs=1, out=tmp_path / "out")
    assert [(short(each.kernels[0]), each.kept, each.channels) for each in report.pruning.channels] == GROUPS
    assert report.pruning.epochs == 1
    zeros = {each.layer: each.sparsity for each in report.tensors}
    rest = (1 - 0.5) * (1 - 0.5)  # half of the outputs, and of the inputs
    assert 1 - zeros["hidden"] == pytest.approx(rest * (1 - 0.75), abs=1e-3)
    assert "Channels kept: 24 of 48" in (tmp_path / "out" / "report.md").read_text()


def test_a_scan_of_single_kernels_takes_no_channels(model, data, tmp_path):
    with pytest.raises(SettingsError, match="block = 'channel' masks several layers at once"):
        tflite_sparse.scan(model, data, block="channel")
    with pytest.raises(SettingsError, match="block = 'channel' masks several layers at once"):
        tflite_sparse.prune(model, data, tmp_path / "o.keras", block="channel", sparsity=0.5, allocate=True)


def test_channels_of_a_saved_model_are_not_known(model, tmp_path):
    keras_model.open_model(model).model.export(tmp_path / "saved", verbose=False)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('version = 1\n[defaults]\nblock = "channel"\nsparsity = 0.5\n', encoding="utf-8")
    with pytest.raises(ModelError, match="is a SavedModel without its Keras model: block = 'channel' needs that"):
        tflite_sparse.export(tmp_path / "saved", recipe=recipe, out=tmp_path / "out")


def test_a_sweep_takes_channels():
    settings = SweepSettings(sparsity=[0, 0.5], block=["1x1", "channel"], width=[1], seeds=1)
    assert [(place.sparsity, place.block) for place in sweeping.places(settings)] == [
        (0, "1x1"),
        (0.5, "1x1"),
        (0.5, "channel"),
    ]
