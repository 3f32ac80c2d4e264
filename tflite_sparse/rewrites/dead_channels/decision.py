"""Decide which channels go: as many as no kept operator needs, under what the kernels of the runtimes ask for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tflite_sparse.rewrites.dead_channels.analysis import Analysis, Product


def gone(found: Analysis) -> np.ndarray:
    """Return whether each channel goes, bool (channels,).

    What is kept is consistent: no kept weight needs a channel that goes, channels that are tied go together, every
    activation keeps a channel, those whose channels are rounded by their place keep the multiple that they had, and of
    channels whose weights are added up as many stay as hold the sums.
    """
    labels = found.labels()
    needs = [found.channels.of_tensor(product.source) for product in _products(found)]
    chosen = np.zeros(found.channels.total, np.bool_)
    while True:  # what only channels that go have read goes as well
        more = _may_go(found, labels, needs, chosen)
        if np.array_equal(more, chosen):
            break
        chosen = more
    while True:  # what is given back may need others
        fewer = _given_back(found, labels, chosen & _may_go(found, labels, needs, chosen))
        if np.array_equal(fewer, chosen):
            return chosen
        chosen = fewer


def _products(found: Analysis) -> Iterator[Product]:
    return (edit for edit in found.edits if isinstance(edit, Product))


def _may_go(found: Analysis, labels: np.ndarray, needs: list[np.ndarray], chosen: np.ndarray) -> np.ndarray:
    """Return the channels that nothing needs if those of ``chosen`` go."""
    needed = found.blocked.copy()
    for product, source in zip(_products(found), needs, strict=True):
        kept = ~chosen[found.channels.of_tensor(product.result)]
        needed[source] |= product.reads[kept].any(axis=0)
    groups = np.zeros(len(labels), np.bool_)
    groups[labels[needed]] = True
    return np.asarray(~groups[labels])


def _given_back(found: Analysis, labels: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return ``chosen`` without the groups that activations must keep to have enough channels."""
    kept_groups = np.zeros(len(labels), np.bool_)
    for tensor in found.channels.first:
        channels = found.channels.of_tensor(tensor)
        going = chosen[channels] & ~kept_groups[labels[channels]]
        count = len(channels) - int(np.count_nonzero(going))
        if not going.any():
            continue
        wanted = max(count, 1)
        multiple = found.multiples.get(tensor, 1)
        wanted = -(-wanted // multiple) * multiple if len(channels) % multiple == 0 else len(channels)
        candidates = channels[going]
        # Constants first: what yields them has weights of 0 and needs nothing.
        order = np.argsort(np.isnan(found.value[candidates]), kind="stable")
        kept_groups[labels[candidates[order][: wanted - count]]] = True
    for channels, least in found.least:
        going = channels[chosen[channels] & ~kept_groups[labels[channels]]]
        kept_groups[labels[going[: max(least - len(channels) + len(going), 0)]]] = True
    return np.asarray(chosen & ~kept_groups[labels])
