"""Make real models, trained for seconds on real data, in every form that a user may have."""

from pathlib import Path

import numpy as np
import pytest

from helpers.made_once import MadeOnce
from tflite_sparse.sources import dataset, tensorflow_import

SHAPE = (8, 8, 1)


@pytest.fixture(scope="session")
def made_once(pytestconfig):
    """Keep the files made here, once for all workers and runs."""
    return MadeOnce(pytestconfig.cache.mkdir("made-once"), [Path(__file__)])


@pytest.fixture(scope="session")
def digits():
    return dataset.load("digits")


@pytest.fixture(scope="session")
def keras3():
    return tensorflow_import.keras3()


@pytest.fixture(scope="session")
def keras2():
    return tensorflow_import.keras2()


def small_cnn(keras):
    """Two prunable kernels (conv2: 4,608 weights, dense: 8,192) and two that are too small to prune."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input(SHAPE),
            layers.Conv2D(16, 3, padding="same", activation="relu", name="conv1"),
            layers.Conv2D(32, 3, padding="same", activation="relu", name="conv2"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(16, activation="relu", name="dense"),
            layers.Dense(10, activation="softmax", name="classes"),
        ],
        name="small_cnn",
    )


def fitted(keras, model, data, epochs=8, **options):
    model.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy")
    model.fit(data.x_train, data.y_train, epochs=epochs, batch_size=64, verbose=0, **options)
    return model


@pytest.fixture(scope="session")
def trained_file(made_once, digits):
    """Return the path of the trained small CNN of one generation."""

    def path(name, keras):
        def make(folder):
            fitted(keras, small_cnn(keras), digits).save(folder / "model.keras")

        return made_once.folder(name, make) / "model.keras"

    return path


@pytest.fixture(scope="session")
def model3(keras3, trained_file):
    return keras3.models.load_model(trained_file("keras3", keras3))


@pytest.fixture(scope="session")
def model2(keras2, trained_file):
    return keras2.models.load_model(trained_file("keras2", keras2))


@pytest.fixture(scope="session")
def dense_net(keras3, digits, made_once):
    """Return a function of units and epochs: two Dense layers, trained on digits, with logits."""

    def make(units, epochs, folder):
        keras3.utils.set_random_seed(1)
        layers = keras3.layers
        model = keras3.Sequential(
            [layers.Input((8, 8, 1)), layers.Flatten(), layers.Dense(units, activation="relu"), layers.Dense(10)]
        )
        loss = keras3.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras3.optimizers.Adam(2e-3), loss)
        model.fit(digits.x_train, digits.y_train, epochs=epochs, verbose=0)
        model.save(folder / "model.keras")

    def trained(units, epochs):
        folder = made_once.folder(f"dense-{units}-{epochs}", lambda folder: make(units, epochs, folder))
        return keras3.models.load_model(folder / "model.keras")

    return trained


@pytest.fixture(scope="session")
def uneven3(dense_net):
    """Hidden channels have very different ranges: int8 loses twice what int8 weights alone lose."""
    model = dense_net(units=64, epochs=8)
    ranges = 4.0 ** np.linspace(-4, 4, 64)
    (first, bias), (second, last) = (layer.get_weights() for layer in model.layers[1:])
    model.layers[1].set_weights([first * ranges, bias * ranges])
    model.layers[2].set_weights([second / ranges[:, None], last])
    return model


def wrapped(model2, keras2, digits):
    """A tfmot model as a checkpoint may hold it: its weights were updated once more after masking."""
    sparsity = tensorflow_import.model_optimization().sparsity.keras
    schedule = sparsity.PolynomialDecay(0.0, 0.8, begin_step=0, end_step=60, frequency=10)
    copy = keras2.models.clone_model(model2)
    copy.set_weights(model2.get_weights())
    model = sparsity.prune_low_magnitude(copy, pruning_schedule=schedule)
    fitted(keras2, model, digits, epochs=5, callbacks=[sparsity.UpdatePruningStep()])
    for layer in model.layers:
        for weight, mask, _ in getattr(layer, "pruning_vars", []):
            assert 0.79 < float(np.mean(mask.numpy() == 0)) < 0.81
            weight.assign_add(np.full(weight.shape, 1e-3, np.float32))
    return model


MODEL_FILES = {
    "keras3.keras": "keras3.keras",
    "keras3.h5": "keras3.h5",
    "keras3-export": "keras3_export",
    "keras2.keras": "keras2.keras",
    "keras2.h5": "keras2.h5",
    "keras2-savedmodel": "keras2_savedmodel",
    "wrapped.keras": "wrapped.keras",
    "wrapped.h5": "wrapped.h5",
    "wrapped-savedmodel": "wrapped_savedmodel",
    "wrapped-export": "wrapped_export",
}


@pytest.fixture(scope="session")
def model_files(made_once, model3, model2, keras2, digits):
    """Return paths of the models in every form, by a name for the test."""

    def make(folder):
        paths = {name: folder / place for name, place in MODEL_FILES.items()}
        wrapped2 = wrapped(model2, keras2, digits)
        for name in ("keras3.keras", "keras3.h5"):
            model3.save(paths[name])
        model3.export(paths["keras3-export"], verbose=False)
        for name in ("keras2.keras", "keras2.h5"):
            model2.save(paths[name])
        model2.save(paths["keras2-savedmodel"], save_format="tf")
        for name in ("wrapped.keras", "wrapped.h5"):
            wrapped2.save(paths[name])
        wrapped2.save(paths["wrapped-savedmodel"], save_format="tf")
        wrapped2.export(str(paths["wrapped-export"]))

    folder = made_once.folder("model-files", make)
    return {name: folder / place for name, place in MODEL_FILES.items()}


@pytest.fixture(scope="session")
def wrapped2(model_files, keras2):
    """Return the tfmot model of those files."""
    with tensorflow_import.model_optimization().sparsity.keras.prune_scope():
        return keras2.models.load_model(model_files["wrapped.keras"])


@pytest.fixture(scope="session")
def digits_npz(tmp_path_factory, digits):
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    np.savez(path, x_train=digits.x_train, y_train=digits.y_train, x_test=digits.x_test, y_test=digits.y_test)
    return path
