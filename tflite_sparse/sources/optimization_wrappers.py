"""Recognise and load the wrappers of tensorflow-model-optimization, which prune, cluster or quantise Keras 2 layers."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from typing import Protocol

import numpy as np

from tflite_sparse.sources import tensorflow_import
from tflite_sparse.sources.keras_types import KerasLayer, Variable

PRUNING = "PruneLowMagnitude"
CLUSTERING = ("ClusterWeights", "ClusterWeightsMHA")
_QUANTISING = ("QuantizeWrapper", "QuantizeWrapperV2", "QuantizeLayer", "QuantizeAwareActivation", "QuantizeAnnotate")

_SIMULATING = "FakeQuantWithMinMax"  # operators of TensorFlow

_CORE = "tensorflow_model_optimization.python.core"
MODULES = tuple(f"{_CORE}.{part}.keras" for part in ("sparsity", "clustering", "quantization"))
"""Modules whose classes a model file may name: the classes build layers from configurations and import nothing."""

# Classes for quantisation-aware training of pruned or clustered models; no scope of the package provides them.
_PRESERVING = (
    f"{_CORE}.quantization.keras.collab_opts.prune_preserve.prune_preserve_quantize_registry",
    f"{_CORE}.quantization.keras.collab_opts.cluster_preserve.cluster_preserve_quantize_registry",
)


def is_quantising(layer: KerasLayer) -> bool:
    """Return whether a layer, or its wrapper, simulates integers while it trains."""
    return type(layer).__name__ in _QUANTISING


def is_quantisation_aware(kinds: Collection[str]) -> bool:
    """Return whether layers or operators of these classes were trained to compute in integers."""
    return any(kind in _QUANTISING or kind.startswith(_SIMULATING) for kind in kinds)


@contextlib.contextmanager
def scopes(names: Set[str]) -> Iterator[None]:
    """Register the wrappers whose classes are in ``names``, and what they use, with Keras 2 inside of the block.

    Raises:
        ModelError: there are some, and the package is not installed.
    """
    with contextlib.ExitStack() as stack:
        if PRUNING in names:
            stack.enter_context(tensorflow_import.model_optimization().sparsity.keras.prune_scope())
        if not names.isdisjoint(CLUSTERING):
            stack.enter_context(tensorflow_import.model_optimization().clustering.keras.cluster_scope())
            wrappers = importlib.import_module(f"{_CORE}.clustering.keras.cluster_wrapper")
            stack.enter_context(_known({name: getattr(wrappers, name) for name in CLUSTERING}))
        if not names.isdisjoint(_QUANTISING):
            stack.enter_context(tensorflow_import.model_optimization().quantization.keras.quantize_scope())
            stack.enter_context(_known({k: v for name in _PRESERVING for k, v in _classes_of(name).items()}))
            stack.enter_context(_readable())
        yield


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    """Let Keras read ``.keras`` files with quantising layers, which store other variables than the layers have."""
    modules = (
        importlib.import_module(f"{_CORE}.quantization.keras.{name}") for name in ("quantize_layer", "quantize_wrapper")
    )
    layer, wrapper = (
        getattr(module, name) for module, name in zip(modules, ("QuantizeLayer", "QuantizeWrapper"), strict=True)
    )
    # Its ``build`` does not mark the layer as built. Built once by the reader and once when it is connected, the layer
    # would have its variables twice.
    layer.build_from_config = lambda self, config: None  # noqa: ARG005
    wrapper.load_own_variables = _load_last_variables
    try:
        yield
    finally:
        del layer.build_from_config, wrapper.load_own_variables


class _Wrapper(KerasLayer, Protocol):
    _trainable_weights: Sequence[Variable]
    _non_trainable_weights: Sequence[Variable]


def _load_last_variables(wrapper: _Wrapper, store: Mapping[str, np.ndarray]) -> None:
    """Read the variables of a wrapper, which are the last that it stored.

    A wrapper around a layer that was built before lists the layer's weights again, before its own. They are stored with
    the layer as well.
    """
    variables = [*wrapper._trainable_weights, *wrapper._non_trainable_weights]
    surplus = len(store.keys()) - len(variables)
    if surplus < 0:
        raise ValueError(f"layer {wrapper.name!r} stored {len(store.keys())} variables, it has {len(variables)}")
    for place, variable in enumerate(variables, surplus):
        variable.assign(store[str(place)])


def _known(classes: dict[str, object]) -> contextlib.AbstractContextManager[None]:
    scope: contextlib.AbstractContextManager[None] = tensorflow_import.keras2().utils.custom_object_scope(classes)
    return scope


def _classes_of(module: str) -> dict[str, object]:
    found = vars(importlib.import_module(module))
    return {name: value for name, value in found.items() if getattr(value, "__module__", None) == module}


def class_names(config: object) -> set[str]:
    """Return every ``class_name`` in a configuration, at any depth."""
    found: set[str] = set()
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list | tuple):
            waiting += value
        elif isinstance(value, dict):
            waiting += value.values()
            if isinstance(value.get("class_name"), str):
                found.add(value["class_name"])
    return found
