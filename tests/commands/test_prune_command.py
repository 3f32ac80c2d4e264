"""Run ``tflite-sparse prune`` from a model file to a model file, in both generations of Keras."""

import json
import shutil
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import tflite_sparse
from helpers.tools import run_cli
from tflite_sparse.base.progress import Silent
from tflite_sparse.errors import InputError, OutputError, TfliteSparseError
from tflite_sparse.pruning import checkpoint, repeatable, training
from tflite_sparse.sources import dataset, keras_model, tensorflow_import

pytestmark = pytest.mark.slow  # it trains

SAMPLES, WIDTH = 320, 48
OPTIONS = {"sparsity": 0.8, "epochs": 3, "batch_size": 32, "frequency": 2}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    generator = np.random.default_rng(0)
    x = generator.standard_normal((SAMPLES, WIDTH)).astype(np.float32)
    y = (x @ generator.standard_normal((WIDTH, 4))).argmax(-1)
    path = tmp_path_factory.mktemp("data") / "data.npz"
    np.savez(path, x=x, y=y)
    return path


def build(keras, dropout=0.2):
    keras.utils.set_random_seed(1)
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((WIDTH,)),
            layers.Dense(64, activation="relu", name="first"),
            layers.Dropout(dropout),
            layers.Dense(48, activation="relu", name="second"),
            layers.BatchNormalization(),
            layers.Dense(4, activation="softmax", name="last"),
        ]
    )


@pytest.fixture(scope="module")
def dense_file(tmp_path_factory):
    """Return a function that copies the file of the model of a generation into a folder; each is made once."""
    folder = tmp_path_factory.mktemp("dense")

    def copy(keras, target):
        made = folder / f"{keras.__name__}.keras"
        if not made.exists():
            build(keras).save(made)
        return shutil.copyfile(made, target / "dense.keras")

    return copy


@pytest.fixture
def model(keras, dense_file, tmp_path):
    return dense_file(keras, tmp_path)


@pytest.fixture
def model3(dense_file, tmp_path):
    return dense_file(tensorflow_import.keras3(), tmp_path)


def kernels(path):
    source = keras_model.open_model(path)
    return {kernel.name.split("/")[-2]: kernel.read() for kernel in source.kernels()}


def weights(path):
    return keras_model.open_model(path).model.get_weights()


def test_the_pruned_model_is_written_with_its_report(model, data, tmp_path, keras):
    output = tmp_path / "pruned.keras"
    result = run_cli("prune", model, "--data", data, "--sparsity", 0.8, "--epochs", 3, "-o", output, "--json")
    assert result.code == 0, result.stderr
    report = result.report
    found = kernels(output)
    assert np.mean(found["first"] == 0) == pytest.approx(0.8, abs=1 / found["first"].size)
    assert np.mean(found["second"] == 0) == pytest.approx(0.8, abs=1 / found["second"].size)
    assert np.all(found["last"] != 0)  # 192 weights are too few
    assert report["sparsity"] == pytest.approx(0.8, abs=1e-3)
    assert [kernel["name"].split("/")[-2] for kernel in report["kernels"]] == ["first", "second"]
    (dense,) = report["left_dense"]["kernels"]
    assert (dense["name"].split("/")[-2], dense["reason"]) == ("last", "fewer than 2,048 weights")
    assert report["metric"] == "top1"
    samples = dataset.load(str(data))
    predicted = keras_model.open_model(output).model.predict(samples.x_test, verbose=0).argmax(-1)
    assert report["after"] == pytest.approx(np.mean(predicted == samples.y_test))
    assert report["curve"]["sparsity"][-1] == pytest.approx(0.8)
    assert report["curve"]["sparsity"] == sorted(report["curve"]["sparsity"])
    assert report == json.loads((tmp_path / "pruned.prune.json").read_text())
    assert ET.parse(tmp_path / "pruned.prune.svg").getroot().tag.endswith("svg")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "dense.keras",
        "pruned.keras",
        "pruned.prune.json",
        "pruned.prune.svg",
    ]
    # Of the same generation as the source.
    assert keras_model.open_model(output).keras is keras


