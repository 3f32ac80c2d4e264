"""Test which other int8 files are made when an export lost too much, and for how long."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from tflite_sparse.base.progress import Silent, Timed
from tflite_sparse.errors import ConversionError
from tflite_sparse.settings import ExportSettings
from tflite_sparse.sources.source_model import Layer
from tflite_sparse.stages import alternatives
from tflite_sparse.stages.alternatives import Trials, may_help
from tflite_sparse.stages.convert import Converter

ALL = {
    "--bias-correction",
    "--calibration percentile",
    "--calibration mse",
    "--activations float32",
    "--activations int16",
}  # fmt: skip


class Listener(Silent):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def trials(monkeypatch, tmp_path):
    """Run the trials of settings; each takes a second of a clock that only trials advance."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(alternatives.time, "monotonic", lambda: clock.now)
    made = []

    def int8(converter, source, path, stage):
        del source, stage
        clock.now += 1
        made.append(converter)
        if converter.settings.activations == "int16":
            raise ConversionError(f"{path}: no kernel")

    monkeypatch.setattr(Converter, "int8", int8)
    monkeypatch.setattr(alternatives.encoder, "encode_file", lambda dense, sparse, _: sparse.write_bytes(b"12"))

    def run(seconds=None, layers=(), listener=None, **settings):
        made.clear()
        score = SimpleNamespace(mean=0.5, drop_from=lambda best: best)
        progress = Timed(listener or Listener())
        source = SimpleNamespace(layers=lambda: [Layer(name, owner) for name, owner in layers])
        evaluation = SimpleNamespace(score=lambda path, scorer: score)
        converter = Converter(ExportSettings(int8=True, **settings), None, progress)
        found = Trials(source, converter, evaluation, None, 0.25, tmp_path, progress, seconds).run()
        return found, list(made)

    return run


def test_each_unused_option_is_tried_and_reported_at_once(trials):
    listener = Listener()
    found, _ = trials(listener=listener)
    assert {each.option for each in found} == ALL
    assert Counter(each.drop for each in found) == {0.25: 4, None: 1}
    assert len(listener.notes) == 5
    assert "Instead, --calibration mse: accuracy 0.5000, drop 0.2500, 2 bytes; as fast." in listener.notes
    assert "no kernel" in next(each.words for each in found if each.option == "--activations int16")


def test_used_options_are_not_tried(trials):
    found, _ = trials(bias_correction=True, calibration="mse", dense_scales="per-tensor")
    tried = {each.option for each in found}
    assert tried == (ALL - {"--bias-correction", "--calibration mse"}) | {
        "--calibration min-max",
        "--dense-scales per-channel",
    }


def test_no_trial_begins_that_would_end_after_its_time(trials):
    found, made = trials(seconds=3.0)
    assert len(made) == 3
    assert [each.option for each in found if "not tried" in each.words] == [each.option for each in found[3:]]
    assert all("--alternatives all" in each.words for each in found[3:])
    assert len(found) == 5


def test_normalisation_is_tried_in_float32_where_there_is_some_and_no_recipe(trials, tmp_path):
    option = "--recipe float-normalization --io float32"
    layers = [("net/scaled", "Normalization"), ("net/dense", "Dense")]
    found, made = trials(layers=layers)
    assert found[0].option == option
    assert list(made[0].float_layers.values()) == [["net/scaled"]]
    assert made[0].settings.io == "float32"
    assert made[1].float_layers == {}
    assert made[1].settings.io is None
    found, _ = trials(layers=layers[1:])
    assert option not in {each.option for each in found}
    found, _ = trials(layers=layers, recipe=Path("native"))
    assert option not in {each.option for each in found}


@pytest.mark.parametrize(
    ("settings", "drop_by_pruning", "helps"),
    [
        ({}, 0.0, True),
        ({}, 0.01, True),
        ({}, 0.011, False),  # nor would a perfect int8 file pass
        ({}, None, True),
        ({"alternatives": "all"}, 0.5, True),
        ({"alternatives": "none"}, 0.0, False),
        ({"activations": "int16"}, 0.0, False),
        ({"target": "micro"}, 0.0, False),
        ({"int8": False}, 0.0, False),
    ],
)
def test_they_are_tried_where_one_may_pass(settings, drop_by_pruning, helps):
    assert may_help(ExportSettings(**{"int8": True} | settings), drop_by_pruning) is helps
