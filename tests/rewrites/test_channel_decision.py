"""Test how many of the channels that may go are given back."""

from types import SimpleNamespace

import numpy as np
import pytest

from tflite_sparse.rewrites.dead_channels import decision, products
from tflite_sparse.rewrites.dead_channels.channels import Channels


@pytest.mark.parametrize(
    ("chosen", "least", "given_back"),
    [
        ([0, 1, 3], 1, []),  # channel 2 stays in any case, and suffices
        ([0, 1, 3], 2, [0]),
        ([0, 1, 3], 3, [0, 1]),
        ([0, 1, 2], 1, [0]),
        ([3, 4], 3, []),  # others are no matter
    ],
)
def test_of_channels_whose_weights_are_added_up_only_as_many_stay_as_hold_the_sums(chosen, least, given_back):
    channels = Channels({0: 0}, {0: 6}, 6)
    found = SimpleNamespace(channels=channels, multiples={}, value=np.zeros(6), least=[(np.arange(3), least)])
    before = np.isin(np.arange(6), chosen)
    after = decision._given_back(found, np.arange(6), before)
    assert np.flatnonzero(before & ~after).tolist() == given_back


@pytest.mark.parametrize(("weights", "least"), [(0, 1), (127, 1), (128, 2), (-254, 2), (255, 3)])
def test_as_many_channels_of_one_value_stay_as_hold_the_largest_sum(weights, least):
    members = np.array([0, 2, 3])
    found = SimpleNamespace(channels=Channels({0: 4}, {0: 6}, 10), alike={0: [members]}, least=[])
    taps = np.zeros((2, 1, 6), np.int8)
    taps[1, 0, members] = weights // 3
    taps[1, 0, 0] += weights - 3 * (weights // 3)
    taps[:, 0, 1] = 127  # of another channel
    assert products._alike(found, 0, taps) == (members,)
    (((channels, count)),) = found.least
    assert (channels.tolist(), count) == ([4, 6, 7], least)