def test_an_interrupted_run_resumes_bit_for_bit(model, data, tmp_path, monkeypatch):
    """After the first epoch, and again after the second."""
    whole, parts = tmp_path / "whole.keras", tmp_path / "parts.keras"
    tflite_sparse.prune(model, data, whole, **OPTIONS)
    original, notes = checkpoint.write, []
    monkeypatch.setattr(Silent, "note", lambda _, text: notes.append(text))
    for stop_after in (1, 2):

        def write_and_stop(state, path, stop_after=stop_after):
            original(state, path)
            if state.epoch == stop_after:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(checkpoint, "write", write_and_stop)
            with pytest.raises(KeyboardInterrupt):
                tflite_sparse.prune(model, data, parts, **OPTIONS, resume=stop_after > 1)
        assert notes[-1].endswith(f"is in {checkpoint.path_beside(parts)}: go on with `resume=True`")
        assert not parts.exists()
        assert checkpoint.read(checkpoint.path_beside(parts)).epoch == stop_after
    with pytest.raises(OutputError, match="`resume=True`"):  # hours of training are not deleted silently
        tflite_sparse.prune(model, data, parts, **OPTIONS)
    with pytest.raises(InputError, match=r"sparsity = 0\.8, not 0\.7"):
        tflite_sparse.prune(model, data, parts, **{**OPTIONS, "sparsity": 0.7}, resume=True)
    tflite_sparse.prune(model, data, parts, **OPTIONS, resume=True)
    for one, other in zip(weights(whole), weights(parts), strict=True):
        np.testing.assert_array_equal(one.view(np.uint32), other.view(np.uint32))
    assert not checkpoint.path_beside(parts).exists()


def test_a_seed_makes_a_run_repeatable(model, data, tmp_path):
    found = []
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        output = tmp_path / f"{name}.keras"
        tflite_sparse.prune(model, data, output, **{**OPTIONS, "epochs": 1}, seed=seed)
        found.append(np.concatenate([values.reshape(-1) for values in weights(output)]))
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def batches(epochs, seed=3):
    """Return the samples of each step, of ten in steps of four; a label is ten times its sample."""
    x = np.arange(10, dtype=np.float32)[:, None]
    return [
        (a.numpy()[:, 0].tolist(), b.numpy().tolist()) for a, b in repeatable.batches(x, 10 * x[:, 0], 4, seed, epochs)
    ]


def test_every_epoch_has_an_order_of_its_own_that_a_seed_repeats():
    found = batches(range(3))
    assert [len(samples) for samples, _ in found] == [4, 4, 2] * 3
    assert all(labels == [10 * sample for sample in samples] for samples, labels in found)
    orders = [tuple(sample for samples, _ in found[start : start + 3] for sample in samples) for start in (0, 3, 6)]
    assert [sorted(order) for order in orders] == [list(range(10))] * 3
    assert len(set(orders)) == 3
    assert batches(range(3)) == found
    assert batches(range(1, 3)) == found[3:]  # a run that resumes after the first epoch
    assert batches(range(1), seed=4) != found[:3]


def test_dropout_of_every_epoch_and_layer_is_its_own_and_a_seed_repeats_it(keras):
    with repeatable.seedable_layers(keras):
        x = keras.layers.Input((64,))
        model = keras.Model(x, [keras.layers.Dropout(0.5)(x) for _ in range(2)])

    def dropped(epoch, seed=3):
        reseed = repeatable.SeedEachEpoch(seed)
        reseed.set_model(model)
        reseed.on_epoch_begin(epoch)
        return [tuple(np.asarray(output)[0].tolist()) for output in model(np.ones((1, 64), np.float32), training=True)]

    found = [*dropped(0), *dropped(1), *dropped(0, seed=4)]
    assert len(set(found)) == 6
    assert [*dropped(0), *dropped(1)] == found[:4]


def test_what_is_zero_already_stays_so(model, data, tmp_path):
    once, twice = tmp_path / "once.keras", tmp_path / "twice.keras"
    tflite_sparse.prune(model, data, once, **{**OPTIONS, "epochs": 1})
    report = tflite_sparse.prune(once, data, twice, **{**OPTIONS, "epochs": 1, "sparsity": 0.9})
    assert report.sparsity_before == pytest.approx(0.8, abs=1e-3)
    before, after = kernels(once), kernels(twice)
    for name in ("first", "second"):
        assert not after[name][before[name] == 0].any()
        assert np.mean(after[name] == 0) == pytest.approx(0.9, abs=1e-3)


