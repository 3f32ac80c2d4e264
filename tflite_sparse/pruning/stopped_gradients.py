"""Stop the gradients of masked weights inside the training step, for any optimizer.

A compiled model applies gradients by one method of its optimizer: ``apply`` in Keras 3, ``apply_gradients`` in Keras 2.
While a model is pruned, that method of this one object multiplies them by the masks first. So clipping, momenta and
several steps in one execution all get gradients that are zero where a weight is masked (Zhu and Gupta 2017, section 3).
A weight that is zero, with zero momenta, stays zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tflite_sparse.sources import tensorflow_import
from tflite_sparse.sources.keras_types import Optimizer, Variable

MasksOf = Callable[[], Mapping[int, Variable]]
"""Returns the mask variables (bool) by ``id`` of the weight's variable; called when a training step is traced."""

_Pair = tuple[object, Variable]  # a gradient, dense or of some rows or None, and its weight

_WEIGHTS = "_trainable_variables"  # of an optimizer of Keras 3
_MARK = "stops_gradients_of_masked_weights"


def patch(optimizer: Optimizer, masks_of: MasksOf) -> Callable[[], None]:
    """Make ``optimizer`` apply masked gradients; return a function that undoes it.

    A patch left by a training that raised an exception is undone first.

    Args:
        optimizer: of either generation of Keras, also one that scales the loss.
        masks_of: see :data:`MasksOf`.
    """
    is_keras3 = any(base.__module__.startswith("keras.") for base in type(optimizer).__mro__)
    name = "apply" if is_keras3 else "apply_gradients"
    if hasattr(optimizer.__dict__.get(name), _MARK):
        del optimizer.__dict__[name]
    original = getattr(optimizer, name)

    def apply(gradients: Iterable[object], trainable_variables: Sequence[Variable] | None = None) -> object:
        known = getattr(optimizer, _WEIGHTS) if trainable_variables is None else trainable_variables
        pairs = _masked(zip(gradients, known, strict=True), masks_of())
        variables = None if trainable_variables is None else [variable for _, variable in pairs]
        return original([gradient for gradient, _ in pairs], variables)

    def apply_gradients(grads_and_vars: Iterable[_Pair], *rest: object, **options: object) -> object:
        return original(_masked(grads_and_vars, masks_of()), *rest, **options)

    replacement = apply if is_keras3 else apply_gradients
    setattr(replacement, _MARK, True)
    optimizer.__dict__[name] = replacement  # with setattr, Keras would track the function

    def undo() -> None:
        if optimizer.__dict__.get(name) is replacement:
            del optimizer.__dict__[name]

    return undo


def clear_momenta(optimizer: Optimizer, variable: Variable, mask: np.ndarray) -> None:
    """Set the optimizer's state of masked weights (momenta, moving averages) to zero.

    Args:
        optimizer: of either generation, also one that scales the loss; nothing happens before its first step.
        variable: the weight.
        mask: bool, of its shape.
    """
    for slot in _slots(optimizer, variable):
        if tuple(slot.shape) == mask.shape:
            values = np.asarray(slot.numpy())
            slot.assign(np.where(mask, values, np.zeros((), values.dtype)))


def _masked(pairs: Iterable[_Pair], masks: Mapping[int, Variable]) -> list[_Pair]:
    return [(_where(masks.get(id(variable)), gradient), variable) for gradient, variable in pairs]


def _where(mask: Variable | None, gradient: object) -> object:
    if mask is None or gradient is None:
        return gradient
    tf = tensorflow_import.tensorflow()
    if isinstance(gradient, tf.IndexedSlices):  # an embedding's gradient: only the rows that were looked up
        rows = tf.gather(mask, gradient.indices)
        values = tf.where(rows, gradient.values, tf.zeros_like(gradient.values))
        return tf.IndexedSlices(values, gradient.indices, gradient.dense_shape)
    return tf.where(mask, gradient, tf.zeros_like(gradient))


def _slots(optimizer: Optimizer, variable: Variable) -> list[Variable]:
    """Return the variables that an optimizer keeps for a weight, from every attribute with one for each weight."""
    if hasattr(optimizer, "inner_optimizer"):  # it scales the loss
        return _slots(optimizer.inner_optimizer, variable)
    if hasattr(optimizer, "get_slot_names"):  # the legacy optimizers of Keras 2
        return list(getattr(optimizer, "_slots", {}).get(_legacy_key(variable), {}).values())
    place, count = _place(optimizer, variable)
    if place is None:
        return []
    if type(optimizer).__name__ == "Ftrl":  # it divides by its accumulators, even where the gradient is zero
        return [getattr(optimizer, "_linears", ())[place]]
    weights = getattr(optimizer, _WEIGHTS, None)
    lists = [value for value in vars(optimizer).values() if isinstance(value, list) and value is not weights]
    found = [values[place] for values in lists if len(values) == count]
    return [slot for slot in found if hasattr(slot, "assign") and slot is not variable]


def _legacy_key(variable: Any) -> str:
    owner = getattr(variable, "_distributed_container", lambda: None)() or variable
    return str(owner._unique_id)


def _place(optimizer: Optimizer, variable: Variable) -> tuple[int | None, int]:
    if hasattr(optimizer, _WEIGHTS):  # Keras 3
        known = list(getattr(optimizer, _WEIGHTS) or ())
        return next((i for i, each in enumerate(known) if each is variable), None), len(known)
    numbers, key_of = getattr(optimizer, "_index_dict", None), getattr(optimizer, "_var_key", None)  # Keras 2
    if numbers is None or key_of is None:
        return None, 0
    return numbers.get(key_of(variable)), len(numbers)
