"""Make the table and the sentence of masked channels."""

from __future__ import annotations

from collections.abc import Sequence

from tflite_sparse.report.text.names import shortened
from tflite_sparse.report.text.table import Table
from tflite_sparse.results.channels import MaskedChannels

_NAMED = 8


def table(groups: Sequence[MaskedChannels]) -> Table:
    """Return a row for each group."""
    rows = tuple(
        (
            shortened(group.kernels[0]),
            ", ".join(map(shortened, group.kernels[1:])),
            "" if group.asked is None else f"{group.asked:.3f}",
            str(group.kept),
            str(group.channels),
        )
        for group in groups
    )
    headings = ("channels of", "tied to", "asked", "kept", "of")
    return Table(headings, rows, frozenset({"channels of", "tied to"}), frozenset({"channels of"}), ("tied to",))


def sentence(groups: Sequence[MaskedChannels]) -> str:
    """Return how many channels are kept, in all and in each group; of many groups the first."""
    kept, channels = (sum(getattr(group, name) for group in groups) for name in ("kept", "channels"))
    each = [f"{shortened(group.kernels[0])} {group.kept} of {group.channels}" for group in groups[:_NAMED]]
    each += [f"{len(groups) - _NAMED} more groups"] if len(groups) > _NAMED else []
    return f"Channels kept: {kept} of {channels} ({', '.join(each)})."