def test_wrappers_of_tfmot_come_off_with_their_masks(data, tmp_path):
    keras = tensorflow_import.keras2()
    tfmot = tensorflow_import.model_optimization()
    wrapped = tfmot.sparsity.keras.prune_low_magnitude(
        build(keras), pruning_schedule=tfmot.sparsity.keras.ConstantSparsity(0.6, 0, frequency=1)
    )
    wrapped.compile("sgd", "sparse_categorical_crossentropy")
    content = np.load(data)
    step = tfmot.sparsity.keras.UpdatePruningStep()
    wrapped.fit(content["x"], content["y"], verbose=0, callbacks=[step])
    source, output = tmp_path / "wrapped.h5", tmp_path / "pruned.keras"
    with pytest.warns(UserWarning, match="HDF5"):
        wrapped.save(source)
    report = tflite_sparse.prune(source, data, output, **{**OPTIONS, "epochs": 1})
    assert report.masks_applied > 0
    assert report.sparsity_before == pytest.approx(0.6, abs=0.01)
    assert np.mean(kernels(output)["first"] == 0) == pytest.approx(0.8, abs=1e-3)


def test_blocks_recipes_and_global_scope(model, data, tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'version = 1\n[defaults]\nsparsity = 0.5\n[[rule]]\nlayers = ".*first.*"\nsparsity = 0.75\nblock = "1x16"\n'
    )
    output = tmp_path / "a.keras"
    report = tflite_sparse.prune(model, data, output, epochs=1, recipe=recipe)
    assert {kernel.name.split("/")[-2]: kernel.block for kernel in report.kernels} == {"first": "1x16", "second": "1x1"}
    blocks = (kernels(output)["first"] != 0).reshape(WIDTH // 16, 16, 64)
    np.testing.assert_array_equal(blocks.all(1), blocks.any(1))
    assert np.mean(kernels(output)["second"] == 0) == pytest.approx(0.5, abs=1e-3)

    report = tflite_sparse.prune(model, data, tmp_path / "b.keras", epochs=1, sparsity=0.7, scope="global")
    assert report.sparsity == pytest.approx(0.7, abs=1e-3)
    assert all(kernel.asked is None for kernel in report.kernels)


def test_allocation_keeps_the_total(model, data, tmp_path):
    report = tflite_sparse.prune(model, data, tmp_path / "a.keras", **OPTIONS, allocate=True)
    assert report.sparsity == pytest.approx(0.8, abs=2e-3)
    assert "scan" in report.seconds


def test_scan_writes_nothing_unless_asked(model, data, tmp_path):
    before = sorted(tmp_path.iterdir())
    content = model.read_bytes()
    result = run_cli("prune", model, "--data", data, "--scan", "--json")
    assert result.code == 0, result.stderr
    assert [len(kernel["points"]) for kernel in result.report["kernels"]] == [4, 4]
    assert "9 evaluations" in result.stderr
    assert sorted(tmp_path.iterdir()) == before
    assert model.read_bytes() == content
    assert run_cli("prune", model, "--data", data, "--scan", "-o", tmp_path / "s.keras").code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dense.keras", "s.scan.json", "s.scan.svg"]


def test_a_schedule_against_the_learning_rate_is_warned_of(model, data, tmp_path):
    result = run_cli("prune", model, "--data", data, "--sparsity", 0.5, "--end", 24, "-o", tmp_path / "a.keras")
    # 256 training samples in steps of 64, ten epochs: 40 steps; the cosine is below a tenth from step 32 on
    assert result.code == 0, result.stderr
    assert "masks change" not in result.stderr
    result = run_cli("prune", model, "--data", data, "--sparsity", 0.5, "--end", 38, "-o", tmp_path / "b.keras")
    assert result.code == 0, result.stderr
    assert "warning: masks change until step 38" in result.stderr
    assert "--end 32" in result.stderr
    assert "Warning: masks change until step 38" in result.stdout


def test_a_loss_of_nan_in_the_first_epoch_leaves_nothing(model3, data, tmp_path):
    model, output = model3, tmp_path / "pruned.keras"
    with pytest.raises(TfliteSparseError, match="NaN"):
        tflite_sparse.prune(model, data, output, **OPTIONS, optimizer="sgd", learning_rate=1e30)
    assert sorted(tmp_path.iterdir()) == [model]


def test_a_loss_of_nan_keeps_the_last_good_checkpoint(model3, data, tmp_path, monkeypatch):
    """Masks no longer change in the last epoch, so only the loss shows NaN."""
    model, output = model3, tmp_path / "pruned.keras"
    state = checkpoint.path_beside(output)
    train, write, trained = training.train_repeatably, checkpoint.write, []

    def train_watched(source, *arguments, **settings):
        trained.append(source.model)
        train(source, *arguments, **settings)

    def write_and_spoil(saved, path):
        write(saved, path)
        if saved.epoch == 2:
            trained[0].layers[-1].set_weights([np.full((48, 4), np.nan), np.zeros(4)])

    monkeypatch.setattr(training, "train_repeatably", train_watched)
    monkeypatch.setattr(checkpoint, "write", write_and_spoil)
    with pytest.raises(TfliteSparseError, match="the loss is nan after epoch 3"):
        tflite_sparse.prune(model, data, output, **OPTIONS)
    assert not output.exists()
    kept = checkpoint.read(state)
    assert kept.epoch == 2
    assert np.isfinite(np.concatenate([values.reshape(-1) for values in kept.weights])).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--sparsity", "1"], "--sparsity 1.0"),
        (["--sparsity", "0.5", "--begin", "30", "--end", "20"], "begin must come before end"),
        (["--sparsity", "0.5", "--end", "4000"], "the training has only"),
        (["--sparsity", "0.5", "--block", "1x4096"], "has only"),
        (["--sparsity", "0.5", "--block", "four"], "expected outputs x inputs"),
        (["--sparsity", "0.5", "--optimizer", "nonesuch"], "Keras has none of that name"),
        (["--sparsity", "0.5", "--recipe", "absent.toml"], "absent.toml"),
        (["--sparsity", "0.5", "--resume"], "there is no checkpoint"),
        ([], "no sparsity was given"),
    ],
)
def test_bad_input_writes_nothing(options, words, model3, data, tmp_path):
    result = run_cli("prune", model3, "--data", data, "-o", tmp_path / "out.keras", *options)
    assert result.code == 2
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) <= 4  # loading, the test part that is split off, one or two of error
    assert [path.name for path in tmp_path.iterdir()] == ["dense.keras"]


