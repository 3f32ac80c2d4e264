"""Taking pruning wrappers off with their masks applied.

tfmot's ``strip_pruning`` takes them off and leaves the weights as they are: after a last optimizer step, or in a
checkpoint, these are no longer what the mask says.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tflite_sparse.pruning import masks
from tflite_sparse.sources import tensorflow_import
from tflite_sparse.sources.keras_model import WRAPPER, KerasSource
from tflite_sparse.sources.kernels import flatten
from tflite_sparse.sources.saved_model import SavedModelSource
from tflite_sparse.sources.source_model import SourceModel


def strip(model: SourceModel) -> tuple[SourceModel, int]:
    """The model without wrappers, and how many masks were applied.

    The layers inside the wrappers are the same objects as before, so a live model's weights change with the masks.
    """
    if isinstance(model, SavedModelSource):
        return model, _mask_variables(model)
    if not isinstance(model, KerasSource):
        return model, 0
    wrappers = [layer for layer in flatten(model.model) if type(layer).__name__ == WRAPPER]
    if not wrappers:
        return model, 0
    applied = sum(_mask_wrapped(wrapper) for wrapper in wrappers)
    tfmot = tensorflow_import.model_optimization()
    return KerasSource(tfmot.sparsity.keras.strip_pruning(model.model), model.keras, model.name), applied


def _mask_wrapped(wrapper: Any) -> int:
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
