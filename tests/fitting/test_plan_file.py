"""Read a plan back as a recipe: it prunes exactly as planned."""

import numpy as np
import pytest

from tflite_sparse.fitting import plan_file
from tflite_sparse.fitting.candidates import Option
from tflite_sparse.pruning import channel_masks, recipe_file, recipe_planner
from tflite_sparse.pruning.channel_groups import ChannelGroup, Part
from tflite_sparse.pruning.plan import Span
from tflite_sparse.pruning.structure import UNSTRUCTURED, Structure
from tflite_sparse.settings import PruningSettings
from tflite_sparse.sources.source_model import Kernel

NAMES = ("dense/kernel", "encoder/dense/kernel", "other/dense/kernel", "odd+name.1/kernel", "kept/kernel")


def kernel(name, size=64):
    values = np.ones((size, size), np.float32)
    return Kernel(name, "Dense", values.shape, lambda: values, lambda new: None)


def test_each_kernel_gets_its_own_and_others_nothing(tmp_path):
    small = [kernel("small/kernel", size=8)]  # not pruned by default, and matched by no rule for another
    unplanned = [kernel("unplanned/kernel"), kernel("deep/down/unplanned/kernel")]
    kernels = [*small, *unplanned, *(kernel(name) for name in reversed(NAMES))]
    choice = {
        "dense/kernel": Option(0.9, Structure((1, 16)), 1, 0.0),
        "encoder/dense/kernel": Option(0.5, UNSTRUCTURED, 1, 0.0),
        "odd+name.1/kernel": Option(0.8123, UNSTRUCTURED, 1, 0.0, 16),
        "kept/kernel": Option(None, UNSTRUCTURED, 1, 0.0, 8),
    }
    path = tmp_path / "recipe.toml"
    text = plan_file.text(choice, kernels, {"begin": 0, "end": 70, "frequency": 7})
    assert "small" not in text
    path.write_text(text)
    plan = recipe_planner.planner(recipe_file.read(path), PruningSettings())(kernels, Span(1000, 100))
    assert {each.kernel.name: (each.schedule.final, str(each.structure)) for each in plan.kernels} == {
        "dense/kernel": (0.9, "1x16"),
        "encoder/dense/kernel": (0.5, "1x1"),
        "odd+name.1/kernel": (0.8123, "1x1"),
    }
    found = recipe_planner.shared_values(recipe_file.read(path), kernels)
    assert found == {"odd+name.1/kernel": 16, "kept/kernel": 8}
    assert {(each.schedule.begin, each.schedule.end, each.schedule.frequency) for each in plan.kernels} == {(0, 70, 7)}


def test_shared_values_are_those_of_one_kernel(tmp_path):
    """Also where its rule matches a deeper kernel: one that keeps its values, and one that has no plan."""
    kernels = [kernel(name) for name in ("dense/kernel", "encoder/dense/kernel")] + [kernel("first/dense/kernel", 8)]
    choice = {
        "dense/kernel": Option(0.8, UNSTRUCTURED, 1, 0.0, 8),
        "encoder/dense/kernel": Option(0.5, UNSTRUCTURED, 1, 0.0),
    }
    path = tmp_path / "recipe.toml"
    path.write_text(plan_file.text(choice, kernels))
    assert recipe_planner.shared_values(recipe_file.read(path), kernels) == {
        "dense/kernel": 8,
        "encoder/dense/kernel": "all",
        "first/dense/kernel": "all",
    }


@pytest.mark.parametrize("count", [5, 16, 20])
def test_any_number_of_channels_is_kept(tmp_path, count):
    """Of 32: a model that was pruned before has few left, or no multiple of 8."""
    kernels = [kernel("dense/kernel")]
    group = ChannelGroup("g", 32, (Part(kernels[0], None, -1, np.arange(32)),), (), ())
    path = tmp_path / "recipe.toml"
    path.write_text(plan_file.text({}, kernels, channels=plan_file.ChannelRules.of([group], {"g": count}, 8)))
    (asked,) = recipe_planner.planner(recipe_file.read(path), PruningSettings())(kernels, Span(1000, 100)).channels
    assert channel_masks.count_kept(32, asked.schedule.final, asked.multiple) == count
    assert asked.multiple == (8 if count == 16 else 1)


def test_channels_and_what_remains_of_their_kernels(tmp_path):
    """Of 24 channels 16 are kept; ``encoder/dense/kernel`` keeps all of its own, whatever rule matches its name."""
    kernels = [kernel(name) for name in ("dense/kernel", "encoder/dense/kernel", "other/kernel", "second/kernel")]
    choice = {
        "dense/kernel": Option(0.9, UNSTRUCTURED, 1, 0.0),
        "encoder/dense/kernel": Option(0.5, UNSTRUCTURED, 1, 0.0),
        "other/kernel": Option(None, UNSTRUCTURED, 1, 0.0),
    }
    group = ChannelGroup(
        "g", 24, tuple(Part(each, None, -1, np.arange(64)) for each in (kernels[0], kernels[3])), (), ()
    )
    rules = plan_file.ChannelRules.of([group], {"g": 16}, 8)
    path = tmp_path / "recipe.toml"
    path.write_text(plan_file.text(choice, kernels, channels=rules))
    plan = recipe_planner.planner(recipe_file.read(path), PruningSettings())(kernels, Span(1000, 100))
    assert {each.kernel.name: each.schedule.final for each in plan.kernels} == {
        "dense/kernel": 0.9,
        "encoder/dense/kernel": 0.5,
    }
    asked = {
        each.kernel.name: channel_masks.count_kept(24, each.schedule.final, each.multiple) for each in plan.channels
    }
    assert asked == {"dense/kernel": 16, "second/kernel": 16, "encoder/dense/kernel": 24}
    assert plan_file.ChannelRules.of([group], {"g": 24}, 8).shares == {}
