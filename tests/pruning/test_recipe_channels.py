"""Test which kernels the rules of a recipe ask channels of, and of which the weights that remain."""

from pathlib import Path

import numpy as np
import pytest

from tflite_sparse.errors import SettingsError
from tflite_sparse.pruning import recipe_file, recipe_planner
from tflite_sparse.pruning.plan import Span
from tflite_sparse.settings import PruningSettings
from tflite_sparse.sources.source_model import Kernel


def kernel(name, owner, *shape):
    return Kernel(f"net/{name}/kernel", owner, shape, lambda: np.ones(shape, np.float32), lambda values: None)


STEM, DEPTHWISE = kernel("stem", "Conv2D", 3, 3, 3, 16), kernel("dw", "DepthwiseConv2D", 3, 3, 16, 1)
WIDE, DENSE, CLASSES = (
    kernel("wide", "Conv2D", 3, 3, 16, 64),
    kernel("dense", "Dense", 64, 64),
    kernel("c", "Dense", 9, 9),
)
KERNELS = [STEM, DEPTHWISE, WIDE, DENSE, CLASSES]
ALL = '[[rule]]\nlayers = ".*"\n'


@pytest.fixture
def asked(tmp_path):
    """Return the final share of channels and of weights by layer, for the rules of a recipe."""

    def run(text, head="version = 1\n", **settings):
        path = tmp_path / "recipe.toml"
        path.write_text(head + text, encoding="utf-8")
        plan = recipe_planner.planner(recipe_file.read(path), PruningSettings(**settings))(KERNELS, Span(1000, 100))
        found = ({each.kernel.name.split("/")[1]: each for each in part} for part in (plan.channels, plan.kernels))
        run.channels, run.weights = found
        return tuple({name: each.schedule.final for name, each in part.items()} for part in (run.channels, run.weights))

    return run


CHANNELS = dict.fromkeys(("stem", "wide", "dense", "c"), 0.5)  # of small kernels and the first convolution too


def test_channels_replace_weights(asked):
    head = 'version = 1\n[defaults]\nblock = "channel"\nsparsity = 0.5\nchannel_multiple = 4\n'
    assert asked("", head) == (CHANNELS, {})
    assert asked.channels["stem"].multiple == 4
    assert asked(ALL + 'block = "channel"\n', "version = 1\n[defaults]\nsparsity = 0.5\n") == (CHANNELS, {})
    assert asked.channels["stem"].multiple == 8
    assert asked("", "version = 1\n", block="channel", sparsity=0.5) == (CHANNELS, {})


def test_a_later_rule_prunes_what_remains(asked):
    both = ALL + 'block = "channel"\nsparsity = 0.5\n' + ALL
    assert asked(both + "sparsity = 0.875\n") == (CHANNELS, {"wide": 0.875, "dense": 0.875})
    assert asked(both + 'sparsity = 0.75\nblock = "1x4"\n')[1] == {"wide": 0.75, "dense": 0.75}
    assert str(asked.weights["dense"].structure) == "1x4"
    assert asked(both + 'block = "2:4"\n')[1] == {"wide": 0.5, "dense": 0.5}
    schedule = "schedule = { begin = 7 }\n"  # what remains begins with defaults, unless these are of channels
    assert asked(both + schedule, "version = 1\n[defaults]\nsparsity = 0.9\n") == (
        CHANNELS,
        {"wide": 0.9, "dense": 0.9},
    )
    with pytest.raises(SettingsError, match="rule 1: no sparsity was given"):
        asked(ALL + schedule, 'version = 1\n[defaults]\nblock = "channel"\nsparsity = 0.5\n')


def test_channels_are_pruned_before_the_weights_that_remain(asked):
    asked(ALL + 'block = "channel"\nsparsity = 0.5\n' + ALL + "sparsity = 0.875\n")
    of_channels, of_weights = (each["dense"].schedule for each in (asked.channels, asked.weights))
    assert (of_channels.begin, of_channels.end) == (50, 350)
    assert (of_weights.begin, of_weights.end) == (100, 650)


def test_a_later_rule_for_channels_changes_their_share_or_replaces_weights(asked):
    both = ALL + 'block = "channel"\nsparsity = 0.5\n[[rule]]\nlayers = "wide"\nblock = "channel"\n'
    assert asked(both + "sparsity = 0.25\n") == ({**CHANNELS, "wide": 0.25}, {})
    assert asked(both + "channel_multiple = 1\n") == (CHANNELS, {})
    assert asked.channels["wide"].multiple == 1
    weights = "version = 1\n[defaults]\nsparsity = 0.9\n"
    mixed = '[[rule]]\ntypes = ["Conv2D"]\nblock = "channel"\nsparsity = 0.5\n'
    assert asked(mixed, weights) == ({"stem": 0.5, "wide": 0.5}, {"dense": 0.9})


def test_skipped_kernels_keep_channels_and_weights(asked):
    both = ALL + 'block = "channel"\nsparsity = 0.5\n' + ALL + "sparsity = 0.875\n[[rule]]\n"
    without = {name: share for name, share in CHANNELS.items() if name != "wide"}
    assert asked(both + 'layers = "wide"\nskip = true\n') == (without, {"dense": 0.875})
    assert asked(both + 'layers = "stem"\nskip = false\n')[1] == {"stem": 0.875, "wide": 0.875, "dense": 0.875}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[rule]]\nlayers = "dw"\nblock = "channel"\nsparsity = 0.5', r"rule 1 applies only to .*\(net/dw/kernel\)"),
        (ALL + 'block = "channel"', r"rule 1: no sparsity was given"),
        (ALL + 'block = "channel"\nsparsity = 0.5\n' + ALL + 'block = "1x4"', r"rule 1, rule 2: no sparsity was given"),
        (ALL + 'block = "channels"', r"rule 1: block = 'channels': expected outputs x inputs"),
        (ALL + 'block = "channel"\nchannel_multiple = 0', r"rule 1: channel_multiple = 0"),
        ('[defaults]\nscope = "global"\nsparsity = 0.5\n' + ALL + 'block = "channel"\nsparsity = 0.4', r"'global'"),
    ],
)
def test_mistakes(asked, text, message):
    with pytest.raises(SettingsError, match=message):
        asked(text)


def test_the_example_of_the_document_prunes_both(asked):
    document = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
    example = document.partition("### Channels")[2].partition("```toml\n")[2].partition("```")[0]
    assert asked(example, "") == (CHANNELS, {"wide": 0.875, "dense": 0.875})
