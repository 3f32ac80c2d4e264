"""Tell from labels and outputs whether they are classes, yes or no, or numbers."""

from __future__ import annotations

from typing import Literal

import numpy as np

from tflite_sparse.errors import DataError

Kind = Literal["top1", "binary", "r2"]
"""``top1``: one of several classes, over the last axis of the output; ``binary``: yes or no; ``r2``: real numbers."""


def kind_of(outputs: np.ndarray, labels: np.ndarray | None) -> Kind:
    """Return what a model's outputs ``(n, ...)`` stand for, given labels of the same samples, if there are any.

    Without labels, several values are classes if a sample has one row of them or if they add up to 1.

    Raises:
        DataError: the labels have a shape that does not fit the outputs, or name classes that the model does not have.
    """
    width = outputs.shape[-1] if outputs.ndim >= 2 else 1
    if labels is None:
        if width > 1 and (outputs.ndim == 2 or np.allclose(outputs.sum(-1), 1, atol=0.05)):
            return "top1"
        return "binary" if width == 1 and looks_like_probability(outputs) else "r2"
    whole = labels.dtype.kind in "biu" or bool(np.all(labels == np.round(labels)))
    if width > 1:
        if labels.shape == outputs.shape:
            return "top1" if whole and _one_hot(labels) else "r2"
        if whole and _drop_last_one(labels.shape) == outputs.shape[:-1]:
            if labels.min() < 0 or labels.max() >= width:
                raise DataError(
                    f"labels run from {labels.min()} to {labels.max()}, the model has {width} outputs: "
                    "number the classes from 0 as in training."
                )
            return "top1"
    elif labels.size == outputs.size:
        return "binary" if whole and set(np.unique(labels)) <= {0, 1} else "r2"
    raise DataError(f"labels of shape {labels.shape} do not fit the model's output of shape {outputs.shape}.")


def check_labels(shape: tuple[int | None, ...], labels: np.ndarray) -> Kind | None:
    """Return what ``labels`` mean for an output of ``shape`` (None: any size; the first entry is the batch).

    Returns:
        None if too little of the shape is known.

    Raises:
        DataError: see :func:`kind_of`.
    """
    outputs = any_outputs(shape, len(labels))
    return None if outputs is None else kind_of(outputs, labels)


def any_outputs(shape: tuple[int | None, ...], samples: int) -> np.ndarray | None:
    """Return zeros in the shape of a model's outputs, ``(samples, *shape[1:])``; None if too little of it is known."""
    if not shape or any(size is None for size in shape[1:]):
        return None
    return np.broadcast_to(np.float32(0), (samples, *(size or 1 for size in shape[1:])))


def looks_like_probability(outputs: np.ndarray) -> bool:
    """Return whether all values are in [0, 1]."""
    return bool(outputs.min() >= 0 and outputs.max() <= 1)


def _one_hot(labels: np.ndarray) -> bool:
    return bool(np.all(labels.sum(-1) == 1) and labels.min() == 0)


def _drop_last_one(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape
