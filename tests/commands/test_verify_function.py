"""``tflite_sparse.verify``: what it takes, and what it asks of the comparison."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

import tflite_sparse
from helpers import odd_models, tiny_models
from helpers.channel_models import Network
from tflite_sparse.backends.in_micro import MicroRuntimes
from tflite_sparse.commands import verify as verify_command
from tflite_sparse.errors import ExecutionError, SettingsError
from tflite_sparse.flatbuffer import serde
from tflite_sparse.rewrites.dead_channels import removal
from tflite_sparse.runtime import micro
from tflite_sparse.verification import engine
from tflite_sparse.verification.engine import Tolerance
from tflite_sparse.verification.in_litert import LiteRTRuntimes
from tflite_sparse.verification.samples import MadeUp


@pytest.fixture
def asked(monkeypatch):
    """The arguments of each comparison; nothing is run."""
    found = []
    monkeypatch.setattr(engine, "verify", lambda *arguments, **options: found.append((*arguments, options)))
    return found


def test_settings_reach_the_comparison_in_litert(asked):
    options = {"samples": 5, "seed": 7, "threads": 3, "tolerance": 2.0, "input_shapes": {"x": (1, 4)}}
    tflite_sparse.verify("file", "dense", **options, progress="progress")
    (file, against, runtimes, samples, rest) = asked[0]
    assert (str(file), str(against)) == ("file", "dense")
    assert runtimes == LiteRTRuntimes(threads=3, input_shapes={"x": (1, 4)})
    assert samples == MadeUp(5, 7)
    assert rest == {"tolerance": Tolerance(steps=2.0), "cut": None, "progress": "progress"}


def test_settings_reach_the_comparison_in_micro(asked, monkeypatch):
    monkeypatch.setattr(micro, "is_available", lambda: True)
    tflite_sparse.verify("file", "dense", target="micro", samples=5, seed=7)
    (_, _, runtimes, samples, rest) = asked[0]
    assert (runtimes, samples, rest["tolerance"]) == (MicroRuntimes(), MadeUp(5, 7), Tolerance())


@pytest.mark.parametrize("wrong", [{"samples": -1}, {"threads": 0}, {"tolerance": -1e-9}, {"tolerance": math.nan}])
def test_numbers_out_of_range(wrong, asked):
    (name,) = wrong
    with pytest.raises(SettingsError, match=f"^`{name}=.*`: input should be greater than or equal to"):
        tflite_sparse.verify("file", "dense", **wrong)
    assert asked == []


@pytest.mark.parametrize("setting", [{"threads": 2}, {"tolerance": 1.0}, {"input_shapes": {"x": (1, 4)}}], ids=str)
def test_a_setting_of_another_target_is_named(setting, asked):
    (name,) = setting
    with pytest.raises(SettingsError, match=f"^`{name}` applies to the target litert, not to micro"):
        tflite_sparse.verify("file", "dense", target="micro", **setting)
    assert asked == []


def test_an_unknown_target(asked):
    with pytest.raises(SettingsError, match="`target='ethos-u'`: input should be 'litert', 'micro' or 'c'"):
        tflite_sparse.verify("file", "dense", target="ethos-u")


@pytest.mark.parametrize("stays", ["constants", "all of one", "both", "nothing goes"])
def test_channels_that_stayed_are_found_by_the_shapes(stays, asked, tmp_path, monkeypatch):
    """The comparison that ``encode`` makes finds no fault on these inputs, as on others than those of an export."""
    fault_free = SimpleNamespace(constants=None, runtimes=[])
    monkeypatch.setattr(verify_command.Comparison, "run", lambda self, *about: fault_free)
    net = Network()
    x = net.conv(net.source, 16, 1, dead=range(6), relu=True)
    y = net.conv(x, 16, 1, dead=range(4), unread=(9, 10))
    content = tiny_models.to_bytes(net.finished(net.conv(y, 6, 1)))
    constants, one = {(0, x): np.arange(6)}, {(0, y): np.arange(16)}
    staying = {"constants": constants, "all of one": one, "both": constants | one}.get(stays)
    model = serde.parse(content)
    removed = None if staying is None else removal.remove(model, staying)
    paths = [tmp_path / "file.tflite", tmp_path / "dense.tflite"]
    serde.write(model, paths[0])
    paths[1].write_bytes(content)
    tflite_sparse.verify(*paths)
    cut = asked[0][-1]["cut"]
    if removed is None:
        assert cut is None
    else:
        assert [each.tensor for each in cut.slices] == [each.tensor for each in removed.slices]
        for part, expected in zip(cut.slices, removed.slices, strict=True):
            for kept, indices in zip(part.kept, expected.kept, strict=True):
                np.testing.assert_array_equal(kept, indices)


def test_a_runtime_that_is_not_installed(asked, monkeypatch):
    monkeypatch.setattr(micro, "is_available", lambda: False)
    with pytest.raises(ExecutionError, match="TensorFlow Lite Micro is not installed here"):
        tflite_sparse.verify("file", "dense", target="micro")
    assert asked == []


def test_files_that_differ_are_told_with_the_place(tmp_path, in_this_process):
    paths = [tmp_path / name for name in ("file.tflite", "dense.tflite")]
    for path, flip in zip(paths, (odd_models.flip_bit, lambda tensor, model: None), strict=True):
        path.write_bytes(tiny_models.to_bytes(odd_models.edited(odd_models.two_layers(), "first weight", flip)))
    report = tflite_sparse.verify(str(paths[0]), paths[1], samples=2)
    assert not report.passed
    assert "weight 'first weight' differs" in report.failures
