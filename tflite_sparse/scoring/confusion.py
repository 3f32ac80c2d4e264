"""Count which classes are mistaken for which."""

from __future__ import annotations

import numpy as np

MOST_CLASSES = 100
"""Maximum for a matrix that people read."""


def counts(wanted: np.ndarray, decided: np.ndarray, classes: int) -> np.ndarray:
    """Return the confusion matrix ``(classes, classes)``, int64: rows are the right classes, columns the chosen ones.

    Args:
        wanted: ``(m,)`` integers in [0, classes): the right class of each sample.
        decided: ``(m,)``: the class that the model chooses.
        classes: number of classes.
    """
    return np.bincount(wanted * classes + decided, minlength=classes * classes).reshape(classes, classes)
