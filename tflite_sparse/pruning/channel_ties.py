"""Number the channels of all tensors of a model, and record which ones are the same and which cannot be masked.

A channel is an index along the last axis of a tensor. Its label is an integer. Labels that are tied are one channel:
an addition ties each channel of one operand with that of the other.
"""

from __future__ import annotations

import numpy as np


class Ties:
    """Labels of channels as disjoint sets, each with the reason why it cannot be masked, if there is one."""

    def __init__(self) -> None:
        self._parents: list[int] = []
        self._reasons: dict[int, tuple[int, str]] = {}

    @property
    def count(self) -> int:
        """Number of labels."""
        return len(self._parents)

    def fresh(self, count: int) -> np.ndarray:
        """Return ``count`` new labels."""
        first = len(self._parents)
        self._parents += range(first, first + count)
        return np.arange(first, first + count)

    def tie(self, labels: np.ndarray, others: np.ndarray) -> None:
        """Make each of ``labels`` the same channel as the one at its place in ``others``, of the same length."""
        for one, other in zip(labels.tolist(), others.tolist(), strict=True):
            kept, gone = self._root(one), self._root(other)
            if kept != gone:
                self._parents[gone] = kept
                if gone in self._reasons:
                    self._refuse(kept, self._reasons.pop(gone))

    def refuse(self, labels: np.ndarray, reason: str, rank: int = 0) -> None:
        """Record why ``labels`` cannot be masked. Of several reasons the first of the highest ``rank`` counts."""
        for label in set(labels.tolist()):
            self._refuse(self._root(label), (rank, reason))

    def roots(self, labels: np.ndarray) -> np.ndarray:
        """Return one label for each set: equal numbers are the same channel."""
        unique, places = np.unique(labels, return_inverse=True)
        return np.array([self._root(label) for label in unique.tolist()], np.int64)[places]

    def reason(self, labels: np.ndarray) -> str | None:
        """Return why one of ``labels`` cannot be masked; None if all can."""
        found = [self._reasons[root] for root in dict.fromkeys(self.roots(labels).tolist()) if root in self._reasons]
        return max(found, key=lambda each: each[0])[1] if found else None

    def _refuse(self, root: int, reason: tuple[int, str]) -> None:
        if root not in self._reasons or self._reasons[root][0] < reason[0]:
            self._reasons[root] = reason

    def _root(self, label: int) -> int:
        parents = self._parents
        while parents[label] != label:
            parents[label] = label = parents[parents[label]]
        return label
