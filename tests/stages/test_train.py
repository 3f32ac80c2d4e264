"""Test how long an export trains, and what ends it."""

import numpy as np
import pytest

from tflite_sparse.base.progress import Silent, Timed
from tflite_sparse.errors import DataError
from tflite_sparse.pruning import masks, retraining
from tflite_sparse.pruning.plan import KernelPlan, Plan, frozen
from tflite_sparse.pruning.retraining import Pace
from tflite_sparse.pruning.schedule import ConstantSchedule
from tflite_sparse.settings import ExportSettings
from tflite_sparse.sources import keras_model, tensorflow_import
from tflite_sparse.sources.dataset import Dataset
from tflite_sparse.stages.train import MOST_EPOCHS, Training, asks_for_more

SPARSITY = 0.75
pytestmark = pytest.mark.slow  # it trains


class Notes(Silent):
    """Keeps the notes."""

    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def source():
    keras = tensorflow_import.keras3()
    keras.utils.set_random_seed(1)
    layers = keras.layers
    model = keras.Sequential([keras.Input((64,)), layers.Dense(48, activation="relu"), layers.Dense(2)])
    return keras_model.from_memory(model)


def samples(labels=None):
    generator = np.random.default_rng(0)
    x = generator.standard_normal((320, 64)).astype(np.float32)
    y = (x[:, 0] > 0).astype(int) if labels is None else labels
    return Dataset("data.npz", x, y, x[:20], y[:20])


def target_of(source, sparsity=SPARSITY):
    kernels = masks.prunable(source)
    return Plan(tuple(KernelPlan(kernel, ConstantSchedule(sparsity, 0, 1, 1)) for kernel in kernels))


def training(notes, **settings):
    return Training(ExportSettings(sparsity=SPARSITY, **settings), "auto", Timed(notes))


def test_more_zeros_than_there_are(source):
    assert asks_for_more(target_of(source))
    assert not asks_for_more(frozen(masks.prunable(source), None))
    masks.mask_to(masks.prunable(source), SPARSITY)
    assert not asks_for_more(target_of(source))
    assert asks_for_more(target_of(source, 0.76))
    everywhere = Plan(target_of(source, 0.76).kernels, "global")
    assert asks_for_more(everywhere)


@pytest.mark.parametrize(("allowed", "epochs"), [(1.0, 2), (0.0, MOST_EPOCHS)])
def test_it_trains_for_as_long_as_accuracy_needs(allowed, epochs, source, monkeypatch):
    """The masks are final after two of five epochs; after that any drop that is allowed ends it."""
    drops = iter(np.linspace(0.5, 0.1, 10))
    monkeypatch.setattr("tflite_sparse.scoring.scorer.Scored.drop_from", lambda *_: next(drops))
    monkeypatch.setattr("tflite_sparse.stages.train._SHARE_OF_GATE", allowed * 100)
    notes = Notes()
    done = training(notes).run(source, samples(), target_of(source))
    assert done.epochs == epochs
    assert any(note.startswith("pruning while training: 5 epochs at most, about ") for note in notes.notes)
    assert masks.sparsity_of(masks.prunable(source)).share == pytest.approx(SPARSITY, abs=1e-3)


def test_the_best_weights_are_kept(source, monkeypatch):
    seen = []

    def drop(*_):
        seen.append(source.model.get_weights())
        return {2: 0.1}.get(len(seen), 0.2)

    monkeypatch.setattr("tflite_sparse.scoring.scorer.Scored.drop_from", drop)
    training(Notes()).run(source, samples(), target_of(source))
    assert len(seen) == 4, "after the epochs 2 to 5"
    for mine, best in zip(source.model.get_weights(), seen[1], strict=True):
        np.testing.assert_array_equal(mine, best)


def test_a_training_that_takes_too_long_is_not_begun_and_the_command_is_told(source, monkeypatch, tmp_path):
    monkeypatch.setattr(retraining, "pace_of", lambda *_: Pace(1.0, 60.0))
    source.name = str(tmp_path)
    before, notes = source.model.get_weights(), Notes()
    assert training(notes).run(source, samples(), target_of(source)) is None
    (note,) = (each for each in notes.notes if each.startswith("warning: not trained: an epoch takes about 6 min"))
    assert "180 s are allowed" not in note
    assert "3 min are allowed" in note
    assert "`finetune_epochs=5` trains for about 26 min" in note
    assert f"tflite-sparse prune {tmp_path} --data data.npz --sparsity 0.75 --epochs 5 -o pruned.keras" in note
    for mine, theirs in zip(source.model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("pace", [Pace(0.0, 7.0), Pace(0.0, 20.0)])
def test_fewer_epochs_where_the_time_allows_no_more(pace, source, monkeypatch):
    """288 samples are trained on: 5 steps in an epoch."""
    monkeypatch.setattr(retraining, "pace_of", lambda *_: pace)
    monkeypatch.setattr("tflite_sparse.scoring.scorer.Scored.drop_from", lambda *_: 1.0)
    done = training(Notes()).run(source, samples(), target_of(source))
    assert done.epochs == {7.0: 5, 20.0: 1}[pace.step]
    assert masks.sparsity_of(masks.prunable(source)).share == pytest.approx(SPARSITY, abs=1e-3)


def test_ctrl_c_goes_on_with_what_is_there(source, monkeypatch):
    def retrain(*arguments, on_step, **keywords):
        def step(done, total):
            if done == 7:
                raise KeyboardInterrupt
            on_step(done, total)

        return original(*arguments, on_step=step, **keywords)

    original = retraining.retrain
    monkeypatch.setattr(retraining, "retrain", retrain)
    before, notes = source.model.get_weights(), Notes()
    done = training(notes).run(source, samples(), target_of(source))
    assert 1 < done.epochs < 2
    assert any("training was interrupted after 1.4 of 5 epochs" in note for note in notes.notes)
    assert np.any(source.model.get_weights()[0] != before[0])


def test_labels_that_do_not_fit_are_told_and_leave_the_weights(source):
    before, notes, bad = source.model.get_weights(), Notes(), samples(np.full(320, 7))
    assert training(notes).run(source, bad, target_of(source)) is None
    assert notes.notes[-1].startswith("warning: not trained: labels run from 7 to 7")
    for mine, theirs in zip(source.model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    with pytest.raises(DataError, match="labels run from 7 to 7"):
        training(notes, finetune_epochs=1).run(source, bad, target_of(source))


def test_a_number_of_epochs_is_trained_on_all_samples(source, monkeypatch):
    steps = []
    original = retraining.retrain

    def retrain(*arguments, on_step, **keywords):
        return original(*arguments, on_step=lambda *each: (steps.append(each), on_step(*each)), **keywords)

    monkeypatch.setattr(retraining, "retrain", retrain)
    monkeypatch.setattr(retraining, "pace_of", None)
    assert training(Notes(), finetune_epochs=3).run(source, samples(), target_of(source)).epochs == 3
    assert steps[-1] == (15, 15), "320 samples in steps of 64"
