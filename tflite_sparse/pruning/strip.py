"""Remove wrappers of tensorflow-model-optimization and make their effect on the weights permanent.

tfmot's ``strip_pruning`` leaves the weights unchanged. After a last optimizer step, or in a checkpoint, these no longer
follow the mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeGuard

import numpy as np

from tflite_sparse.errors import ModelError
from tflite_sparse.pruning import masks
from tflite_sparse.sources import tensorflow_import
from tflite_sparse.sources.keras_model import KerasSource
from tflite_sparse.sources.keras_types import KerasLayer, Variable
from tflite_sparse.sources.kernels import flatten
from tflite_sparse.sources.optimization_wrappers import CLUSTERING, PRUNING
from tflite_sparse.sources.saved_model import SavedModelSource
from tflite_sparse.sources.source_model import SourceModel


def strip(model: SourceModel) -> tuple[SourceModel, int]:
    """Return the model without wrappers that prune or cluster, and the number of masks applied.

    The layers inside of pruning wrappers are the same objects as before, so the weights of a model in memory change
    with the masks. Clustered kernels become the centroids of their weights.

    Raises:
        ModelError: the model is a SavedModel without its Keras model, and holds clustering wrappers.
    """
    if isinstance(model, SavedModelSource):
        _refuse_clusters(model)
        return model, _mask_variables(model)
    if not isinstance(model, KerasSource):
        return model, 0
    stripped, applied = model.model, 0
    pruning = [layer for layer in flatten(stripped) if _prunes(layer)]
    if pruning:
        applied = sum(_mask_wrapped(wrapper) for wrapper in pruning)
        stripped = tensorflow_import.model_optimization().sparsity.keras.strip_pruning(stripped)
    if any(type(layer).__name__ in CLUSTERING for layer in flatten(stripped)):
        stripped = tensorflow_import.model_optimization().clustering.keras.strip_clustering(stripped)
    if stripped is model.model:
        return model, 0
    return KerasSource(stripped, model.keras, model.name, was_mixed=model.was_mixed, compiled=model.compiled), applied


def _prunes(layer: KerasLayer) -> TypeGuard[_PruningWrapper]:
    return type(layer).__name__ == PRUNING


def _refuse_clusters(model: SavedModelSource) -> None:
    """Refuse a SavedModel that computes its kernels from centroids at every call: no operator reads them as weights."""
    for name, _ in model.variables():
        if name.rpartition("/")[2].startswith("cluster_centroids"):
            raise ModelError(
                f"{model.name} holds clustering wrappers ({name}): take them off with "
                "tfmot.clustering.keras.strip_clustering(model), and export or save the result."
            )


class _PruningWrapper(KerasLayer, Protocol):
    """Variables that tfmot's wrapper adds to a layer: weights, their masks and thresholds."""

    pruning_vars: Sequence[tuple[Variable, Variable, Variable]]


def _mask_wrapped(wrapper: _PruningWrapper) -> int:
    for weight, mask, _ in wrapper.pruning_vars:
        values = weight.numpy()
        weight.assign(np.where(mask.numpy() != 0, values, np.zeros((), values.dtype)))
    return len(wrapper.pruning_vars)


def _mask_variables(model: SavedModelSource) -> int:
    found = model.masks()
    for kernel in model.kernels():
        if kernel.name in found:
            masks.apply_mask(kernel, found[kernel.name] != 0)
    return len(found)
