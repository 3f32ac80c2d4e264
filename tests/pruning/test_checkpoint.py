"""Test the state of a training on disk, and which runs may resume from it."""

import numpy as np
import pytest

from tflite_sparse.errors import InputError
from tflite_sparse.pruning import checkpoint
from tflite_sparse.pruning.checkpoint import Checkpoint

SETTINGS = {"seed": 1, "recipe": None, "block": "1x16"}


def state(settings=SETTINGS):
    """Return a state of two weights, three optimizer variables, and masks whose names are not in alphabetical order."""
    weights = [np.full((2, 3), number, np.float32) for number in (1, 2)]
    optimizer = [np.int64(7), *(np.full((2, 3), number, np.float32) for number in (3, 4))]
    return Checkpoint(settings, 2, 14, weights, optimizer, {"b": np.eye(2, dtype=bool), "a": np.ones((1, 2), bool)})


def test_what_is_read_is_what_was_written(tmp_path):
    written, path = state(), tmp_path / "model.keras.checkpoint"
    checkpoint.write(written, path)
    found = checkpoint.read(path)
    assert (found.settings, found.epoch, found.step) == (SETTINGS, 2, 14)
    assert list(found.masks) == ["b", "a"]
    for one, other in (
        (found.weights, written.weights),
        (found.optimizer, written.optimizer),
        (found.masks.values(), written.masks.values()),
    ):
        for values, wanted in zip(one, other, strict=True):
            assert values.dtype == wanted.dtype
            np.testing.assert_array_equal(values, wanted)
    checkpoint.check_settings(found, SETTINGS, path)  # the same run may resume


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (SETTINGS | {"seed": 2}, "seed = 1, not 2"),
        (SETTINGS | {"seed": 2, "block": "1x1"}, "block = '1x16', not '1x1'"),
        (SETTINGS | {"recipe": "r.toml"}, "recipe = None, not 'r.toml'"),
        (SETTINGS | {"scope": "global"}, "scope = None, not 'global'"),  # from a version without that setting
        ({"seed": 1}, "block = '1x16', not None"),  # from a version with more settings
    ],
)
def test_a_run_with_other_settings_is_refused_by_the_first_difference(settings, words, tmp_path):
    with pytest.raises(InputError, match=rf"model\.keras\.checkpoint belongs to a run with {words}: resume"):
        checkpoint.check_settings(state(), settings, tmp_path / "model.keras.checkpoint")