def test_data_without_labels(model3, tmp_path):
    samples = tmp_path / "x.npz"
    np.savez(samples, x=np.zeros((20, WIDTH), np.float32))
    result = run_cli("prune", model3, "--data", samples, "--sparsity", 0.5, "-o", tmp_path / "out.keras")
    assert result.code == 2
    assert "has no labels" in result.stderr


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"junk" * 100])
def test_a_damaged_checkpoint_is_refused(content, model3, data, tmp_path):
    output = tmp_path / "out.keras"
    checkpoint.path_beside(output).write_bytes(content)
    with pytest.raises(TfliteSparseError, match="no checkpoint"):
        tflite_sparse.prune(model3, data, output, **OPTIONS, resume=True)
    assert checkpoint.path_beside(output).read_bytes() == content


@pytest.mark.parametrize("changed", ["data", "model"])
def test_a_run_does_not_go_on_with_other_data_or_another_model(changed, data, tmp_path, monkeypatch):
    keras = tensorflow_import.keras3()
    model, output = tmp_path / "dense.keras", tmp_path / "out.keras"
    built = build(keras)
    built.save(model)

    def stop(state, path):
        original(state, path)
        raise KeyboardInterrupt

    original = checkpoint.write
    monkeypatch.setattr(checkpoint, "write", stop)
    with pytest.raises(KeyboardInterrupt):
        tflite_sparse.prune(model, data, output, **OPTIONS)
    monkeypatch.setattr(checkpoint, "write", original)
    if changed == "data":
        content = np.load(data)
        data = tmp_path / "other.npz"
        np.savez(data, x=content["x"] + 1, y=content["y"])
    else:
        built.set_weights([values + 1 for values in built.get_weights()])
        built.save(model)
    with pytest.raises(
        InputError, match=f"belongs to a run with {'training data' if changed == 'data' else 'model'} = 'crc32"
    ):
        tflite_sparse.prune(model, data, output, **OPTIONS, resume=True)
    assert not output.exists()
