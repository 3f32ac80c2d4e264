"""Choose the channels of groups that become zero, and find what remains of each weight."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from tflite_sparse.pruning import masks
from tflite_sparse.pruning.channel_groups import ChannelGroup, Part


def scores(group: ChannelGroup) -> np.ndarray:
    """Return a score for each channel: the L2 norm of its filters, float64; 0 exactly where all of them are zero.

    Filters of a tied group are scored as one. So that no layer counts more for its scale, the squares of each kernel
    are divided by their mean over its filters first.

    Raises:
        ModelError: a weight is NaN or infinite.
    """
    total = np.zeros(group.channels)
    for part in group.filters:
        squares = _filter_squares(part)
        mean = squares.mean()
        np.add.at(total, part.channels, squares / mean if mean > 0 else squares)
    return np.sqrt(total)


def count_kept(channels: int, sparsity: float, multiple: int) -> int:
    """Return how many of ``channels`` are kept: the share ``1 - sparsity``, rounded up to a multiple; at least one.

    A group of fewer channels than a multiple keeps all.
    """
    wanted = max(math.ceil(channels * (1 - sparsity) - 1e-9), 1)
    return min(math.ceil(wanted / multiple) * multiple, channels)


def keep_largest(scored: np.ndarray, count: int) -> np.ndarray:
    """Return the mask, bool, of the ``count`` largest scores; of equal ones the first."""
    kept = np.zeros(scored.size, bool)
    kept[np.argsort(-scored, kind="stable")[:count]] = True
    return kept


def keep_largest_of_all(scored: Sequence[np.ndarray], sparsity: float, multiples: Sequence[int]) -> list[np.ndarray]:
    """Return masks under one total: the largest scores of all groups are kept, in each rounded up as by itself.

    Args:
        scored: of each group; divided by their root mean square here, as groups differ in scale.
        sparsity: share of masked channels over all groups, before rounding.
        multiples: of each group.
    """
    scaled = [each / max(float(np.sqrt(np.mean(each**2))), np.finfo(np.float64).tiny) for each in scored]
    together = np.concatenate(scaled)
    kept = keep_largest(together, count_kept(together.size, sparsity, 1))
    own = np.split(kept, np.cumsum([each.size for each in scored])[:-1])
    return [
        keep_largest(each, count_kept(each.size, 1 - np.count_nonzero(mask) / each.size, multiple))
        for each, mask, multiple in zip(scaled, own, multiples, strict=True)
    ]


def dead(group: ChannelGroup) -> np.ndarray:
    """Return which channels are zero in every part already, bool."""
    alive = np.zeros(group.channels, bool)
    for part in group.masked:
        values = np.moveaxis(part.kernel.read(), part.axis, -1)
        is_used = np.any(values.reshape(-1, part.channels.size) != 0, axis=0) & (part.channels >= 0)
        alive[part.channels[is_used]] = True
    return ~alive


class Remaining:
    """What remains of weights where channels are masked: an index along each axis.

    Args:
        kept: which channels of each group are kept, bool.
    """

    def __init__(self, kept: Mapping[ChannelGroup, np.ndarray]) -> None:
        self._kept: dict[str, list[tuple[int, np.ndarray, bool]]] = {}
        for group, channels in kept.items():
            for parts, is_masked in ((group.masked, True), (group.readers, False)):
                for part in parts:
                    found = part.axis, part.kept_along(channels), is_masked
                    self._kept.setdefault(part.name, []).append(found)

    def mask(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Return the mask of a variable, bool, of its shape: False where it is a part of a masked channel."""
        mask = np.ones(shape, bool)
        for axis, kept, is_masked in self._kept.get(name, ()):
            if is_masked:
                mask &= kept.reshape(-1, *[1] * (-axis - 1))
        return mask

    def cut(self, name: str, values: np.ndarray) -> np.ndarray:
        """Return the weights that are left without masked channels: those it makes, and those it reads."""
        return values[self._indices(name, values.shape)] if name in self._kept else values

    def spread(self, name: str, cut: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Return a mask of ``shape`` with a mask of what :meth:`cut` yields in its place, and False elsewhere."""
        if name not in self._kept:
            return cut
        mask = np.zeros(shape, bool)
        mask[self._indices(name, shape)] = cut
        return mask

    def _indices(self, name: str, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
        kept = [np.ones(size, bool) for size in shape]
        for axis, along, _ in self._kept[name]:
            kept[axis] &= along
        return np.ix_(*kept)


def _filter_squares(part: Part) -> np.ndarray:
    values = masks.finite(part.kernel).astype(np.float64)
    values = np.moveaxis(values, part.axis, -1)
    return np.asarray(np.square(values.reshape(-1, values.shape[-1])).sum(0))
