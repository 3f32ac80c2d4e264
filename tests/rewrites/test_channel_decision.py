"""Test how many of the channels that may go are given back."""

from types import SimpleNamespace

import numpy as np
import pytest

from tflite_sparse.rewrites.dead_channels import decision
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
