"""Test ``--shared-values`` on a real network: few values, their cost told apart, smaller for microcontrollers."""

import numpy as np
import pytest

import tflite_sparse
from tflite_sparse.errors import SettingsError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.settings import EncodeSettings, ExportSettings
from tflite_sparse.verification.weights import weights_of


@pytest.fixture(scope="module")
def exported(model3, digits, tmp_path_factory):
    """Report and folder by the number of shared values."""
    found = {}
    for count in (None, 8, "auto"):
        out = tmp_path_factory.mktemp(f"shared-{count}")
        report = tflite_sparse.export(
            model3, digits, sparsity=0.7, finetune_epochs=0, int8=True, target="micro", max_accuracy_drop=1,
            shared_values=count, out=out,
        )  # fmt: skip
        found[count] = report, out
    return found


def kept_values(folder):
    """The number of distinct values other than 0 of each large weight of the dense file, by shape."""
    weights = weights_of(serde.read(folder / "dense-int8.tflite"))
    return {value.shape: len(np.unique(value[value != 0])) for value in weights.values() if value.size >= 2048}


@pytest.mark.slow
def test_the_file_holds_few_values_and_is_smaller(exported):
    (usual, before), (report, after) = exported[None], exported[8]
    assert usual.shared_values is None
    assert usual.accuracy.drop_by_sharing is None
    assert min(kept_values(before).values()) > 8
    assert set(kept_values(after).values()) == {8}
    assert {tensor.values for tensor in report.shared_values.tensors} == {8}
    assert {tensor.layer for tensor in report.shared_values.tensors} == {"conv2", "dense"}
    assert report.verification.weights_bit_exact
    assert report.verification.outputs_bit_exact
    assert report.models.sparse.file_bytes < 0.85 * usual.models.sparse.file_bytes
    assert report.models.dense_int8.file_bytes <= usual.models.dense_int8.file_bytes


@pytest.mark.slow
def test_the_loss_has_three_parts(exported):
    report, folder = exported[8]
    accuracy = report.accuracy
    parts = accuracy.drop_by_pruning, accuracy.drop_by_int8, accuracy.drop_by_sharing
    assert sum(parts) == pytest.approx(accuracy.drop)
    assert accuracy.interval_by_sharing.low <= accuracy.drop_by_sharing <= accuracy.interval_by_sharing.high
    usual = exported[None][0]
    assert accuracy.drop_by_pruning + accuracy.drop_by_int8 == pytest.approx(usual.accuracy.drop)
    runs = {each.task: each.runs for each in usual.cpu.children}
    assert runs["conversion.tensorflow_side:convert_saved_model"] == 2, "the pruned float32 file takes no third one"
    text = (folder / "report.md").read_text()
    assert "kept weights of 2 tensors take 8 values each" in text
    assert f", shared values {accuracy.drop_by_sharing:.4f} [" in text


@pytest.mark.slow
def test_auto_takes_the_fewest_that_every_fall_allows(exported):
    report, folder = exported["auto"]
    assert report.shared_values.asked == "auto"
    assert set(kept_values(folder).values()) == {8}, "a fall of all accuracy is allowed"


@pytest.mark.slow
def test_encode_does_the_same_to_a_file(exported, tmp_path):
    _, folder = exported[None]
    report = tflite_sparse.encode(folder / "dense-int8.tflite", tmp_path / "m.tflite", target="micro", shared_values=8)
    assert {tensor.values for tensor in report.shared_values.tensors} == {8}
    assert report.verification.passed
    assert (tmp_path / "m.tflite").stat().st_size == pytest.approx(exported[8][0].models.sparse.file_bytes, abs=64), (
        "biases differ, for there are no samples"
    )


RECIPE = """
version = 1
[[rule]]
layers = "dense"
shared_values = 4
[[rule]]
layers = "conv2"
shared_values = "all"
[[rule]]
layers = "classes"
shared_values = 8
"""


@pytest.fixture(scope="module")
def by_recipe(model3, digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("by-recipe")
    (folder / "recipe.toml").write_text(RECIPE)
    report = tflite_sparse.export(
        model3, digits, sparsity=0.7, finetune_epochs=0, int8=True, target="micro", max_accuracy_drop=1,
        shared_values=8, recipe=folder / "recipe.toml", out=folder / "out",
    )  # fmt: skip
    return report, folder


@pytest.mark.slow
def test_a_recipe_says_how_many_values_single_kernels_share(exported, by_recipe):
    report, folder = by_recipe
    found = {(tensor.layer, tensor.values) for tensor in report.shared_values.tensors}
    assert found == {("dense", 4)}, "conv2 keeps all, in spite of the option; classes is too small"
    unshared, shared = kept_values(exported[None][1]), kept_values(folder / "out")
    assert [after for shape, after in shared.items() if after != unshared[shape]] == [4]
    (warning,) = [each for each in report.warnings if "no values are shared" in each]
    assert warning.partition(":")[0].endswith("classes/kernel")
    assert report.verification.weights_bit_exact


def test_a_recipe_for_int8_weights_needs_some(model3, digits, by_recipe, tmp_path):
    with pytest.raises(SettingsError, match="shared_values applies to int8 weights: export with `int8=True`"):
        tflite_sparse.export(model3, digits, recipe=by_recipe[1] / "recipe.toml", out=tmp_path / "out")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"int8": True, "shared_values": 1}, "it takes auto or a whole number from 2 to 127"),
        ({"shared_values": 8}, "`shared_values` applies to int8 weights"),
        ({"int8": True, "activations": "float32", "shared_values": 8}, "`shared_values` applies to int8 weights"),
    ],
)
def test_refusals(settings, words):
    with pytest.raises(SettingsError, match=words):
        ExportSettings(**settings)
    with pytest.raises(SettingsError):
        EncodeSettings(shared_values=1)
