"""The name of a data set in reports: what the user gave, and how much of it was taken."""

from __future__ import annotations

import re

_CUT = re.compile(r" \(the first [\d,]+ samples\)\Z")


def of_first(given: str, samples: int) -> str:
    """Return the name of data of which only the first ``samples`` were taken."""
    return f"{given} (the first {samples:,} samples)"


def given(name: str) -> str:
    """Return what the user gave, from the name in a report."""
    return _CUT.sub("", name)
