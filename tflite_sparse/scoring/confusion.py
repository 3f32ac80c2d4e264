"""Which classes are taken for which."""

from __future__ import annotations

import numpy as np

MOST_CLASSES = 100
"""Of a matrix that people look at."""


def counts(wanted: np.ndarray, decided: np.ndarray, classes: int) -> np.ndarray:
    """``(classes, classes)`` int64: how many samples of the class of the row were taken for that of the column.

    Args:
        wanted: ``(m,)`` integers in [0, classes): the right class of each.
        decided: ``(m,)``: what the model says.
        classes: how many there are.
    """
    return np.bincount(wanted * classes + decided, minlength=classes * classes).reshape(classes, classes)
