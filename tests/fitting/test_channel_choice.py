"""Test the choice of channels with costs that are products of them, as multiply-adds are."""

import itertools

import numpy as np
import pytest

from tflite_sparse.fitting import channel_choice
from tflite_sparse.fitting.channel_choice import GroupCandidate
from tflite_sparse.pruning.allocation import Curve
from tflite_sparse.pruning.channel_groups import ChannelGroup


def candidate(name, channels, steepness, multiple=8):
    """Return a group whose loss rises with the square of the share that is masked."""
    shares = np.linspace(0, 1, 33)
    group = ChannelGroup(name, channels, (), (), ())
    return GroupCandidate.of(group, Curve(shares, steepness * shares**2), multiple)


def chain(counts):
    """Return the multiply-adds of three layers, each of which reads what the one before makes."""
    a, b, c = (counts[name] for name in "abc")
    return 3 * a + 9 * a * b + 9 * b * c + 10 * c


class Files:
    """Measure made-up files; ``arena`` is the largest sum of neighbours."""

    def __init__(self, **limits):
        self.limits, self.measured = limits, 0

    def measure(self, choices):
        self.measured += len(choices)
        arenas = [1000 * max(each["a"], each["b"] + each["c"] / 4) for each in choices]
        found = [
            {"multiply_adds": chain(each), "arena_bytes": arena} for each, arena in zip(choices, arenas, strict=True)
        ]
        return [{name: used[name] for name in self.limits} for used in found]

    def within(self, candidates):
        (least,) = self.measure([channel_choice.fewest(candidates)])
        return channel_choice.within(candidates, self.limits, self.measure, least)


GROUPS = [candidate("a", 32, 4.0), candidate("b", 64, 1.0), candidate("c", 128, 0.2)]


def best(candidates, files, start):
    """Try every choice that is near the one that all groups keep alike."""
    near = [each.near(start[each.group.name]) for each in candidates]
    found = []
    for counts in itertools.product(*near):
        choice = dict(zip("abc", counts, strict=True))
        if channel_choice.is_within(files.measure([choice])[0], files.limits):
            found.append(sum(each.loss(choice[each.group.name]) for each in candidates))
    return min(found)


@pytest.mark.parametrize("share", [0.2, 0.3, 0.5, 0.8])
def test_a_limit_on_products_is_kept_and_used(share):
    limit = share * chain({"a": 32, "b": 64, "c": 128})
    files = Files(multiply_adds=limit)
    found = files.within(GROUPS)
    assert found.used["multiply_adds"] == chain(found.counts) <= limit
    assert files.measured < 100
    alike = channel_choice._alike(GROUPS, files.limits, files.measure, found.used)
    assert found.loss <= alike.loss
    assert found.loss <= best(GROUPS, files, alike.counts) + 0.01  # of 5.2: a step of one group


@pytest.mark.parametrize("share", [0.16, 0.2, 0.28, 0.32])
def test_a_limit_on_a_largest_sum_is_kept_and_no_group_can_grow(share):
    """In between few and many channels such a sum is less than linear: what the programme leaves is taken then."""
    files = Files(arena_bytes=share * 96_000)
    found = files.within(GROUPS)
    assert channel_choice.is_within(found.used, files.limits)
    for each in (each for each in GROUPS if found.counts[each.group.name] < each.counts[-1]):
        name = each.group.name
        assert not channel_choice.is_within(
            files.measure([{**found.counts, name: found.counts[name] + 8}])[0], files.limits
        )


def test_several_limits_hold_at_once():
    files = Files(multiply_adds=40_000, arena_bytes=45_000)
    found = files.within(GROUPS)
    assert channel_choice.is_within(found.used, files.limits)
    assert found.loss > Files(multiply_adds=40_000).within(GROUPS).loss, "the arena costs channels of its own"


def test_steps_are_told():
    files, seen = Files(multiply_adds=0.5 * chain({"a": 32, "b": 64, "c": 128})), []
    (least,) = files.measure([channel_choice.fewest(GROUPS)])
    channel_choice.within(GROUPS, files.limits, files.measure, least, lambda *step: seen.append(step))
    assert seen[:2] == [(1, 8), (2, 8)]
    assert seen == sorted(seen)
    assert seen[-1] == (7, 8)


def test_the_group_that_loses_less_keeps_fewer():
    found = Files(multiply_adds=30_000).within(GROUPS).counts
    kept = [found[name] / channels for name, channels in (("a", 32), ("b", 64), ("c", 128))]
    assert kept == sorted(kept, reverse=True)
    assert kept[0] > kept[2]


def test_what_can_be_kept():
    assert candidate("a", 20, 1.0).counts == (8, 16, 20)
    assert candidate("a", 8, 1.0).counts == (8,)
    of_some = GroupCandidate.of(ChannelGroup("a", 32, (), (), ()), Curve(np.array([0.5, 1]), np.zeros(2)), 8, alive=13)
    assert of_some.counts == (8, 13)
    assert of_some.up_to(8).counts == (8,)
    assert candidate("a", 64, 1.0).near(24) == [16, 24, 32, 40, 48]
    assert [candidate("a", 64, 1.0).at_least(share) for share in (0, 0.25, 0.26, 1)] == [8, 16, 24, 64]


def test_the_ends_of_what_can_be_reached():
    assert channel_choice.fewest(GROUPS) == {"a": 8, "b": 8, "c": 8}
    assert channel_choice.untouched(GROUPS) == {"a": 32, "b": 64, "c": 128}
    least = chain({"a": 8, "b": 8, "c": 8})
    assert Files(multiply_adds=least).within(GROUPS).counts == {"a": 8, "b": 8, "c": 8}


@pytest.mark.parametrize("limit", [0.0, -1.0])
def test_there_is_no_choice_where_nothing_is_left_of_a_limit(limit):
    linear = channel_choice._Linear(
        {"a": [8, 16]}, [np.array([1.0, 0.0])], [np.array([[800.0, 1600.0]])], np.array([1600.0])
    )
    assert linear.solved({"multiply_adds": limit}) is None
    assert linear.solved({"multiply_adds": 1599.0}) == {"a": 8}


def test_of_equal_losses_more_channels_are_kept():
    free = [candidate("a", 32, 0.0), candidate("b", 64, 0.0), candidate("c", 128, 0.0)]
    found = Files(multiply_adds=40_000).within(free)
    for each in (each for each in free if found.counts[each.group.name] < each.counts[-1]):
        name = each.group.name
        assert chain({**found.counts, name: found.counts[name] + 8}) > 40_000
