"""Find kernels with few distinct values, as clustering makes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tflite_sparse.pruning import masks
from tflite_sparse.sources.source_model import Kernel
from tflite_sparse.target_registry import TARGETS, Target, listed, names_where

MOST_VALUES = 64
NOT_TRAINED = (
    "the weights are clustered, and training would end that; masks are made at once, which costs accuracy. "
    "`finetune_epochs=5` trains all the same."
)
"""Why `finetune_epochs="auto"` does not train a clustered model."""
_LOOKED_AT_FIRST = 4096


def clustered(kernels: Sequence[Kernel]) -> list[Kernel]:
    """Return the prunable kernels with more than two values and at most :data:`MOST_VALUES`."""
    return [kernel for kernel in masks.prunable_of(kernels) if _has_few_values(kernel.read())]


def words(found: Sequence[Kernel], target: Target) -> str | None:
    """Describe how a target stores clustered kernels; None if there are none."""
    if not found:
        return None
    traits = TARGETS[target]
    if traits.stores_tables:
        how = "which the file holds as indices into a table"
    else:
        others = listed(names_where(lambda each: each.stores_tables))
        how = f"which --target {others} stores as indices into a table; a file for {traits.runtime} holds every weight"
    kernels = f"{len(found)} kernels are" if len(found) > 1 else "1 kernel is"
    return f"{kernels} clustered, of {MOST_VALUES} values or fewer, {how}"


def _has_few_values(values: np.ndarray) -> bool:
    flat = values.reshape(-1)
    return all(2 < np.unique(part).size <= MOST_VALUES for part in (flat[:_LOOKED_AT_FIRST], flat))
