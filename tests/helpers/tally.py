"""Count the outcomes of random examples: a test that accepts everything, or nothing, means nothing."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st


def tally(check, examples=100):
    """Count the results of ``check``, given something to draw from; an exception fails the test."""
    seen = Counter()

    @given(st.data())
    @settings(max_examples=examples)
    def one(data):
        seen[check(data.draw)] += 1

    one()
    return seen
