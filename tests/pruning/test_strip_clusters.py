"""Remove clustering wrappers of tfmot from every form of a model, and report clustered kernels."""

import numpy as np
import pytest

from tflite_sparse.base.progress import Silent, Timed
from tflite_sparse.errors import ModelError
from tflite_sparse.pruning import clusters, masks
from tflite_sparse.pruning.plan import KernelPlan, Plan
from tflite_sparse.pruning.schedule import ConstantSchedule
from tflite_sparse.pruning.strip import strip
from tflite_sparse.settings import ExportSettings
from tflite_sparse.sources import keras_model, tensorflow_import
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.sources.source_model import Kernel
from tflite_sparse.stages.mask import Masking

X = np.random.default_rng(0).normal(size=(6, 8, 8, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    """Its weights have moved since clustering, as after a training step."""
    keras = tensorflow_import.keras2()
    layers, clustering = keras.layers, tensorflow_import.model_optimization().clustering.keras
    keras.utils.set_random_seed(0)
    inputs = layers.Input((8, 8, 2))
    hidden = layers.Flatten()(layers.Conv2D(16, 3, activation="relu")(inputs))
    made = clustering.cluster_weights(
        keras.Model(inputs, layers.Dense(8)(hidden)),
        number_of_clusters=8,
        cluster_centroids_init=clustering.CentroidInitialization.LINEAR,
    )
    for layer in made.layers:
        for weight in getattr(layer, "original_clusterable_weights", {}).values():
            weight.assign_add(np.random.default_rng(1).normal(0, 0.02, weight.shape))
    return made


@pytest.fixture(scope="module")
def expected(model):
    return model(X).numpy()


def opened(model, form, folder):
    if form == "live":
        return keras_model.from_memory(model)
    path = folder / f"model{'' if form == 'saved' else form}"
    model.save(path, **({"save_format": "tf"} if form == "saved" else {}))
    return keras_model.open_model(path)


@pytest.mark.slow
@pytest.mark.parametrize("form", [".keras", ".h5", "saved", "live"])
def test_the_stripped_model_is_the_clustered_one(form, model, expected, tmp_path):
    stripped, applied = strip(opened(model, form, tmp_path))
    assert applied == 0
    kinds = stripped.layer_kinds()
    assert "ClusterWeights" not in kinds
    assert kinds["Conv2D"] == kinds["Dense"] == 1
    assert [np.unique(kernel.read()).size for kernel in stripped.kernels()] == [8, 8]
    np.testing.assert_allclose(next(iter(stripped.compute(X).values())), expected, atol=1e-5)


def test_a_savedmodel_without_its_keras_model_is_refused_with_the_cure(model, tmp_path):
    keras_model.from_memory(model).save_for_conversion(tmp_path / "model")
    with pytest.raises(ModelError, match=r"holds clustering wrappers \(.*cluster_centroids.*strip_clustering\(model\)"):
        strip(keras_model.open_model(tmp_path / "model"))


def kernel(name, values):
    return Kernel(name, "Dense", values.shape, lambda: values, lambda new: None)


def test_kernels_of_few_values_are_told():
    rng = np.random.default_rng(0)
    late = rng.integers(0, 8, (100, 100)).astype(np.float32)
    late[50:] = rng.normal(size=(50, 100))
    kernels = [
        kernel("clustered", rng.integers(0, 64, (64, 64)).astype(np.float32)),
        kernel("continuous", rng.normal(size=(64, 64)).astype(np.float32)),
        kernel("clustered at its beginning only", late),
        kernel("constant", np.ones((64, 64), np.float32)),
        kernel("small", rng.integers(0, 8, (8, 8)).astype(np.float32)),
    ]
    found = clusters.clustered(kernels)
    assert [each.name for each in found] == ["clustered"]
    assert clusters.words(found, "litert") == (
        "1 kernel is clustered, of 64 values or fewer, which --target micro stores as indices into a table; a file for "
        "LiteRT holds every weight"
    )
    assert clusters.words([*found, *found], "micro") == (
        "2 kernels are clustered, of 64 values or fewer, which the file holds as indices into a table"
    )
    assert clusters.words([], "litert") is None


def test_a_clustered_model_is_not_trained_on_its_own_and_that_is_told(model, tmp_path):
    """A number of epochs would end the clusters, so only the user may ask for it."""
    notes = []

    class Notes(Silent):
        def note(self, text):
            notes.append(text)

    settings = ExportSettings(sparsity=0.5)
    stripped, _ = strip(opened(model, "live", tmp_path))
    x, y = np.repeat(X, 4, axis=0), np.arange(24) % 8
    samples = Dataset("data", x, y, x, y)
    masking = Masking(settings, "auto", Timed(Notes()))
    kernels = masks.prunable(stripped)
    target = Plan(tuple(KernelPlan(kernel, ConstantSchedule(0.5, 0, 1, 1)) for kernel in kernels))
    assert not masking._trains(stripped, samples, target, is_clustered=True)
    (note,) = notes
    assert note.startswith("warning: not trained: the weights are clustered")
    assert "\n" not in note
    assert masking._trains(stripped, samples, target, is_clustered=False)
    assert len(notes) == 1
